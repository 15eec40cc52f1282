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

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId, symbolic_target
from meshnode.core.refs import RefEdit
from meshnode.git import durable
from meshnode.git.disk import read_file
from meshnode.git.journal import HASH_BYTES
from meshnode.git.packs import open_pack
from meshnode.git.ref_lock import RefLock

EDITS_MAX: Final = 20
"""Each costs an fsync, by git as well; of more the process is the smaller part."""
PACKED_BYTES_MAX: Final = 4 << 20
"""Of packed-refs, read whole where a reference is not loose: about 60,000 references, 1 ms."""
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
    locks: list[RefLock] = []
    try:
        for edit in edits:
            path = git_dir / edit.name
            try:
                durable.make_directory(path.parent)
                locks.append(RefLock.take(path))
            except OSError:  # held, a name in the way or too long, no space: git says it, or has another way
                return False
        if not _are_at_start(git_dir, edits):
            return False
        for edit, lock in zip(edits, locks, strict=True):
            lock.write(f"{edit.new}\n".encode())
            lock.flush()
        for lock in locks:
            lock.replace()
    finally:
        for lock in locks:
            lock.release()
    return True


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
    packed = None
    if None in loose.values():
        data = _read_packed(git_dir)
        if data is None:
            return False
        packed = _Packed(data)
    for edit in edits:
        text = loose[edit.name]
        if text is not None:
            value: str | None = text.decode("ascii", "replace").rstrip()
        else:
            assert packed is not None
            value = packed.value(edit.name)
            if value is None and packed.is_in_the_way(edit.name):
                return False
        if value != edit.old:
            return False
    return True


def _read_packed(git_dir: Path) -> bytes | None:
    """What packed-refs holds; None where it is so large that git, which looks into its middle, is faster."""
    try:
        with (git_dir / "packed-refs").open("rb") as file:
            data = file.read(PACKED_BYTES_MAX + 1)
    except FileNotFoundError:
        return b""
    return data if len(data) <= PACKED_BYTES_MAX else None


class _Packed:
    """What packed-refs says of single references."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def value(self, name: str) -> str | None:
        """Where a reference is; None where it is not there."""
        end = self._data.find(f" {name}\n".encode())
        return None if end < 0 else self._data[self._data.rfind(b"\n", 0, end) + 1 : end].decode("ascii", "replace")

    def is_in_the_way(self, name: str) -> bool:
        """Whether a reference needs this one's name as a directory, or is what this one needs as a directory."""
        parts = name.split("/")
        above = ("/".join(parts[:length]) for length in range(_PARTS_MIN, len(parts)))
        return f" {name}/".encode() in self._data or any(self.value(one) is not None for one in above)
