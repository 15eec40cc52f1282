"""The last commit of every entry of a directory is the one that `git log -1` shows, whatever the history looks like."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.last_commits import GitLastCommits, _Known
from meshnode.git.last_near import AHEAD
from meshnode.git.layout import Layout
from meshnode.git.object_pool import ObjectPool
from meshnode.git.queries import Queries
from meshnode.git.trees import GitTrees
from meshnode.ports import LastChanges
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
NAMES = [b"a", b"b", b"c", b"odd\nname", b"latin-\xe9"]
PATHS = [*NAMES, *(b"dir/" + name for name in NAMES), b"dir/deep/a", b"dir/deep/b", b"a/x", b"dir/deep"]


class History:
    """A fast-import stream that never asks twice for the same random number."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.parts: list[bytes] = []
        self.files: list[dict[bytes, tuple[bytes, bytes]]] = []

    def commit(self, parents: list[int], *, when: int) -> None:
        """A commit that starts from its first parent's files; a merge takes others' files, or its own ones."""
        chance = self.chance
        files = dict(self.files[parents[0]]) if parents else {}
        for parent in parents[1:]:
            if chance.random() < 0.2:  # as a merge with -s ours
                continue
            theirs = self.files[parent]
            for path in sorted({*files, *theirs}):
                if chance.random() < 0.6 and path in theirs:
                    put(files, path, theirs[path])
        changes = chance.choice((0, 0, 1, 2, 4)) if parents else 6
        for _ in range(changes if len(parents) < 2 or chance.random() < 0.3 else 0):
            path = chance.choice(PATHS)
            if path in files and chance.random() < 0.3:
                del files[path]
            else:
                put(files, path, (chance.choice((b"100644", b"100755")), b"%d\n" % chance.randrange(3)))
        number = len(self.files)
        self.files.append(files)
        lines = [b"commit refs/heads/all-%d" % number, b"mark :%d" % (number + 1)]
        lines += [b"committer C <c@d> %d +0000" % when, b"data 2", b"m"]
        lines += [(b"merge " if at else b"from ") + b":%d" % (parent + 1) for at, parent in enumerate(parents)]
        lines.append(b"deleteall")
        for path, (mode, content) in sorted(files.items()):
            quoted = b'"' + path.replace(b"\n", b"\\n") + b'"'
            lines += [b"M %s inline %s" % (mode, quoted), b"data %d" % len(content), content]
        self.parts.append(b"\n".join(lines) + b"\n")


def put(files: dict[bytes, tuple[bytes, bytes]], path: bytes, value: tuple[bytes, bytes]) -> None:
    """Set a file; whatever stands in its way goes."""
    for other in [*files]:
        if other.startswith(path + b"/") or path.startswith(other + b"/"):
            del files[other]
    files[path] = value


def make_history(path: Path, seed: int, *, object_format: str = "sha1", commits: int = 60) -> None:
    history = History(seed)
    chance = history.chance
    history.commit([], when=1_000_000)
    for number in range(1, commits):
        if chance.random() < 0.03:
            parents = []
        else:
            recent = range(max(0, number - 12), number)
            parents = chance.sample(recent, min(len(recent), chance.choice((1, 1, 1, 2, 2, 3))))
        skew = chance.choice((0, 0, 0, -50_000, 50_000))
        history.commit(parents, when=1_000_000 + number * 1_000 + skew)
    git("init", "--quiet", "--bare", f"--object-format={object_format}", str(path), path=path.parent)
    git("fast-import", "--quiet", "--force", path=path, stdin=b"".join(history.parts))


async def check(path: Path, layout: Layout, revisions: list[str]) -> int:
    """Compare every directory of some commits; how many entries that were."""
    commands = GitCommands()
    pool, queries = ObjectPool(commands, layout), Queries(commands, layout)
    last = GitLastCommits(queries, pool, GitTrees(pool, queries))
    compared = 0
    try:
        for revision in revisions:
            commit = ObjectId(git("rev-parse", revision, path=path).decode().strip())
            for directory in (b"", b"dir", b"dir/deep", b"a"):
                listing = git("ls-tree", "-z", "--name-only", f"{commit}", directory + b"/" if directory else b".",
                              path=path)  # fmt: skip
                names = [one.rpartition(b"/")[2] for one in listing.split(b"\0")[:-1]]
                found = await last.find(KEY, commit, TreePath(directory), names, time_ms=30_000)
                wanted = {
                    name: git("--literal-pathspecs", "log", "-1", "--format=%H", commit, "--",
                              (directory + b"/" if directory else b"") + name, path=path).decode().strip()
                    for name in names
                }  # fmt: skip
                assert found == LastChanges({name: ObjectId(oid) for name, oid in wanted.items()}, is_complete=True)
                compared += len(names)
    finally:
        await pool.close()
    return compared


class Unasked(Queries):
    """Fails where git would be asked for a history."""

    def records(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("git was asked")


def line_of(path: Path, commits: int) -> list[ObjectId]:
    """Commits one after the other, newest first: the first one makes `old` and `dir/old`, each changes `new`."""
    parts = []
    for number in range(commits):
        parts.append(b"commit refs/heads/main\nmark :%d\ncommitter C <c@d> %d +0000\ndata 1\nm" % (number + 1, number))
        parts += [b"from :%d" % number] * (number > 0)
        parts += [b"M 100644 inline %s\ndata 1\nx" % name for name in ((b"old", b"dir/old") if not number else ())]
        parts.append(b"M 100644 inline new\ndata %d\n%d" % (len(str(number)), number))
    git("init", "--quiet", "--bare", str(path), path=path.parent)
    git("fast-import", "--quiet", path=path, stdin=b"\n".join(parts) + b"\n")
    return [ObjectId(line) for line in git("rev-list", "main", path=path).decode().split()]


@asynccontextmanager
async def searching(tmp_path: Path, queries: type[Queries]) -> AsyncIterator[tuple[Path, GitLastCommits]]:
    layout = Layout(tmp_path)
    path = layout.repository(KEY)
    path.parent.mkdir(parents=True)
    commands = GitCommands()
    pool = ObjectPool(commands, layout)
    try:
        yield path, GitLastCommits(queries(commands, layout), pool, GitTrees(pool, Queries(commands, layout)))
    finally:
        await pool.close()


async def test_what_changed_near_the_top_is_found_without_asking_git_for_a_history(tmp_path: Path) -> None:
    async with searching(tmp_path, Unasked) as (path, last):
        line = line_of(path, sum(AHEAD))
        found = await last.find(KEY, line[0], TreePath(b""), [b"new", b"old", b"dir"], time_ms=30_000)
        assert found == LastChanges({b"new": line[0], b"old": line[-1], b"dir": line[-1]}, is_complete=True)
        with pytest.raises(AssertionError, match="git was asked"):  # it was not always a directory: git's to judge
            await last.find(KEY, line[0], TreePath(b"new"), [b"a"], time_ms=30_000)


async def test_search_goes_no_further_than_to_where_another_one_began(tmp_path: Path) -> None:
    async with searching(tmp_path, Queries) as (path, last):
        line = line_of(path, 3 * sum(AHEAD))
        names = [b"new", b"old"]
        before = await last.find(KEY, line[5], TreePath(b""), names, time_ms=30_000)
        assert before == LastChanges({b"new": line[5], b"old": line[-1]}, is_complete=True)
        last._queries = Unasked(GitCommands(), Layout(tmp_path))
        after = await last.find(KEY, line[0], TreePath(b""), names, time_ms=30_000)
        assert after == LastChanges({b"new": line[0], b"old": line[-1]}, is_complete=True)
        with pytest.raises(AssertionError, match="git was asked"):
            await last.find(KEY, line[6], TreePath(b""), names, time_ms=30_000)


async def test_missing_directory_is_reported_by_git(tmp_path: Path) -> None:
    async with searching(tmp_path, Queries) as (path, last):
        line = line_of(path, 3)
        tree = git("rev-parse", f"{line[0]}:dir", path=path).decode().strip()
        (path / "objects" / tree[:2] / tree[2:]).unlink()
        with pytest.raises(MeshError):
            await last.find(KEY, line[0], TreePath(b"dir"), [b"old"], time_ms=30_000)


def test_what_is_known_is_bounded() -> None:
    known = _Known(entries_max=5)
    place = KEY, TreePath(b"")
    for number in range(4):
        known.keep(place, ObjectId(f"{number:040x}"), {b"a": ObjectId("a"), b"b": ObjectId("b")})
        known.get(place, ObjectId(f"{0:040x}"))
    kept = [number for number in range(4) if known.get(place, ObjectId(f"{number:040x}"))]
    assert kept == [0, 3]


@pytest.mark.parametrize("seed", range(4))
async def test_entries_have_the_commits_that_git_log_shows(tmp_path: Path, seed: int) -> None:
    layout = Layout(tmp_path)
    path = layout.repository(KEY)
    path.parent.mkdir(parents=True)
    make_history(path, seed)
    assert await check(path, layout, [f"refs/heads/all-{number}" for number in (30, 45, 58, 59)]) > 20


async def test_sha256_histories_are_searched(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = layout.repository(KEY)
    path.parent.mkdir(parents=True)
    make_history(path, 77, object_format="sha256", commits=20)
    assert await check(path, layout, ["refs/heads/all-19", "refs/heads/all-18"]) > 5
