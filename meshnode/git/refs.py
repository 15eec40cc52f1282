"""References as files: read them all, and write many at once or a symbolic one, with git's own locks.

A loose file hides the packed line of the same name, so a reader takes the loose files first: a reference that is
packed meanwhile is then found in one place or in both, never in none.

Source: gitrepository-layout(5), git-pack-refs(1); packed-refs' header as git's refs/packed-backend.c reads it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, Overloaded
from meshnode.base.ids import (
    HEAD,
    SYMBOLIC,
    ObjectId,
    RefName,
    RefValue,
    parse_ref_name,
    symbolic,
    symbolic_target,
)
from meshnode.core.refs import RefEdit
from meshnode.git import durable
from meshnode.git.disk import read_file, remove_tree, sync_directory
from meshnode.git.layout import NO_HEAD
from meshnode.git.ref_lock import RefLock

_PACKED_HEADER: Final = b"# pack-refs with: peeled fully-peeled sorted \n"
_HEX: Final = {"sha1": re.compile(r"[0-9a-f]{40}\Z"), "sha256": re.compile(r"[0-9a-f]{64}\Z")}
LOCK_WAIT_S: Final = 10.0
"""How long a lock of git's housekeeping is waited for; packing 50,000 references takes 0.1 s."""
_LOCK_RETRY_S: Final = 0.01


@dataclass(slots=True)
class DiskRefs:
    """What the files say."""

    refs: dict[RefName, RefValue] = field(default_factory=dict)
    """`HEAD` included, where there is one."""
    peeled: dict[RefName, ObjectId] = field(default_factory=dict)
    unpeeled: dict[RefName, ObjectId] = field(default_factory=dict)
    """References that may be to annotated tags; the files do not say."""


def read_refs(git_dir: Path, object_format: str) -> DiskRefs:
    """Read every reference of a repository. Raises Corrupt where a file holds no reference."""
    hex_id = _HEX[object_format]
    loose = dict(_loose_values(git_dir, "refs"))
    result = DiskRefs()
    _read_packed(git_dir, hex_id, loose, result)
    for name, text in loose.items():
        value = _parse_value(text, hex_id, name)
        result.refs[name] = value
        if symbolic_target(value) is None and not name.startswith("refs/heads/"):
            result.unpeeled[name] = ObjectId(value)
    head = _read_text(git_dir / HEAD)
    if head is None:
        raise Corrupt("repository has no HEAD", path=str(git_dir))
    if head != NO_HEAD.rstrip():
        result.refs[HEAD] = _parse_value(head, hex_id, HEAD)
    return result


def write_symbolic(git_dir: Path, name: RefName, value: RefValue | None) -> None:
    """Put a symbolic or direct value into HEAD or another loose reference, durably; None removes it.

    By hand because `git symbolic-ref` does not sync what it writes (git 2.39).
    """
    path = git_dir / name
    if value is None and name != HEAD:
        durable.unlink(path, is_missing_fine=True)
        return
    target = None if value is None else symbolic_target(value)
    text = NO_HEAD if value is None else f"{value}\n" if target is None else f"ref: {target}\n"
    durable.make_directory(path.parent)
    with _locked(path) as lock:
        lock.write(text.encode())
    sync_directory(path.parent)


def write_packed(
    git_dir: Path,
    refs: Mapping[RefName, RefValue],
    peeled: Mapping[RefName, ObjectId],
    changed: Collection[RefName],
    *,
    lock_wait_s: float = LOCK_WAIT_S,
) -> None:
    """Make `packed-refs` say `refs`, durably, then remove the loose files of `changed` that would hide it.

    One fsync of a file and one of a directory, however many references: a loose file each costs one fsync each.
    Symbolic references stay loose. Raises Overloaded where git's housekeeping keeps the lock too long.
    """
    with _locked(git_dir / "packed-refs", lock_wait_s) as file:
        file.write(_PACKED_HEADER)
        for name in sorted(refs):
            if name != HEAD and symbolic_target(refs[name]) is None:
                file.write(f"{refs[name]} {name}\n".encode())
                if name in peeled:
                    file.write(f"^{peeled[name]}\n".encode())
    sync_directory(git_dir)
    parents: set[Path] = set()
    for name in changed:
        path = git_dir / name
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            durable.unlink(path)
            parents.add(path.parent)
    for parent in parents:
        sync_directory(parent)


def remove_all_refs(git_dir: Path) -> None:
    """Leave a repository without references and HEAD, durably. Repeatable."""
    with _locked(git_dir / "packed-refs") as file:
        file.write(_PACKED_HEADER)
    for path in (git_dir / "refs").iterdir():
        remove_tree(path)
    for directory in ("heads", "tags"):
        durable.make_directory(git_dir / "refs" / directory)
    sync_directory(git_dir / "refs")
    write_symbolic(git_dir, HEAD, None)


def sync_loose(git_dir: Path, edits: Collection[RefEdit]) -> None:
    """Make the loose files of `edits` durable as names, after git renamed or removed them.

    One fsync for a branch or tag without slashes, one more where git may have rewritten packed-refs to delete one.
    """
    directories = {"."} if any(edit.new is None for edit in edits) else set()
    for edit in edits:
        parts = edit.name.split("/")[:-1]
        first = 2 if parts[1:2] in (["heads"], ["tags"]) else 1
        directories.update("/".join(parts[:end]) for end in range(first, len(parts) + 1))
    for directory in sorted(directories):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            sync_directory(git_dir / directory)


def remove_stale_locks(git_dir: Path) -> None:
    """Remove lock files of git processes that a crash or power cut ended. Only while nothing else runs here."""
    for name in ("HEAD.lock", "packed-refs.lock", "packed-refs.new", "config.lock"):
        durable.unlink(git_dir / name, is_missing_fine=True)
    for directory, _, files in os.walk(git_dir / "refs"):
        for file in files:
            if file.endswith(".lock"):
                durable.unlink(Path(directory, file), is_missing_fine=True)


def remove_locks(git_dir: Path, names: Collection[RefName]) -> None:
    """Remove the locks that a `git update-ref` of these references left when it was killed. The caller holds the replica's
    lock, so no other process of this node has taken them.
    """
    for name in ("packed-refs.lock", "packed-refs.new", "HEAD.lock", *(f"{name}.lock" for name in names)):
        with contextlib.suppress(NotADirectoryError):
            durable.unlink(git_dir / name, is_missing_fine=True)


def _loose_values(git_dir: Path, directory: str) -> Iterator[tuple[RefName, str]]:
    try:
        entries = list(os.scandir(git_dir / directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{directory}/{entry.name}"
        if not name.isascii():
            _check_utf8(name)
        if entry.is_dir(follow_symlinks=False):
            yield from _loose_values(git_dir, name)
        elif not name.endswith(".lock"):
            text = _read_text(Path(entry.path))
            if text is not None:
                yield RefName(name), text


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise Corrupt("reference has a name that is not UTF-8", ref=ascii(name)[:200]) from error


def _read_text(path: Path) -> str | None:
    data = read_file(path)
    return None if data is None else data.decode("ascii" if b"ref:" not in data else "utf-8", "replace").rstrip()


def _parse_value(text: str, hex_id: re.Pattern[str], name: RefName) -> RefValue:
    if text.startswith(SYMBOLIC):
        try:
            return symbolic(parse_ref_name(text[len(SYMBOLIC) :].strip()))
        except InvalidRequest as error:
            raise Corrupt("symbolic reference leads to no name", ref=name, value=ascii(text)[:80]) from error
    if not hex_id.match(text):
        raise Corrupt("reference holds no object id", ref=name, value=text[:80])
    return RefValue(text)


def _read_packed(git_dir: Path, hex_id: re.Pattern[str], hidden: Mapping[RefName, str], result: DiskRefs) -> None:
    data = read_file(git_dir / "packed-refs")
    if data is None:
        return
    is_peeled = data.startswith(b"# pack-refs with:") and b" fully-peeled " in data.partition(b"\n")[0] + b" "
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise Corrupt("packed-refs is not UTF-8", path=str(git_dir)) from error
    if lines.pop():
        raise Corrupt("packed-refs is cut short", path=str(git_dir))
    width = 40 if hex_id is _HEX["sha1"] else 64
    name = HEAD
    for line in lines:
        if line[:1] == "^":
            if not hex_id.match(line[1:]):
                raise Corrupt("packed-refs has a damaged line", line=line[:80])
            if name in result.refs:
                result.peeled[name] = ObjectId(line[1:])
                result.unpeeled.pop(name, None)
        elif line[:1] != "#":
            name = RefName(line[width + 1 :])
            if len(line) <= width + 1 or line[width] != " " or not hex_id.match(line[:width]):
                raise Corrupt("packed-refs has a damaged line", line=line[:80])
            if name not in hidden:
                result.refs[name] = RefValue(line[:width])
                if not is_peeled and not name.startswith("refs/heads/"):
                    result.unpeeled[name] = ObjectId(line[:width])


@contextlib.contextmanager
def _locked(path: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[RefLock]:
    """Hold git's lock on `path`; what was written replaces it on the way out, nothing does after an error."""
    lock = _take_lock(path, wait_s)
    try:
        yield lock
        lock.flush()
        lock.replace()
    finally:
        lock.release()


def _take_lock(path: Path, wait_s: float) -> RefLock:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return RefLock.take(path)
        except FileExistsError:
            if time.monotonic() > deadline:
                name = f"{path.name}.lock"
                raise Overloaded("reference file stays locked", path=name, retry_after_ms=1000) from None
            time.sleep(_LOCK_RETRY_S)
