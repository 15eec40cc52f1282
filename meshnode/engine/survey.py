"""Reads what a move's next step rests on: partitions, their listing marks, and what every record says.

    partition and mark (one revision) --> all records --> a tally for each partition

Marks are read before records, never after: a record that comes to list a node behind the reader's back writes the
mark, so the step that names the mark's revision fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.ids import NodeId, PartitionId, RepositoryId
from meshnode.core.keys import PARTITIONS, RECORDS, listing_key, partition_key
from meshnode.core.moves import Tally
from meshnode.core.partition import Partition, decode_partition
from meshnode.core.record import Record, RepositoryState, decode_record
from meshnode.engine.ranges import PAGE, read_all
from meshnode.ports import Catalog

PARTITIONS_PER_GET: Final = 32
"""A partition and its mark each; a get takes 64 keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionAt:
    """A partition and its listing mark at one revision."""

    partition: Partition
    revision: int
    mark_revision: int
    """0 where the mark was never written."""


@dataclass(kw_only=True, slots=True)
class Surveyed:
    """A partition and what its active records say, all of them read after it."""

    at: PartitionAt
    tally: Tally
    unlisted: list[RepositoryId] = field(default_factory=list)
    """Active repositories whose records do not list the node that has to be listed everywhere."""


async def read_records(catalog: Catalog) -> AsyncIterator[Record]:
    """Every record, a page at a time. Raises Corrupt."""
    after = ""
    while True:
        page = await catalog.range(RECORDS, after=after, limit=PAGE)
        for entry in page:
            yield decode_record(entry.value)
        if len(page) < PAGE:
            return
        after = page[-1].key
        await asyncio.sleep(0)


async def read_partitions(catalog: Catalog) -> list[tuple[Partition, int]]:
    """Every partition with its revision, in order."""
    return [(decode_partition(entry.value), entry.revision) for entry in await read_all(catalog, PARTITIONS)]


async def survey(catalog: Catalog, partitions: Collection[PartitionId]) -> list[Surveyed]:
    """Look at partitions and all their records; those that do not exist are left out."""
    wanted = sorted(partitions)
    found: dict[PartitionId, PartitionAt] = {}
    for start in range(0, len(wanted), PARTITIONS_PER_GET):
        for at in await _read(catalog, wanted[start : start + PARTITIONS_PER_GET]):
            found[at.partition.partition] = at
    if not found:
        return []
    return await _tally(catalog, found)


async def _read(catalog: Catalog, partitions: Sequence[PartitionId]) -> list[PartitionAt]:
    keys = [partition_key(number) for number in partitions] + [listing_key(number) for number in partitions]
    entries = await catalog.get(keys)
    return [
        PartitionAt(
            partition=decode_partition(entry.value),
            revision=entry.revision,
            mark_revision=0 if mark is None else mark.revision,
        )
        for entry, mark in zip(entries[: len(partitions)], entries[len(partitions) :], strict=True)
        if entry is not None
    ]


async def _tally(catalog: Catalog, partitions: dict[PartitionId, PartitionAt]) -> list[Surveyed]:
    records: Counter[PartitionId] = Counter()
    listings: dict[PartitionId, Counter[NodeId]] = {number: Counter() for number in partitions}
    unlisted: dict[PartitionId, list[RepositoryId]] = {number: [] for number in partitions}
    async for record in read_records(catalog):
        at = partitions.get(record.partition)
        if at is None or record.state is not RepositoryState.ACTIVE:
            continue
        records[record.partition] += 1
        listings[record.partition].update(record.inconsistent)
        if _is_to_be_listed(at.partition, record):
            unlisted[record.partition].append(record.repository)
    return [
        Surveyed(
            at=at,
            tally=Tally(records=records[number], listings=listings[number]),
            unlisted=unlisted[number],
        )
        for number, at in sorted(partitions.items())
    ]


async def families(catalog: Catalog) -> dict[PartitionId, Counter[RepositoryId]]:
    """How many active repositories each fork family has, by the partitions that anyone lives in."""
    found: dict[PartitionId, Counter[RepositoryId]] = {}
    async for record in read_records(catalog):
        if record.state is RepositoryState.ACTIVE:
            found.setdefault(record.partition, Counter())[record.fork_root] += 1
    return found


def _is_to_be_listed(partition: Partition, record: Record) -> bool:
    return any(node not in record.inconsistent for node in partition.joining if node not in partition.listed)
