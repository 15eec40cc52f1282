"""Pushes as bytes, for clusters without git: a "pack" is a header and the ids of the objects it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from meshnode.base.ids import RepositoryName
from meshnode.ports import TransportRequest
from tests.sim.memory_cluster import MemoryCluster

ZERO = "0" * 40
CAPABILITIES = "report-status side-band-64k atomic delete-refs object-format=sha1 agent=test"

Command = tuple[str, str, str]
"""Reference, old value, new value; "" for nothing."""


def pkt(payload: bytes) -> bytes:
    """One pkt-line."""
    return f"{len(payload) + 4:04x}".encode() + payload


def push_bytes(commands: Sequence[Command], *, is_atomic: bool = False, padding: int = 0) -> bytes:
    """The body of a receive-pack request; `padding` makes the pack longer."""
    wanted = CAPABILITIES if is_atomic else CAPABILITIES.replace(" atomic", "")
    lines = []
    for number, (ref, old, new) in enumerate(commands):
        line = f"{old or ZERO} {new or ZERO} {ref}".encode()
        lines.append(pkt(line + (b"\0 " + wanted.encode() if number == 0 else b"")))
    body = b"".join(lines) + b"0000"
    if any(new for _, _, new in commands):
        body += b"PACK" + bytes(8) + b" ".join(new.encode() for _, _, new in commands if new) + b" " + b"." * padding
    return body


async def in_pieces(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    """A body that arrives piece by piece."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def request(name: str, *, may_create: bool = False, actor: str = "t") -> TransportRequest:
    """A push handed to the node that leads it."""
    return TransportRequest(name=RepositoryName(name), actor=actor, is_forwarded=True, may_create=may_create)


async def push(
    cluster: MemoryCluster,
    at: str,
    name: str,
    commands: Sequence[Command],
    *,
    is_atomic: bool = False,
    may_create: bool = False,
    padding: int = 0,
) -> str:
    """Push through a node; the report, side-band framing and all, as text."""
    body = in_pieces(push_bytes(commands, is_atomic=is_atomic, padding=padding))
    reply = await cluster.engine(at).transport.receive_pack(request(name, may_create=may_create), body)
    report = b""
    async with aclosing(reply.body) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            report += chunk
    return report.decode(errors="replace")
