"""Reads the header of a bundle; what follows it is a pack.

    # v2 git bundle LF                 or    # v3 git bundle LF   @object-format=sha256 LF
    [-<oid> SP comment LF ...]               objects that the reader must have
    <oid> SP <reference> LF ...
    LF
    pack

Source: gitformat-bundle(5).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, ObjectId, RefName, parse_object_id, parse_ref_name

HEADER_BYTES_MAX: Final = 32 << 20
"""About 300,000 references."""
_SIGNATURES: Final = {b"# v2 git bundle": 2, b"# v3 git bundle": 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleHeader:
    """What a bundle says before its pack."""

    object_format: str
    references: dict[RefName, ObjectId]
    """Below `refs/`."""
    head: ObjectId | None
    """What HEAD was at, where the bundle has it."""


async def read_bundle(chunks: AsyncIterator[bytes]) -> tuple[BundleHeader, AsyncIterator[bytes]]:
    """The header and the pack after it.

    Raises:
        InvalidRequest: no bundle, one that stands on objects of another repository, or a filtered one.
    """
    data = bytearray()
    end = -1
    async for chunk in chunks:
        data += chunk
        end = data.find(b"\n\n", max(0, len(data) - len(chunk) - 1))
        if end >= 0:
            break
        if len(data) > HEADER_BYTES_MAX or not _may_begin(data):
            raise InvalidRequest("not a bundle, or its header is too long", bytes_max=HEADER_BYTES_MAX)
    if end < 0:
        raise InvalidRequest("the bundle ends inside its header")
    return parse_header(bytes(data[:end])), _rest(bytes(data[end + 2 :]), chunks)


def parse_header(header: bytes) -> BundleHeader:
    """Parse a header without the empty line at its end. Raises InvalidRequest."""
    signature, *lines = header.split(b"\n")
    version = _SIGNATURES.get(signature)
    if version is None:
        raise InvalidRequest("not a bundle of version 2 or 3", start=signature[:40].decode(errors="replace"))
    object_format = "sha1"
    references: dict[RefName, ObjectId] = {}
    head: ObjectId | None = None
    for line in lines:
        if line.startswith(b"@") and version == 3:
            name, _, value = line[1:].decode(errors="replace").partition("=")
            if name != "object-format" or value not in {"sha1", "sha256"}:
                raise InvalidRequest("the bundle needs something that is not known here", capability=name[:40])
            object_format = value
            continue
        if line.startswith(b"-"):
            raise InvalidRequest(
                "the bundle stands on objects that it does not bring; make one of everything (git bundle create --all)",
                oid=line[1:41].decode(errors="replace"),
            )
        oid_text, _, name = line.decode("utf-8", "surrogateescape").partition(" ")
        oid = parse_object_id(oid_text, object_format=object_format)
        ref = parse_ref_name(name)
        if ref == HEAD:
            head = oid
        elif references.setdefault(ref, oid) != oid:
            raise InvalidRequest("the bundle has a reference twice", ref=ref)
    return BundleHeader(object_format=object_format, references=references, head=head)


def _may_begin(data: bytearray) -> bool:
    start = bytes(data[:15])
    return any(signature.startswith(start) for signature in _SIGNATURES)


async def _rest(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in chunks:
        yield chunk
