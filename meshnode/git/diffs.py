"""Makes diffs with `git diff-tree`, heavy ones at low priority, and reads them a slice at a time.

    compare        --raw -p      -> PatchReader -> DiffParts (limits)        stops git as soon as a limit is reached
    count          --raw --numstat
    changed_paths  --raw --stdin, a pair of trees a line

    patch          -p
    patch_id       -p           -> git patch-id

All of them ask processes that stay (`git/diff_processes.py`).

A diff is as heavy as its files are large, so it must not stand in the way: git stands back by `NICENESS` where it is heavy
(`git/priority.py`), and a node reads one slice of one long diff after the other (`_turns`) and rests between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Final

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.diff_counts import CountReader
from meshnode.git.diff_parts import PORTION_FILES, DiffParts
from meshnode.git.diff_processes import PAIRS_MAX, WHAT, DiffProcesses
from meshnode.git.patch_reader import PatchReader
from meshnode.git.patch_text import PatchMemory
from meshnode.git.queries import Queries
from meshnode.git.range_diff import DEADLINE_MS, NICENESS, compare_series
from meshnode.git.raw_diff import RawReader
from meshnode.ports import (
    BegunDiff,
    ChangedFile,
    CommitPair,
    Detection,
    DiffLimit,
    DiffLimits,
    DiffOptions,
    DiffPart,
    DiffSummary,
    Objects,
    Whitespace,
)

SLICE_BYTES: Final = 48 << 10
"""Read at once: about 1,000 lines, well below 1 ms."""
SHORT_BYTES: Final = 256 << 10
"""A longer diff takes turns with the other long ones; a short one waits for none of them."""
REST_S: Final = 0.001
"""Between two slices of long diffs: as much of the loop's time as they take, at least, is left to everybody else. They come
at 25 to 50 MB/s at most, all of them together."""
PATHS_PORTION: Final = 1_000

_COMMAND: Final = (
    *("diff-tree", "-r", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"),
)
_HUNKS: Final = ("-z", "--raw", "-p")
_COUNTS: Final = ("-z", "--raw", "--numstat")
_COMMIT: Final = ("--root", "--no-commit-id", "--diff-merges=first-parent")
"""What a commit changed in its first parent; nothing but that is written."""
KINDS_CACHED: Final = 256
_DETECTION: Final = {
    Detection.NONE: (),
    Detection.RENAMES: ("-M{}%",),
    Detection.COPIES: ("-M{}%", "-C{}%"),
    Detection.COPIES_OF_ALL: ("-M{}%", "-C{}%", "--find-copies-harder"),
}
_WHITESPACE: Final = {
    Whitespace.NONE: (),
    Whitespace.AT_EOL: ("--ignore-space-at-eol",),
    Whitespace.CHANGE: ("--ignore-space-change",),
    Whitespace.ALL: ("--ignore-all-space",),
}


class GitDiffs:
    """Implements `ports.Diffs`."""

    def __init__(self, objects: Objects, queries: Queries, processes: DiffProcesses) -> None:
        self._objects = objects
        self._queries = queries
        self._processes = processes
        self._memory = PatchMemory()
        self._turns = asyncio.Lock()

    def begin(self, key: ReplicaKey, commit: ObjectId, options: DiffOptions, *, is_counted: bool) -> BegunDiff | None:
        """Ask for what a commit changed, without waiting."""
        if options.paths:
            return None
        return self._processes.begin(key, _kind(_COUNTS if is_counted else _HUNKS, options, _COMMIT), commit)

    async def compare(
        self,
        key: ReplicaKey,
        old: ObjectId,
        new: ObjectId,
        options: DiffOptions,
        limits: DiffLimits,
        *,
        begun: BegunDiff | None = None,
    ) -> AsyncGenerator[list[DiffPart] | DiffSummary, None]:
        """Changed files with hunks."""
        reader = PatchReader(self._memory)
        parts = DiffParts(reader.files, limits)
        async with aclosing(self._slices(self._begun_or_pair(key, _HUNKS, old, new, options, begun=begun))) as slices:
            async for chunk in slices:
                for portion in parts.take(reader.feed(chunk)):
                    yield portion
                if parts.limit is not None:
                    break
            else:
                for portion in parts.take(reader.end()):
                    yield portion
        rest, summary = parts.end()
        for portion in rest:
            yield portion
            if len(rest) > 1:
                await asyncio.sleep(0)
        yield summary

    async def count(
        self,
        key: ReplicaKey,
        old: ObjectId,
        new: ObjectId,
        options: DiffOptions,
        limits: DiffLimits,
        *,
        begun: BegunDiff | None = None,
    ) -> AsyncGenerator[list[DiffPart] | DiffSummary, None]:
        """Changed files with counts."""
        reader = CountReader()
        async with aclosing(self._slices(self._begun_or_pair(key, _COUNTS, old, new, options, begun=begun))) as slices:
            async for chunk in slices:
                reader.feed(chunk)
        reader.end()
        shown = min(len(reader.files), limits.files_max)
        for start in range(0, shown, PORTION_FILES):
            yield [
                DiffPart(index, reader.files[index], end=reader.ends[index])
                for index in range(start, min(start + PORTION_FILES, shown))
            ]
            await asyncio.sleep(0)
        yield DiffSummary(
            files=len(reader.files),
            files_reported=shown,
            additions=sum(end.additions for end in reader.ends),
            deletions=sum(end.deletions for end in reader.ends),
            is_truncated=shown < len(reader.files),
            limit=DiffLimit.FILES if shown < len(reader.files) else None,
        )

    async def patch(
        self, key: ReplicaKey, old: ObjectId, new: ObjectId, options: DiffOptions, *, binary: bool
    ) -> AsyncGenerator[bytes, None]:
        """The patch as text."""
        form = ("-p", "--binary") if binary else ("-p",)
        async with aclosing(self._pair(key, form, old, new, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def changed_paths(
        self, key: ReplicaKey, pairs: Sequence[tuple[ObjectId, ObjectId]], options: DiffOptions
    ) -> AsyncGenerator[tuple[int, list[ChangedFile]], None]:
        """Files that changed in each pair of trees."""
        for start in range(0, len(pairs), PAIRS_MAX):
            async with aclosing(self._changed_paths(key, pairs[start : start + PAIRS_MAX], options)) as portions:
                async for index, files in portions:
                    yield start + index, files

    async def _changed_paths(
        self, key: ReplicaKey, pairs: Sequence[tuple[ObjectId, ObjectId]], options: DiffOptions
    ) -> AsyncGenerator[tuple[int, list[ChangedFile]], None]:
        """The same of as many pairs as one question may hold."""
        if options.paths:
            stdin = b"".join(b"%s %s\n" % (old.encode(), new.encode()) for old, new in pairs)
            chunks = self._run(key, ["-z", "--raw", "--stdin"], [], options, stdin=stdin)
        else:
            chunks = self._processes.compare(key, _kind(("-z", "--raw"), options), pairs)
        reader = RawReader()
        index = -1 if options.paths or len(pairs) > 1 else 0
        files: list[ChangedFile] = []
        async with aclosing(self._slices(chunks)) as slices:
            async for chunk in slices:
                for file in reader.feed(chunk):
                    if file is not None:
                        files.append(file)
                    if index >= 0 and (file is None or len(files) == PATHS_PORTION):
                        yield index, files
                        files = []
                    index += file is None
        reader.end()
        if index + 1 < len(pairs):  # git passes over a pair it cannot read, and says so elsewhere
            raise Corrupt("trees could not be compared", pairs=len(pairs), compared=index + 1)
        yield index, files

    async def patch_id(self, key: ReplicaKey, old: ObjectId, new: ObjectId) -> str:
        """The stable patch id."""
        plain = DiffOptions(detection=Detection.NONE)
        async with aclosing(self._pair(key, ("-p",), old, new, plain)) as patch:
            line = await self._queries.digest(
                key, ["patch-id", "--stable"], patch, what="digest a patch", deadline_ms=DEADLINE_MS
            )
        return line.decode("ascii").partition(" ")[0]

    def range_diff(
        self, key: ReplicaKey, old: tuple[ObjectId, ObjectId], new: tuple[ObjectId, ObjectId], *, creation_factor: int
    ) -> AsyncIterator[CommitPair]:
        """Two series of commits, commit by commit."""
        return compare_series(self._queries, self._objects, key, old, new, creation_factor=creation_factor)

    async def _begun_or_pair(
        self,
        key: ReplicaKey,
        form: tuple[str, ...],
        old: ObjectId,
        new: ObjectId,
        options: DiffOptions,
        *,
        begun: BegunDiff | None,
    ) -> AsyncGenerator[bytes, None]:
        """What was begun. Where that came to nothing although the trees differ, they are compared: that says why."""
        is_empty = True
        if begun is not None:
            try:
                async with aclosing(begun.output()) as chunks:
                    async for chunk in chunks:
                        is_empty = False
                        yield chunk
            except MeshError:
                if not is_empty:
                    raise
        if is_empty and not (begun is not None and old == new):
            async with aclosing(self._pair(key, form, old, new, options)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _pair(
        self, key: ReplicaKey, form: tuple[str, ...], old: ObjectId, new: ObjectId, options: DiffOptions
    ) -> AsyncGenerator[bytes, None]:
        """By a process that stays, unless it would be one for these paths alone."""
        if options.paths:
            return self._run(key, form, [old, new], options)
        return self._processes.compare(key, _kind(form, options), [(old, new)])

    def _run(
        self,
        key: ReplicaKey,
        form: Sequence[str],
        trees: Sequence[ObjectId],
        options: DiffOptions,
        *,
        stdin: bytes = b"",
    ) -> AsyncGenerator[bytes, None]:
        return self._queries.stream(
            key,
            [*_COMMAND, *form, *_arguments(options, is_patch="-p" in form), *trees, "--", *_paths(options)],
            what=WHAT,
            deadline_ms=DEADLINE_MS,
            stdin=stdin,
            niceness=NICENESS,
            environment={"GIT_LITERAL_PATHSPECS": "1"},
        )

    async def _slices(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The output in pieces that are read at once; of all long diffs together one at a time, with rests between."""
        size = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                for start in range(0, len(chunk), SLICE_BYTES):
                    if size >= SHORT_BYTES:
                        async with self._turns:
                            await asyncio.sleep(REST_S)
                    elif start:
                        await asyncio.sleep(0)
                    size += SLICE_BYTES
                    yield chunk[start : start + SLICE_BYTES]


@lru_cache(KINDS_CACHED)
def _kind(form: tuple[str, ...], options: DiffOptions, what: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The arguments of a process for questions of one kind."""
    return (*_COMMAND, *form, *_arguments(options, is_patch="-p" in form), *what)


def _arguments(options: DiffOptions, *, is_patch: bool = False) -> list[str]:
    detection = [form.format(options.similarity_min) for form in _DETECTION[options.detection]]
    result = [*detection, f"-l{options.detection_limit}"] if detection else ["--no-renames"]
    result += _WHITESPACE[options.whitespace]
    if is_patch:  # to ask for context is to ask for a patch
        result += [f"-U{options.context_lines}", *(["--function-context"] * options.function_context)]
    result += ["--ignore-cr-at-eol"] * options.ignore_cr_at_eol
    result += ["--ignore-blank-lines"] * options.ignore_blank_lines
    return [*result, f"--diff-algorithm={options.algorithm.value}"]


def _paths(options: DiffOptions) -> list[str]:
    return [path.decode(errors="surrogateescape") for path in options.paths]
