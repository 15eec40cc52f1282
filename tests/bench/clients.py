"""The clients of the benchmark: stock git, and a light one that speaks the protocol and throws the pack away."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.cluster import git, list_refs
from tests.e2e.raw import pkt

_BUFFER = 1 << 20


def seconds_of_git(*arguments: str, cwd: Path | None = None) -> float:
    """Run git to a good end; how long it took."""
    begin = time.perf_counter()
    git(*arguments, cwd=cwd, timeout_s=600)
    return time.perf_counter() - begin


def fetch_body(url: str) -> bytes:
    """A protocol 2 request for everything, as a fresh clone sends it."""
    tips = sorted({oid for name, oid in list_refs(url).items() if not name.endswith("^{}")})
    lines = [pkt("command=fetch"), pkt("object-format=sha1"), b"0001", pkt("ofs-delta\n"), pkt("no-progress\n")]
    lines += [pkt(f"want {tip}\n") for tip in tips]
    return b"".join([*lines, pkt("done\n"), b"0000"])


def light_clone(url: str, body: bytes) -> float:
    """Send `body`, read the answer to its end and forget it; how long that took.

    Raises:
        RuntimeError: the answer has no pack or does not end as a pack does.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    request = (
        f"POST {parts.path}/git-upload-pack HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        "Content-Type: application/x-git-upload-pack-request\r\nAccept: application/x-git-upload-pack-result\r\n"
        f"Git-Protocol: version=2\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    begin = time.perf_counter()
    buffer = bytearray(_BUFFER)
    received = 0
    tail = b""
    head = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=600) as connection:
        connection.sendall(request + body)
        while count := connection.recv_into(buffer):
            if received < 4096:
                head += bytes(buffer[:count])
            tail = (tail + bytes(buffer[max(0, count - 32) : count]))[-32:]
            received += count
    if b" 200 " not in head[:20] or b"PACK" not in head[:65_536] or b"0000" not in tail:
        raise RuntimeError(f"not a clone: {head[:200]!r} ... {tail!r} ({received} bytes)")
    return time.perf_counter() - begin


def storm_light(urls: Sequence[str], body: bytes, *, clients: int) -> float:
    """`clients` light clones at once, spread over `urls`; until the last one has ended."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda number: light_clone(urls[number % len(urls)], body), range(clients)))
    return time.perf_counter() - begin


def storm_shallow(urls: Sequence[str], directory: Path, *, clients: int) -> float:
    """`clients` real `git clone --depth 1` at once; until the last one has ended."""
    directory.mkdir(parents=True)
    begin = time.perf_counter()
    processes = [
        subprocess.Popen(
            ["git", "clone", "--quiet", "--depth", "1", urls[number % len(urls)], str(directory / str(number))],
            stdin=subprocess.DEVNULL,
        )
        for number in range(clients)
    ]
    codes = [process.wait(600) for process in processes]
    if any(codes):
        raise RuntimeError(f"clones failed: {codes}")
    return time.perf_counter() - begin
