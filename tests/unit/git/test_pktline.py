"""Packets survive any cutting of the stream, and hostile bytes only ever give an error of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, MeshError, Overloaded
from meshnode.git.pktline import (
    DATA_BYTES_MAX,
    Band,
    Marker,
    Packet,
    PacketParser,
    PacketReader,
    chomp,
    format_band,
    format_packet,
)

PACKETS = st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(Marker)), max_size=20)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


async def stream(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def parse_all(chunks: Sequence[bytes]) -> tuple[list[Packet], bytes]:
    parser = PacketParser()
    packets: list[Packet] = []
    for chunk in chunks:
        parser.feed(chunk)
        while (packet := parser.next()) is not None:
            packets.append(packet)
    return packets, parser.rest()


@given(PACKETS, st.lists(st.integers(0, 50), max_size=30), st.binary(max_size=3))
def test_packets_come_out_however_the_stream_was_cut(packets: list[Packet], sizes: list[int], tail: bytes) -> None:
    data = b"".join(map(format_packet, packets)) + tail
    assert parse_all(cut(data, sizes)) == (packets, tail)


@given(PACKETS, st.binary(max_size=300), st.lists(st.integers(0, 50), max_size=30))
async def test_reader_leaves_what_follows_the_packets_in_the_stream(
    packets: list[Packet], pack: bytes, sizes: list[int]
) -> None:
    data = b"".join(map(format_packet, packets)) + pack
    reader = PacketReader(stream(cut(data, sizes)), bytes_max=100_000)
    assert [await reader.read() for _ in packets] == packets
    assert b"".join([chunk async for chunk in reader.rest()]) == pack


@given(st.binary(max_size=2_000), st.lists(st.integers(0, 100), max_size=10))
async def test_hostile_bytes_give_packets_or_an_error_of_ours(data: bytes, sizes: list[int]) -> None:
    reader = PacketReader(stream(cut(data, sizes)), bytes_max=1_000)
    try:
        while await reader.read() is not None:
            pass
    except MeshError:
        pass


@pytest.mark.parametrize("head", [b"+004", b"0x04", b" 004", b"0_04", b"00 4", b"-001", b"zzzz", b"\xff\xff\xff\xff"])
def test_length_is_four_hex_digits_and_nothing_python_would_also_take(head: bytes) -> None:
    parser = PacketParser()
    parser.feed(head + b"data")
    with pytest.raises(InvalidRequest, match="length"):
        parser.next()


@pytest.mark.parametrize("head", [b"0003", b"fff1", b"FFFF"])
def test_length_out_of_range_is_refused(head: bytes) -> None:
    parser = PacketParser()
    parser.feed(head)
    with pytest.raises(InvalidRequest, match="out of range"):
        parser.next()


def test_longest_packet_is_65520_bytes_and_upper_case_digits_are_digits() -> None:
    framed = format_packet(b"x" * DATA_BYTES_MAX)
    assert framed[:4] == b"fff0"
    assert parse_all([b"FFF0" + framed[4:]]) == ([b"x" * DATA_BYTES_MAX], b"")
    with pytest.raises(ValueError, match="65516"):
        format_packet(b"x" * (DATA_BYTES_MAX + 1))


def test_empty_packet_is_not_a_marker() -> None:
    assert parse_all([b"0004", b"0000"]) == ([b"", Marker.FLUSH], b"")


async def test_stream_that_ends_inside_a_packet_is_refused() -> None:
    reader = PacketReader(stream([b"0008ab"]), bytes_max=100)
    with pytest.raises(InvalidRequest, match="ends inside"):
        await reader.read()


async def test_stream_that_ends_between_packets_has_no_more() -> None:
    reader = PacketReader(stream([b"", b"0005a"]), bytes_max=100)
    assert await reader.read() == b"a"
    assert await reader.read() is None


async def test_packets_over_the_bound_are_refused() -> None:
    reader = PacketReader(stream([format_packet(b"12345678")] * 9), bytes_max=100)
    assert [await reader.read() for _ in range(8)] == [b"12345678"] * 8
    with pytest.raises(Overloaded):
        await reader.read()


@given(st.binary(max_size=200_000), st.sampled_from(Band))
def test_bands_carry_any_amount_of_bytes(data: bytes, band: Band) -> None:
    packets, rest = parse_all([format_band(band, data)])
    assert not rest
    parts = [packet for packet in packets if isinstance(packet, bytes)]
    assert parts
    assert {part[0] for part in parts} == {band.value}
    assert b"".join(part[1:] for part in parts) == data


def test_keep_alive_is_an_empty_packet_of_a_band() -> None:
    assert format_band(Band.DATA, b"") == b"0005\x01"


def test_chomp_drops_one_line_feed() -> None:
    assert [chomp(b"a\n\n"), chomp(b"a"), chomp(b"")] == [b"a\n", b"a", b""]
