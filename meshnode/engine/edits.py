"""From wishes to exact edits: what a write asks for, held against the references inside the write slot.

Pure functions over a snapshot; every refusal here is one that git would otherwise make after the commit point,
which must not happen.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, RefConflict
from meshnode.base.ids import HEAD, SYMBOLIC, ObjectId, RefName, RefValue, parse_ref_name, symbolic, symbolic_target
from meshnode.core.refs import RefEdit, find_directory_conflict
from meshnode.ports import PushCommand, RefChange, RefsSnapshot

BRANCHES: Final = "refs/heads/"
FIRST_BRANCHES: Final = (RefName("refs/heads/main"), RefName("refs/heads/master"))


@dataclass
class EditPlan:
    """Edits gathered one by one, each checked against the references and the edits before it."""

    snapshot: RefsSnapshot
    edits: dict[RefName, RefEdit] = field(default_factory=dict)
    _created: list[RefName] = field(default_factory=list)

    def add(self, name: RefName, expected: RefValue | None, new: RefValue | None) -> None:
        """Plan one edit.

        Raises:
            RefConflict: the reference is not at `expected`.
            InvalidRequest: the same name twice, or a name that cannot live beside another.
        """
        actual = self.snapshot.refs.get(name)
        if name in self.edits:
            raise InvalidRequest("the same reference twice in one write", ref=name)
        if actual != expected:
            raise RefConflict("reference is not at its expected old value", ref=name, expected=expected, actual=actual)
        if new is not None and actual is None:
            self._check_room(name)
            insort(self._created, name)
        if actual != new:
            self.edits[name] = RefEdit(name, actual, new)

    def _check_room(self, name: RefName) -> None:
        created: Mapping[RefName, RefValue] = dict.fromkeys(self._created, RefValue(""))
        for refs, names in ((self.snapshot.refs, self.snapshot.names), (created, self._created)):
            clash = find_directory_conflict(refs, names, name)
            if clash is not None:
                raise InvalidRequest("reference name conflicts with another", ref=name, other=clash)

    def point_head_at_first_branch(self) -> None:
        """Where a repository without branches gets its first and HEAD leads nowhere, lead HEAD to one of them."""
        target = symbolic_target(self.snapshot.refs.get(HEAD, RefValue("")))
        if any(name.startswith(BRANCHES) for name in self.snapshot.names):
            return
        branches = sorted(name for name in self.edits if name.startswith(BRANCHES))
        if not branches or target in branches:
            return
        chosen = next((name for name in FIRST_BRANCHES if name in branches), branches[0])
        self.edits[HEAD] = RefEdit(HEAD, self.snapshot.refs.get(HEAD), symbolic(chosen))

    def result(self) -> tuple[RefEdit, ...]:
        """The edits in order of their names."""
        return tuple(self.edits[name] for name in sorted(self.edits))


def plan_push(
    snapshot: RefsSnapshot, commands: Sequence[PushCommand], errors: dict[RefName, str], *, is_atomic: bool
) -> tuple[RefEdit, ...]:
    """The edits of a push; commands that cannot be done get their reason in `errors` and leave no edit.

    With `is_atomic`, one reason is enough to leave no edits at all.
    """
    plan = EditPlan(snapshot)
    head = symbolic_target(snapshot.refs.get(HEAD, RefValue("")))
    for command in commands:
        if command.name in errors:
            continue
        try:
            if command.refusal:
                raise InvalidRequest(command.refusal)
            if command.new is None and command.name == head and command.name in snapshot.refs:
                raise InvalidRequest("deletion of the default branch prohibited; choose another default branch first")
            plan.add(
                command.name,
                None if command.old is None else RefValue(command.old),
                None if command.new is None else RefValue(command.new),
            )
        except RefConflict as conflict:
            errors[command.name] = f"reference already at {conflict.fields['actual'] or 'nothing'}; fetch first"
        except MeshError as error:
            errors[command.name] = error.message
    if is_atomic and errors:
        for command in commands:
            errors.setdefault(command.name, "atomic push failed: another reference was refused")
        return ()
    plan.point_head_at_first_branch()
    return plan.result()


def plan_changes(snapshot: RefsSnapshot, changes: Sequence[RefChange]) -> tuple[RefEdit, ...]:
    """The edits of an API write: all of them, or an error.

    Raises:
        RefConflict, InvalidRequest: the first change that cannot be done.
    """
    plan = EditPlan(snapshot)
    for change in changes:
        actual = snapshot.refs.get(change.name)
        expected = actual if change.expected is None else (RefValue(change.expected) or None)
        new = RefValue(change.new) or None
        _check_kind(change.name, new)
        plan.add(change.name, expected, new)
    plan.point_head_at_first_branch()
    return plan.result()


def new_tips(edits: Sequence[RefEdit]) -> tuple[list[ObjectId], list[ObjectId]]:
    """Object ids that the edits make visible: all of them, and those that must be commits (branches)."""
    tips = [edit for edit in edits if edit.new is not None and not edit.new.startswith(SYMBOLIC)]
    oids = sorted({ObjectId(str(edit.new)) for edit in tips})
    commits = sorted({ObjectId(str(edit.new)) for edit in tips if edit.name.startswith(BRANCHES)})
    return oids, commits


def _check_kind(name: RefName, new: RefValue | None) -> None:
    if name == HEAD:
        target = None if new is None else symbolic_target(new)
        if target is None or not target.startswith(BRANCHES):
            raise InvalidRequest("HEAD must be a symbolic reference to a branch", ref=name)
        parse_ref_name(target)
    elif new is not None and symbolic_target(new) is not None:
        raise InvalidRequest("only HEAD can be a symbolic reference", ref=name)
