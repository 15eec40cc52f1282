"""Walks history with `git rev-list` and `git log`: a selection becomes arguments, the output ids.

What a person wrote stands in an argument of its own that begins with the option's name, or behind `--` as a literal
path. The walk is stopped as soon as enough commits are there. The first pages of whole histories need no process
(`git/near_walk.py`).

Source: git-rev-list(1). `--since=@<seconds> +0000` is exact; `--max-age` is read with atoi and ends in 2038.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import islice
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId, parse_object_id
from meshnode.core.round import ReplicaKey
from meshnode.git.near_walk import walk_near
from meshnode.git.queries import Queries
from meshnode.ports import Objects, Selection, WalkOrder

WALK_MS: Final = 60_000
"""As long as a unary call may take by default."""
LITERAL: Final = "--literal-pathspecs"


class GitCommitWalks:
    """Implements `ports.CommitWalks`."""

    def __init__(self, queries: Queries, objects: Objects) -> None:
        self._queries = queries
        self._objects = objects

    async def find(
        self, key: ReplicaKey, selection: Selection, *, order: WalkOrder, is_reversed: bool, skip: int, limit: int
    ) -> list[ObjectId]:
        """At most `limit` commits after the first `skip`."""
        if order is WalkOrder.DEFAULT and not is_reversed and _is_plain(selection):
            near = await walk_near(
                self._objects,
                key,
                selection.include,
                is_first_parent=selection.first_parent,
                count=skip + limit,
            )
            if near is not None:
                return near[skip:]
        options = [order.value] if order is not WalkOrder.DEFAULT else []
        if is_reversed:
            options.append("--reverse")
        elif not selection.follow:  # whose filter works behind git's own skipping and counting
            options += [f"--skip={skip}", f"--max-count={limit}"]
            skip = 0
        found: list[ObjectId] = []
        async with aclosing(self._oids(key, selection, options)) as portions:
            async for oids in portions:
                passed = min(skip, len(oids))
                skip -= passed
                found += oids[passed : passed + limit - len(found)]
                if len(found) == limit:
                    break
        return found

    async def count(self, key: ReplicaKey, selection: Selection, *, limit: int) -> int:
        """How many there are, up to `limit`."""
        if selection.follow:
            number = 0
            async with aclosing(self._oids(key, selection, [])) as portions:
                async for oids in portions:
                    number += len(oids)
                    if limit and number >= limit:
                        return limit
            return number
        options = ["--count", *([f"--max-count={limit}"] if limit else [])]
        done = await self._queries.run(key, _arguments(selection, options), what="count commits", deadline_ms=WALK_MS)
        return int(done.stdout)

    async def _oids(
        self, key: ReplicaKey, selection: Selection, options: list[str]
    ) -> AsyncGenerator[list[ObjectId], None]:
        """What git lists, in portions."""
        rest = b""
        chunks = self._queries.stream(key, _arguments(selection, options), what="list commits", deadline_ms=WALK_MS)
        async with aclosing(chunks):
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                whole = iter(lines)
                while portion := list(islice(whole, _PORTION)):
                    yield [_oid(line) for line in portion]
        if rest:
            raise Corrupt("git ended in the middle of a line", line=rest[:100].decode(errors="replace"))


_PORTION: Final = 2_000
"""Ids looked at before the loop runs again: about 1 ms."""


def _is_plain(selection: Selection) -> bool:
    """Whether every commit that is reached is wanted."""
    return selection == Selection(include=selection.include, first_parent=selection.first_parent)


def _oid(line: bytes) -> ObjectId:
    return parse_object_id(line.decode("ascii"))


def _arguments(selection: Selection, options: list[str]) -> list[str]:
    command = ["log", "--follow", "--format=%H", "--no-show-signature"] if selection.follow else ["rev-list"]
    arguments = [LITERAL, *command, *options]
    if selection.full_history:
        arguments.append("--full-history")
    if selection.first_parent:
        arguments.append("--first-parent")
    if selection.parents_min:
        arguments.append(f"--min-parents={selection.parents_min}")
    if selection.parents_max is not None:
        arguments.append(f"--max-parents={selection.parents_max}")
    if selection.since_s is not None:
        arguments.append(f"--since=@{selection.since_s} +0000")
    if selection.until_s is not None:
        arguments.append(f"--until=@{selection.until_s} +0000")
    arguments += [*_patterns(selection), *selection.include]
    arguments += [f"^{oid}" for oid in selection.exclude]
    return [*arguments, "--", *(os.fsdecode(path) for path in selection.paths)]


def _patterns(selection: Selection) -> list[str]:
    patterns = [f"--grep={text}" for text in selection.messages]
    if selection.author:
        patterns.append(f"--author={selection.author}")
    if selection.committer:
        patterns.append(f"--committer={selection.committer}")
    if not patterns:
        return []
    patterns.append("--extended-regexp" if selection.is_extended else "--fixed-strings")
    if selection.ignore_case:
        patterns.append("--regexp-ignore-case")
    if selection.all_messages:
        patterns.append("--all-match")
    if selection.invert_messages:
        patterns.append("--invert-grep")
    return patterns
