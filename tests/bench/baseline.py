"""What we are measured against: unreplicated `git http-backend` behind nginx and fcgiwrap, on loopback.

A directory of its own holds configuration, socket, logs and repositories; nothing of the machine's services is used.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import find_base_port, find_program, git
from tests.e2e.waiting import wait_until

_WORKERS = 24
"""fcgiwrap processes: more than the twenty clients of the storm."""

_CONFIG = """\
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      fastcgi_pass unix:{directory}/fcgi.sock;
      fastcgi_buffering off;
      fastcgi_request_buffering off;
      fastcgi_read_timeout 600s;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param GIT_PROJECT_ROOT {directory}/repositories;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param REMOTE_USER bench;
      fastcgi_param REMOTE_ADDR $remote_addr;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Baseline:
    """A running baseline server."""

    directory: Path
    port: int

    def url(self, name: str) -> str:
        """What to give to git."""
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def path(self, name: str) -> Path:
        """The repository on disk."""
        return self.directory / "repositories" / f"{name}.git"

    def create(self, name: str) -> None:
        """Make an empty bare repository."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path(name)))


@contextlib.contextmanager
def running_baseline(directory: Path) -> Iterator[Baseline]:
    """nginx and fcgiwrap, surely gone afterwards."""
    (directory / "repositories").mkdir(parents=True)
    port = find_base_port(1)
    backend = Path(git("--exec-path").stdout.strip()) / "git-http-backend"
    config = directory / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(user + _CONFIG.format(directory=directory, port=port, backend=backend))
    nginx = find_program("nginx", package="nginx-light")
    fcgiwrap = find_program("fcgiwrap", package="fcgiwrap")
    with (
        (directory / "fcgiwrap.log").open("w") as log,
        _process([fcgiwrap, "-c", str(_WORKERS), "-s", f"unix:{directory}/fcgi.sock"], log.fileno()),
        _process([nginx, "-c", str(config), "-p", str(directory)], log.fileno()),
    ):
        wait_until(lambda: _accepts(port), what="nginx accepts connections")
        yield Baseline(directory, port)


@contextlib.contextmanager
def _process(command: list[str], log: int) -> Iterator[None]:
    # fcgiwrap's workers outlive it unless the whole group is told.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
