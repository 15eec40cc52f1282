"""Starts, finds and stops the processes of local nodes.

    start -> pid file -> find (is that pid still this node?) -> SIGTERM -> gone, or SIGKILL after the drain time

Rule: a pid in a file is believed only while /proc shows a process whose arguments name this node's settings
file; signals go through a pidfd opened before that check, so a number that was given to another program is never
signalled. A stale file is removed under the directory's lock only. Each node is its own session: a Ctrl-C in the
terminal is the command's to answer, not the nodes'.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.ids import NodeId
from meshnode.cli.layout import ClusterNode, Layout, replace_file
from meshnode.cli.outcome import CommandError, ExitCode

STOP_MS: Final = 45_000
"""A node drains for `limits.drain_ms` (30 s) and then closes; beyond this it hangs and is killed."""
KILLED_MS: Final = 10_000
"""How long the kernel may take to end a killed process (it may be in a disk write)."""
LOG_TAIL_LINES: Final = 8
_LOG_TAIL_BYTES: Final = 8_192
ENDING_MS: Final = 2_000
"""A process that ends loses its arguments in /proc a moment before its sockets are closed and it can be reaped."""
_PORT_POLL_S: Final = 0.02
_DEFAULT_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)

NodeCommand = Callable[[Path], Sequence[str]]
"""Gives the argument vector that serves a settings file; the file's path must be one of the arguments."""


def serve_command(config_file: Path) -> Sequence[str]:
    """`meshnode serve` by the interpreter that runs this."""
    return [sys.executable, "-m", "meshnode", "serve", "--config", str(config_file)]


@dataclass(frozen=True, slots=True)
class StartedNode:
    """A process that this command started."""

    node: NodeId
    pid: int
    log_offset: int
    """Where its own lines begin in the log file."""


_EMPTY_READS_MAX: Final = 50
_EMPTY_READ_PAUSE_S: Final = 0.01


def find_process(layout: Layout, node: NodeId) -> int | None:
    """The pid of a node's running process; a pid file that is stale is removed."""
    pid = _read_pid(layout.pid_file(node))
    if pid is not None and is_serving(pid, layout.config_file(node)):
        return pid
    _forget(layout, node)
    return None


def is_serving(pid: int, config_file: Path) -> bool:
    """Whether `pid` is alive (not a zombie) and has the settings file among its arguments.

    A process whose memory is busy just then shows no arguments, as a zombie does; it is looked at again.
    """
    for _ in range(_EMPTY_READS_MAX):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if line:
                return os.fsencode(config_file) in line.split(b"\0")
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        if state in {"Z", "X"}:
            return False
        time.sleep(_EMPTY_READ_PAUSE_S)
    return False


def start_process(layout: Layout, node: NodeId, command: NodeCommand = serve_command) -> StartedNode:
    """Start a node's process in a session of its own, its output appended to its log.

    Raises:
        CommandError: the program or the log cannot be opened.
    """
    arguments = list(command(layout.config_file(node)))
    log = layout.log_file(node)
    try:
        log.touch(mode=0o640)
        log_offset = log.stat().st_size
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=_DEFAULT_SIGNALS,
            setsigmask=(),
        )
    except OSError as error:
        raise CommandError(
            "the node's process cannot be started",
            node=node,
            detail=error.strerror,
            advice="check the directory and the Python installation with `meshnode doctor`",
            exit_code=ExitCode.SETUP,
        ) from error
    replace_file(layout.pid_file(node), f"{pid}\n")
    return StartedNode(node, pid, log_offset)


def stop_processes(layout: Layout, nodes: Sequence[NodeId], *, stop_ms: int = STOP_MS) -> dict[NodeId, str]:
    """Ask nodes to stop, all at once, wait until they are gone and kill those that stay.

    Returns per node "stopped", "killed" (did not stop in time) or "not running".

    Raises:
        CommandError: a process is another user's, or did not end even when killed.
    """
    results: dict[NodeId, str] = {}
    waiting: dict[NodeId, int] = {}
    try:
        for node in nodes:
            descriptor = _open_process(layout, node)
            if descriptor is None:
                results[node] = "not running"
            else:
                waiting[node] = descriptor
                _send(node, descriptor, signal.SIGTERM)
        deadline = time.monotonic() + stop_ms / 1_000
        for node, descriptor in waiting.items():
            results[node] = "stopped"
            if not _wait_gone(descriptor, deadline):
                _send(node, descriptor, signal.SIGKILL)
                results[node] = "killed"
                if not _wait_gone(descriptor, time.monotonic() + KILLED_MS / 1_000):
                    raise CommandError(
                        "the node's process does not end",
                        node=node,
                        advice="look at its state in /proc; a disk that hangs can cause this",
                        exit_code=ExitCode.SETUP,
                    )
            find_process(layout, node)
    finally:
        for descriptor in waiting.values():
            os.close(descriptor)
    return {node: results[node] for node in nodes}


def reap(pid: int, *, wait_ms: int = 0) -> int | None:
    """The exit code of a child that has ended (negative: the signal), None where it runs on or is not a child.

    A process loses its arguments in /proc a moment before it can be reaped; `wait_ms` bridges that.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        _wait_gone(descriptor, time.monotonic() + wait_ms / 1_000)
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    finally:
        os.close(descriptor)
    return None if ended == 0 else os.waitstatus_to_exitcode(status)


def read_log_tail(log: Path, offset: int = 0) -> tuple[str, ...]:
    """The last lines of a log, from `offset` on."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset, size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(line for line in lines if line.strip())[-LOG_TAIL_LINES:]


def check_ports_free(entries: Sequence[ClusterNode], *, wait_ms: int = 0) -> None:
    """Check that nothing listens where these nodes want to, or soon will not.

    Raises:
        CommandError: a port is still taken after `wait_ms`; field `port`.
    """
    deadline = time.monotonic() + wait_ms / 1_000
    for entry in entries:
        for what, address in (("gRPC", entry.grpc), ("HTTP", entry.http.rpartition("/")[2])):
            while not (is_free := is_port_free(address)) and time.monotonic() < deadline:
                time.sleep(_PORT_POLL_S)
            if not is_free:
                raise CommandError(
                    f"the {what} port of node {entry.node} is in use by another program",
                    port=int(address.rpartition(":")[2]),
                    advice="stop that program, or choose other ports with --base-port",
                    exit_code=ExitCode.SETUP,
                )


def is_port_free(address: str) -> bool:
    """Whether a server could listen on host:port now."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _read_pid(path: Path) -> int | None:
    try:
        pid = int(path.read_text().strip())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return pid if pid > 0 else None


def _open_process(layout: Layout, node: NodeId) -> int | None:
    """A pidfd of the node's process; it names that very process whatever becomes of the number."""
    pid = _read_pid(layout.pid_file(node))
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, OverflowError):
            descriptor = os.pidfd_open(pid)
            if is_serving(pid, layout.config_file(node)):
                return descriptor
            os.close(descriptor)
    _forget(layout, node)
    return None


def _forget(layout: Layout, node: NodeId) -> None:
    """Remove a pid file that leads nowhere, unless somebody holds the directory's lock, as whoever starts a node does.

    Without the lock, the file of a node that is being started would be taken for the stale one that was read before,
    and a node without a pid file is seen and stopped by nobody.
    """
    file = layout.pid_file(node)
    if not file.exists():
        return
    with contextlib.suppress(CommandError), layout.lock(wait_ms=0):
        pid = _read_pid(file)
        if pid is None or not is_serving(pid, layout.config_file(node)):
            file.unlink(missing_ok=True)


def _send(node: NodeId, descriptor: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise CommandError(
            "the node's process belongs to another user",
            node=node,
            advice="run the command as that user",
            exit_code=ExitCode.REFUSED,
        ) from error


def _wait_gone(descriptor: int, deadline: float) -> bool:
    """Wait until a process has ended; a child is left for `reap`."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(max(0, int((deadline - time.monotonic()) * 1_000))))
