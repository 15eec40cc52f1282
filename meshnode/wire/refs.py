"""Turns references and reference updates between proto and core.

An all-zero id means "does not exist"; an unset expectation means "whatever is there". A reference appears once in
a batch, and only HEAD may become symbolic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import (
    HEAD,
    RefName,
    RefValue,
    is_zero,
    parse_object_id,
    parse_ref_name,
    symbolic,
    symbolic_target,
)
from meshnode.ports import RefChange, RefsSnapshot
from meshnode.v1 import common_pb2, ref_pb2

UPDATES_MAX: Final = 10_000
BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"


def reference_message(snapshot: RefsSnapshot, name: RefName) -> common_pb2.Reference:
    """A reference of the snapshot; `name` must be in it."""
    value = snapshot.refs[name]
    target = symbolic_target(value)
    if target is None:
        return common_pb2.Reference(name=name, oid=value, peeled_oid=snapshot.peeled.get(name, ""))
    return common_pb2.Reference(
        name=name,
        oid=resolve(snapshot, target) or "",
        symbolic_target=target,
        peeled_oid=snapshot.peeled.get(target, ""),
    )


def resolve(snapshot: RefsSnapshot, name: RefName) -> RefValue | None:
    """The object id that `name` leads to; None where it does not exist or leads to another symbolic reference
    more than five times (git's own limit).
    """
    for _ in range(5):
        value = snapshot.refs.get(name)
        if value is None:
            return None
        target = symbolic_target(value)
        if target is None:
            return value
        name = target
    return None


def branch_of(text: str) -> RefName:
    """Check the full name of a branch. Raises InvalidRequest."""
    name = parse_ref_name(text)
    if not name.startswith(BRANCHES):
        raise InvalidRequest("not a branch", ref=text[:200])
    return name


def changes_of(updates: Iterable[ref_pb2.RefUpdate]) -> list[RefChange]:
    """Check a batch of updates.

    Raises:
        InvalidRequest: none or more than 10,000, a name twice, a malformed name or id.
    """
    changes = [_change_of(update) for update in updates]
    if not 1 <= len(changes) <= UPDATES_MAX:
        raise InvalidRequest("a batch has 1 to 10,000 updates", updates=len(changes))
    if len({change.name for change in changes}) != len(changes):
        raise InvalidRequest("a batch names a reference twice")
    return changes


def _change_of(update: ref_pb2.RefUpdate) -> RefChange:
    name = parse_ref_name(update.name)
    expected = _value_or_absent(update.expected_oid) if update.HasField("expected_oid") else None
    if update.new_symbolic_target:
        if name != HEAD or update.new_oid or expected is not None:
            raise InvalidRequest("only HEAD may become symbolic, and then has no object ids", ref=name)
        return RefChange(name=name, expected=expected, new=symbolic(branch_of(update.new_symbolic_target)))
    if name == HEAD:
        raise InvalidRequest("HEAD can only be made symbolic", ref=name)
    return RefChange(name=name, expected=expected, new=_value_or_absent(update.new_oid))


def _value_or_absent(oid: str) -> RefValue | str:
    return "" if is_zero(parse_object_id(oid)) else RefValue(oid)
