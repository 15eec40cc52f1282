"""Takes the steps of a move. `core/moves.py` says which comes next, this writes it to the catalog.

Every write names the revisions of what it rests on; False from a step means that something was another, or that it
is not known whether it took effect: look again. Nothing is remembered between steps.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from meshnode.base.errors import MeshError, OutcomeUnknown
from meshnode.base.ids import NodeId, RepositoryId
from meshnode.core.keys import listing_key, node_key, partition_key, record_key
from meshnode.core.moves import Join, ListEverywhere, Retire, Step, Swap, partition_after
from meshnode.core.nodes import NodeState, decode_node
from meshnode.core.partition import Partition, encode_partition
from meshnode.core.record import RepositoryState, encode_record, record_excluding
from meshnode.engine.records import Records
from meshnode.engine.survey import PartitionAt, Surveyed
from meshnode.ports import Catalog, Compare, Put

log = logging.getLogger("meshnode.engine")

LISTINGS_AT_ONCE: Final = 8
"""Records written at once: enough to keep a catalog of 2 ms busy, few enough not to crowd out publishes."""
LISTING_TRIES: Final = 20
"""Tries to list a node in one record that others write all the time; the next look goes on where this one stopped."""


class MoveSteps:
    """Writes steps."""

    def __init__(self, catalog: Catalog, records: Records) -> None:
        self._catalog = catalog
        self._records = records

    async def take(self, surveyed: Surveyed, step: Step) -> bool:
        """Take one step; whether it surely took effect.

        Raises:
            CatalogUnavailable: nothing took effect. Listings that could not be made are left to the next step.
        """
        at = surveyed.at
        compares = [Compare(partition_key(at.partition.partition), at.revision)]
        match step:
            case Join(node):
                revision = await self._revision_of_available(node)
                if revision is None:
                    return False
                compares.append(Compare(node_key(node), revision))
            case ListEverywhere(node):
                if not await self._list_everywhere(surveyed, node):
                    return False
            case Swap() | Retire():
                compares.append(Compare(listing_key(at.partition.partition), at.mark_revision))
            case _:
                pass
        return await self._replace(at, partition_after(at.partition, step), compares, step)

    async def set_target(self, partition: Partition, revision: int, wanted: Partition) -> bool:
        """Give a partition another target or factor."""
        at = PartitionAt(partition=partition, revision=revision, mark_revision=0)
        return await self._replace(at, wanted, [Compare(partition_key(partition.partition), revision)], None)

    async def _revision_of_available(self, node: NodeId) -> int | None:
        """The revision of the node's entry, where it may have new replicas.

        `Join` names it: from the moment a node is to go, nobody can make it join anything.
        """
        (entry,) = await self._catalog.get([node_key(node)])
        if entry is None or decode_node(entry.value).state is not NodeState.AVAILABLE:
            return None
        return entry.revision

    async def _list_everywhere(self, surveyed: Surveyed, node: NodeId) -> bool:
        places = asyncio.Semaphore(LISTINGS_AT_ONCE)

        async def list_in_turn(repository: RepositoryId) -> bool:
            async with places:
                try:
                    return await self._list_in(surveyed.at, repository, node)
                except MeshError as error:
                    log.info("listing_postponed", extra={"repository": repository, "error": str(error)})
                    return False

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(list_in_turn(repository)) for repository in surveyed.unlisted]
        return all(task.result() for task in tasks)

    async def _list_in(self, at: PartitionAt, repository: RepositoryId, node: NodeId) -> bool:
        """List `node` in one record; False where the partition is not what it was, or others were faster too often."""
        number = at.partition.partition
        for _ in range(LISTING_TRIES):
            now = await self._records.read_at(repository, number)
            if now.partition_revision != at.revision:
                return False
            record = now.record
            if record is None or record.state is not RepositoryState.ACTIVE or node in record.inconsistent:
                return True
            try:
                revision = await self._catalog.transact(
                    [Compare(record_key(repository), now.record_revision), Compare(partition_key(number), at.revision)],
                    [Put(record_key(repository), encode_record(record_excluding(record, node)))],
                )
            except OutcomeUnknown:
                continue
            if revision is not None:
                return True
        return False

    async def _replace(self, at: PartitionAt, wanted: Partition, compares: list[Compare], step: Step | None) -> bool:
        number = at.partition.partition
        try:
            revision = await self._catalog.transact(compares, [Put(partition_key(number), encode_partition(wanted))])
        except OutcomeUnknown as error:
            log.info("move_step_unknown", extra={"partition": number, "step": str(step), "error": str(error)})
            return False
        log.info(
            "move_step" if revision is not None else "move_step_refused",
            extra={
                "partition": number,
                "step": "retarget" if step is None else str(step),
                "replicas": list(wanted.replicas),
                "joining": list(wanted.joining),
                "leaving": list(wanted.leaving),
                "target": list(wanted.target),
                "read_replicas": list(wanted.read_replicas),
            },
        )
        return revision is not None
