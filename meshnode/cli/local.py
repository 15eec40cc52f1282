"""Fills the catalog of a new cluster: settings, nodes, applications, partitions with their replicas.

    read what is there -> refuse another cluster's -> write what is missing, 64 keys a transaction -> read again

Rule: a key that exists is never changed, so this may run again at any time: after a crash it completes what is
missing, on a complete catalog it does nothing, and of two that run at once one writes each key. The settings are
in the first transaction, so a catalog can never hold the keys of two clusters. Partitions come last: where all of them
are there, the catalog was complete once, and a node or application that it lacks was removed since. Those stay away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.base.ids import NodeId, PartitionId
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.core.applications import Application, decode_application, encode_application
from meshnode.core.cluster import ClusterSettings, decode_settings, encode_settings
from meshnode.core.keys import APPLICATIONS, CLUSTER, NODES, PARTITIONS, application_key, node_key, partition_key
from meshnode.core.nodes import Node, decode_node, encode_node
from meshnode.core.partition import Partition, encode_partition
from meshnode.core.placement import NodePlacement, plan_replicas
from meshnode.engine.ranges import read_all
from meshnode.ports import Catalog, Compare, Put

WRITES_MAX: Final = 64
"""Writes of one transaction (port Catalog)."""
_PASSES_MAX: Final = 8
"""Reads and writes again after an unknown outcome or a race; each pass that loses a race finds more there."""

OnWritten = Callable[[int, int], None]
"""Called with keys that are there and keys in all."""
Begin = Callable[[], Awaitable[None]]
"""Awaited before anything is written, perhaps more than once; what it raises ends the writing."""


async def begin_nothing() -> None:
    """For who has nothing to do before the first write."""


def plan_partitions(settings: ClusterSettings, nodes: Sequence[Node]) -> list[Partition]:
    """Every partition with its replicas. Raises InvalidRequest: fewer nodes than the factor."""
    placements = [NodePlacement(node.node, node.zone, node.weight) for node in nodes]
    return [
        Partition(
            partition=PartitionId(number),
            replicas=plan_replicas(PartitionId(number), placements, settings.replication_factor),
        )
        for number in range(settings.partition_count)
    ]


async def initialise_cluster(
    catalog: Catalog,
    *,
    settings: ClusterSettings,
    nodes: Sequence[Node],
    applications: Sequence[Application] = (),
    added: Collection[NodeId] = (),
    on_written: OnWritten = lambda _there, _all: None,
    begin: Begin = begin_nothing,
) -> int:
    """Make the catalog describe this cluster; how many keys this call wrote, 0 where all were there.

    `added` are nodes that a complete catalog lacks because they are new; others that it lacks were removed.

    Raises:
        CommandError: the catalog belongs to another cluster, or lists another key for a node or application.
        InvalidRequest: fewer nodes than the replication factor.
        CatalogUnavailable: it cannot be reached, or outcomes stayed unknown.
        Corrupt: an entry cannot be decoded.
    """
    written = 0
    for _ in range(_PASSES_MAX):
        existing = await _read(catalog)
        wanted = _entries(settings, nodes, applications, existing)
        _check_same_cluster(existing, settings)
        _check_same_keys(existing, nodes, applications)
        gone = _removed(existing, settings, wanted) - {node_key(node) for node in added}
        missing = [key for key in wanted if key not in existing and key not in gone]
        on_written(len(wanted) - len(missing), len(wanted))
        if not missing:
            return written
        await begin()
        for start in range(0, len(missing), WRITES_MAX):
            batch = missing[start : start + WRITES_MAX]
            if not await _create(catalog, {key: wanted[key] for key in batch}):
                break
            written += len(batch)
            on_written(len(wanted) - len(missing) + start + len(batch), len(wanted))
    raise CatalogUnavailable("the catalog did not keep what was written", keys=len(missing), passes=_PASSES_MAX)


async def find_removed(catalog: Catalog, settings: ClusterSettings, nodes: Sequence[NodeId]) -> list[NodeId]:
    """Those of a cluster's nodes that were removed from it. Raises CatalogUnavailable."""
    keys = {node_key(node): b"" for node in nodes}
    removed = _removed(await _read(catalog), settings, keys)
    return [node for node in nodes if node_key(node) in removed]


def _removed(existing: Mapping[str, bytes], settings: ClusterSettings, wanted: Mapping[str, bytes]) -> set[str]:
    """Keys of nodes and applications that are to be there, and were taken out of a complete catalog."""
    if CLUSTER not in existing or not all(key in existing for key in _partition_keys(settings)):
        return set()
    return {key for key in wanted if key.startswith((NODES, APPLICATIONS)) and key not in existing}


def _partition_keys(settings: ClusterSettings) -> list[str]:
    return [partition_key(PartitionId(number)) for number in range(settings.partition_count)]


def _entries(
    settings: ClusterSettings,
    nodes: Sequence[Node],
    applications: Sequence[Application],
    existing: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Every key of a new cluster in the order of writing; partitions that are all there are not planned again."""
    entries = {CLUSTER: encode_settings(settings)}
    entries.update((node_key(node.node), encode_node(node)) for node in nodes)
    entries.update((application_key(entry.application), encode_application(entry)) for entry in applications)
    keys = _partition_keys(settings)
    if all(key in existing for key in keys):
        return entries | {key: existing[key] for key in keys}
    planned = plan_partitions(settings, nodes)
    return entries | {partition_key(entry.partition): encode_partition(entry) for entry in planned}


async def _create(catalog: Catalog, entries: Mapping[str, bytes]) -> bool:
    """Write new keys in one transaction; False where that is not certain."""
    try:
        revision = await catalog.transact(
            [Compare(key, 0) for key in entries], [Put(key, value) for key, value in entries.items()]
        )
    except OutcomeUnknown:
        return False
    return revision is not None


async def _read(catalog: Catalog) -> dict[str, bytes]:
    (settings,) = await catalog.get([CLUSTER])
    found = {} if settings is None else {CLUSTER: settings.value}
    for prefix in (NODES, APPLICATIONS, PARTITIONS):
        found.update((entry.key, entry.value) for entry in await read_all(catalog, prefix))
    return found


def _check_same_cluster(existing: Mapping[str, bytes], settings: ClusterSettings) -> None:
    if CLUSTER not in existing:
        return
    found = decode_settings(existing[CLUSTER])
    if found.cluster_id != settings.cluster_id:
        raise CommandError(
            "the catalog belongs to another cluster",
            found=found.cluster_id,
            wanted=settings.cluster_id,
            advice="use that cluster's data directory, or give this one a catalog of its own",
            exit_code=ExitCode.REFUSED,
        )
    if replace(found, replication_factor=settings.replication_factor) != settings:
        raise CommandError(
            "the catalog was made with other settings",
            partition_count=found.partition_count,
            format_version=found.format_version,
            advice="the number of partitions is fixed when a cluster is made; use this one",
            exit_code=ExitCode.REFUSED,
        )


def _check_same_keys(existing: Mapping[str, bytes], nodes: Sequence[Node], applications: Sequence[Application]) -> None:
    for node in nodes:
        value = existing.get(node_key(node.node))
        if value is not None and not set(node.public_keys) & set(decode_node(value).public_keys):
            raise _other_key("node", node.node)
    for application in applications:
        value = existing.get(application_key(application.application))
        if value is not None and not set(application.public_keys) & set(decode_application(value).public_keys):
            raise _other_key("application", application.application)


def _other_key(kind: str, name: str) -> CommandError:
    return CommandError(
        f"the catalog lists another public key for this {kind}",
        name=name,
        advice="put the old key file back, or make a new cluster in another directory",
        exit_code=ExitCode.REFUSED,
    )
