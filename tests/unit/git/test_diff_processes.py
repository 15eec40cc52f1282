"""Processes of `git diff-tree` that stay: many answers by one, each complete, and none for a directory that is gone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, DeadlineExceeded
from meshnode.base.ids import ObjectId
from meshnode.git.command import GitCommands
from meshnode.git.diff_processes import QUESTIONS_MAX, REUSE_BYTES_MAX, DiffProcesses
from meshnode.git.layout import Layout
from meshnode.ports import DiffOptions
from tests.unit.git.processes import children
from tests.unit.git.test_diffs import KEY, Disk, File, opened


async def compared(disk: Disk, old: ObjectId, new: ObjectId, options: DiffOptions | None = None) -> list[File]:
    """The files of a diff."""
    return (await disk.compare(old, new, options))[0]


async def test_one_process_answers_many_questions_and_goes_after_enough_of_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        trees = [disk.tree({b"a": ("100644", b"%d\n" % number)}) for number in range(3)]
        assert await compared(disk, trees[0], trees[0]) == []
        (first,) = children()
        for _ in range(QUESTIONS_MAX - 2):
            (file,) = await compared(disk, trees[0], trees[1])
            assert file.hunks[0].lines == [b"-0", b"+1"]
        assert children() == [first]
        assert len(await compared(disk, trees[1], trees[2])) == 1
        assert children() == []
        assert len(await compared(disk, trees[1], trees[2])) == 1
        assert children() != [first]


async def test_questions_at_once_have_processes_of_their_own_and_few_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"a": ("100644", b"a\n")})
        answers = await asyncio.gather(*(compared(disk, disk.nothing, new) for _ in range(5)))
        assert [[file.text() for file in answer] for answer in answers] == [[[b"@@ -0,0 +1 @@", b"+a"]]] * 5
        assert 1 <= len(children()) <= 2
        await compared(disk, disk.nothing, new, DiffOptions(context_lines=0))
        assert len(children()) <= 2


async def test_process_that_gave_a_long_answer_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"a": ("100644", b"long line\n" * (REUSE_BYTES_MAX // 10))})
        assert len(await compared(disk, disk.nothing, new)) == 1
        assert children() == []


async def test_what_looks_like_the_end_of_an_answer_is_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        lines = [b"end %032x" % number for number in range(3_000)]
        for last in ([], [b"end " + b"0" * 32]):
            new = disk.tree({b"a": ("100644", b"\n".join([*lines, *last]))})
            (file,) = await compared(disk, disk.nothing, new)
            assert [line[1:] for line in file.hunks[0].lines[:-1]] == [*lines, *last]
            assert file.hunks[0].lines[-1].startswith(b"\\ No newline")


async def test_missing_tree_or_blob_is_damage_and_the_next_question_is_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"d/a": ("100644", b"a\n")})
        with pytest.raises(Corrupt):
            await compared(disk, ObjectId("f" * 40), new)
        assert len(await compared(disk, disk.nothing, new)) == 1
        blob = disk.blob(b"a\n")
        (disk.path / "objects" / blob[:2] / blob[2:]).unlink()
        with pytest.raises(Corrupt):
            await compared(disk, disk.nothing, new)
        assert children() == []


async def test_directory_in_the_place_of_another_is_compared_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"a": ("100644", b"a\n")})
        await compared(disk, disk.nothing, new)
        (first,) = children()
        config = disk.path / "config"
        config.write_bytes(config.read_bytes())
        config.chmod(0o600)
        config.chmod(0o644)
        await compared(disk, disk.nothing, new)
        assert first not in children()


async def test_answer_that_takes_too_long_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        blob = disk.blob(b"a\n")
        new = disk.tree({b"a": ("100644", b"a\n")})
        path = disk.path / "objects" / blob[:2] / blob[2:]
        path.unlink()
        os.mkfifo(path)  # git waits for somebody who would write the object
        hasty = DiffProcesses(GitCommands(), Layout(tmp_path), deadline_ms=0, niceness=0)
        with pytest.raises(DeadlineExceeded):
            async for _ in hasty.compare(KEY, ("diff-tree", "-r", "-p"), [(disk.nothing, new)]):
                pass
        assert children() == []
