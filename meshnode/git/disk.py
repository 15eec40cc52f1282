"""Durable steps on files, and how slow disk work stays off the event loop.

The rule: a name is durable when its directory was synced after the change, bytes when their file was. Every step
that must survive a power cut says so by calling one of these. Work that was begun is finished even where the caller
is cancelled, so nothing runs on behind a caller's back and no lock file is left by a killed git.

Source: fsync(2), rename(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from meshnode.base.errors import Corrupt, MeshError, Overloaded
from meshnode.git import durable

P = ParamSpec("P")
T = TypeVar("T")

NO_SPACE: Final = "no space left on device"
NO_SPACE_IN_GIT: Final = "No space left on device"
"""How git says it, in the C locale."""
RETRY_FULL_MS: Final = 10_000
"""A full disk needs a person or a repack: retrying sooner only adds load."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def disk_full() -> Overloaded:
    """The error of a write that found no space."""
    return Overloaded(NO_SPACE, retry_after_ms=RETRY_FULL_MS)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn the system's errors into this project's: full, damaged, anything else."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full() from error
        kind = Corrupt if error.errno == errno.EIO else MeshError
        raise kind("file operation failed", cause=error.strerror, path=str(error.filename or "")) from error


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread, to its end even where the caller is cancelled; system errors are translated."""
    with disk_errors():
        return await finish_once_begun(asyncio.to_thread(work, *args, **kwargs))


async def finish_once_begun(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; a cancelled caller gets its CancelledError only when `work` has ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the caller is gone: an error of the work has nobody left to go to
        raise


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        durable.sync(descriptor, path)
    finally:
        os.close(descriptor)


sync_directory = sync_file
"""Make the names in a directory durable."""


def sync_tree(path: Path) -> None:
    """Make a small directory durable with all that is in it, itself last."""
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            sync_tree(Path(entry.path))
        else:
            sync_file(Path(entry.path))
    sync_directory(path)


def write_new(path: Path, data: bytes) -> None:
    """Put `data` into a file where nobody looks yet; nothing is synced."""
    descriptor = durable.create(path, os.O_WRONLY | os.O_TRUNC)
    try:
        durable.write(descriptor, path, data)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path` as a whole: durable bytes under another name, then renamed. The name is not synced."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = durable.create(temporary, os.O_WRONLY | os.O_TRUNC, mode)
    try:
        durable.write(descriptor, temporary, data)
        durable.sync(descriptor, temporary)
    except BaseException:
        durable.unlink(temporary, is_missing_fine=True)
        raise
    finally:
        os.close(descriptor)
    durable.rename(temporary, path)


def write_durable(path: Path, data: bytes) -> None:
    """`write_file`, and the name is durable too: two fsyncs."""
    write_file(path, data)
    sync_directory(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a directory or file with all below it; nothing happens where it does not exist."""
    if path.is_dir() and not path.is_symlink():
        durable.remove_tree(path)
    else:
        durable.unlink(path, is_missing_fine=True)


def read_file(path: Path) -> bytes | None:
    """The bytes of a file, None where it does not exist."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
