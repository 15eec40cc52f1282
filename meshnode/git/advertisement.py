"""Writes what a fetch or a push begins with: the references and what this server can do.

The bytes are those git 2.39 itself would send for the same references (upload-pack with uploadpack.allowFilter,
receive-pack with receive.advertisePushOptions), so that every client's habits hold; less `object-info`, which later
versions of git no longer offer either.

Source: gitprotocol-pack(5), gitprotocol-capabilities(5), gitprotocol-v2(5), git's upload-pack.c and receive-pack.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, SYMBOLIC, RefName, RefValue, symbolic_target, zero_oid
from meshnode.git.pktline import FLUSH, format_packet
from meshnode.ports import RefsSnapshot

_NO_REFERENCES: Final = "capabilities^{}"
"""Stands for the first reference of a push where there is none, to carry the capabilities; git 2.39 leaves them
out of the empty answer to a fetch."""
_SYMREF_DEPTH_MAX: Final = 5
"""As git: a chain of more symbolic references than this is taken for a loop."""

_UPLOAD_CAPABILITIES: Final = (
    "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative"
    " no-progress include-tag multi_ack_detailed no-done"
)
_RECEIVE_CAPABILITIES: Final = (
    "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta push-options"
)


def encode_name(name: str) -> bytes:
    """A reference name as git's bytes; one that did not come as UTF-8 gets its own bytes back."""
    return name.encode("utf-8", "surrogateescape")


def frame_line(line: str) -> str:
    """A line of text as a pkt-line that `encode_name` is still to be applied to.

    Encoding a list of fifty thousand references once, at its end, halves the time it takes.
    """
    size = len(line) if line.isascii() else len(encode_name(line))
    return f"{size + 5:04x}{line}\n"


def resolve(refs: Mapping[RefName, RefValue], name: RefName) -> tuple[RefName, RefValue | None]:
    """Follow symbolic references from `name`: the last name, and its object id or None where that is unborn."""
    for _ in range(_SYMREF_DEPTH_MAX):
        value = refs.get(name)
        if value is None:
            return name, None
        target = symbolic_target(value)
        if target is None:
            return name, value
        name = target
    return name, None


def format_upload_advertisement(snapshot: RefsSnapshot, *, version: int, agent: str) -> bytes:
    """What upload-pack sends first: references for protocol 0 and 1, capabilities for 2.

    Raises:
        InvalidRequest: `version` is none of the three.
    """
    if version not in {0, 1, 2}:
        raise InvalidRequest("unknown version of git's protocol", version=version)
    if version == 2:
        return _upload_capabilities_v2(snapshot.object_format, agent)
    head_target, head_oid = resolve(snapshot.refs, HEAD)
    symref = f" symref=HEAD:{head_target}" if head_oid is not None and head_target != HEAD else ""
    capabilities = f"{_UPLOAD_CAPABILITIES}{symref} filter object-format={snapshot.object_format} agent={agent}"
    lines = _references(snapshot, with_head=True, with_peeled=True)
    opening = format_packet(b"version 1\n") if version == 1 else b""
    first = next(lines, None)
    return opening + (FLUSH if first is None else _advertisement(first, lines, capabilities))


def format_receive_advertisement(snapshot: RefsSnapshot | None, *, object_format: str, agent: str) -> bytes:
    """What receive-pack sends first: the references below `refs/`, nothing peeled. None: there are none yet."""
    object_format = object_format if snapshot is None else snapshot.object_format
    lines = iter(()) if snapshot is None else _references(snapshot, with_head=False, with_peeled=False)
    capabilities = f"{_RECEIVE_CAPABILITIES} object-format={object_format} agent={agent}"
    first = next(lines, f"{zero_oid(object_format)} {_NO_REFERENCES}")
    return _advertisement(first, lines, capabilities)


def _upload_capabilities_v2(object_format: str, agent: str) -> bytes:
    lines = (
        "version 2",
        f"agent={agent}",
        "ls-refs=unborn",
        "fetch=shallow wait-for-done filter",
        "server-option",
        f"object-format={object_format}",
    )
    return b"".join(format_packet(f"{line}\n".encode()) for line in lines) + FLUSH


def _references(snapshot: RefsSnapshot, *, with_head: bool, with_peeled: bool) -> Iterator[str]:
    """Lines of an object id and what stands behind it, in the order git sends them."""
    refs, peeled = snapshot.refs, snapshot.peeled if with_peeled else {}
    for name in [HEAD, *snapshot.names] if with_head else snapshot.names:
        target, oid = name, refs.get(name)
        if oid is None or oid.startswith(SYMBOLIC):
            target, oid = resolve(refs, name)
        if oid is None:
            continue
        yield f"{oid} {name}"
        if target in peeled:
            yield f"{peeled[target]} {name}^{{}}"


def _advertisement(first: str, others: Iterable[str], capabilities: str) -> bytes:
    lines = [frame_line(f"{first}\0{capabilities}"), *map(frame_line, others)]
    return encode_name("".join(lines)) + FLUSH
