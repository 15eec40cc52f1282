"""What starting a process costs: ours beside asyncio's own subprocess support, small and at 600 MB of memory.

usage: python -m tests.bench.spawn [--spawns 400]

Also tells what Popen takes on the loop and in a thread, where the interpreter lock is handed back and forth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from meshnode.git.command import GitCommands

AT_ONCE = 8
ROUNDS = 10
"""Turns, so that both ways meet the same weather on a shared machine."""
BALLAST_BYTES = 600 << 20


async def spawn_by_asyncio() -> None:
    """`git --version` by the loop's own subprocess support."""
    process = await asyncio.create_subprocess_exec(
        "git", "--version", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    await process.communicate()


async def measure(spawn: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Milliseconds of each of `count` spawns, eight at a time."""
    latencies_ms: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            started = time.perf_counter()
            await spawn()
            latencies_ms.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return latencies_ms


def popen() -> float:
    """Milliseconds that one Popen takes, its end not included."""
    started = time.perf_counter()
    process = subprocess.Popen(
        ["git", "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    took_ms = (time.perf_counter() - started) * 1000
    process.wait()
    return took_ms


async def where_to_spawn(count: int) -> None:
    """Popen on the loop and in a thread, in turn: how long it takes, and how long the loop then stalls."""
    took_ms: dict[str, list[float]] = {"loop": [], "thread": []}
    gaps_ms: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps_ms.append((now - last) * 1000)
            last = now

    ticking = asyncio.ensure_future(tick())
    stalls_ms: list[float] = []
    for _ in range(count):
        took_ms["loop"].append(popen())
        gaps_ms.clear()
        took_ms["thread"].append(await asyncio.to_thread(popen))
        stalls_ms.append(max(gaps_ms, default=0.0))
    ticking.cancel()
    print(
        f"Popen on the loop p50 {statistics.median(took_ms['loop']):.2f} ms;"
        f" in a thread p50 {statistics.median(took_ms['thread']):.2f} ms,"
        f" the loop stalls {statistics.median(stalls_ms):.2f} ms meanwhile"
    )


async def compare(count: int, size: str) -> None:
    """Ours and asyncio's in turn, on asyncio's loop."""
    commands = GitCommands(concurrency_max=AT_ONCE)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours += await measure(lambda: commands.run(["--version"], git_dir=None), count // ROUNDS)
        theirs += await measure(spawn_by_asyncio, count // ROUNDS)
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"{size}: ours p50 {statistics.median(ours):.2f} ms, asyncio p50 {statistics.median(theirs):.2f} ms,"
        f" ratio {ratio:.2f}"
    )


async def ours_alone(count: int, size: str) -> None:
    """Ours on the running loop."""
    commands = GitCommands(concurrency_max=AT_ONCE)
    latencies_ms = await measure(lambda: commands.run(["--version"], git_dir=None), count)
    print(f"{size}: ours p50 {statistics.median(latencies_ms):.2f} ms")


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spawns", type=int, default=400)
    count = parser.parse_args().spawns
    asyncio.run(compare(count, "asyncio's loop, small process"))
    uvloop.run(ours_alone(count, "uvloop, small process"))
    ballast = bytearray(os.urandom(4096)) * (BALLAST_BYTES // 4096)
    asyncio.run(compare(count, f"asyncio's loop, {len(ballast) >> 20} MB"))
    uvloop.run(ours_alone(count, f"uvloop, {len(ballast) >> 20} MB"))
    asyncio.run(where_to_spawn(count // 4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
