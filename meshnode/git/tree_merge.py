r"""Merges three trees in memory where the sides' changes keep apart; anything else is left to git.

    base  a b c/      one entry:  changed on neither side or on one   that side's
    ours  a B c/                  a directory, changed on both        the same question one level below
    theirs A b c/                 a file, changed on both             its text, where they kept apart (`git/text_merge.py`)
                                  anything else                       None: git merges, finds renames, tells conflicts

A side that left a directory alone has nothing in it that the other side could meet, so of such a directory not even
the tree is read. What remains is what git's renames could make of a merge whose paths all agree. By its rules:

- A file that was renamed on one side and is as it was on the other ends where the rename put it: no rename is needed
  for that. It matters where both sides deleted the file (rename/delete, rename/rename) or both added one at the new
  path (rename/add). So the answer is None where both deleted something and anybody added something, or both added the
  same and anybody deleted something; what lies in a directory that was not read may be either.
- A directory counts as renamed only where one side has it no longer, and that matters only to what the other side put
  into it. So the answer is None where one side changed a directory that the other has no longer, or made a file.
- Directories that are empty now are left out, as git leaves them out.

A tree that git would not write itself (a mode of old tools, an empty directory, entries out of order) is git's where
it has to be read; one that is taken whole stays as it is.

Source: git's merge-ort.c (collect_merge_info, collect_rename_info, process_renames, get_provisional_directory_renames),
tree.c (base_name_compare); docs/adr/0021.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId, empty_tree
from meshnode.git.loose import object_id
from meshnode.git.text_merge import merge_text
from meshnode.ports import MergedTree, MergeNote, ObjectKind

TREES_MAX: Final = 400
"""Trees read for one merge; git's own way costs as much as some hundred of them."""
LEVEL_BYTES_MAX: Final = 1 << 20
"""Of the trees of one level, about 25,000 entries, 10 ms of a thread: git's compiled loop is faster with more."""
INLINE_BYTES_MAX: Final = 96 << 10
"""Of trees of one level that are merged without a thread: about 2,500 entries, 1 ms."""

TEXTS_MAX: Final = 16
"""Files whose contents are merged; git's own way costs as much as some tens of them."""

_TREE: Final = b"40000"
_TEXT_MODES: Final = {b"100644", b"100755"}
_MODES: Final = {b"100644", b"100755", b"120000", b"160000", _TREE}
_ENTRY: Final = {size: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)}
_EMPTY: Final = {len(oid) // 2: bytes.fromhex(oid) for oid in map(empty_tree, ("sha1", "sha256"))}

_FRAME: Final = 2
"""Bytes of an entry beside mode, name and id."""

T = TypeVar("T")

Read = Callable[[Sequence[ObjectId], ObjectKind], Awaitable[Sequence[bytes | None]]]
"""The content of each object of a kind, in order; None of what cannot be read."""
Entry = tuple[bytes, bytes]
"""Mode and id."""
Entries = dict[bytes, Entry]
Sides = tuple[ObjectId | None, ObjectId, ObjectId]
"""A directory in the base (None: it was not there), in ours and in theirs."""


@dataclass(frozen=True, slots=True)
class MergedTrees:
    """A merge without conflicts."""

    tree: ObjectId
    contents: Sequence[tuple[ObjectKind, bytes]] = ()
    """Blobs and trees that are new, each tree after what it holds."""
    texts: Sequence[bytes] = ()
    """Paths of files whose contents were merged."""

    @property
    def result(self) -> MergedTree:
        """The merge as git tells of it."""
        notes = [
            MergeNote(kind="Auto-merging", paths=(path,), text=f"Auto-merging {path.decode(errors='replace')}")
            for path in sorted(self.texts)
        ]
        return MergedTree(tree=self.tree, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Text:
    """A file that both sides changed."""

    directory: _Directory
    name: bytes
    mode: bytes
    oids: tuple[ObjectId, ObjectId, ObjectId]


@dataclass(slots=True)
class _Seen:
    """What is left to be done, and what would make renames matter."""

    texts: list[_Text] = field(default_factory=list)
    has_added: bool = False
    """Somebody made a file, or may have."""
    has_deleted: bool = False
    both_added: bool = False
    both_deleted: bool = False

    @property
    def may_be_renamed(self) -> bool:
        """Whether git might find a rename that changes the result."""
        return (self.both_deleted and self.has_added) or (self.both_added and self.has_deleted)


@dataclass(slots=True)
class _Directory:
    """A directory that both sides changed."""

    sides: Sides
    path: bytes = b""
    """With "/" at its end where it is not the root."""
    entries: Entries = field(default_factory=dict)
    """As far as they are settled."""
    below: dict[bytes, _Directory] = field(default_factory=dict)


async def merge_trees(
    base: ObjectId | None, ours: ObjectId, theirs: ObjectId, read: Read, object_format: str
) -> MergedTrees | None:
    """Do to `ours` what `theirs` did to `base` (None: an empty tree); None where only git can tell what comes of it."""
    if theirs == base:
        return MergedTrees(ours)
    if ours == base:
        return MergedTrees(theirs)
    seen = _Seen()
    root = _Directory((base, ours, theirs))
    levels = [[root]]
    count = 0
    size_max = 0
    while levels[-1]:
        wanted = list(dict.fromkeys(oid for one in levels[-1] for oid in one.sides if oid is not None))
        count += len(wanted)
        if count > TREES_MAX:
            return None
        trees: dict[ObjectId | None, bytes] = {None: b""}
        try:
            found = await read(wanted, ObjectKind.TREE)
        except MeshError:  # whatever is wrong, git says it better
            return None
        for oid, data in zip(wanted, found, strict=True):
            if data is None:
                return None
            trees[oid] = data
        size = sum(map(len, trees.values()))
        size_max = max(size, size_max)
        if size > LEVEL_BYTES_MAX:
            return None
        if not await _in_background(_settle_level, levels[-1], trees, seen, size=size):
            return None
        levels.append([below for one in levels[-1] for below in one.below.values()])
    if seen.may_be_renamed or len(seen.texts) > TEXTS_MAX:
        return None
    blobs: list[bytes] = []
    for text in seen.texts:
        blob = await _merge_text(text, read, object_format)
        if blob is None:
            return None
        blobs.append(blob)
    tree, trees_made = await _in_background(_written, levels, object_format, size=size_max)
    contents = [*((ObjectKind.BLOB, blob) for blob in blobs), *((ObjectKind.TREE, data) for data in trees_made)]
    return MergedTrees(tree, contents, [text.directory.path + text.name for text in seen.texts])


async def _merge_text(text: _Text, read: Read, object_format: str) -> bytes | None:
    """Merge a file's contents into its directory; None where only git can."""
    try:
        base, ours, theirs = await read(text.oids, ObjectKind.BLOB)
    except MeshError:  # whatever is wrong, git says it better
        return None
    if base is None or ours is None or theirs is None:
        return None
    merged = await _in_background(merge_text, base, ours, theirs, size=len(base) + len(ours) + len(theirs))
    if merged is not None:
        oid = object_id(object_format, ObjectKind.BLOB, merged)
        text.directory.entries[text.name] = text.mode, bytes.fromhex(oid)
    return merged


def _settle_level(level: Sequence[_Directory], trees: Mapping[ObjectId | None, bytes], seen: _Seen) -> bool:
    return all(_settle(one, [trees[oid] for oid in one.sides], seen) for one in level)


def _settle(directory: _Directory, trees: Sequence[bytes], seen: _Seen) -> bool:
    """Settle the entries of a directory, and find those to look into; False where git must be asked."""
    oid_bytes = len(directory.sides[1]) // 2
    base, ours, theirs = (_parse(data, oid_bytes) for data in trees)
    if base is None or ours is None or theirs is None:
        return False
    by_ours = {name for name, _ in base.items() ^ ours.items()}
    by_theirs = {name for name, _ in base.items() ^ theirs.items()}
    entries = dict(ours)
    for name in by_ours ^ by_theirs:
        old, new = base.get(name), (ours if name in by_ours else theirs).get(name)
        if not _note_change(old, new, seen):
            return False
        if new is None:
            entries.pop(name, None)
        else:
            entries[name] = new
    for name in by_ours & by_theirs:
        old, own, other = base.get(name), ours.get(name), theirs.get(name)
        if own is not None and other is not None and own[0] == other[0] == _TREE and (old is None or old[0] == _TREE):
            sides = old and _oid(old), _oid(own), _oid(other)
            directory.below[name] = _Directory(sides, directory.path + name + b"/")
            del entries[name]
        elif old and own and other and own != other and old[0] == own[0] == other[0] and own[0] in _TEXT_MODES:
            seen.texts.append(_Text(directory, name, own[0], (_oid(old), _oid(own), _oid(other))))
        elif own != other or not _note_same(old, own, seen):
            return False
    directory.entries = entries
    return True


def _note_change(old: Entry | None, new: Entry | None, seen: _Seen) -> bool:
    """Note what one side did to an entry that the other left alone; False where git must be asked."""
    if old is None:
        seen.has_added = True
    elif new is None:
        seen.has_deleted = True
    elif (old[0] == _TREE) is not (new[0] == _TREE):
        return False
    elif old[0] == _TREE:
        seen.has_added = seen.has_deleted = True
    return True


def _note_same(old: Entry | None, new: Entry | None, seen: _Seen) -> bool:
    """Note what both sides did to an entry; False where git must be asked."""
    if old is None:
        seen.both_added = seen.has_added = True
    elif new is None:
        seen.both_deleted = seen.has_deleted = True
    return old is None or new is None or (old[0] == _TREE) is (new[0] == _TREE)


def _written(levels: Sequence[Sequence[_Directory]], object_format: str) -> tuple[ObjectId, list[bytes]]:
    """The root's id, and the new directories as git writes them, deepest first."""
    contents: list[bytes] = []
    oids: dict[int, ObjectId] = {}
    for level in reversed(levels):
        for one in level:
            for name, below in one.below.items():
                if id(below) in oids:
                    one.entries[name] = _TREE, bytes.fromhex(oids[id(below)])
            if not one.entries and one is not levels[0][0]:
                continue
            data = _format(one.entries)
            oid = oids[id(one)] = object_id(object_format, ObjectKind.TREE, data)
            if oid not in one.sides:
                contents.append(data)
    return oids[id(levels[0][0])], contents


def _parse(data: bytes, oid_bytes: int) -> Entries | None:
    """The entries of a tree; None of one that git would not write."""
    found = _ENTRY[oid_bytes].findall(data)
    entries = {name: (mode, oid) for mode, name, oid in found}
    keys = [name + b"/" if mode == _TREE else name for mode, name, _ in found]
    size = sum([len(mode) + len(name) for mode, name, _ in found]) + len(found) * (_FRAME + oid_bytes)
    if size != len(data) or len(entries) != len(found) or keys != sorted(keys):
        return None
    is_odd = not _MODES.issuperset([mode for mode, _, _ in found]) or (_TREE, _EMPTY[oid_bytes]) in entries.values()
    return None if is_odd else entries


def _format(entries: Entries) -> bytes:
    """A tree of these entries, in git's order: a directory sorts as if its name ended in "/"."""
    lines = [
        (name + b"/" if mode == _TREE else name, b"%b %b\0%b" % (mode, name, oid))
        for name, (mode, oid) in entries.items()
    ]
    lines.sort()
    return b"".join([line for _, line in lines])


def _oid(entry: Entry) -> ObjectId:
    return ObjectId(entry[1].hex())


async def _in_background(work: Callable[..., T], *args: object, size: int) -> T:
    """Do `work` in a thread where trees of `size` bytes would keep the loop for milliseconds."""
    if size < INLINE_BYTES_MAX:
        return work(*args)
    return await asyncio.to_thread(work, *args)
