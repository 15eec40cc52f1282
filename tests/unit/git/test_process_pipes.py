"""Pipes of a git process: they keep nobody else from the loop, and what is written at once is written or refused."""

from __future__ import annotations

import asyncio
import time

import pytest

from meshnode.git.command import GitCommands
from meshnode.git.process import PIPE_BYTES
from tests.unit.git.processes import children
from tests.unit.git.test_command import shell

LONG_BYTES = 8 << 20


async def test_pipe_that_is_always_full_gives_the_loop_its_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with await GitCommands().open(
        shell(f"head -c {LONG_BYTES} /dev/zero"), git_dir=None, deadline_ms=10_000
    ) as process:
        size = 0
        while chunk := await process.read(8_192):
            size += len(chunk)
        assert size == LONG_BYTES
        assert turns >= LONG_BYTES // (128 << 10)
    counting.cancel()
    assert children() == []


async def test_output_that_nobody_wants_does_not_keep_the_loop_busy() -> None:
    commands = GitCommands()
    async with (
        await commands.open(
            shell("echo a; read go; echo b; echo >&2; read end"), git_dir=None, deadline_ms=10_000
        ) as one,
        await commands.open(shell("sleep 0.3"), git_dir=None, deadline_ms=10_000) as other,
    ):
        assert await one.read() == b"a\n"
        await one.write(b"go\n")
        spent = time.process_time()
        await other.wait()  # meanwhile there is output of the first one
        assert time.process_time() - spent < 0.15
        assert await one.read() == b"b\n"
        await one.write(b"end\n")
        assert await one.read() == b""
        assert await one.wait() == 0


async def test_what_is_written_at_once_is_there_or_refused() -> None:
    commands = GitCommands()
    async with await commands.open(shell("read a; echo $a; read b"), git_dir=None, deadline_ms=10_000) as process:
        process.write_at_once(b"line\n")
        assert await process.read() == b"line\n"
        with pytest.raises(BrokenPipeError):
            process.write_at_once(b"x" * (2 * PIPE_BYTES))
        await process.kill()
        with pytest.raises(BrokenPipeError):
            process.write_at_once(b"x")
    async with await commands.open(shell("exec true"), git_dir=None, deadline_ms=10_000) as process:
        await process.wait()
        with pytest.raises(BrokenPipeError):
            process.write_at_once(b"x")
