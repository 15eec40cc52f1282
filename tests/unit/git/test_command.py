"""Processes start clean, stay within their bounds, and are gone with everything they started."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from meshnode.base.errors import DeadlineExceeded, MeshError, Overloaded
from meshnode.git.command import Completed, GitCommands
from meshnode.git.process import STDERR_TAIL_BYTES, GitProcess
from tests.unit.git.conftest import Run
from tests.unit.git.processes import children


def shell(script: str) -> list[str]:
    """Arguments that make git run a shell script, so that tests need no other way to spawn."""
    return ["-c", f"alias.script=!{script} #", "script"]


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie (an orphan's reaping is up to the machine's init)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_dead(pid: int) -> None:
    async with asyncio.timeout(10):
        while is_running(pid):  # noqa: ASYNC110 - not our child: nothing announces its end
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True, scope="module")
def _locks_given_back() -> None:
    """A store that a test of another file dropped must not give its lock back in the middle of one of these."""
    gc.collect()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever a test does to a process, neither it nor a descriptor of it is left."""
    before = descriptors()
    yield
    assert children() == []
    assert descriptors() == before


@contextlib.asynccontextmanager
async def opened(script: str, *, deadline_ms: int = 30_000, stdin: bool = True) -> AsyncIterator[GitProcess]:
    async with await GitCommands().open(shell(script), git_dir=None, deadline_ms=deadline_ms, stdin=stdin) as process:
        yield process


# ---------------------------------------------------------------- run


def test_output_errors_and_exit_code_come_back(run: Run) -> None:
    async def scenario() -> None:
        commands = GitCommands()
        done = await commands.run(shell("cat; echo problem >&2; exit 3"), git_dir=None, stdin=b"hello")
        assert (done.returncode, done.stdout, done.stderr) == (3, b"hello", b"problem\n")

    run(scenario())


def test_input_and_output_larger_than_pipes_come_through(run: Run) -> None:
    async def scenario() -> None:
        data = os.urandom(5 << 20)
        assert (await GitCommands().run(shell("cat"), git_dir=None, stdin=data)).stdout == data

    run(scenario())


def test_process_that_does_not_read_its_input_is_no_error(run: Run) -> None:
    async def scenario() -> None:
        done = await GitCommands().run(shell("echo ok"), git_dir=None, stdin=b"x" * (5 << 20))
        assert (done.returncode, done.stdout) == (0, b"ok\n")

    run(scenario())


async def test_input_is_empty_without_stdin() -> None:
    done = await GitCommands().run(shell("cat; echo end"), git_dir=None)
    assert done.stdout == b"end\n"


async def test_process_killed_by_a_signal_has_a_negative_code() -> None:
    done = await GitCommands().run(["version"], git_dir=None, environment={"GIT_TRACE2_EVENT": "/dev/null"})
    assert done.returncode == 0
    async with opened("sleep 100") as process:
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM


async def test_environment_is_built_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # beside a linked work tree git itself tells an alias of its GIT_DIR
    monkeypatch.setenv("GIT_DIR", "/somewhere/else")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare=false'")
    monkeypatch.setenv("SECRET", "value")
    done = await GitCommands().run(shell("env"), git_dir=None, environment={"GIT_QUARANTINE_PATH": "/q"})
    names = {line.split("=")[0] for line in done.stdout.decode().splitlines()}
    assert "SECRET" not in names
    assert "GIT_DIR" not in names
    assert b"somewhere" not in done.stdout
    assert b"HOME=/nonexistent\n" in done.stdout
    assert b"LC_ALL=C\n" in done.stdout
    assert b"GIT_TERMINAL_PROMPT=0\n" in done.stdout
    assert b"GIT_QUARANTINE_PATH=/q\n" in done.stdout


async def test_settings_given_reach_git_and_no_others_do(tmp_path: Path) -> None:
    commands = GitCommands()
    assert (await commands.run(["init", "-q", "--bare", str(tmp_path / "r.git")], git_dir=None)).returncode == 0
    done = await commands.run(
        ["config", "--list", "--show-scope"],
        git_dir=tmp_path / "r.git",
        config=("uploadpack.hideRefs=refs/hidden", "user.name=A = B"),
    )
    lines = done.stdout.decode().splitlines()
    assert "command\tuploadpack.hiderefs=refs/hidden" in lines
    assert "command\tuser.name=A = B" in lines
    assert "command\tsafe.directory=*" in lines
    assert {line.split("\t")[0] for line in lines} == {"command", "local"}


async def test_process_has_no_terminal_and_a_session_of_its_own() -> None:
    async with opened("ps -o sid= -p $$; (: </dev/tty) 2>&1 | grep -c .", stdin=False) as process:
        assert os.getsid(process.pid) == process.pid
        assert os.getpgid(process.pid) == process.pid
        assert process.pid != os.getsid(0)


def test_run_past_its_deadline_is_killed(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            await GitCommands().run(shell("echo some; sleep 100"), git_dir=None, deadline_ms=100)
        assert caught.value.fields["deadline_ms"] <= 100  # type: ignore[operator]

    run(scenario())


async def test_more_output_than_allowed_is_refused() -> None:
    with pytest.raises(Overloaded, match="more output"):
        await GitCommands().run(shell("cat /dev/zero"), git_dir=None, stdout_bytes_max=1 << 20)


def test_cancelled_run_leaves_nothing(run: Run) -> None:
    async def scenario() -> None:
        task = asyncio.ensure_future(GitCommands().run(shell("sleep 100"), git_dir=None))
        async with asyncio.timeout(10):
            while not children():  # noqa: ASYNC110 - the kernel sets no event
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() == []

    run(scenario())


async def test_argument_with_a_nul_is_refused_and_its_place_is_free_again() -> None:
    commands = GitCommands(concurrency_max=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="null byte"):
            await commands.run(["cat-file", "a\0b"], git_dir=None)
    assert (await commands.run(["version"], git_dir=None)).returncode == 0


async def test_node_without_descriptors_says_it_is_overloaded_and_recovers() -> None:
    commands = GitCommands(concurrency_max=2)
    outcomes = set()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [number for number in range(200) if str(number) not in descriptors()]
    for limit in free[:14]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            (result,) = await asyncio.gather(
                commands.run(shell("cat"), git_dir=None, stdin=b"x"), return_exceptions=True
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        outcomes.add(type(result))
        if isinstance(result, Overloaded):
            assert isinstance(result.__cause__, OSError)
            assert result.__cause__.errno == errno.EMFILE
    assert outcomes == {Overloaded, Completed}
    assert (await commands.run(["version"], git_dir=None)).returncode == 0


def test_missing_git_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeshError, match="not installed"):
        GitCommands()


async def test_git_that_cannot_be_executed_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "git").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeshError, match="cannot start git"):
        await GitCommands().run(["version"], git_dir=None)


# ---------------------------------------------------------------- bounds


async def test_no_more_than_the_limit_run_at_once_and_the_rest_wait() -> None:
    commands = GitCommands(concurrency_max=2)
    tasks = [asyncio.ensure_future(commands.run(shell("sleep 0.05"), git_dir=None)) for _ in range(6)]
    seen = set()
    while not all(task.done() for task in tasks):
        seen.add(len(children()))
        await asyncio.sleep(0.001)
    assert max(seen) == 2
    assert [task.result().returncode for task in tasks] == [0] * 6


async def test_wait_for_a_place_counts_as_time() -> None:
    commands = GitCommands(concurrency_max=1)
    first = asyncio.ensure_future(commands.run(shell("sleep 100"), git_dir=None))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded, match="no place"):
        await commands.run(["version"], git_dir=None, deadline_ms=50)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await commands.run(["version"], git_dir=None)).returncode == 0


async def test_queue_is_bounded() -> None:
    commands = GitCommands(streams_max=1, queue_max=0)
    async with await commands.open(shell("cat"), git_dir=None, deadline_ms=10_000):
        with pytest.raises(Overloaded, match="too many"):
            await commands.open(["version"], git_dir=None, deadline_ms=10_000)
    async with await commands.open(["version"], git_dir=None, deadline_ms=10_000) as process:
        assert await process.wait() == 0


async def test_long_streams_do_not_keep_short_commands_waiting() -> None:
    commands = GitCommands(concurrency_max=1, streams_max=1)
    async with await commands.open(shell("cat"), git_dir=None, deadline_ms=10_000):
        assert (await commands.run(["version"], git_dir=None)).returncode == 0


# ---------------------------------------------------------------- open


def test_conversation_goes_back_and_forth(run: Run) -> None:
    async def scenario() -> None:
        async with opened("exec cat") as process:
            for number in range(100):
                line = f"line {number}\n".encode()
                await process.write(line)
                assert await process.read() == line
            assert process.returncode is None
            await process.close_stdin()
            assert await process.read() == b""
            assert await process.wait() == 0
            assert process.returncode == 0

    run(scenario())


def test_bulk_reading_gathers_small_writes_and_loses_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with opened("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done", stdin=False) as process:
            chunks = []
            while chunk := await process.read_bulk(1_000):
                chunks.append(chunk)
            assert b"".join(chunks).split() == [b"%d" % number for number in range(3_000)]
            assert max(map(len, chunks)) <= 1_000
            assert await process.wait() == 0

    run(scenario())


def test_write_waits_while_the_process_is_behind(run: Run) -> None:
    async def scenario() -> None:
        async with opened("exec cat") as process:
            data = os.urandom(8 << 20)
            writer = asyncio.ensure_future(process.write(data))
            received = b""
            while len(received) < len(data):
                received += await process.read(100_000)
                assert not writer.done() or len(received) > 2 << 20
            await writer
            assert received == data

    run(scenario())


def test_write_to_a_process_that_is_gone_is_a_broken_pipe(run: Run) -> None:
    async def scenario() -> None:
        async with opened("exit 0") as process:
            with pytest.raises(BrokenPipeError):
                await process.write(b"x" * (50 << 20))
            assert await process.wait() == 0

    run(scenario())


def test_write_that_waits_is_woken_when_the_process_stops_reading(run: Run) -> None:
    async def scenario() -> None:
        async with opened("exec 3<&0; head -c 10 >/dev/null; exit 0") as process:
            with pytest.raises(BrokenPipeError):
                await process.write(b"x" * (50 << 20))

    run(scenario())


async def test_write_after_the_input_was_closed_is_a_broken_pipe() -> None:
    async with opened("cat") as process:
        await process.close_stdin()
        await process.close_stdin()
        with pytest.raises(BrokenPipeError):
            await process.write(b"x")


def test_deadline_is_seen_by_reader_writer_and_waiter(run: Run) -> None:
    async def scenario() -> None:
        async with opened("sleep 100", deadline_ms=100) as process:
            results = await asyncio.gather(
                process.read(), process.write(b"x" * (50 << 20)), process.wait(), return_exceptions=True
            )
            assert [type(result) for result in results] == [DeadlineExceeded] * 3
            with pytest.raises(DeadlineExceeded):
                await process.write(b"x")

    run(scenario())


def test_exit_before_the_deadline_is_no_deadline(run: Run) -> None:
    async def scenario() -> None:
        async with opened("exit 7", deadline_ms=10_000) as process:
            assert await process.read() == b""
            assert await process.wait() == 7

    run(scenario())


def test_kill_takes_the_whole_group_and_may_be_repeated(run: Run) -> None:
    async def scenario() -> None:
        async with opened("sleep 1000 & echo $!; wait") as process:
            grandchild = int(await process.read())
            assert is_running(grandchild)
            await asyncio.gather(process.kill(), process.kill())
            await process.kill()
            assert process.returncode == -signal.SIGKILL
            assert await process.read() == b""
            await until_dead(grandchild)

    run(scenario())


def test_what_a_process_leaves_behind_goes_with_it(run: Run) -> None:
    async def scenario() -> None:
        async with opened("sleep 1000 & echo $!") as process:
            assert await process.wait() == 0
            await until_dead(int(await process.read()))
            assert await process.read() == b""

    run(scenario())


def test_kill_that_is_cancelled_still_reaps(run: Run) -> None:
    async def scenario() -> None:
        process = await GitCommands().open(shell("sleep 100"), git_dir=None, deadline_ms=30_000)
        task = asyncio.ensure_future(process.kill())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await process.wait() == -signal.SIGKILL

    run(scenario())


def test_reader_is_woken_when_another_task_kills(run: Run) -> None:
    async def scenario() -> None:
        async with opened("sleep 100") as process:
            reader = asyncio.ensure_future(process.read())
            writer = asyncio.ensure_future(process.write(b"x" * (50 << 20)))
            await asyncio.sleep(0)
            await process.kill()
            assert await reader == b""
            with pytest.raises(BrokenPipeError):
                await writer

    run(scenario())


def test_only_the_end_of_a_long_complaint_is_kept(run: Run) -> None:
    async def scenario() -> None:
        async with opened("head -c 1000000 /dev/zero >&2; echo the end >&2") as process:
            assert await process.wait() == 0
            assert len(process.stderr_bytes) == STDERR_TAIL_BYTES
            assert process.stderr_tail.endswith("the end\n")

    run(scenario())


def test_lines_of_the_complaint_are_handed_out_as_they_come(run: Run) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        script = r"printf 'one\rtwo\n\n' >&2; head -c 10000 /dev/zero | tr '\\000' x >&2; printf '\nlast' >&2"
        async with await GitCommands().open(
            shell(script), git_dir=None, deadline_ms=10_000, on_stderr=lines.append
        ) as process:
            assert await process.wait() == 0
        assert lines[:2] == ["one", "two"]
        assert lines[-1] == "last"
        assert max(map(len, lines)) <= 4_096

    run(scenario())
