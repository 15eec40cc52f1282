"""A round's reference edits on disk, whole, in a repository only this node writes to.

    few edits    one `git update-ref --stdin` with the old values, one fsync a reference and directory
    many edits, a replay, or git said no    read everything, check, write packed-refs once

The second way is what makes the first safe to repeat: a reference at its new value already is passed over, one that
is at neither its old nor its new value is damage. It costs the same for ten edits or ten thousand, and it does not
care about a name that goes away where another needs its directory.

Source: git-update-ref(1).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, DeadlineExceeded
from meshnode.base.ids import HEAD, ObjectId, RefName, RefValue, symbolic_target
from meshnode.core.refs import RefEdit
from meshnode.git import durable
from meshnode.git.command import GitCommands
from meshnode.git.disk import NO_SPACE_IN_GIT, disk_full, on_disk
from meshnode.git.refs import DiskRefs, read_refs, remove_locks, write_packed, write_symbolic

log = logging.getLogger("meshnode.git")

FEW_EDITS_MAX: Final = 100
"""Loose files cost an fsync each and make every later read slower; packed-refs costs 25 ms at 50,000 references."""

_CONFIG: Final = ("core.fsync=reference", "core.packedRefsTimeout=10000", "core.filesRefLockTimeout=2000")


async def write_edits(
    commands: GitCommands, git_dir: Path, object_format: str, edits: Sequence[RefEdit]
) -> Sequence[RefEdit]:
    """Bring references to the `new` of each edit, HEAD aside. Repeatable.

    Returns the edits whose names are not durable yet: the caller passes them to `refs.sync_loose`, in the same
    thread as what it has to sync next.

    Raises:
        Corrupt: a reference is at neither its old nor its new value, or a new value's object is missing.
        Overloaded: no space left, or git's housekeeping keeps a lock too long.
    """
    direct = [edit for edit in edits if edit.name != HEAD]
    if not direct:
        return ()
    if (
        len(direct) <= FEW_EDITS_MAX
        and not any(map(_is_symbolic, direct))
        and await _try_update_ref(commands, git_dir, direct)
    ):
        return direct
    disk = await read_disk(commands, git_dir, object_format)
    check_edits(disk.refs, direct)
    rest = [edit for edit in direct if disk.refs.get(edit.name) != edit.new]
    if not rest:
        return direct
    await _write_whole(commands, git_dir, disk, rest)
    return ()


async def _write_whole(commands: GitCommands, git_dir: Path, disk: DiskRefs, edits: Sequence[RefEdit]) -> None:
    """Write what `disk` says with `edits` applied as one packed-refs. Raises Corrupt for a missing object."""
    refs, peeled = dict(disk.refs), dict(disk.peeled)
    for edit in edits:
        refs.pop(edit.name, None)
        peeled.pop(edit.name, None)
        if edit.new is not None:
            refs[edit.name] = edit.new
    new = {edit.name: ObjectId(edit.new) for edit in edits if edit.new and symbolic_target(edit.new) is None}
    peeled |= await peel(commands, git_dir, new)
    await on_disk(_write, git_dir, refs, peeled, edits)


async def read_disk(commands: GitCommands, git_dir: Path, object_format: str) -> DiskRefs:
    """Read every reference, and peel what the files do not. Raises Corrupt."""
    disk = await on_disk(read_refs, git_dir, object_format)
    if disk.unpeeled:
        disk.peeled |= await peel(commands, git_dir, disk.unpeeled, is_missing_fine=True)
        disk.unpeeled = {}
    return disk


async def peel(
    commands: GitCommands, git_dir: Path, values: Mapping[RefName, ObjectId], *, is_missing_fine: bool = False
) -> dict[RefName, ObjectId]:
    """What annotated tags among `values` lead to, by reference name. One process, none for no values.

    Raises:
        Corrupt: an object is missing, unless `is_missing_fine`.
    """
    if not values:
        return {}
    completed = await commands.run(
        ["cat-file", "--batch-check=%(objectname)", "--buffer"],
        git_dir=git_dir,
        stdin="".join(f"{oid}^{{}}\n" for oid in values.values()).encode(),
        environment={"GIT_NO_REPLACE_OBJECTS": "1"},
    )
    answers = completed.stdout.decode().split("\n")
    if completed.returncode != 0 or len(answers) != len(values) + 1:
        raise Corrupt("git cannot look up objects", detail=completed.stderr.decode(errors="replace")[-500:])
    result: dict[RefName, ObjectId] = {}
    for (name, oid), answer in zip(values.items(), answers, strict=False):
        if " " in answer:
            if not is_missing_fine:
                raise Corrupt("reference would name a missing object", ref=name, oid=oid)
        elif answer != oid:
            result[name] = ObjectId(answer)
    return result


def check_edits(refs: Mapping[RefName, RefValue], edits: Sequence[RefEdit]) -> None:
    """Check that each reference is where an edit starts or where it leads. Raises Corrupt."""
    for edit in edits:
        actual = refs.get(edit.name)
        if actual not in (edit.old, edit.new):
            raise Corrupt(
                "reference is at neither its old nor its new value", ref=edit.name, expected=edit.old, actual=actual
            )


async def _try_update_ref(commands: GitCommands, git_dir: Path, edits: Sequence[RefEdit]) -> bool:
    """One transaction by git; False where it refused, or was killed: then nothing, a part or all of it is done.

    Raises:
        DeadlineExceeded: it took too long, and was killed.
    """
    stdin = f"start\n{''.join(map(_command, edits))}commit\n".encode()
    names = [edit.name for edit in edits]
    try:
        with durable.by_git("update-ref", git_dir, stdin):
            completed = await commands.run(
                ["update-ref", "--no-deref", "--stdin"], git_dir=git_dir, stdin=stdin, config=_CONFIG
            )
    except DeadlineExceeded:
        await on_disk(remove_locks, git_dir, names)
        raise
    if completed.returncode < 0:
        log.warning("git_killed", extra={"command": "update-ref", "signal": -completed.returncode})
        await on_disk(remove_locks, git_dir, names)
    if completed.returncode != 0 and NO_SPACE_IN_GIT in completed.stderr.decode(errors="replace"):
        raise disk_full()
    return completed.returncode == 0


def _command(edit: RefEdit) -> str:
    if edit.new is None:
        return f"delete {edit.name} {edit.old}\n"
    if edit.old is None:
        return f"create {edit.name} {edit.new}\n"
    return f"update {edit.name} {edit.new} {edit.old}\n"


def _is_symbolic(edit: RefEdit) -> bool:
    return any(value is not None and symbolic_target(value) is not None for value in (edit.old, edit.new))


def _write(
    git_dir: Path, refs: Mapping[RefName, RefValue], peeled: Mapping[RefName, ObjectId], edits: Sequence[RefEdit]
) -> None:
    write_packed(git_dir, refs, peeled, [edit.name for edit in edits])
    for edit in edits:
        if edit.new is not None and symbolic_target(edit.new) is not None:
            write_symbolic(git_dir, edit.name, edit.new)
