"""Reads a fetch: its first packets, which say what is asked, and whether it is a clone, which many ask alike.

    opening packets | short, and no `have` --> a clone: known whole, with a fingerprint
                    | anything else ---------> handed on piece by piece, its framing checked on the way

Source: gitprotocol-v2(5), gitprotocol-pack(5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.git.pktline import Marker, Packet, PacketParser, PacketReader, chomp, format_packet

REQUEST_BYTES_MAX: Final = 64 << 20
"""Longest request: a million `have` lines are 50 MB."""
CLONE_BYTES_MAX: Final = 256 << 10
"""So much of a request is read before git is started: five thousand wants. A longer one is no clone to us."""
_CAPABILITIES_MAX: Final = 64
_WHO_ASKS = re.compile(rb" ?\b(?:agent|session-id)=[^ \n]*")
"""What a client says of itself; answers do not depend on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchRequest:
    """A fetch, as far as it has been read, and the rest of it."""

    begun: bytes
    """What has been read, as it came."""
    framing: PacketParser
    """Has seen all of it."""
    rest: AsyncIterator[bytes]
    fingerprint: bytes = b""
    """Of a clone, where the client says that it has nothing, and all of it is there: the same for requests that differ only
    in who asks. b"" for all others."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The request, to be handed on. Raises InvalidRequest: malformed, or longer than 64 MiB."""
        yield self.begun
        if self.fingerprint:
            return
        while self.framing.next() is not None:
            pass
        size = len(self.begun)
        async for chunk in self.rest:
            size += len(chunk)
            if size > REQUEST_BYTES_MAX:
                raise InvalidRequest("the request is too long", bytes_max=REQUEST_BYTES_MAX)
            self.framing.feed(chunk)
            while self.framing.next() is not None:
                pass
            yield chunk
        if self.framing.rest():
            raise InvalidRequest("the request ends inside a pkt-line")


async def read_request(opening: list[Packet], reader: PacketReader, version: int) -> FetchRequest:
    """Read on until it is known whether the request is a clone; `opening` are the packets read before.

    A clone ends with its last packet, whatever comes after it. Raises InvalidRequest: malformed.
    """
    framing, packets = PacketParser(), list(opening)
    begun = bytearray(b"".join(map(format_packet, opening)))
    whole = len(begun)
    rest = reader.rest()
    while len(begun) <= CLONE_BYTES_MAX and (chunk := await anext(rest, b"")):
        begun += chunk
        framing.feed(chunk)
        while (packet := framing.next()) is not None:
            packets.append(packet)
            whole += len(format_packet(packet))
            if isinstance(packet, bytes) and packet.startswith(b"have "):
                return FetchRequest(begun=bytes(begun), framing=framing, rest=rest)
            if _is_end(packet, version):
                return FetchRequest(
                    begun=bytes(begun[:whole]), framing=framing, rest=rest, fingerprint=_fingerprint(packets)
                )
    return FetchRequest(begun=bytes(begun), framing=framing, rest=rest)


def _is_end(packet: Packet, version: int) -> bool:
    """Whether it is the last one of a request without a `have`."""
    return packet is Marker.FLUSH if version == 2 else isinstance(packet, bytes) and chomp(packet) == b"done"


def _fingerprint(packets: list[Packet]) -> bytes:
    """SHA-256 over all packets but for what the client says of itself."""
    told = [_WHO_ASKS.sub(b"", packet) if isinstance(packet, bytes) else packet.value for packet in packets]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(one), one) for one in told)).digest()


async def read_first(reader: PacketReader) -> Packet:
    """The first packet of a request of version 0 or 1: a want, or the flush of a client that wants nothing."""
    packet = await reader.read()
    if packet is Marker.FLUSH or (isinstance(packet, bytes) and packet.startswith(b"want ")):
        return packet
    raise InvalidRequest("a fetch starts with a want")


async def read_command(reader: PacketReader, object_format: str) -> tuple[bytes, list[Packet]] | None:
    """The command of a request of version 2 and its packets up to the first marker; None for the empty request."""
    packets: list[Packet] = []
    command = b""
    client_format = b"sha1"
    while isinstance(packet := await reader.read(), bytes):
        key, _, value = chomp(packet).partition(b"=")
        if key == b"command":
            if command:
                raise InvalidRequest("the request has two commands")
            command = value
        elif key == b"object-format":
            client_format = value
        elif key not in {b"agent", b"server-option", b"session-id"}:
            raise InvalidRequest("unknown capability", capability=key[:100].decode("utf-8", "replace"))
        packets.append(packet)
        if len(packets) > _CAPABILITIES_MAX:
            raise InvalidRequest("too many capabilities", capabilities_max=_CAPABILITIES_MAX)
    if packet is Marker.FLUSH and not packets:
        return None
    if packet is None or packet is Marker.RESPONSE_END:
        raise InvalidRequest("the request ends before its flush")
    packets.append(packet)
    if command not in {b"ls-refs", b"fetch"}:
        raise InvalidRequest("unknown command of git's protocol 2", command=command[:100].decode("utf-8", "replace"))
    if client_format != object_format.encode():
        raise InvalidRequest("the client's object format is not the repository's", repository=object_format)
    return command, packets
