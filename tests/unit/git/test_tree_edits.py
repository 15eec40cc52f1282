"""Tree edits hold against a flat map of files, whatever the order of actions; damaged trees are said to be damaged."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError
from meshnode.base.ids import ObjectId
from meshnode.git.tree_edits import DEPTH_MAX, TreeEdits, checked_path, parse_tree
from meshnode.ports import ActionKind, FileMode, TreeAction

BLOBS = [ObjectId(f"{number:040x}") for number in range(1, 5)]
NAMES = st.lists(st.sampled_from([b"a", b"b", b"c", b"a.b", b"a0"]), min_size=1, max_size=3).map(b"/".join)
Files = dict[bytes, tuple[bytes, ObjectId]]


class Trees:
    """Trees in memory."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, bytes] = {}

    async def read(self, oid: ObjectId) -> bytes:
        return self.by_id[oid]

    async def write(self, contents: Sequence[bytes]) -> list[ObjectId]:
        oids = [ObjectId(hashlib.sha1(b"tree %d\0%b" % (len(one), one)).hexdigest()) for one in contents]
        self.by_id.update(zip(oids, contents, strict=True))
        return oids

    def files(self, oid: ObjectId, prefix: bytes = b"") -> Files:
        found: Files = {}
        for name, entry in parse_tree(self.by_id[oid], 20).items():
            if entry.mode == b"40000":
                below = self.files(entry.oid, prefix + name + b"/")
                assert below, "an empty directory was written"
                found |= below
            else:
                found[prefix + name] = (entry.mode, entry.oid)
        return found


async def edited(trees: Trees, base: ObjectId | None, actions: Sequence[TreeAction]) -> ObjectId:
    edits = TreeEdits(trees.read, 20)
    if base is not None:
        await edits.start(base)
    for action in actions:
        await edits.do(action)
    return await edits.write(trees.write)


def actions() -> st.SearchStrategy[list[TreeAction]]:
    blobs = st.sampled_from(BLOBS)
    kinds = st.sampled_from([ActionKind.CREATE, ActionKind.UPDATE, ActionKind.PUT])
    return st.lists(
        st.one_of(
            st.builds(TreeAction, kind=kinds, path=NAMES, blob=blobs, mode=st.sampled_from([None, *FileMode])),
            st.builds(TreeAction, kind=st.just(ActionKind.MOVE), path=NAMES, source=NAMES),
            st.builds(TreeAction, kind=st.just(ActionKind.DELETE), path=NAMES, is_recursive=st.booleans()),
            st.builds(
                TreeAction,
                kind=st.just(ActionKind.CHMOD),
                path=NAMES,
                mode=st.sampled_from([FileMode.REGULAR, FileMode.EXECUTABLE]),
            ),
        ),
        max_size=12,
    )


def by_the_book(files: Files, action: TreeAction) -> Files | None:
    """What an action makes of a flat map; None where it must be refused."""

    def below(path: bytes) -> Files:
        return {name: file for name, file in files.items() if name == path or name.startswith(path + b"/")}

    def is_blocked(path: bytes) -> bool:
        parts = path.split(b"/")
        return any(b"/".join(parts[:at]) in files for at in range(1, len(parts)))

    path, there = action.path, below(action.path)
    match action.kind:
        case ActionKind.CREATE | ActionKind.UPDATE | ActionKind.PUT:
            is_file = path in files
            if is_blocked(path) or (there and not is_file):
                return None
            if is_file if action.kind is ActionKind.CREATE else action.kind is ActionKind.UPDATE and not is_file:
                return None
            assert action.blob is not None
            mode = action.mode.value.encode() if action.mode else files[path][0] if is_file else b"100644"
            return {**files, path: (mode, action.blob)}
        case ActionKind.MOVE:
            moved = below(action.source)
            if not moved or there or path == action.source or path.startswith(action.source + b"/"):
                return None
            if is_blocked(path):
                return None
            rest = {name: file for name, file in files.items() if name not in moved}
            return rest | {path + name[len(action.source) :]: file for name, file in moved.items()}
        case ActionKind.DELETE:
            if not there or (path not in files and not action.is_recursive):
                return None
            return {name: file for name, file in files.items() if name not in there}
        case ActionKind.CHMOD:
            if path not in files or files[path][0] == b"120000":
                return None
            assert action.mode is not None
            return {**files, path: (action.mode.value.encode(), files[path][1])}


@given(actions(), actions())
def test_edits_do_what_a_flat_map_of_files_does(first: list[TreeAction], second: list[TreeAction]) -> None:
    async def scenario() -> None:
        trees = Trees()
        files: Files = {}
        base: ObjectId | None = None
        for batch in (first, second):
            accepted: list[TreeAction] = []
            for action in batch:
                after = by_the_book(files, action)
                try:
                    await edited(trees, base, [*accepted, action])
                    is_done = True
                except MeshError:
                    is_done = False
                assert is_done == (after is not None), action
                if after is not None:
                    accepted.append(action)
                    files = after
            base = await edited(trees, base, accepted)
            assert trees.files(base) == files

    asyncio.run(scenario())


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b" " + data, lambda data: data + b"1"])
def test_a_damaged_tree_is_damage(harm: Callable[[bytes], bytes]) -> None:
    whole = b"100644 a\0" + bytes(20) + b"40000 b\0" + bytes(20)
    assert set(parse_tree(whole, 20)) == {b"a", b"b"}
    with pytest.raises(Corrupt):
        parse_tree(harm(whole), 20)


@pytest.mark.parametrize(
    "path", [b"", b"/", b"a/", b"a//b", b".", b"../x", b"a/.git/b", b".GiT", b"a\0", b"a/" * DEPTH_MAX + b"a"]
)
def test_paths_git_must_not_hold_are_refused(path: bytes) -> None:
    with pytest.raises(InvalidRequest):
        checked_path(path)


def test_moves_cannot_make_a_tree_too_deep_to_walk() -> None:
    deep = b"/".join([b"d"] * (DEPTH_MAX - 1))
    steps = [TreeAction(kind=ActionKind.CREATE, path=b"x0/" + deep, blob=BLOBS[0])]
    steps += [
        TreeAction(kind=ActionKind.MOVE, source=b"x%d" % number, path=b"x%d/" % (number + 1) + deep)
        for number in range(5)
    ]
    with pytest.raises(InvalidRequest, match="too deep"):
        asyncio.run(edited(Trees(), None, steps))
