"""The last commit of every entry of a directory is the one that `git log -1` shows, whatever the history looks like."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.last_commits import GitLastCommits
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
