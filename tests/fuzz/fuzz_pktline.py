"""pkt-lines: any bytes give packets or InvalidRequest, the same ones however they are cut, and format back."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.git.pktline import Marker, Packet, PacketParser, PacketReader, format_packet
from tests.fuzz.inputs import cuttings, finish, stream

PACKET = st.one_of(st.binary(max_size=300), st.sampled_from(Marker))
EXAMPLES = st.tuples(st.lists(PACKET, max_size=20), st.binary(max_size=8)).map(
    lambda drawn: b"".join(map(format_packet, drawn[0])) + drawn[1]
)
BYTES_MAX = 2_000


def check_pktline(data: bytes) -> None:
    results = [_parse(pieces) for pieces in cuttings(data)]
    assert all(result == results[0] for result in results)
    packets, rest, refused = results[0]
    formatted = b"".join(map(format_packet, packets))
    assert formatted.lower() == data[: len(formatted)].lower()  # lengths may come in capitals
    assert len(formatted) + len(rest) == len(data)
    if not refused:
        assert len(rest) < 4 or len(rest) < int(rest[:4], 16)
    outcomes = [finish(_read(pieces)) for pieces in cuttings(data)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][0] == packets[: len(outcomes[0][0])]


def _parse(pieces: Sequence[bytes]) -> tuple[list[Packet], bytes, bool]:
    parser = PacketParser()
    packets: list[Packet] = []
    for place, piece in enumerate(pieces):
        parser.feed(piece)
        try:
            while (packet := parser.next()) is not None:
                packets.append(packet)
        except InvalidRequest:
            return packets, parser.rest() + b"".join(pieces[place + 1 :]), True
    return packets, parser.rest(), False


async def _read(pieces: Sequence[bytes]) -> tuple[list[Packet], str]:
    reader = PacketReader(stream(pieces), bytes_max=BYTES_MAX)
    packets: list[Packet] = []
    try:
        while (packet := await reader.read()) is not None:
            packets.append(packet)
    except (InvalidRequest, Overloaded) as error:
        return packets, str(error)
    return packets, ""
