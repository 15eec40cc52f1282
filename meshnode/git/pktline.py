r"""Git's pkt-lines: four hex digits of length, then the bytes; and three markers that carry none.

    "0006a\n" -> b"a\n"      "0000" -> FLUSH      "0001" -> DELIMITER      "0002" -> RESPONSE_END

The parser does no I/O: bytes in, packets out. What the other side sends is hostile until parsed: every malformed
length is an InvalidRequest, every reader has a bound.

Source: gitprotocol-common(5), gitprotocol-v2(5).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from enum import Enum
from typing import Final, TypeAlias

from meshnode.base.errors import InvalidRequest, Overloaded

DATA_BYTES_MAX: Final = 65_516
"""Most bytes one packet carries: 65,520 less the length itself."""
BAND_BYTES_MAX: Final = DATA_BYTES_MAX - 1
"""Most bytes one side-band-64k packet carries: the band number takes one."""

_HEAD_BYTES: Final = 4
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}\Z")


class Marker(Enum):
    """A packet without data."""

    FLUSH = b"0000"
    DELIMITER = b"0001"
    RESPONSE_END = b"0002"


Packet: TypeAlias = bytes | Marker

FLUSH: Final = Marker.FLUSH.value
DELIMITER: Final = Marker.DELIMITER.value

_MARKERS: Final = {0: Marker.FLUSH, 1: Marker.DELIMITER, 2: Marker.RESPONSE_END}


class Band(Enum):
    """What a side-band packet carries. Source: gitprotocol-pack(5) "Packfile Data"."""

    DATA = 1
    PROGRESS = 2
    FATAL = 3


def format_packet(packet: Packet) -> bytes:
    """Frame one packet. `packet` holds at most 65,516 bytes; more is a defect of the caller."""
    if isinstance(packet, Marker):
        return packet.value
    if len(packet) > DATA_BYTES_MAX:
        raise ValueError(f"a packet carries at most {DATA_BYTES_MAX} bytes, not {len(packet)}")
    return b"%04x%b" % (len(packet) + _HEAD_BYTES, packet)


def format_band(band: Band, data: bytes) -> bytes:
    """Frame `data` as side-band-64k packets, as many as it takes; b"" makes one empty packet (a keep-alive)."""
    number = bytes([band.value])
    pieces = range(0, len(data), BAND_BYTES_MAX) if data else range(1)
    return b"".join(format_packet(number + data[at : at + BAND_BYTES_MAX]) for at in pieces)


def chomp(data: bytes) -> bytes:
    """Drop the one line feed that a text packet may end in."""
    return data[:-1] if data.endswith(b"\n") else data


class PacketParser:
    """Packets out of bytes, whichever way they were cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Packet | None:
        """The next packet; None where more bytes are needed.

        Raises:
            InvalidRequest: the length is no four hex digits, is 3, or is over 65,520.
        """
        start = self._at + _HEAD_BYTES
        if len(self._buffer) < start:
            return None
        head = bytes(self._buffer[self._at : start])
        if not _LENGTH.match(head):
            raise InvalidRequest("malformed pkt-line length", length=head.decode("ascii", "backslashreplace"))
        length = int(head, 16)
        marker = _MARKERS.get(length)
        if marker is not None:
            self._at = start
            return marker
        if length < _HEAD_BYTES or length > DATA_BYTES_MAX + _HEAD_BYTES:
            raise InvalidRequest("pkt-line length is out of range", length=length)
        end = self._at + length
        if len(self._buffer) < end:
            return None
        self._at = end
        return bytes(self._buffer[start:end])

    def rest(self) -> bytes:
        """Take out the bytes that no packet was made of."""
        result = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = 0
        return result


class PacketReader:
    """Packets out of a stream that may go on as something else (a pack)."""

    def __init__(self, source: AsyncIterator[bytes], *, bytes_max: int) -> None:
        """Read packets of up to `bytes_max` bytes in all from `source`."""
        self._source = source
        self._parser = PacketParser()
        self._bytes_left = bytes_max
        self._bytes_max = bytes_max

    async def read(self) -> Packet | None:
        """The next packet; None where the stream ends between two.

        Raises:
            InvalidRequest: a malformed length, or the stream ends inside a packet.
            Overloaded: more packets than `bytes_max` bytes of them.
        """
        while (packet := self._parser.next()) is None:
            chunk = await anext(self._source, None)
            if chunk is None:
                if self._parser.rest():
                    raise InvalidRequest("the request ends inside a pkt-line")
                return None
            self._parser.feed(chunk)
        self._bytes_left -= _HEAD_BYTES + (0 if isinstance(packet, Marker) else len(packet))
        if self._bytes_left < 0:
            raise Overloaded("the request is too long", bytes_max=self._bytes_max)
        return packet

    async def rest(self) -> AsyncIterator[bytes]:
        """What follows the packets read so far: the rest of the last chunk, then the stream itself."""
        if left := self._parser.rest():
            yield left
        async for chunk in self._source:
            yield chunk
