"""Turns the revisions of a request into commits, many at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import NotFound
from meshnode.base.ids import ObjectId
from meshnode.ports import ObjectKind
from meshnode.rpc.object_reads import ObjectRead

_HEX: Final = {"sha1": re.compile("[0-9a-f]{40}"), "sha256": re.compile("[0-9a-f]{64}")}


async def resolve_all(read: ObjectRead, revisions: Sequence[str]) -> tuple[ObjectId, ...]:
    """The commit of each revision. Raises as `Revisions.resolve`."""
    return tuple([(await read.resolve(revision, ObjectKind.COMMIT)).oid for revision in revisions])


async def find_commits(read: ObjectRead, revisions: Sequence[str]) -> list[ObjectId | None]:
    """The commit of each revision; None for what leads to none. Whole ids are looked up in one go.

    Raises:
        InvalidRequest: one is malformed or ambiguous.
    """
    is_whole = _HEX[read.view.snapshot.object_format].fullmatch
    starts: list[str | None] = []
    for revision in revisions:
        try:
            starts.append(revision if is_whole(revision) else (await read.resolve(revision)).oid)
        except NotFound:
            starts.append(None)
    names = [f"{oid}^{{commit}}" for oid in starts if oid is not None]
    infos = iter(await read.source.objects.look_up(read.key, names))
    found = [None if oid is None else next(infos) for oid in starts]
    return [None if info is None else info.oid for info in found]
