"""Diffs of commits that git begins before anybody knows their trees: they say what a comparison of the trees says."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.ports import BegunDiff, DiffOptions, DiffSummary
from tests.unit.git.processes import children
from tests.unit.git.sample import git
from tests.unit.git.test_diffs import EVERYTHING, KEY, Disk, File, changed, gathered, opened, some_content

PLAIN = DiffOptions()
Said = tuple[list[tuple[object, ...]], DiffSummary]


def begun(disk: Disk, commit: ObjectId, *, is_counted: bool = False) -> BegunDiff:
    found = disk.diffs.begin(KEY, commit, PLAIN, is_counted=is_counted)
    assert found is not None
    return found


def said(answer: tuple[list[File], DiffSummary]) -> Said:
    files, summary = answer
    return [(one.file, one.text(), one.end) for one in files], summary


async def taken(disk: Disk, commit: ObjectId, old: ObjectId, new: ObjectId) -> Said:
    return said(await gathered(disk.diffs.compare(KEY, old, new, PLAIN, EVERYTHING, begun=begun(disk, commit))))


async def compared(disk: Disk, old: ObjectId, new: ObjectId) -> Said:
    return said(await disk.compare(old, new))


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_commit_merge_and_root_say_what_their_trees_say(tmp_path: Path, object_format: str) -> None:
    async with opened(tmp_path, object_format) as disk:
        chance = random.Random(7)
        contents = [some_content(chance)]
        contents += [changed(chance, contents[0]) for _ in range(3)]
        trees = [disk.tree(content) for content in contents]
        root = disk.commit(trees[0], "root")
        plain = disk.commit(trees[1], "plain", root)
        side = disk.commit(trees[2], "side", root)
        merge = disk.commit(trees[3], "merge", plain, side)
        same = disk.commit(trees[3], "same", merge)
        (disk.path / "shallow").write_text(f"{plain}\n")  # a commit has the parents that it names, whatever this says
        for _ in range(2):  # by a process that begins, then by one that waits
            for commit, old, new in (
                (root, disk.nothing, trees[0]),
                (plain, trees[0], trees[1]),
                (merge, trees[1], trees[3]),
                (same, trees[3], trees[3]),
            ):
                assert await taken(disk, commit, old, new) == await compared(disk, old, new)
                counts = disk.diffs.count(KEY, old, new, PLAIN, EVERYTHING, begun=begun(disk, commit, is_counted=True))
                assert said(await gathered(counts)) == said(
                    await gathered(disk.diffs.count(KEY, old, new, PLAIN, EVERYTHING))
                )


async def test_question_goes_out_at_once_where_a_process_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree({b"a": ("100644", b"a\n")})
        commit = disk.commit(tree, "one")
        first = begun(disk, commit)
        assert children() == [], "no process is begun for what may not be told"
        await gathered(disk.diffs.compare(KEY, disk.nothing, tree, PLAIN, EVERYTHING, begun=first))
        (process,) = children()
        second = begun(disk, commit)
        await gathered(disk.diffs.compare(KEY, disk.nothing, tree, PLAIN, EVERYTHING, begun=second))
        await second.drop()
        assert children() == [process]


async def test_answer_that_nobody_wants_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree({b"a": ("100644", b"a\n")})
        commit = disk.commit(tree, "one")
        await taken(disk, commit, disk.nothing, tree)
        assert len(children()) == 1
        unwanted = begun(disk, commit)
        await unwanted.drop()
        await unwanted.drop()
        assert children() == []
        await begun(disk, commit).drop()
        assert children() == []


async def test_what_came_to_nothing_is_compared_by_its_trees(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        old, new = disk.tree({b"a": ("100644", b"a\n")}), disk.tree({b"a": ("100644", b"b\n")})
        commit = disk.commit(new, "new", disk.commit(old, "old"))
        git("update-ref", "refs/heads/x", commit, path=disk.path)
        git("tag", "-m", "x", "tagged", commit, path=disk.path)
        tag = ObjectId(git("rev-parse", "tagged", path=disk.path).decode().strip())
        wanted = await compared(disk, old, new)
        for _ in range(2):
            for odd in (ObjectId("f" * 40), tag, ObjectId(disk.blob(b"a\n"))):
                assert await taken(disk, odd, old, new) == wanted
        with pytest.raises(Corrupt):
            await taken(disk, ObjectId("f" * 40), ObjectId("e" * 40), new)


async def test_process_that_dies_on_the_way_is_made_good(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        old, new = disk.tree({b"a": ("100644", b"a\n")}), disk.tree({b"a": ("100644", b"b\n")})
        commit = disk.commit(new, "new", disk.commit(old, "old"))
        wanted = await taken(disk, commit, old, new)
        (process,) = children()
        os.kill(process, signal.SIGSTOP)
        waiting = begun(disk, commit)
        os.kill(process, signal.SIGKILL)
        answer = disk.diffs.compare(KEY, old, new, PLAIN, EVERYTHING, begun=waiting)
        assert said(await gathered(answer)) == wanted
        assert process not in children()


async def test_some_paths_of_a_commit_are_not_begun(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        commit = disk.commit(disk.tree({b"a": ("100644", b"a\n")}), "one")
        assert disk.diffs.begin(KEY, commit, DiffOptions(paths=(TreePath(b"a"),)), is_counted=False) is None
