"""A TCP proxy between a client and a node that records, stalls or loses what passes.

    client --up--> proxy --up--> node          stall_up_after / stall_down_after: bytes, then nothing more passes
           <-down-       <-down-               is_answer_lost: the answer to a POST never reaches the client

A stalled connection goes on after `resume`, or ends when either side goes away: then both sides are closed. With
`delay_s`, which may change at any time, every piece is that late in both directions.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator

_CHUNK = 65_536
_POLL_MS = 20
_STALL_S = 120
"""Longest stall: longer than any test."""
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Proxy:
    """Listens on `port` of 127.0.0.1 until `close`."""

    def __init__(
        self, target_port: int, *, stall_up_after: int = -1, stall_down_after: int = -1, is_answer_lost: bool = False
    ) -> None:
        self._target_port = target_port
        self._stall_up_after = stall_up_after
        self._stall_down_after = stall_down_after
        self._is_answer_lost = is_answer_lost
        self.delay_s = 0.0
        self.recorded: list[bytearray] = []
        """What clients sent, one entry a connection."""
        self.stalled = threading.Event()
        self.lost = threading.Event()
        self._resumed = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def close(self) -> None:
        """End every connection and thread."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            _end(connection)
        for thread in self._threads:
            thread.join(timeout=10)

    def resume(self) -> None:
        """Let stalled transfers go on, and stall none any more."""
        self._resumed.set()

    def posts(self) -> list[bytes]:
        """The recorded POST requests, head and body, oldest first."""
        found = []
        for connection in self.recorded:
            starts = list(_find_all(bytes(connection), b"POST /"))
            found += [
                bytes(connection[start:end]) for start, end in zip(starts, [*starts[1:], len(connection)], strict=True)
            ]
        return found

    def _spawn(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                node = socket.create_connection(("127.0.0.1", self._target_port), timeout=10)
            except OSError:
                client.close()
                continue
            node.settimeout(None)
            record = bytearray()
            self.recorded.append(record)
            self._open |= {client, node}
            self._spawn(self._pump, client, node, record, self._stall_up_after)
            self._spawn(self._pump, node, client, None, self._stall_down_after, record)

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        record: bytearray | None,
        stall_after: int,
        asked: bytearray | None = None,
    ) -> None:
        passed = 0
        try:
            while chunk := source.recv(_CHUNK):
                if record is not None:
                    record += chunk
                if asked is not None and self._is_answer_lost and b"POST /" in asked:
                    self.lost.set()
                    return
                if 0 <= stall_after < passed + len(chunk) and not self._resumed.is_set():
                    target.sendall(chunk[: stall_after - passed])
                    chunk = chunk[stall_after - passed :]
                    passed = stall_after
                    self.stalled.set()
                    if not self._wait_resumed(source, target):
                        return
                if self.delay_s:
                    time.sleep(self.delay_s)  # this is the slow link, not a wait for something
                target.sendall(chunk)
                passed += len(chunk)
        except OSError:
            return
        finally:
            for connection in (source, target):
                self._open.discard(connection)
                _end(connection)

    def _wait_resumed(self, *connections: socket.socket) -> bool:
        """Wait until `resume`; False where a side has gone away."""
        poll = select.poll()
        for connection in connections:
            if connection.fileno() < 0:
                return False
            poll.register(connection, _GONE)
        end = time.monotonic() + _STALL_S
        while not self._resumed.is_set() and time.monotonic() < end:
            if poll.poll(_POLL_MS):
                return False
        return self._resumed.is_set()


@contextlib.contextmanager
def running_proxy(
    target_port: int, *, stall_up_after: int = -1, stall_down_after: int = -1, is_answer_lost: bool = False
) -> Iterator[Proxy]:
    """A proxy that is surely closed."""
    proxy = Proxy(
        target_port, stall_up_after=stall_up_after, stall_down_after=stall_down_after, is_answer_lost=is_answer_lost
    )
    with contextlib.closing(proxy):
        yield proxy


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _find_all(text: bytes, wanted: bytes) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)
