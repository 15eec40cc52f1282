"""Gives a fork family a partition of its own, in one transaction.

    fork mark --> which records are the family's --> partition and records at one revision --> transaction
        ^                                                        ^                                |
        +---- a fork was created meanwhile -----------------------+---- a write was faster --------+

Whoever does this may die at any point: there is nothing between before and after.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import CatalogUnavailable, Fenced, NotFound, OutcomeUnknown
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.core.families import check_family_size, next_partition, partition_for_family, record_in
from meshnode.core.keys import family_key, fork_mark_key, partition_key, record_key
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.record import Record, RepositoryState, decode_record, encode_record
from meshnode.engine.survey import read_partitions, read_records
from meshnode.ports import Catalog, Compare, Entry, Put

log = logging.getLogger("meshnode.engine")

LOOKS_MAX: Final = 3
"""Times that the family's records are looked for: forks that are created meanwhile, other families that take the number."""
TRIES_MAX: Final = 30
"""Transactions tried for one look: each write of one of the repositories in the millisecond before costs one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What a transaction rests on, apart from what it reads anew."""

    root: RepositoryId
    number: PartitionId
    """Where the family lives."""
    free: PartitionId
    """A number that no partition has."""
    factor: int | None
    members: Sequence[RepositoryId]
    mark_revision: int


@dataclass(kw_only=True)
class Families:
    """Moves families out of shared partitions."""

    catalog: Catalog

    async def move_out(self, root: RepositoryId, number: PartitionId, factor: int | None) -> Partition:
        """Give the family of `root`, which lives in partition `number`, a partition of its own with that factor.

        Raises:
            InvalidRequest: the family is too large for one transaction.
            Fenced: others changed the same things all the time, or have moved the family just now.
            OutcomeUnknown: it may have moved, or not.
        """
        for _ in range(LOOKS_MAX):
            (mark,) = await self.catalog.get([fork_mark_key(root)])
            members = await self._members(root)
            check_family_size(root, len(members))
            free = next_partition([partition.partition for partition, _ in await read_partitions(self.catalog)])
            look = _Look(
                root=root,
                number=number,
                free=free,
                factor=factor,
                members=members,
                mark_revision=0 if mark is None else mark.revision,
            )
            made = await self._move(look)
            if made is not None:
                log.info(
                    "family_moved_out",
                    extra={"fork_root": root, "partition": number, "own": free, "repositories": len(members)},
                )
                return made
        raise Fenced("the family kept growing meanwhile; ask again", fork_root=root)

    async def _members(self, root: RepositoryId) -> list[RepositoryId]:
        return [
            record.repository
            async for record in read_records(self.catalog)
            if record.fork_root == root and _was_published(record)
        ]

    async def _move(self, look: _Look) -> Partition | None:
        """Try one transaction after the other; None where something is not as it was at the look."""
        root, number, free = look.root, look.number, look.free
        is_unknown = False
        for _ in range(TRIES_MAX):
            try:
                own, shared, mark, *entries = await self.catalog.get(
                    [partition_key(free), partition_key(number), fork_mark_key(root), *map(record_key, look.members)]
                )
            except CatalogUnavailable as error:
                if is_unknown:  # which would promise that nothing was written
                    raise _unknown() from error
                raise
            if own is not None:
                made = decode_partition(own.value)
                return made if made.family == root else None
            if (0 if mark is None else mark.revision) != look.mark_revision:
                return None
            if shared is None:
                raise NotFound("no such partition", partition=number)
            wanted = partition_for_family(decode_partition(shared.value), free, root, look.factor)
            compares = [Compare(partition_key(free), 0), Compare(shared.key, shared.revision)]
            compares.append(Compare(fork_mark_key(root), look.mark_revision))
            writes = [Put(partition_key(free), encode_partition(wanted)), Put(family_key(root), b"%d" % free)]
            for entry in entries:
                compares.append(Compare(_present(entry).key, _present(entry).revision))
                writes.append(_moved(_present(entry), number, free))
            try:
                if await self.catalog.transact(compares, writes) is not None:
                    return wanted
            except OutcomeUnknown:  # it can still land: then the next one meets other revisions, and finds it done
                is_unknown = True
            except CatalogUnavailable as error:
                if is_unknown:
                    raise _unknown() from error
                raise
        if is_unknown:
            raise _unknown()
        raise Fenced("the repositories are written to all the time; ask again", fork_root=root)


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("the family may have a partition of its own now; look at `meshnode repo show`")


def _was_published(record: Record) -> bool:
    """Of a create that was fenced off there is nothing anywhere."""
    return record.state is not RepositoryState.ABANDONED


def _present(entry: Entry | None) -> Entry:
    if entry is None:
        raise Fenced("a record of the family is gone; ask again")
    return entry


def _moved(entry: Entry, number: PartitionId, free: PartitionId) -> Put:
    record = decode_record(entry.value)
    if record.partition != number:
        raise Fenced("the family lives in another partition by now; ask again", partition=record.partition)
    return Put(entry.key, encode_record(record_in(record, free)))
