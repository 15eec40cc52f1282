"""Starts a real cluster on this machine through the CLI, harms it, and takes it away for sure.

Everything goes through what users have: the `meshnode` command, pid files, signals, HTTP. What a test may look at
besides is the disk (`replica_path`, `leftovers`) and /proc (`git_processes`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.raw import send
from tests.e2e.waiting import wait_until

READY_S = 60.0
"""Time for a node to come up on a machine that is busy with other tests."""

_ROOT = Path(__file__).resolve().parents[2]


def find_base_port(nodes: int = 3) -> int:
    """A port P below the ephemeral range such that every port of a cluster with `--base-port P` is free."""
    chance = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))
    for _ in range(200):
        base = chance.randrange(18_000, 32_000, 100)
        if all(_is_free(base + 10 * k + shift) for k in range(nodes) for shift in (0, 3)):
            return base
    raise RuntimeError("no free ports between 18000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Cluster:
    """A cluster of `nodes` nodes below `data`; nodes are numbered from 1."""

    data: Path
    nodes: int = 3
    catalog: str = ""
    """Passed to `up --catalog`; "" is the CLI's default, sqlite."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings of the nodes, as MESHNODE_SECTION__KEY."""
    base_port: int = 0

    def up(self) -> subprocess.CompletedProcess[str]:
        """Start what is not running; returns when every node is ready."""
        if not self.base_port:
            self.base_port = find_base_port(self.nodes)
        arguments = ["up", "--nodes", str(self.nodes), "--base-port", str(self.base_port), "--detach"]
        if self.catalog:
            arguments += ["--catalog", self.catalog]
        return self.meshnode(*arguments, timeout_s=2 * READY_S)

    def down(self) -> None:
        """Stop every node gracefully."""
        self.meshnode("down", timeout_s=READY_S)

    def close(self) -> None:
        """Kill every node, one without a pid file yet too, and wait until none is left; none need be there."""
        pids = [pid for node in self.numbers for pid in _processes_of(self.node_path(node))]
        pids += [child for pid in pids for child, _ in descendants(pid)]
        for pid in pids:
            _kill_group(pid, signal.SIGKILL)
        wait_until(lambda: not any(is_running(pid) for pid in pids), deadline_s=20, what=f"{pids} end")

    @property
    def numbers(self) -> range:
        """1 to `nodes`."""
        return range(1, self.nodes + 1)

    def meshnode(
        self, *arguments: str, check: bool = True, timeout_s: float = 60, data: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the `meshnode` command on this cluster."""
        command = [sys.executable, "-m", "meshnode", *arguments]
        if data:
            command += ["--data", str(self.data)]
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"meshnode {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments: str) -> Any:
        """The answer of a listing with `--json`."""
        return json.loads(self.meshnode(*arguments, "--json").stdout)

    # ------------------------------------------------------------ one node

    def node_path(self, node: int) -> Path:
        """A node's data directory."""
        return self.data / f"n{node}"

    def grpc(self, node: int) -> str:
        """host:port of a node's gRPC server."""
        return f"127.0.0.1:{self.base_port + 10 * (node - 1)}"

    def http(self, node: int) -> str:
        """URL of a node's HTTP server, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port(node)}"

    def http_port(self, node: int) -> int:
        """Port of a node's HTTP server."""
        return self.base_port + 10 * (node - 1) + 3

    def url(self, node: int, name: str) -> str:
        """What to give to git for a repository."""
        return f"{self.http(node)}/{name}.git"

    def pid(self, node: int) -> int:
        """The node's process, 0 where it does not run."""
        try:
            pid = int((self.node_path(node) / "meshnode.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0
        return pid if is_running(pid) and _is_ours(pid, self.node_path(node)) else 0

    def kill(self, node: int) -> None:
        """`kill -9` a node; returns when it is gone."""
        pid = self.pid(node)
        assert pid, f"n{node} is not running"
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), deadline_s=20, what=f"n{node} dies")

    def start(self, node: int) -> None:
        """Start a node that is down; returns when it is ready."""
        self.meshnode("start", f"n{node}", timeout_s=2 * READY_S)
        self.wait_ready(node)

    def stop(self, node: int) -> None:
        """Stop a node gracefully."""
        self.meshnode("stop", f"n{node}", timeout_s=2 * READY_S)

    def wait_ready(self, node: int) -> None:
        """Wait until the node answers /readyz with 200."""
        wait_until(lambda: self.is_ready(node), deadline_s=READY_S, what=f"n{node} is ready")

    def is_ready(self, node: int) -> bool:
        """Whether the node says that it is ready."""
        return send(self.http_port(node), "GET", "/readyz", timeout_s=5).status == 200

    def log_tail(self, node: int, lines: int = 30) -> str:
        """The end of a node's log."""
        try:
            return "\n".join((self.node_path(node) / "node.log").read_text().splitlines()[-lines:])
        except OSError:
            return ""

    # ------------------------------------------------------------ one repository

    def repository(self, name: str) -> dict[str, Any]:
        """What `repo show --json` says."""
        answer: dict[str, Any] = self.json("repo", "show", name)
        return answer

    def generation(self, name: str) -> int:
        """Committed writes of a repository."""
        return int(self.repository(name)["generation"])

    def is_consistent(self, name: str, *, generation: int = 0) -> bool:
        """Whether all replicas are consistent and applied, at `generation` or later."""
        shown = self.repository(name)
        replicas = shown["replicas"]
        return (
            len(replicas) == min(self.nodes, 3)
            and int(shown["generation"]) >= generation
            and all(
                replica["consistent"] and int(replica["generation"]) == int(shown["generation"]) for replica in replicas
            )
        )

    def wait_consistent(self, name: str, *, generation: int = 0, deadline_s: float = 60) -> None:
        """Wait until every replica has everything."""
        wait_until(
            lambda: self.is_consistent(name, generation=generation),
            deadline_s=deadline_s,
            what=f"{name} is consistent on every node at generation {generation} or later",
        )

    def replica_path(self, node: int, name: str) -> Path:
        """The repository's directory on a node."""
        shown = self.repository(name)
        base = self.node_path(node) / "repositories"
        found = sorted(base.glob(f"*/{shown['id']}"))
        assert len(found) == 1, f"{name} is in {found} below {base}"
        return found[0]

    # ------------------------------------------------------------ what must not be left behind

    def leftovers(self, node: int) -> list[Path]:
        """Locks, quarantines, journal records and temporary files on a node's disk."""
        return leftovers_below(self.node_path(node))

    def git_processes(self, node: int) -> list[str]:
        """Command lines of git processes at work for a node; its idle readers of objects and trees stay and do not count."""
        root = self.pid(node)
        return [
            line
            for pid, line in descendants(root)
            if "git" in line.split(" ")[0] and not _is_idle_reader(line) and is_running(pid)
        ]

    def wait_quiet(self, *, deadline_s: float = 30) -> None:
        """Wait until no running node has a git process or anything left over."""
        wait_until(lambda: not self._remains(), deadline_s=deadline_s, what="nothing is left behind")

    def _remains(self) -> list[str]:
        remains = []
        for node in self.numbers:
            if self.pid(node):
                remains += self.git_processes(node) + [str(path) for path in self.leftovers(node)]
        if remains:
            raise AssertionError(f"left behind: {remains[:5]}")
        return remains


def _is_idle_reader(line: str) -> bool:
    return "cat-file --batch-command" in line or ("diff-tree" in line and line.rstrip().endswith(" --stdin --"))


@contextlib.contextmanager
def running_cluster(data: Path, **settings: Any) -> Iterator[Cluster]:
    """A cluster that is up, and surely gone afterwards; logs are shown where the start fails."""
    cluster = Cluster(data, **settings)
    try:
        cluster.up()
        yield cluster
    except RuntimeError as error:
        logs = "\n".join(f"--- n{node}\n{cluster.log_tail(node)}" for node in cluster.numbers)
        raise AssertionError(f"{error}\n{logs}") from error
    finally:
        cluster.close()


def find_program(name: str, *, package: str) -> str:
    """The path of a program; fails, with what to install, where it is missing."""
    search = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/bin", str(Path.home() / "go/bin")]
    )
    found = shutil.which(name, path=search)
    if found is None:
        raise AssertionError(f"{name} is missing: run make test-setup (Debian package {package})")
    return found


def git(
    *arguments: str,
    cwd: Path | None = None,
    config: Sequence[str] = (),
    check: bool = True,
    timeout_s: float = 120,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run stock git with a clean environment (`tests/conftest.py` sets it); `config` are `key=value`."""
    options = [part for item in config for part in ("-c", item)]
    done = subprocess.run(
        ["git", *options, *arguments],
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"git {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def list_refs(url: str | Path, *, config: Sequence[str] = ()) -> dict[str, str]:
    """`git ls-remote` as a map of names, peeled lines included, to object ids."""
    lines = git("ls-remote", str(url), config=config).stdout.splitlines()
    return {name: oid for oid, name in (line.split("\t") for line in lines)}


def leftovers_below(base: Path) -> list[Path]:
    """Locks, quarantines, journal records and temporary files in a node's data directory."""
    found = []
    for folder, _, files in os.walk(base):
        where = Path(folder)
        for file in files:
            path = where / file
            inside = set(path.relative_to(base).parts[:-1])
            is_transient = inside & {"quarantine", "incoming", "journal", "trash", "tmp"}
            is_lock = file.endswith(".lock") and "refs" in {*inside, file.partition(".")[0].removeprefix("packed-")}
            if is_transient or is_lock or file.startswith(("tmp_pack", "tmp_idx", "tmp_obj")):
                found.append(path)
    return found


def descendants(root: int) -> list[tuple[int, str]]:
    """Processes that a process started, theirs included: pid and command line."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[tuple[int, str]] = []
    waiting = [root] if root else []
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((child, line))
    return found


def _is_ours(pid: int, node_path: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(node_path).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _processes_of(node_path: Path) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _is_ours(pid, node_path) and is_running(pid)]


def _kill_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
