"""Compares two versions of a series of commits with `git range-diff`, and reads its output.

    1:  <oid> = 1:  <oid> subject                a pair, numbered as in each series
    2:  <oid> ! 2:  <oid> subject
        @@ Commit message                        the diff of the two patches, indented by four
    -:  ------- > 3:  <oid> subject

Source: git-range-diff(1).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from meshnode.base.errors import TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.queries import Queries
from meshnode.ports import CommitPair, Relation

DEADLINE_MS: Final = 60_000
NICENESS: Final = 10
"""Diffs get a tenth of what the node itself gets where both want the processor."""
COMMITS_MAX: Final = 500
"""Of each series: all pairs of them are compared, and numbers of three digits keep headers apart from patches."""
PATCH_BYTES_MAX: Final = 1 << 20

_INDENT: Final = b"    "
_HEADER: Final = re.compile(
    rb" {0,2}(-|\d+): +([0-9a-f]+|-+) ([=!<>]) +(-|\d+): +([0-9a-f]+|-+)(?: (.*))?\Z", re.DOTALL
)


async def compare_series(
    queries: Queries,
    key: ReplicaKey,
    old: tuple[ObjectId, ObjectId],
    new: tuple[ObjectId, ObjectId],
    *,
    creation_factor: int,
) -> AsyncGenerator[CommitPair, None]:
    """Each commit of both series, as `ports.Diffs.range_diff`."""
    for series in (old, new):
        await _check_length(queries, key, series)
    lines = queries.records(
        key,
        [
            "range-diff",
            "--no-color",
            f"--creation-factor={creation_factor}",
            *(f"{base}..{tip}" for base, tip in (old, new)),
        ],
        what="compare two series of commits",
        deadline_ms=DEADLINE_MS,
        separator=b"\n",
        config=["core.abbrev=no"],
        niceness=NICENESS,
    )
    header: re.Match[bytes] | None = None
    patch: list[bytes] = []
    size = 0
    is_truncated = False
    async with aclosing(lines):
        async for line in lines:
            found = None if line.startswith(_INDENT) else _HEADER.match(line)
            if found is not None:
                if header is not None:
                    yield _pair(header, patch, is_truncated=is_truncated)
                header, patch, size, is_truncated = found, [], 0, False
                continue
            content = line.removeprefix(_INDENT)
            size += len(content) + 1
            if size > PATCH_BYTES_MAX:
                is_truncated = True
            else:
                patch.append(content)
    if header is not None:
        yield _pair(header, patch, is_truncated=is_truncated)


async def _check_length(queries: Queries, key: ReplicaKey, series: tuple[ObjectId, ObjectId]) -> None:
    done = await queries.run(
        key,
        ["rev-list", "--count", f"--max-count={COMMITS_MAX + 1}", "--no-merges", f"{series[0]}..{series[1]}", "--"],
        what="count commits",
        deadline_ms=DEADLINE_MS,
    )
    if int(done.stdout) > COMMITS_MAX:
        raise TooLarge("series has too many commits", base=series[0], tip=series[1], commits_max=COMMITS_MAX)


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
