"""Keeps the references of a snapshot as protobuf bytes, so that listing them is joining bytes.

A repeated field is the concatenation of its elements, so a page is a slice of elements joined. They are encoded
once a snapshot, in slices between which the event loop runs; after a write the elements of unchanged references are
taken over from the snapshot before. Encoding 50,000 references as messages, on each request, would take longer
than `git for-each-ref` itself.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from meshnode.base.ids import SYMBOLIC, RefName
from meshnode.core.round import ReplicaKey
from meshnode.ports import RefsSnapshot
from meshnode.v1 import common_pb2, ref_pb2
from meshnode.wire.refs import reference_message

PAGE_BYTES_MAX: Final = 4 << 20
"""Half the message limit: names of the longest kind make a page shorter, not an error."""
REFS_KEPT_MAX: Final = 1_000_000
"""Encoded references kept over all repositories; about 200 bytes each."""
SLICE: Final = 2_000
"""References encoded before the loop runs again: about 2 ms."""

assert ref_pb2.ListRefsResponse.DESCRIPTOR.fields_by_name["refs"].number == 1
assert [field.number for field in common_pb2.Reference.DESCRIPTOR.fields] == [1, 2, 3, 4]


@dataclass(frozen=True)
class EncodedRefs:
    """The references of one snapshot below `refs/`, in order, each as an element of field 1."""

    snapshot: RefsSnapshot
    names: Sequence[RefName]
    elements: list[bytes]

    def page(self, indices: Sequence[int], after: str, size: int) -> tuple[bytes, RefName | None]:
        """Join the next `size` elements of `indices` (ascending) whose name sorts after `after`.

        Returns the bytes, and the last name where more follow.
        """
        begin = bisect_right(indices, after, key=self.names.__getitem__) if after else 0
        chosen = indices[begin : begin + size]
        if isinstance(chosen, range) and chosen.step == 1:
            elements = self.elements[chosen.start : chosen.stop]
        else:
            elements = [self.elements[index] for index in chosen]
        if sum(map(len, elements)) > PAGE_BYTES_MAX:
            elements = elements[: max(1, bisect_right(list(accumulate(map(len, elements))), PAGE_BYTES_MAX))]
        is_more = begin + len(elements) < len(indices)
        last = self.names[chosen[len(elements) - 1]] if is_more and elements else None
        return b"".join(elements), last


class RefPages:
    """Encoded references of the repositories listed lately."""

    def __init__(self, *, refs_kept_max: int = REFS_KEPT_MAX) -> None:
        self._refs_kept_max = refs_kept_max
        self._kept: OrderedDict[ReplicaKey, EncodedRefs] = OrderedDict()
        self._refs_kept = 0
        self._encoding = asyncio.Lock()

    async def of(self, key: ReplicaKey, snapshot: RefsSnapshot) -> EncodedRefs:
        """The encoded references of `snapshot`; encoding is done by one task at a time."""
        kept = self._find(key, snapshot)
        if kept is not None:
            return kept
        async with self._encoding:
            kept = self._find(key, snapshot)
            if kept is None:
                kept = await _encode(snapshot, self._kept.get(key))
                self._keep(key, kept)
        return kept

    def _find(self, key: ReplicaKey, snapshot: RefsSnapshot) -> EncodedRefs | None:
        kept = self._kept.get(key)
        if kept is None or kept.snapshot is not snapshot:
            return None
        self._kept.move_to_end(key)
        return kept

    def _keep(self, key: ReplicaKey, encoded: EncodedRefs) -> None:
        before = self._kept.get(key)
        if before is not None and before.snapshot.generation > encoded.snapshot.generation:
            return
        if before is not None:
            self._refs_kept -= len(before.elements)
        self._kept[key] = encoded
        self._kept.move_to_end(key)
        self._refs_kept += len(encoded.elements)
        while self._refs_kept > self._refs_kept_max and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._refs_kept -= len(dropped.elements)


async def _encode(snapshot: RefsSnapshot, before: EncodedRefs | None) -> EncodedRefs:
    names = snapshot.names or sorted(name for name in snapshot.refs if name.startswith("refs/"))
    known = {} if before is None else dict(zip(before.names, before.elements, strict=True))
    old = before.snapshot if before is not None else snapshot
    elements: list[bytes] = []
    for start in range(0, len(names), SLICE):
        elements += [
            known[name] if name in known and _is_same(name, snapshot, old) else encode_element(name, snapshot)
            for name in names[start : start + SLICE]
        ]
        await asyncio.sleep(0)
    return EncodedRefs(snapshot, names, elements)


def _is_same(name: RefName, snapshot: RefsSnapshot, old: RefsSnapshot) -> bool:
    """Whether a reference has the same element in both; one that is symbolic depends on its target as well."""
    value = snapshot.refs[name]
    return (
        value == old.refs.get(name)
        and not value.startswith(SYMBOLIC)
        and snapshot.peeled.get(name) == old.peeled.get(name)
    )


def encode_element(name: RefName, snapshot: RefsSnapshot) -> bytes:
    """A reference as an element of field 1 of its response."""
    value = snapshot.refs[name]
    raw_name = name.encode()
    if value.startswith(SYMBOLIC) or len(raw_name) > 127:
        inner = reference_message(snapshot, name).SerializeToString()
    else:
        # Lengths below 128 are one byte: fields 1 (name), 2 (oid) and, for annotated tags, 4 (peeled oid).
        inner = b"\n%c%b\x12%c%b" % (len(raw_name), raw_name, len(value), value.encode())
        peeled = snapshot.peeled.get(name)
        if peeled:
            inner += b'"%c%b' % (len(peeled), peeled.encode())
    length = len(inner)
    if length < 128:
        return b"\n%c%b" % (length, inner)
    return b"\n%c%c%b" % (length & 127 | 128, length >> 7, inner)
