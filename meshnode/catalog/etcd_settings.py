"""Reads what the `[catalog]` section says of an etcd cluster: endpoints, certificates, the password.

Rule: everything that can be wrong without a network is refused here, when the node starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from meshnode.base.errors import InvalidRequest
from meshnode.config import CatalogSettings

ENDPOINTS_MAX: Final = 16
"""More members than any etcd cluster should have."""
_ENDPOINT: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EtcdSettings:
    """Settings that are known to fit together; files are read."""

    endpoints: tuple[str, ...]
    """host:port each; IPv6 addresses in brackets."""
    credentials: grpc.ChannelCredentials | None
    """None: no TLS."""
    username: str
    password: str = field(repr=False)
    prefix: str
    deadline_ms: int


def read_etcd_settings(settings: CatalogSettings) -> EtcdSettings:
    """Check the settings and read the files they name.

    Raises:
        InvalidRequest: a bad endpoint, a client certificate without its key or without TLS, a file that cannot be
            read, a user without a password, or a password that others can read.
    """
    endpoints = tuple(settings.url.removeprefix("etcd://").removesuffix("/").split(","))
    if len(endpoints) > ENDPOINTS_MAX:
        raise InvalidRequest("too many etcd endpoints", endpoints=len(endpoints), endpoints_max=ENDPOINTS_MAX)
    for endpoint in endpoints:
        if "@" in endpoint:
            raise InvalidRequest("an etcd user goes into username and password_file, not into the url")
        match = _ENDPOINT.fullmatch(endpoint)
        if match is None or not 1 <= int(match["port"]) <= 65_535:
            raise InvalidRequest("an etcd endpoint is host:port", endpoint=endpoint[:100])
    if len(set(endpoints)) != len(endpoints):
        raise InvalidRequest("an etcd endpoint is named twice", url=settings.url)
    if settings.deadline_ms < 1:
        raise InvalidRequest("the catalog's deadline is at least 1 ms", deadline_ms=settings.deadline_ms)
    return EtcdSettings(
        endpoints=endpoints,
        credentials=_credentials(settings),
        username=settings.username,
        password=_password(settings),
        prefix=settings.prefix,
        deadline_ms=settings.deadline_ms,
    )


def _credentials(settings: CatalogSettings) -> grpc.ChannelCredentials | None:
    if bool(settings.cert_file) != bool(settings.key_file):
        raise InvalidRequest("an etcd client certificate needs both cert_file and key_file")
    if not settings.ca_file:
        if settings.cert_file:
            raise InvalidRequest("an etcd client certificate needs ca_file: without it there is no TLS")
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read(settings.ca_file),
        private_key=_read(settings.key_file) if settings.key_file else None,
        certificate_chain=_read(settings.cert_file) if settings.cert_file else None,
    )


def _password(settings: CatalogSettings) -> str:
    if bool(settings.username) != bool(settings.password_file):
        raise InvalidRequest("etcd authentication needs both username and password_file")
    if not settings.username:
        return ""
    content = _read(settings.password_file)
    if Path(settings.password_file).stat().st_mode & 0o077:
        raise InvalidRequest("the etcd password can be read by others; chmod 600 it", path=settings.password_file)
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest("the etcd password is not UTF-8", path=settings.password_file) from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest("a file of the etcd settings cannot be read", path=path, detail=str(error)) from error
