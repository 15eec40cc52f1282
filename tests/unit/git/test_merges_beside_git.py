"""Merges in memory beside stock git: whatever is answered, `git merge-tree --write-tree` answers the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.merges import parse_merge
from meshnode.git.near_merge import merge_near
from meshnode.git.object_pool import ObjectPool
from meshnode.ports import MergedTree, MergeRelation
from tests.unit.git.merge_histories import Commits, Pair, make_pairs, make_texts

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
PAIRS = 120
MakePairs = Callable[[Commits, int], Iterator[Pair]]


@dataclass
class Told:
    """What git says of two commits."""

    bases: list[str]
    merged: MergedTree | None
    """None: git gave up in the middle, on one of its own assertions."""


async def ask_git(pool: GitCommands, path: Path, ours: ObjectId, theirs: ObjectId) -> Told:
    """What git says, as a node asks it."""
    bases = await pool.run(["merge-base", "--all", ours, theirs], git_dir=path)
    options = ["--write-tree", "-z", "--messages", "--allow-unrelated-histories"]
    merged = await pool.run(["merge-tree", *options, ours, theirs], git_dir=path)
    is_merged = merged.returncode in {0, 1}
    assert is_merged or b"Assertion" in merged.stderr, merged
    return Told(bases.stdout.decode().split(), parse_merge(merged.stdout) if is_merged else None)


async def compare(
    data: Path, seed: int, object_format: str, pairs: int = PAIRS, make: MakePairs = make_pairs
) -> Counter[str]:
    """Merge pairs of one seed both ways; how often what was the case."""
    commits = Commits(random.Random(seed), object_format)
    made = list(make(commits, pairs))
    layout = Layout(data)
    path = layout.repository(KEY)
    oids = commits.write(path)
    commands = GitCommands()
    pool = ObjectPool(commands, layout)
    seen: Counter[str] = Counter()
    try:
        for pair in made:
            ours, theirs = oids[pair.ours], oids[pair.theirs]
            told = await ask_git(commands, path, ours, theirs)
            near = await merge_near(pool, KEY, object_format, ours, theirs)
            is_clean = told.merged is not None and not told.merged.conflicts
            seen["clean" if is_clean else "other"] += 1
            seen["apart"] += pair.is_apart and is_clean
            facts = f"seed {seed} {object_format}: {ours} {theirs}"
            if near.relation is not None:
                assert len(told.bases) < 2, facts
                base = ObjectId(told.bases[0]) if told.bases else None
                assert near.relation is MergeRelation.of(ours, theirs, base), facts
                seen["related"] += 1
            if near.merged is not None:
                assert near.merged.result == told.merged, facts
                seen["merged"] += 1
                seen["apart, merged"] += pair.is_apart
                seen["texts"] += len(near.merged.texts)
    finally:
        await pool.close()
    return seen


@pytest.mark.parametrize(("seed", "object_format"), [(2, "sha1"), (7, "sha1"), (8, "sha256"), (9, "sha1")])
async def test_what_is_merged_in_memory_git_merges_alike(tmp_path: Path, seed: int, object_format: str) -> None:
    seen = await compare(tmp_path, seed, object_format)
    assert seen["apart, merged"] > 0.8 * seen["apart"] > PAIRS / 5, seen
    assert seen["other"] > PAIRS / 5, seen


@pytest.mark.parametrize("seed", [1, 3])
async def test_texts_that_are_merged_in_memory_git_merges_alike(tmp_path: Path, seed: int) -> None:
    seen = await compare(tmp_path, seed, "sha1", make=make_texts)
    assert seen["texts"] > PAIRS / 6, seen
    assert seen["other"] > PAIRS / 6, seen
