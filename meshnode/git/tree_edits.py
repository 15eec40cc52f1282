"""Changes of trees without a working tree or an index: only the directories on the way to a change are read.

    TreeEdits(base) -> do(action), ... -> write(): new trees from the bottom up

Source: git's tree.c (`base_name_compare`), gitrepository-layout(5) "objects", git's verify_path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from meshnode.base.errors import Corrupt, InvalidRequest, NotFound, RefConflict
from meshnode.base.ids import ObjectId
from meshnode.ports import ActionKind, FileMode, TreeAction

PATH_BYTES_MAX: Final = 4_096
"""What a path may be at most where it is checked out (PATH_MAX)."""
DEPTH_MAX: Final = 256
"""Directories above a file; git walks trees recursively."""
LEVELS_MAX: Final = 1_024
"""Half of what git walks at most by default (core.maxTreeDepth)."""
INLINE_ENTRIES_MAX: Final = 4_000
"""About 1 us an entry."""
TREE_ENTRY_BYTES: Final = 36
_TREE: Final = b"40000"
_FILES: Final = {b"100644", b"100755", b"120000", b"100664"}
_MODES: Final = {FileMode.REGULAR: b"100644", FileMode.EXECUTABLE: b"100755", FileMode.SYMLINK: b"120000"}

T = TypeVar("T")

ReadTree = Callable[[ObjectId], Awaitable[bytes]]
WriteTrees = Callable[[Sequence[bytes]], Awaitable[Sequence[ObjectId]]]


@dataclass(slots=True)
class _Entry:
    """A name in a directory: an object, or a directory that was read because of a change."""

    mode: bytes
    oid: ObjectId
    directory: _Directory | None = None


@dataclass(slots=True)
class _Directory:
    """A directory that was read; `oid` is set when it is written, and stays "" where it holds no files."""

    entries: dict[bytes, _Entry]
    oid: ObjectId = ObjectId("")


class TreeEdits:
    """One tree being changed."""

    def __init__(self, read_tree: ReadTree, hash_bytes: int) -> None:
        self._read_tree = read_tree
        self._hash_bytes = hash_bytes
        self._root = _Directory({})

    async def start(self, base: ObjectId) -> None:
        """Begin with the tree `base`; without this, with an empty one."""
        self._root = await self._load(base)

    async def do(self, action: TreeAction) -> None:
        """Do one action. Raises InvalidRequest, NotFound, RefConflict; then the edits are of no use any more."""
        path = checked_path(action.path)
        match action.kind:
            case ActionKind.CREATE | ActionKind.UPDATE | ActionKind.PUT:
                await self._put(action, path)
            case ActionKind.MOVE:
                await self._move(action, path)
            case ActionKind.DELETE:
                await self._delete(action, path)
            case ActionKind.CHMOD:
                await self._chmod(action, path)

    async def write(self, write_trees: WriteTrees) -> ObjectId:
        """Write what was changed, deepest directories first; directories without files go. The root's id.

        Raises:
            InvalidRequest: moves have made the tree deeper than git can be trusted to walk.
        """
        levels = [[self._root]]
        while below := [one.directory for upper in levels[-1] for one in upper.entries.values() if one.directory]:
            if len(levels) == LEVELS_MAX:
                raise InvalidRequest("the tree is too deep", depth_max=LEVELS_MAX)
            levels.append(below)
        for level in reversed(levels):
            contents = [await _in_background(format_tree, one.entries, size=len(one.entries)) for one in level]
            kept = [at for at, content in enumerate(contents) if content or level[at] is self._root]
            oids = await write_trees([contents[at] for at in kept])
            for at, oid in zip(kept, oids, strict=True):
                level[at].oid = oid
        return self._root.oid

    # ------------------------------------------------------------ actions

    async def _put(self, action: TreeAction, path: Sequence[bytes]) -> None:
        if action.blob is None:
            raise InvalidRequest("the action needs a content", path=shown(action.path))
        parent = await self._parent(path, is_made=action.kind is not ActionKind.UPDATE)
        old = None if parent is None else parent.entries.get(path[-1])
        if old is not None and _is_empty(old):
            old = None
        if action.kind is ActionKind.CREATE and old is not None:
            raise RefConflict("the path exists already", path=shown(action.path))
        if action.kind is ActionKind.UPDATE and old is None:
            raise NotFound("no such file", path=shown(action.path))
        if old is not None and old.mode not in _FILES:
            raise InvalidRequest("the path is not a file", path=shown(action.path))
        _check_expected(action, action.path, old)
        assert parent is not None
        mode = _MODES[action.mode] if action.mode is not None else b"100644" if old is None else old.mode
        parent.entries[path[-1]] = _Entry(mode, action.blob)

    async def _move(self, action: TreeAction, path: Sequence[bytes]) -> None:
        source = checked_path(action.source)
        if path[: len(source)] == source:
            raise InvalidRequest("a path cannot be moved to itself or below itself", path=shown(action.path))
        holder = await self._parent(source, is_made=False)
        entry = None if holder is None else holder.entries.get(source[-1])
        if holder is None or entry is None or _is_empty(entry):
            raise NotFound("no such path", path=shown(action.source))
        _check_expected(action, action.source, entry)
        if (action.blob is not None or action.mode is not None) and entry.mode not in _FILES:
            raise InvalidRequest("only a file can get another content or mode", path=shown(action.source))
        parent = await self._parent(path, is_made=True)
        assert parent is not None
        there = parent.entries.get(path[-1])
        if there is not None and not _is_empty(there):
            raise RefConflict("the path exists already", path=shown(action.path))
        del holder.entries[source[-1]]
        mode = entry.mode if action.mode is None else _MODES[action.mode]
        oid = entry.oid if action.blob is None else action.blob
        parent.entries[path[-1]] = _Entry(mode, oid, entry.directory)

    async def _delete(self, action: TreeAction, path: Sequence[bytes]) -> None:
        parent = await self._parent(path, is_made=False)
        entry = None if parent is None else parent.entries.get(path[-1])
        if parent is None or entry is None or _is_empty(entry):
            raise NotFound("no such path", path=shown(action.path))
        if entry.mode == _TREE and not action.is_recursive:
            raise InvalidRequest("the path is a directory; say so to delete all below it", path=shown(action.path))
        _check_expected(action, action.path, entry)
        del parent.entries[path[-1]]

    async def _chmod(self, action: TreeAction, path: Sequence[bytes]) -> None:
        parent = await self._parent(path, is_made=False)
        entry = None if parent is None else parent.entries.get(path[-1])
        if entry is None:
            raise NotFound("no such file", path=shown(action.path))
        if action.mode not in {FileMode.REGULAR, FileMode.EXECUTABLE} or entry.mode not in _FILES - {b"120000"}:
            raise InvalidRequest("only a regular file can be made executable or not", path=shown(action.path))
        _check_expected(action, action.path, entry)
        entry.mode = _MODES[action.mode]

    # ------------------------------------------------------------ the way there

    async def _parent(self, path: Sequence[bytes], *, is_made: bool) -> _Directory | None:
        """The directory that `path` lies in; where it is missing it is made, or the answer is None."""
        directory = self._root
        for at, name in enumerate(path[:-1], start=1):
            entry = directory.entries.get(name)
            if entry is None:
                if not is_made:
                    return None
                entry = directory.entries[name] = _Entry(_TREE, ObjectId(""), _Directory({}))
            elif entry.mode != _TREE:
                if not is_made:
                    return None
                raise RefConflict("a file is where a directory is needed", path=shown(b"/".join(path[:at])))
            directory = await self._opened(entry)
        return directory

    async def _opened(self, entry: _Entry) -> _Directory:
        if entry.directory is None:
            entry.directory = await self._load(entry.oid)
        return entry.directory

    async def _load(self, oid: ObjectId) -> _Directory:
        data = await self._read_tree(oid)
        return _Directory(await _in_background(parse_tree, data, self._hash_bytes, size=len(data) // TREE_ENTRY_BYTES))


def checked_path(path: bytes) -> list[bytes]:
    """The segments of a path that git can hold. Raises InvalidRequest."""
    segments = path.split(b"/")
    if not path or len(path) > PATH_BYTES_MAX or len(segments) > DEPTH_MAX or b"\0" in path:
        raise InvalidRequest("not a path", path=shown(path), bytes_max=PATH_BYTES_MAX, depth_max=DEPTH_MAX)
    if any(segment in {b"", b".", b".."} or segment.lower() == b".git" for segment in segments):
        raise InvalidRequest("a path cannot have a segment that is empty, '.', '..' or '.git'", path=shown(path))
    return segments


def parse_tree(data: bytes, hash_bytes: int) -> dict[bytes, _Entry]:
    """The entries of a tree. Raises Corrupt."""
    entries: dict[bytes, _Entry] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at)
        end = data.find(b"\0", space)
        after = end + 1 + hash_bytes
        if not at < space < end or after > len(data):
            raise Corrupt("a tree is cut short")
        mode = data[at:space].lstrip(b"0")
        entries[data[space + 1 : end]] = _Entry(mode, ObjectId(data[end + 1 : after].hex()))
        at = after
    return entries


def format_tree(entries: dict[bytes, _Entry]) -> bytes:
    """A tree's content, in git's order; directories that turned out empty are left out."""
    lines: list[tuple[bytes, bytes]] = []
    for name, entry in entries.items():
        oid = entry.oid if entry.directory is None else entry.directory.oid
        if oid:
            line = b"%b %b\0%b" % (entry.mode, name, bytes.fromhex(oid))
            lines.append((name + b"/" if entry.mode == _TREE else name, line))
    lines.sort()
    return b"".join(line for _, line in lines)


def shown(path: bytes) -> str:
    """A path for an error message."""
    return path.decode("utf-8", "backslashreplace")[:200]


def _check_expected(action: TreeAction, path: bytes, entry: _Entry | None) -> None:
    if action.expected is not None and (entry is None or entry.oid != action.expected):
        raise RefConflict(
            "the file is not the expected one",
            path=shown(path),
            expected=action.expected,
            actual=None if entry is None else entry.oid,
        )


def _is_empty(entry: _Entry) -> bool:
    """Whether it is a directory that holds no files (any more): git knows no such thing."""
    waiting = [entry]
    while waiting:
        one = waiting.pop()
        if one.directory is None:
            return False
        waiting.extend(one.directory.entries.values())
    return True


async def _in_background(work: Callable[..., T], *args: object, size: int) -> T:
    """Do `work` in a thread where `size` entries would keep the loop for milliseconds."""
    if size < INLINE_ENTRIES_MAX:
        return work(*args)
    return await asyncio.to_thread(work, *args)
