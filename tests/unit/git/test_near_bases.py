"""Merge bases without a process: those of `git merge-base` in any graph and with any clocks, or none at all."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.ids import ObjectId
from meshnode.git.near_bases import AHEAD, COMMITS_MAX, NAMES_MAX, NearCommits
from meshnode.git.near_merge import NearMerge, merge_near, relate_near
from meshnode.ports import MergeRelation
from tests.unit.git.test_near_walk import KEY, Graph

COMMITS = 120


@pytest.fixture(params=["sha1", "sha256"])
async def graph(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Graph]:
    made = Graph(tmp_path, request.param)
    yield made
    await made.pool.close()


def told(graph: Graph, ours: ObjectId, theirs: ObjectId) -> list[str]:
    """What git says; nothing of commits that share no history."""
    command = ["git", "merge-base", "--all", ours, theirs]
    return subprocess.run(command, cwd=graph.path, capture_output=True, text=True, check=False).stdout.split()


async def bases(graph: Graph, ours: ObjectId, theirs: ObjectId) -> list[ObjectId] | None:
    """What is found here."""
    return await NearCommits(graph.pool, KEY).bases(ours, theirs)


@pytest.mark.parametrize("seed", range(4))
async def test_base_is_that_of_git_whatever_the_graph_and_the_clocks(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    graph = Graph(tmp_path)
    made: list[ObjectId] = []
    for number in range(COMMITS):
        parents = chance.sample(made[-8:], k=min(len(made), chance.choice([0, *[1] * 12, 2, 2, 3])))
        date = 1_000_000 + number - chance.choice([0, 0, 0, 50])  # some are wrong
        made.append(graph.commit(parents, "odd" if number % 17 == 5 else f"{date} +0000", str(number)))
    seen: Counter[str] = Counter()
    for _ in range(60):
        ours, theirs = chance.sample(made[-20:], k=2)
        found, expected = await bases(graph, ours, theirs), told(graph, ours, theirs)
        if found is None:
            seen["left"] += 1
            continue
        assert found == expected
        seen["one" if found else "none"] += 1
    assert seen["one"] > 20, seen
    await graph.pool.close()


async def test_relation_follows_from_the_base(graph: Graph) -> None:
    line = graph.line(4)
    side = graph.commit([line[1]], "2000000 +0000", "side")
    other = graph.commit([], "2000000 +0000", "other")
    for theirs, relation in (
        (line[3], MergeRelation.CONTAINED),
        (line[1], MergeRelation.CONTAINED),
        (side, MergeRelation.DIVERGED),
        (other, MergeRelation.UNRELATED),
    ):
        assert await relate_near(graph.pool, KEY, line[3], theirs) is relation
    assert await relate_near(graph.pool, KEY, line[1], line[3]) is MergeRelation.AHEAD


async def test_base_that_is_far_away_is_left_to_git(graph: Graph) -> None:
    line = graph.line(sum(AHEAD) + NAMES_MAX)
    near = graph.commit([line[-5]], "2000000 +0000", "near")
    far = graph.commit([line[0]], "2000000 +0000", "far")
    assert await bases(graph, line[-1], near) == [line[-5]]
    assert await bases(graph, line[-1], far) is None
    await graph.warm(line)
    assert await bases(graph, line[-1], far) == [line[0]]


async def test_commits_with_dates_of_years_ago_are_not_waited_for(graph: Graph) -> None:
    line = graph.line(COMMITS)
    side = graph.commit([line[-5]], "2000000 +0000", "side")
    tip = line[-1]
    for number in range(20):
        tip = graph.commit([tip], f"{5 + number} +0000", f"old {number}")
    assert await bases(graph, tip, side) == [line[-5]]
    assert await bases(graph, side, tip) == [line[-5]]


async def test_walk_is_bounded_also_where_all_is_in_memory(tmp_path: Path) -> None:
    graph = Graph(tmp_path)
    line = graph.line(COMMITS_MAX + 1)
    ours, theirs = (graph.commit([], f"{number} +0000", "other") for number in (1, 2))
    await graph.warm(line)
    assert await bases(graph, line[-1], ours) is None
    assert await bases(graph, line[300], ours) == []
    assert await bases(graph, ours, theirs) == []
    await graph.pool.close()


async def test_several_bases_are_left_to_git(graph: Graph) -> None:
    (root,) = graph.line(1)
    first, second = (graph.commit([root], f"{2_000_000 + number} +0000", str(number)) for number in range(2))
    ours, theirs = (graph.commit([first, second], f"{3_000_000 + number} +0000", str(number)) for number in range(2))
    assert len(told(graph, ours, theirs)) == 2
    assert await bases(graph, ours, theirs) is None
    assert await merge_near(graph.pool, KEY, "sha1", ours, theirs) == NearMerge()


async def test_merged_branches_are_read_with_the_line_they_were_merged_into(graph: Graph) -> None:
    line = graph.line(3)
    side = graph.commit([line[-1]], "1500000 +0000", "side")
    tip = line[-1]
    for number in range(30):
        topic = graph.commit([tip], f"{2_000_000 + 2 * number} +0000", f"topic {number}")
        tip = graph.commit([tip, topic], f"{2_000_001 + 2 * number} +0000", f"merge {number}")
    assert await bases(graph, tip, side) == [line[-1]]


async def test_what_is_no_commit_or_missing_or_long_is_left_to_git(graph: Graph) -> None:
    (root,) = graph.line(1)
    assert await bases(graph, root, ObjectId(graph.tree)) is None
    assert await bases(graph, ObjectId("f" * len(root)), root) is None
    assert await bases(graph, root, graph.commit([ObjectId("e" * len(root))], "2000000 +0000", "lost")) is None
    long = graph.commit([root], "2000000 +0000", "long " * 600_000)
    assert await bases(graph, long, root) is None
