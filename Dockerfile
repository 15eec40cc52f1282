# One node. Built from any Debian 12 with Python 3.11: python:3.11-slim-bookworm, or a local base where no registry
# can be reached (deploy/README.md). Wheels come from build/wheelhouse where there is one, else from the index
# that pip is configured for (PIP_* build arguments).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_FIND_LINKS
RUN python3 -m venv /opt/meshnode
COPY . /source
RUN if [ -d /source/build/wheelhouse ]; then \
        /opt/meshnode/bin/pip install --no-cache-dir --no-index --find-links=/source/build/wheelhouse meshnode; \
    else \
        /opt/meshnode/bin/pip install --no-cache-dir /source; \
    fi

FROM ${BASE}
RUN if ! command -v git >/dev/null || ! command -v tini >/dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends git tini && rm -rf /var/lib/apt/lists/*; \
    fi \
    && groupadd --system --gid 10001 meshnode \
    && useradd --system --uid 10001 --gid meshnode --home-dir /data --shell /usr/sbin/nologin meshnode \
    && install -d -o meshnode -g meshnode /data
COPY --from=build /opt/meshnode /opt/meshnode
ENV PATH=/opt/meshnode/bin:$PATH PYTHONUNBUFFERED=1 MESHNODE_DATA=/data
USER meshnode
WORKDIR /data
VOLUME /data
# 7777 gRPC, 7780 smart HTTP, health and metrics
EXPOSE 7777 7780
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7780/readyz', timeout=4)"]
# tini passes signals on and reaps what a dying git leaves; a stop waits for requests in flight (limits.drain_ms)
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "meshnode"]
CMD ["serve", "--config", "/data/meshnode.toml"]
