"""Crash points: sees every change of the data directory go by, and ends the process at one of them.

    before   SIGKILL instead of the change
    after    SIGKILL right behind it
    torn     half of it, then SIGKILL: half the bytes of a write, half the files of a tree, half of git's transaction

A change that changes nothing (the removal of what is not there) is no point.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from meshnode.git.durable import Change
from tests.crash.prints import Print, print_of
from tests.environment import GIT_ENVIRONMENT

BEFORE: Final = "before"
AFTER: Final = "after"
TORN: Final = "torn"
MODES: Final = (BEFORE, AFTER, TORN)

_TEARABLE: Final = {"remove_tree", "update-ref", "pack-objects", "commit-graph"}
_HEX: Final = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True)
class Point:
    """One change, or a mark (`kind` "mark"): a step that the store says is done."""

    kind: str
    path: str
    """Relative to the data directory; the name of a mark."""
    target: str = ""
    is_tearable: bool = False
    names: tuple[str, ...] = ()
    """For what git does in a repository: paths that came or went, below directories that are still there."""

    def __str__(self) -> str:
        arrow = f" -> {_short(self.target)}" if self.target else ""
        return f"{self.kind} {_short(self.path)}{arrow}"


def _short(path: str) -> str:
    return _HEX.sub(lambda found: found.group()[:4] + "~", path)


def is_idle(change: Change) -> bool:
    """Whether the change finds nothing to do."""
    match change.kind:
        case "unlink":
            return not os.path.lexists(change.path) or change.path.is_dir()
        case "remove_tree" | "remove_directory":
            return not os.path.lexists(change.path)
        case "create":
            return change.path.exists()
        case "write":
            return not change.data
        case _:
            return False


def point_of(change: Change, root: Path) -> Point:
    """The change as it is told, counted and checked."""
    return Point(
        kind=change.kind,
        path=os.path.relpath(change.path, root),
        target="" if change.target is None else os.path.relpath(change.target, root),
        is_tearable=(change.kind == "write" and len(change.data) > 1) or change.kind in _TEARABLE,
    )


class Recorder:
    """Keeps every change in order, and finds what changed on disk without having been one.

    Between the two points of an index-pack, git changes its quarantine whenever it likes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.points: list[Point] = []
        self.unseen: list[str] = []
        self._last: Print | None = None
        self._git_writes: set[str] = set()

    @contextmanager
    def __call__(self, change: Change) -> Iterator[None]:
        """See one change."""
        if is_idle(change):
            yield
            return
        point = point_of(change, self.root)
        self._compare(str(point))
        if point.kind == "index-pack":
            self._git_writes ^= {f"./{point.path}/"}
        place = len(self.points)
        self.points.append(point)
        before = print_of(self.root) if change.kind in {"update-ref", "pack-objects"} else None
        yield
        self._last = print_of(self.root)
        if before is not None:
            self.points[place] = replace(point, names=tuple(_changed(self.root, before.differs(self._last))))

    def mark(self, name: str) -> None:
        """Note that the store calls a step done."""
        self.points.append(Point("mark", name))

    def end(self) -> None:
        """Look a last time."""
        self._compare("the end")

    def _compare(self, before: str) -> None:
        if self._last is not None:
            self.unseen += [
                f"{path} before {before}"
                for path in self._last.differs(print_of(self.root))
                if not any(f"./{path}".startswith(place) for place in self._git_writes)
            ]


def _changed(root: Path, paths: list[str]) -> Iterator[str]:
    """Names that git changed and whose directory there still is."""
    for path in paths:
        name = os.path.normpath(path)
        if (root / name).parent.is_dir():
            yield name


class Killer:
    """Ends this process at its `number`-th change, counted from 1; `is_armed` may come later."""

    def __init__(self, number: int, mode: str, *, is_armed: Callable[[], bool] = lambda: True) -> None:
        assert mode in MODES
        self._left = number
        self._mode = mode
        self._is_armed = is_armed

    @contextmanager
    def __call__(self, change: Change) -> Iterator[None]:
        """See one change, or nothing any more."""
        if not self._is_armed() or is_idle(change):
            yield
            return
        self._left -= 1
        is_wanted = self._left == 0
        if is_wanted and self._mode == TORN:
            tear(change)
        if is_wanted and self._mode != AFTER:
            die()
        yield
        if is_wanted:
            die()


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def tear(change: Change) -> None:
    """Do about half of a change."""
    match change.kind:
        case "write":
            os.pwrite(change.descriptor, change.data[: len(change.data) // 2], change.offset)
        case "remove_tree":
            files = sorted(Path(folder, name) for folder, _, names in os.walk(change.path) for name in names)
            for path in files[::2]:
                path.unlink()
        case "update-ref":
            _tear_transaction(change.path, _edits(change.data))
        case "pack-objects":
            _write_half(change.path / "objects" / "pack", "tmp_pack_x", f"pack-{'0' * 40}.pack")
        case "commit-graph":
            graphs = change.path / "objects" / "info" / "commit-graphs"
            _write_half(graphs, "commit-graph-chain.lock", "tmp_graph_x")
        case _:
            pass


def _write_half(directory: Path, *names: str) -> None:
    """What a killed git leaves of files it was writing."""
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(b"half")


def _edits(stdin: bytes) -> list[str]:
    return stdin.decode().splitlines()[1:-1]


def _tear_transaction(git_dir: Path, lines: list[str]) -> None:
    """What a killed git leaves of a transaction: some references moved, the rest locked."""
    done = lines[: len(lines) // 2]
    if done:
        stdin = "\n".join(["start", *done, "commit", ""])
        environment = {**os.environ, **GIT_ENVIRONMENT, "GIT_DIR": str(git_dir)}
        subprocess.run(
            ["git", "update-ref", "--no-deref", "--stdin"],
            input=stdin.encode(),
            env=environment,
            check=True,
            capture_output=True,
        )
    for line in lines[len(done) :]:
        command, name, value = line.split(" ")[:3]
        lock = git_dir / f"{name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("" if command == "delete" else f"{value}\n")
        if command == "delete":
            (git_dir / "packed-refs.lock").touch()
            (git_dir / "packed-refs.new").write_text("# pack-refs with: peeled fully-peeled sorted \n")
