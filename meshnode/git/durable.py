"""Every change that this adapter makes to its data directory: one function for each kind, and no other way.

    create write truncate sync rename unlink make_directory remove_directory remove_tree by_git

The rule: nothing else in `meshnode.git` changes a file or a name (`tests/unit/git/test_durable.py` reads the code).
So whoever sees these calls has seen every state that a crash can leave on disk; what lies in a workshop is no state,
it goes whole with the next start. An observer sees each of them before and after it is done; a test's observer ends
the process there, or checks the order of syncs (`tests/crash`).

Production cannot be armed: nothing in this package calls `observe`, and no setting, argument or variable of the
environment leads to it. Without an observer a call costs 0.5 us more than the system call it makes.

Source: fsync(2), rename(2), unlink(2).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Change:
    """One change that is about to be made."""

    kind: str
    """The name of the function of this module, or git's command."""
    path: Path
    target: Path | None = None
    """Where a rename leads."""
    descriptor: int = -1
    data: bytes = b""
    """What is written, or what git is told."""
    offset: int = 0


Observer: TypeAlias = Callable[[Change], AbstractContextManager[None]]
"""Entered before the change and left after it; may not return at all."""

_observer: Observer | None = None
_UNOBSERVED: Final = nullcontext()


def observe(observer: Observer | None) -> None:
    """Have every change of this process seen by `observer`. For test processes only."""
    global _observer  # noqa: PLW0603 - threads of the disk have no other way in common that costs nothing
    _observer = observer


def create(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file that may come into being by it; the descriptor. `flags` are added to O_CREAT and O_CLOEXEC."""
    with _seen("create", path):
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)


def write(descriptor: int, path: Path, data: bytes, offset: int = 0) -> None:
    """Write all of `data` at an offset."""
    with _seen("write", path, descriptor=descriptor, data=data, offset=offset):
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]
            offset += written


def truncate(descriptor: int, path: Path, size: int) -> None:
    """Cut a file."""
    with _seen("truncate", path, descriptor=descriptor, offset=size):
        os.ftruncate(descriptor, size)


def sync(descriptor: int, path: Path) -> None:
    """Make a file's bytes, or the names in a directory, durable."""
    with _seen("sync", path, descriptor=descriptor):
        os.fsync(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file or directory another name, in place of what has it."""
    with _seen("rename", source, target):
        source.rename(target)


def unlink(path: Path, *, is_missing_fine: bool = False) -> None:
    """Remove a file's name."""
    with _seen("unlink", path):
        path.unlink(missing_ok=is_missing_fine)


def make_directory(path: Path) -> None:
    """Make a directory and, one by one, those above it that are missing; nothing happens where it is there."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with _seen("make_directory", path):
        path.mkdir(exist_ok=True)


def make_unique_directory(parent: Path, prefix: str = "") -> Path:
    """Make a directory whose name nothing else has."""
    with _seen("make_directory", parent / prefix):
        return Path(tempfile.mkdtemp(dir=parent, prefix=prefix))


def remove_directory(path: Path) -> None:
    """Remove an empty directory."""
    with _seen("remove_directory", path):
        path.rmdir()


def remove_tree(path: Path) -> None:
    """Remove a directory with all below it, as far as it can be."""
    with _seen("remove_tree", path):
        shutil.rmtree(path, ignore_errors=True)


def by_git(command: str, place: Path, stdin: bytes = b"") -> AbstractContextManager[None]:
    """Around what a git process changes: `command` is told `stdin` and works on `place`."""
    return _seen(command, place, data=stdin)


def _seen(
    kind: str, path: Path, target: Path | None = None, *, descriptor: int = -1, data: bytes = b"", offset: int = 0
) -> AbstractContextManager[None]:
    if _observer is None:
        return _UNOBSERVED
    return _observer(Change(kind, path, target, descriptor, data, offset))
