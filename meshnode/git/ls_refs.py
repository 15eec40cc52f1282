"""Answers protocol 2's `ls-refs` from a snapshot, with the bytes git itself would send.

    names in byte order --bisect each prefix--> ranges --merge--> lines: HEAD first, then every range once

Source: gitprotocol-v2(5) "ls-refs", git's ls-refs.c.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, SYMBOLIC, RefName
from meshnode.git.advertisement import encode_name, frame_line, resolve
from meshnode.git.pktline import FLUSH, chomp
from meshnode.ports import RefsSnapshot

PREFIXES_MAX: Final = 65_536
"""As git: who asks for this many prefixes gets everything."""
_PREFIX: Final = b"ref-prefix "


@dataclass(frozen=True, slots=True)
class LsRefs:
    """The arguments of one `ls-refs`. Equal arguments of one snapshot have equal answers."""

    prefixes: tuple[bytes, ...] = ()
    """Sorted and without repetition; () means everything. Bytes, as git compares: one may end inside a character."""
    has_peeled: bool = False
    has_symrefs: bool = False
    has_unborn: bool = False


def parse_arguments(arguments: Sequence[bytes]) -> LsRefs:
    """Understand the packets between the delimiter and the flush.

    Raises:
        InvalidRequest: an argument that is none of ls-refs'.
    """
    prefixes: list[bytes] = []
    flags: set[bytes] = set()
    for argument in map(chomp, arguments):
        if argument.startswith(_PREFIX):
            prefixes.append(argument[len(_PREFIX) :])
        elif argument in {b"peel", b"symrefs", b"unborn"}:
            flags.add(argument)
        else:
            raise InvalidRequest("unknown argument of ls-refs", argument=argument[:100].decode("utf-8", "replace"))
    return LsRefs(
        prefixes=tuple(sorted(set(prefixes))) if len(prefixes) < PREFIXES_MAX else (),
        has_peeled=b"peel" in flags,
        has_symrefs=b"symrefs" in flags,
        has_unborn=b"unborn" in flags,
    )


def format_answer(snapshot: RefsSnapshot, wanted: LsRefs) -> bytes:
    """The references `wanted` asks for, with the final flush."""
    lines: list[str] = []
    if not wanted.prefixes or any(HEAD.encode().startswith(prefix) for prefix in wanted.prefixes):
        lines.append(_line(snapshot, HEAD, wanted))
    for start, end in _ranges(snapshot.names, wanted.prefixes):
        lines.extend(_line(snapshot, name, wanted) for name in snapshot.names[start:end])
    return encode_name("".join(lines)) + FLUSH


def _ranges(names: Sequence[RefName], prefixes: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where the names with one of the sorted `prefixes` stand; no name twice."""
    if not prefixes:
        return [(0, len(names))]
    result: list[tuple[int, int]] = []
    done = 0
    for prefix in prefixes:
        start = bisect_left(names, prefix, lo=done, key=encode_name)
        end = bisect_right(names, prefix, lo=start, key=lambda name: encode_name(name)[: len(prefix)])
        if start < end:
            result.append((start, end))
            done = end
    return result


def _line(snapshot: RefsSnapshot, name: RefName, wanted: LsRefs) -> str:
    """One pkt-line; "" for a reference that leads nowhere and is not HEAD, or not to be told."""
    target, oid = name, snapshot.refs.get(name)
    if oid is None or oid.startswith(SYMBOLIC):
        target, oid = resolve(snapshot.refs, name)
    is_symbolic = target != name
    if oid is None and not (name == HEAD and is_symbolic and wanted.has_unborn and wanted.has_symrefs):
        return ""
    line = f"{oid or 'unborn'} {name}"
    if is_symbolic and wanted.has_symrefs:
        line += f" symref-target:{target}"
    if wanted.has_peeled and target in snapshot.peeled:
        line += f" peeled:{snapshot.peeled[target]}"
    return frame_line(line)
