"""Writes a few references as git does, without a process of git: each of three replicas starts one less for a push.

    lock each reference -> is each where its edit starts? -> write, sync -> rename each into its place

Only what is plain is done here: a branch or tag that is made or moved to an object that the round itself brought, so that
its kind can be read in the round's pack. Deleting, names in each other's way, a lock that is held, a value nobody expected:
nothing is done, and git is asked, which says what is wrong.

Rule: the locks are git's own, so git's housekeeping and this never work on one reference at once. A reference that a
reader finds is at its old value or at its new one.

Source: git's refs/files-backend.c (`lock_raw_ref`, `files_transaction_finish`); gitrepository-layout(5).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId, symbolic_target
from meshnode.core.refs import RefEdit
from meshnode.git import durable
from meshnode.git.disk import read_file
from meshnode.git.journal import HASH_BYTES
from meshnode.git.packs import open_pack

EDITS_MAX: Final = 20
"""Each costs an fsync, by git as well; of more the process is the smaller part."""
_BRANCHES: Final = "refs/heads/"
_PARTS_MIN: Final = 3
"""Of a name: "refs/heads" is no reference that others could be in the way of."""


def write_loose(git_dir: Path, object_format: str, edits: Sequence[RefEdit], index: Path) -> bool:
    """Bring references to the `new` of each edit; False where git must, and nothing was changed.

    `index` is that of the round's pack. The names are not durable yet (`refs.sync_loose`). Raises OSError: then some of
    them may have been moved.
    """
    if not 1 <= len(edits) <= EDITS_MAX or not _are_brought(edits, index, HASH_BYTES[object_format]):
        return False
    locks: list[_Lock] = []
    try:
        for edit in edits:
            lock = _Lock.take(git_dir / edit.name)
            if lock is None:
                return False
            locks.append(lock)
        if not _are_at_start(git_dir, edits):
            return False
        for edit, lock in zip(edits, locks, strict=True):
            lock.write(f"{edit.new}\n".encode())
        for lock in locks:
            lock.replace()
    finally:
        for lock in locks:
            lock.release()
    return True


class _Lock:
    """Git's lock on one reference, which becomes the reference's file."""

    def __init__(self, reference: Path, path: Path, descriptor: int) -> None:
        self._reference = reference
        self._path = path
        self._descriptor = descriptor
        self._is_held = True

    @classmethod
    def take(cls, reference: Path) -> Self | None:
        """Lock a reference, without waiting; None where it cannot be, as where somebody else has it."""
        path = reference.with_name(reference.name + ".lock")
        try:
            durable.make_directory(path.parent)
            return cls(reference, path, durable.create(path, os.O_WRONLY | os.O_EXCL))
        except OSError:  # a name in the way, one that is too long, no space: git says it, or has another way
            return None

    def write(self, data: bytes) -> None:
        """Put the new content into the lock, durably."""
        durable.write(self._descriptor, self._path, data)
        durable.sync(self._descriptor, self._path)

    def replace(self) -> None:
        """Make it the reference; from here on the name of the lock is somebody else's to take."""
        durable.rename(self._path, self._reference)
        self._is_held = False

    def release(self) -> None:
        """Leave no lock behind."""
        os.close(self._descriptor)
        if self._is_held:
            durable.unlink(self._path, is_missing_fine=True)


def _are_brought(edits: Sequence[RefEdit], index: Path, hash_bytes: int) -> bool:
    """Whether each edit leads to an object of the pack, which may stand there."""
    try:
        with open_pack(index.with_suffix(".pack"), index, hash_bytes) as pack:
            for edit in edits:
                if any(value is not None and symbolic_target(value) is not None for value in (edit.old, edit.new)):
                    return False
                kind = None if edit.new is None else pack.kind_of(ObjectId(edit.new))
                if kind is None or (kind != "commit" and edit.name.startswith(_BRANCHES)):
                    return False
    except Corrupt:
        return False
    return True


def _are_at_start(git_dir: Path, edits: Sequence[RefEdit]) -> bool:
    """Whether each reference is at its edit's `old`, and none that is new is in the way of another."""
    try:
        loose = {edit.name: read_file(git_dir / edit.name) for edit in edits}
    except IsADirectoryError:
        return False
    packed = _Packed(read_file(git_dir / "packed-refs") or b"") if None in loose.values() else None
    for edit in edits:
        data = loose[edit.name]
        if data is not None:
            value: str | None = data.decode("ascii", "replace").rstrip()
        else:
            assert packed is not None
            value = packed.value(edit.name)
            if value is None and packed.is_in_the_way(edit.name):
                return False
        if value != edit.old:
            return False
    return True


class _Packed:
    """What packed-refs says of single references."""

    def __init__(self, data: bytes) -> None:
        self._data = b"\n" + data

    def value(self, name: str) -> str | None:
        """Where a reference is; None where it is not there."""
        end = self._data.find(f" {name}\n".encode())
        return None if end < 0 else self._data[self._data.rindex(b"\n", 0, end) + 1 : end].decode("ascii", "replace")

    def is_in_the_way(self, name: str) -> bool:
        """Whether a reference needs this one's name as a directory, or is what this one needs as a directory."""
        parts = name.split("/")
        above = ("/".join(parts[:length]) for length in range(_PARTS_MIN, len(parts)))
        return f" {name}/".encode() in self._data or any(self.value(one) is not None for one in above)
