"""Patches of a mailbox, taken apart and applied in a workshop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.ports.merges import MergedTree


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One mail of a mailbox, in its workshop."""

    number: int
    """From 1."""
    author: bytes
    """As a commit has it."""
    message: bytes
    path: str
    """Where the workshop keeps the patch itself."""


class Patches(Protocol):
    """Patches in a workshop."""

    async def split(self, mailbox: AsyncIterator[bytes], count_max: int) -> list[Patch]:
        """Take a mailbox in, and apart. Once for each workshop.

        Raises:
            Overloaded: more than `count_max` patches, or too many bytes.
            InvalidRequest: no mailbox, or a mail without a patch, an author or a date.
        """
        ...

    async def apply(self, tree: ObjectId, patch: Patch) -> MergedTree:
        """Apply a patch to a tree; where it does not fit as it is, merge it with what it was made on.

        Raises:
            InvalidRequest: it does not apply, and what it was made on is not here.
        """
        ...
