"""Reference edits and their order-free digest.

A repository's visible state is a map of names to values, `HEAD` included; the digest of that map is what
replicas compare. It is a sum, so an edit costs the same in a repository of ten references or a million:

    digest(map) = sum over (name, value) of SHA-256(name NUL value), modulo 2**256

It finds replicas that differ; it is not a defence against someone who searches for two maps with one digest.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import RefConflict
from meshnode.base.ids import HEAD, RefName, RefsDigest, RefValue

_MODULUS: Final = 1 << 256
EMPTY_DIGEST: Final = RefsDigest("0" * 64)


_SHORT: Final = ("refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")


@dataclass(frozen=True, slots=True)
class RefEdit:
    """One reference goes from `old` to `new`; None means the reference does not exist."""

    name: RefName
    old: RefValue | None
    new: RefValue | None


def find_names(refs: Container[RefName], text: str) -> list[RefName]:
    """The references among `refs` that `text` may mean: by its full name one, by a short one perhaps several.

    Source: gitrevisions(7), where git itself takes the first one with a warning.
    """
    if (text == HEAD or text.startswith("refs/")) and RefName(text) in refs:
        return [RefName(text)]
    return [name for name in (RefName(rule.format(text)) for rule in _SHORT) if name in refs]


def digest_of(refs: Mapping[RefName, RefValue]) -> RefsDigest:
    """Hash a whole map of references, in any order."""
    return _format(sum(_term(name, value) for name, value in refs.items()))


def digest_after(digest: RefsDigest, edits: Iterable[RefEdit]) -> RefsDigest:
    """Hash of the map after `edits`, given the hash before; costs one hash an edit and side."""
    total = int(digest, 16)
    for edit in edits:
        if edit.old is not None:
            total -= _term(edit.name, edit.old)
        if edit.new is not None:
            total += _term(edit.name, edit.new)
    return _format(total)


def check_old_values(refs: Mapping[RefName, RefValue], edits: Iterable[RefEdit]) -> None:
    """Check that every edit starts from what is there.

    Raises:
        RefConflict: a reference is not at the edit's `old`; fields `ref`, `expected`, `actual`.
    """
    for edit in edits:
        actual = refs.get(edit.name)
        if actual != edit.old:
            raise RefConflict(
                "reference is not at its expected old value", ref=edit.name, expected=edit.old, actual=actual
            )


def refs_after(refs: Mapping[RefName, RefValue], edits: Iterable[RefEdit]) -> dict[RefName, RefValue]:
    """The map after `edits`; old values are not looked at."""
    result = dict(refs)
    for edit in edits:
        if edit.new is None:
            result.pop(edit.name, None)
        else:
            result[edit.name] = edit.new
    return result


def edits_between(current: Mapping[RefName, RefValue], wanted: Mapping[RefName, RefValue]) -> tuple[RefEdit, ...]:
    """The edits that turn `current` into `wanted`, sorted by name."""
    names = sorted(current.keys() | wanted.keys())
    return tuple(
        RefEdit(name, current.get(name), wanted.get(name)) for name in names if current.get(name) != wanted.get(name)
    )


def find_directory_conflict(refs: Mapping[RefName, RefValue], names: Sequence[RefName], new: RefName) -> RefName | None:
    """A name in `refs` that cannot live beside `new` (`a/b` and `a/b/c`), or None.

    `names` are the names of `refs` in order, so that names below `new` are found without looking at all of them.

    Source: git refuses such pairs because a loose reference is a file (gitrepository-layout(5)).
    """
    parent = new.rpartition("/")[0]
    while parent:
        if parent in refs:
            return RefName(parent)
        parent = parent.rpartition("/")[0]
    below = f"{new}/"
    at = bisect_left(names, below)
    if at < len(names) and names[at].startswith(below):
        return names[at]
    return None


def _term(name: RefName, value: RefValue) -> int:
    return int.from_bytes(hashlib.sha256(f"{name}\0{value}".encode()).digest(), "big")


def _format(total: int) -> RefsDigest:
    return RefsDigest(f"{total % _MODULUS:064x}")
