"""The benchmark and the demo, asked to end: nothing of what they started stays, whenever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]


def processes_of(directory: Path) -> list[str]:
    """Command lines that name the directory: nodes, servers and clients of a program that works below it."""
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(directory) in line:
            lines.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return lines


def nodes_of(directory: Path) -> int:
    return sum(" serve " in line for line in processes_of(directory))


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("command", [("tests.bench.run", "--only", "refs"), ("tests.e2e.demo",)])
def test_nothing_is_left_of_a_program_that_is_asked_to_end(
    tmp_path: Path, command: tuple[str, ...], nodes: int
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: nodes_of(tmp_path) >= nodes, deadline_s=60, what=f"{nodes} nodes run")
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
