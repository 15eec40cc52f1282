"""Walks without a process: the order of `git rev-list` over any graph and any clocks, or none at all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.near_walk import AHEAD_MAX, COMMITS_MAX, QUESTIONS_MAX, walk_near
from meshnode.git.object_pool import ObjectPool
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
COMMITS = 120


class Graph:
    """A repository whose commits are written by hand."""

    def __init__(self, data: Path, object_format: str = "sha1") -> None:
        layout = Layout(data)
        self.path = layout.repository(KEY)
        self.path.mkdir(parents=True)
        git("init", "--quiet", "--bare", f"--object-format={object_format}", path=self.path)
        self.tree = git("mktree", path=self.path, stdin=b"").decode().strip()
        self.pool = ObjectPool(GitCommands(), layout)

    def commit(self, parents: list[ObjectId], date: str, message: str = "") -> ObjectId:
        """Write a commit with a date as it stands there."""
        lines = [f"tree {self.tree}", *(f"parent {parent}" for parent in parents)]
        lines += ["author A <a@b> 1 +0000", f"committer C <c@d> {date}", "", message]
        written = git("hash-object", "-t", "commit", "-w", "--stdin", path=self.path, stdin="\n".join(lines).encode())
        return ObjectId(written.decode().strip())

    def line(self, count: int) -> list[ObjectId]:
        """Commits one after the other, oldest first."""
        made: list[ObjectId] = []
        for number in range(count):
            made.append(self.commit(made[-1:], f"{1_000_000 + number} +0100", str(number)))
        return made

    def told(self, starts: list[ObjectId], count: int, *options: str) -> list[str]:
        """What git lists."""
        return git("rev-list", f"--max-count={count}", *options, *starts, path=self.path).decode().split()

    async def walked(
        self, starts: list[ObjectId], count: int, *, is_first_parent: bool = False
    ) -> list[ObjectId] | None:
        """What the walk lists."""
        return await walk_near(self.pool, KEY, starts, is_first_parent=is_first_parent, count=count)

    async def warm(self, oids: list[ObjectId]) -> None:
        """Have commits in memory."""
        await self.pool.read(KEY, oids, bytes_max=10 << 20)


@pytest.fixture(params=["sha1", "sha256"])
async def graph(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Graph]:
    made = Graph(tmp_path, request.param)
    yield made
    await made.pool.close()


@pytest.mark.parametrize("seed", range(4))
async def test_order_is_that_of_git_whatever_the_graph_and_the_clocks(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    graph = Graph(tmp_path)
    made: list[ObjectId] = []
    for number in range(COMMITS):
        parents = chance.sample(made[-12:], k=min(len(made), chance.choice([0, 1, 1, 1, 2, 2, 3])))
        date = 1_000_000 + number // chance.choice([1, 7]) - chance.choice([0, 0, 0, 50])  # equal ones, wrong ones
        made.append(graph.commit(parents, f"{date} +0000", str(number)))
    await graph.warm(made)
    for _ in range(15):
        starts = chance.sample(made[-30:], k=chance.choice([1, 1, 2, 4]))
        count = chance.choice([1, 5, 40, COMMITS + 1])
        assert await graph.walked(starts, count) == graph.told(starts, count)
        expected = graph.told(starts, count, "--first-parent")
        assert await graph.walked(starts, count, is_first_parent=True) == expected
    await graph.pool.close()


async def test_line_that_nobody_read_yet_costs_a_question_a_page(graph: Graph) -> None:
    made = graph.line(2 * AHEAD_MAX + 5)
    assert await graph.walked([made[-1]], AHEAD_MAX) == graph.told([made[-1]], AHEAD_MAX)
    assert await graph.walked([made[-1], made[-1], made[3]], 500) == graph.told([made[-1], made[3]], 500)


async def test_graph_of_many_unknown_branches_is_left_to_git(graph: Graph) -> None:
    tip = graph.commit([], "5 +0000")
    for number in range(QUESTIONS_MAX + 1):
        tip = graph.commit([tip, graph.commit([], f"{number} +0000", str(number))], f"{10 + number} +0000")
    assert await graph.walked([tip], 50) is None
    await graph.warm([ObjectId(oid) for oid in graph.told([tip], 50)])
    assert await graph.walked([tip], 50) == graph.told([tip], 50)


@pytest.mark.parametrize(
    "date", ["", "5", "x +0000", "-5 +0000", "99999999999 +0000", "5 +00000", "5 +0000 <e@f> 6 +0000"]
)
async def test_odd_date_is_left_to_git(tmp_path: Path, date: str) -> None:
    graph = Graph(tmp_path)
    odd = graph.commit([], date)
    assert await graph.walked([graph.commit([odd], "7 +0000")], 5) is None
    await graph.pool.close()


async def test_what_is_no_commit_or_missing_or_far_away_is_left_to_git(graph: Graph) -> None:
    (root,) = graph.line(1)
    assert await graph.walked([ObjectId(graph.tree)], 5) is None
    assert await graph.walked([ObjectId("f" * len(root))], 5) is None
    assert await graph.walked([root], COMMITS_MAX + 1) is None
    assert await graph.walked([root], COMMITS_MAX) == [root]


async def test_commits_with_long_messages_are_left_to_git(graph: Graph) -> None:
    made = graph.line(2)
    long = graph.commit([made[-1]], "2000000 +0000", "long " * 200_000)
    assert await graph.walked([long], 3) is None
