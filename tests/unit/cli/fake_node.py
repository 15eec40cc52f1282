"""Stands in for `meshnode serve`: listens where the settings say and answers /readyz.

fake_node.py CONFIG [never-ready | crash | deaf]
"""

from __future__ import annotations

import http.server
import signal
import socket
import sys
import threading
import tomllib
from pathlib import Path
from types import FrameType


def address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


class Handler(http.server.BaseHTTPRequestHandler):
    is_ready = True

    def do_GET(self) -> None:
        self.send_response(200 if self.is_ready else 503)
        self.end_headers()
        self.wfile.write(b"ready" if self.is_ready else b"waiting for the moon")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        del format, args


def leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    print("told to stop", flush=True)
    sys.exit(0)


def refuse(listener: socket.socket) -> None:
    """Take connections and hang up: this is no gRPC server."""
    while True:
        connection, _ = listener.accept()
        connection.close()


def main() -> None:
    config = tomllib.loads(Path(sys.argv[1]).read_text())
    mode = sys.argv[2] if len(sys.argv) > 2 else ""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else leave)
    print(f"node {config['node']['id']} starts", flush=True)
    if mode == "crash":
        print("the disk is made of cheese", file=sys.stderr, flush=True)
        sys.exit(9)
    Handler.is_ready = mode != "never-ready"
    listener = socket.create_server(address_of(config["listen"]["grpc"]))
    threading.Thread(target=refuse, args=(listener,), daemon=True).start()
    with http.server.ThreadingHTTPServer(address_of(config["listen"]["http"]), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
