"""Heavy git processes stand back, inside their group and as a group; short ones are as important as the node."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from meshnode.git.command import GitCommands
from meshnode.git.priority import stand_back
from meshnode.git.range_diff import NICENESS
from meshnode.ports import DiffOptions
from tests.unit.git.processes import children
from tests.unit.git.test_command import shell
from tests.unit.git.test_diffs import EVERYTHING, KEY, Disk, opened


def heavy_content(seed: int) -> bytes:
    """Lines that take git long to compare with those of another seed."""
    chance = random.Random(seed)
    return b"".join(b"%d\n" % chance.randrange(1_000) for _ in range(60_000))


async def counted(disk: Disk, old: bytes, new: bytes) -> None:
    before, after = (disk.tree({b"a": ("100644", content)}) for content in (old, new))
    async for _ in disk.diffs.count(KEY, before, after, DiffOptions(), EVERYTHING):
        pass


def group_priority(pid: int) -> int | None:
    """Of the group a process is scheduled in; None where there are none, or not everybody may set it at any time."""
    group = Path(f"/proc/{pid}/autogroup")
    return int(group.read_text().split()[-1]) if group.exists() and os.geteuid() == 0 else None


async def test_process_that_stands_back_does_so_as_a_group_too() -> None:
    async with await GitCommands().open(["hash-object", "--stdin"], git_dir=None, deadline_ms=10_000) as process:
        stand_back(process.pid, 7)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 7
        assert group_priority(process.pid) in {7, None}


async def test_what_a_process_starts_stands_back_with_it() -> None:
    async with await GitCommands().open(shell("read go; nice"), git_dir=None, deadline_ms=10_000) as process:
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        stand_back(process.pid, 10)
        await process.write(b"go\n")
        assert await process.read() == b"10\n"


async def test_heavy_diff_stands_back_and_its_process_does_not_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        heavy = asyncio.create_task(counted(disk, heavy_content(1), heavy_content(2)))
        priorities = set()
        while not heavy.done():
            priorities |= {os.getpriority(os.PRIO_PROCESS, pid) for pid in children()}
            await asyncio.sleep(0)
        await heavy
        assert max(priorities) == NICENESS
        assert children() == []


async def test_short_diff_is_as_important_as_the_node_and_its_process_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        for number in range(3):
            await counted(disk, b"a\n", b"%d\n" % number)
        (stayed,) = children()
        assert os.getpriority(os.PRIO_PROCESS, stayed) == os.getpriority(os.PRIO_PROCESS, 0)


async def test_range_diff_that_takes_long_stands_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        base = disk.commit(disk.tree({b"a": ("100644", heavy_content(1))}), "base")
        old, new = (disk.commit(disk.tree({b"a": ("100644", heavy_content(seed))}), "change", base) for seed in (2, 3))
        priorities = set()

        async def compare() -> None:
            async for _ in disk.diffs.range_diff(KEY, (base, old), (base, new), creation_factor=60):
                pass

        long = asyncio.create_task(compare())
        while not long.done():
            priorities |= {os.getpriority(os.PRIO_PROCESS, pid) for pid in children()}
            await asyncio.sleep(0)
        await long
        assert {os.getpriority(os.PRIO_PROCESS, 0), NICENESS} <= priorities
