"""Who wrote each line of a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


@dataclass(frozen=True, kw_only=True, slots=True)
class BlameOptions:
    """What is blamed and how; fields mean what the options of git-blame(1) mean."""

    ranges: tuple[tuple[int, int], ...] = ()
    """First and last line, from 1; last 0: to the end. None: all lines."""
    ignored: tuple[ObjectId, ...] = ()
    """Commits whose changes are passed on to what was there before."""
    ignore_whitespace: bool = False
    first_parent: bool = False
    detect_moves: bool = False
    copies: int = 0
    """How far copies are searched for: 0 not at all, to 3 in any commit."""


@dataclass(frozen=True, slots=True)
class BlameHunk:
    """Lines that one commit brought in together; a long run comes in several."""

    commit: ObjectId
    path: bytes
    """Of the file in that commit."""
    start: int
    """Line in the file that was asked for, from 1."""
    original_start: int
    """Line in `path` of `commit`."""
    lines: list[bytes]
    """Without their line breaks."""
    previous: tuple[ObjectId, bytes] | None
    """The commit and path that the search would go on with; None where the file begins."""


class Blames(Protocol):
    """Blames files of replicas."""

    def blame(
        self, key: ReplicaKey, commit: ObjectId, path: TreePath, options: BlameOptions
    ) -> AbstractAsyncContextManager[AsyncIterator[BlameHunk]]:
        """The lines of a file of a commit, in order; git is at work from the entry on, and ends with the context.

        Raises:
            InvalidRequest: a range begins after the file's end (field `complaint`).
            TooLarge: a line is over 1 MiB. DeadlineExceeded.
        """
        ...
