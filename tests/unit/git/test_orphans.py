"""What a killed node's git still does ends before the next start touches a file; nobody else's process is harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshnode.base.errors import MeshError
from meshnode.config import ReplicationSettings
from meshnode.git.command import GitCommands
from meshnode.git.orphans import end_orphans
from meshnode.git.store import open_stores
from tests.unit.git.processes import children
from tests.unit.git.test_command import shell

NODE = """
import asyncio, os, sys
from pathlib import Path
from meshnode.git.command import GitCommands
from meshnode.git.store import open_stores

async def main():
    commands = GitCommands()
    stores = open_stores(Path(sys.argv[1]), commands, None, None)
    process = await commands.open(
        ["-c", f"alias.script=!echo $PPID; read line <{sys.argv[2]} #", "script"], git_dir=None, deadline_ms=600_000
    )
    print((await process.read()).decode().strip(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def let_go(fifo: Path) -> None:
    """Whoever waits for a line of the fifo ends."""
    descriptor = os.open(fifo, os.O_RDWR)
    os.write(descriptor, b"\n")
    os.close(descriptor)


@contextmanager
def killed_node(data: Path, fifo: Path) -> Iterator[int]:
    """A node that was killed alone while its git waits for something that does not come; git's process id."""
    os.mkfifo(fifo)
    node = subprocess.Popen([sys.executable, "-c", NODE, str(data), str(fifo)], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    orphan = int(node.stdout.readline())
    node.kill()
    node.wait()
    node.stdout.close()
    try:
        yield orphan
    finally:
        let_go(fifo)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_a_start_ends_git_processes_of_the_life_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    with killed_node(data, tmp_path / "fifo") as orphan:
        assert is_running(orphan)
        open_stores(data, GitCommands(), None, ReplicationSettings())
        assert not is_running(orphan)
    ended = [record for record in caplog.records if record.message == "orphans_ended"]
    assert orphan in ended[0].__dict__["pids"]


def test_git_of_another_directory_and_programs_that_are_not_git_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with killed_node(other, tmp_path / "fifo") as orphan, (tmp_path / "lock").open("w") as lock:
        holder = subprocess.Popen(["sleep", "600"], pass_fds=(lock.fileno(),))
        try:
            assert end_orphans(lock.fileno()) == 0
            assert is_running(orphan)
            assert holder.poll() is None
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()


def test_a_directory_that_is_in_use_keeps_its_git_processes(tmp_path: Path) -> None:
    """The lock comes first: only who has it may end what the holder before left."""
    data = tmp_path / "data"
    script = NODE.replace("await asyncio.Event().wait()", "sys.stdin.read(1)")
    os.mkfifo(tmp_path / "fifo")
    node = subprocess.Popen(
        [sys.executable, "-c", script, str(data), str(tmp_path / "fifo")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdout is not None
    assert node.stdin is not None
    git = int(node.stdout.readline())
    try:
        with pytest.raises(MeshError, match="in use"):
            open_stores(data, GitCommands(), None, ReplicationSettings())
        assert is_running(git)
    finally:
        let_go(tmp_path / "fifo")
        node.kill()
        node.communicate()


async def test_a_store_that_is_dropped_leaves_nothing_to_inherit(tmp_path: Path) -> None:
    commands = GitCommands()
    open_stores(tmp_path / "data", commands, None, ReplicationSettings())  # gone at once
    done = await commands.run(shell("ls /proc/self/fd"), git_dir=None)
    assert done.returncode == 0
    assert done.stdout.split() == [b"0", b"1", b"2", b"3"]  # the last one is how ls reads the directory
    assert children() == []
