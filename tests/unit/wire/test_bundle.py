"""Headers of bundles: what git writes is understood, what it does not write is refused, however it is cut."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.wire.bundle import HEADER_BYTES_MAX, parse_header, read_bundle

A, B = "a" * 40, "b" * 40
HEADER = f"# v2 git bundle\n{A} refs/heads/main\n{B} refs/tags/v1\n{A} HEAD\n\n".encode()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(st.lists(st.integers(0, len(HEADER) + 4), max_size=5))
async def test_any_cut_gives_the_same_header_and_pack(cuts: list[int]) -> None:
    data = HEADER + b"PACK"
    places = [0, *sorted(cuts), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(places)]
    header, pack = await read_bundle(chunks(*parts))
    assert header.references == {"refs/heads/main": A, "refs/tags/v1": B}
    assert (header.head, header.object_format) == (A, "sha1")
    assert b"".join([part async for part in pack]) == b"PACK"


def test_sha256_is_said_in_version_3() -> None:
    header = parse_header(b"# v3 git bundle\n@object-format=sha256\n" + b"c" * 64 + b" refs/heads/main")
    assert header.object_format == "sha256"
    assert header.references == {"refs/heads/main": "c" * 64}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"# v9 git bundle",
        b"# v3 git bundle\n@filter=blob:none",
        b"# v3 git bundle\n@object-format=md5",
        b"# v2 git bundle\n-" + A.encode() + b" a commit",
        b"# v2 git bundle\nxyz refs/heads/main",
        b"# v2 git bundle\n" + A.encode() + b" refs/heads/../x",
        b"# v2 git bundle\n" + A.encode() + b" main",
        b"# v2 git bundle\n" + A.encode() + b" refs/heads/a\n" + B.encode() + b" refs/heads/a",
        b"# v2 git bundle\n" + A.encode() + b" refs/heads/\xff\xfe",
    ],
)
def test_what_cannot_be_imported_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_header(header)


async def test_stream_that_is_no_bundle_is_refused_early() -> None:
    with pytest.raises(InvalidRequest):
        await read_bundle(chunks(b"PK\x03\x04", b"x" * 100))
    with pytest.raises(InvalidRequest, match="ends inside"):
        await read_bundle(chunks(HEADER[:30]))
    with pytest.raises(InvalidRequest):
        await read_bundle(chunks(b"# v2 git bundle\n", bytes(HEADER_BYTES_MAX)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        parse_header(data)
    except InvalidRequest:
        return
