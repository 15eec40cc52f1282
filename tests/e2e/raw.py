"""Requests that no git client would send: bytes over a socket, pkt-lines by hand."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ZERO = "0" * 40
RECEIVE = {"Content-Type": "application/x-git-receive-pack-request"}
UPLOAD = {"Content-Type": "application/x-git-upload-pack-request"}
EMPTY_PACK = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
"""A pack of no objects (gitformat-pack(5))."""


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 for a connection that ended without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def generation(self) -> int:
        """The header Mesh-Generation, 0 where there is none."""
        return int(self.headers.get("mesh-generation", "0"))


def send(
    port: int,
    method: str,
    path: str,
    *,
    body: bytes | Iterable[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30,
    host: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own; an iterable body is sent chunked."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        is_chunked = not isinstance(body, bytes)
        connection.request(method, path, body=body or None, headers=dict(headers or {}), encode_chunked=is_chunked)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, named, answer.read())
    except (http.client.HTTPException, OSError):
        return Answer(0, {}, b"")
    finally:
        connection.close()


def send_bytes(port: int, request: bytes, *, timeout_s: float = 30, is_half_closed: bool = False) -> bytes:
    """Raw bytes to a node; everything it sends until it closes or falls silent for a second after an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        received = b""
        try:
            connection.sendall(request)
            if is_half_closed:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                received += chunk
                connection.settimeout(1)
        except (TimeoutError, ConnectionError):
            pass
        return received


def pkt(text: str | bytes) -> bytes:
    """One pkt-line."""
    data = text if isinstance(text, bytes) else text.encode()
    return f"{len(data) + 4:04x}".encode() + data


def push_commands(*commands: tuple[str, str, str], capabilities: str = "report-status") -> bytes:
    """The command list of a push: old, new, name each."""
    lines = [f"{old} {new} {name}" for old, new, name in commands]
    return b"".join(pkt(f"{line}\0 {capabilities}" if number == 0 else line) for number, line in enumerate(lines)) + (
        b"0000"
    )
