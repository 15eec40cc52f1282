"""Compares two versions of a series of commits with `git range-diff`, and reads its output.

    1:  <oid> = 1:  <oid> subject                a pair, numbered as in each series
    2:  <oid> ! 2:  <oid> subject
        @@ Commit message                        the diff of the two patches, indented by four
    -:  ------- > 3:  <oid> subject

Source: git-range-diff(1).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from meshnode.base.errors import MeshError, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.queries import Queries
from meshnode.ports import CommitPair, Objects, Relation

DEADLINE_MS: Final = 60_000
NICENESS: Final = 10
"""Diffs get a tenth of what the node itself gets where both want the processor."""
COMMITS_MAX: Final = 500
"""Of each series: all pairs of them are compared, and numbers of three digits keep headers apart from patches."""
PATCH_BYTES_MAX: Final = 1 << 20

SLICE_BYTES: Final = 64 << 10
"""Of output, read before the loop runs again: about 1,000 lines, well below 1 ms."""
COMMITS_READ: Final = 8
"""Of a series at first, four times as many each time; they are mostly short."""
COMMITS_READ_MAX: Final = 128
COMMIT_BYTES_EACH: Final = 8 << 10
_ONE_PARENT: Final = re.compile(rb"tree [0-9a-f]+\nparent ([0-9a-f]+)\nauthor ")
_INDENT: Final = b"    "
_HEADER: Final = re.compile(
    rb" {0,2}(-|\d+): +([0-9a-f]+|-+) ([=!<>]) +(-|\d+): +([0-9a-f]+|-+)(?: (.*))?\Z", re.DOTALL
)


async def compare_series(
    queries: Queries,
    objects: Objects,
    key: ReplicaKey,
    old: tuple[ObjectId, ObjectId],
    new: tuple[ObjectId, ObjectId],
    *,
    creation_factor: int,
) -> AsyncGenerator[CommitPair, None]:
    """Each commit of both series, as `ports.Diffs.range_diff`."""
    async with queries.running(
        key,
        [
            "range-diff",
            "--no-color",
            f"--creation-factor={creation_factor}",
            *(f"{base}..{tip}" for base, tip in (old, new)),
        ],
        what="compare two series of commits",
        deadline_ms=DEADLINE_MS,
        config=["core.abbrev=no"],
        niceness=NICENESS,
    ) as chunks:
        for series in (old, new):  # while git begins
            await _check_length(queries, objects, key, series)
        reader = RangeDiffReader()
        async for chunk in chunks:
            for start in range(0, len(chunk), SLICE_BYTES):
                for pair in reader.feed(chunk[start : start + SLICE_BYTES]):
                    yield pair
                await asyncio.sleep(0)
        for pair in reader.end():
            yield pair


class RangeDiffReader:
    """Takes output in any pieces; gives pairs. Sans I/O."""

    def __init__(self) -> None:
        self._rest = b""
        self._header: re.Match[bytes] | None = None
        self._patch: list[bytes] = []
        self._size = 0
        self._is_truncated = False

    def feed(self, data: bytes) -> Iterator[CommitPair]:
        """Take more output; the pairs that are complete with it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            header = None if line.startswith(_INDENT) else _HEADER.match(line)
            if header is None:
                self._add(line.removeprefix(_INDENT))
                continue
            if self._header is not None:
                yield _pair(self._header, self._patch, is_truncated=self._is_truncated)
            self._header, self._patch, self._size, self._is_truncated = header, [], 0, False

    def end(self) -> Iterator[CommitPair]:
        """Take the end of the output."""
        if self._rest:
            yield from self.feed(b"\n")
        if self._header is not None:
            yield _pair(self._header, self._patch, is_truncated=self._is_truncated)

    def _add(self, content: bytes) -> None:
        self._size += len(content) + 1
        if self._size > PATCH_BYTES_MAX:
            self._is_truncated = True
        else:
            self._patch.append(content)


async def _check_length(queries: Queries, objects: Objects, key: ReplicaKey, series: tuple[ObjectId, ObjectId]) -> None:
    """Check that a series is short enough. Raises TooLarge."""
    base, tip = series
    if await _is_short_line(objects, key, base, tip):
        return
    done = await queries.run(
        key,
        ["rev-list", "--count", f"--max-count={COMMITS_MAX + 1}", "--no-merges", f"{base}..{tip}", "--"],
        what="count commits",
        deadline_ms=DEADLINE_MS,
    )
    if int(done.stdout) > COMMITS_MAX:
        raise TooLarge("series has too many commits", base=base, tip=tip, commits_max=COMMITS_MAX)


async def _is_short_line(objects: Objects, key: ReplicaKey, base: ObjectId, tip: ObjectId) -> bool:
    """Whether one commit after the other, each with one parent, leads from the tip to the base soon enough.

    Then nothing needs to be counted by a process. Where a merge or the end of history is met, git must tell.
    """
    start, length, count = tip, 0, COMMITS_READ
    while True:
        names = [start, *(f"{start}~{back}" for back in range(1, count))]
        try:
            commits = await objects.read(key, names, bytes_max=len(names) * COMMIT_BYTES_EACH)
        except MeshError:  # git tells what is wrong
            return False
        for commit in commits:
            if commit is not None and commit.info.oid == base:
                return True
            only_parent = None if commit is None else _ONE_PARENT.match(commit.data)
            if only_parent is None or length == COMMITS_MAX:
                return False
            length += 1
            start = ObjectId(only_parent[1].decode("ascii"))
        count = min(count * 4, COMMITS_READ_MAX)


def _pair(header: re.Match[bytes], patch: list[bytes], *, is_truncated: bool) -> CommitPair:
    old_number, old_oid, sign, new_number, new_oid, subject = header.groups()
    return CommitPair(
        relation=Relation(sign.decode("ascii")),
        old_number=0 if old_number == b"-" else int(old_number),
        old_oid="" if old_oid.startswith(b"-") else old_oid.decode("ascii"),
        new_number=0 if new_number == b"-" else int(new_number),
        new_oid="" if new_oid.startswith(b"-") else new_oid.decode("ascii"),
        subject=subject or b"",
        patch=b"".join(line + b"\n" for line in patch),
        is_truncated=is_truncated,
    )
