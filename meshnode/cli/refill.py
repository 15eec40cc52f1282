"""Writes a rebuilt catalog: shared settings, records, names and partitions first, then the cluster itself.

    empty? -> shared settings, records, names, partitions, 64 keys a transaction -> settings (`initialise_cluster`)

Rule: nodes refuse to start on a catalog without settings, so one that is half written serves nobody. Nothing that
is there is ever changed: a catalog with settings, or with one value that this plan would not write, is refused, and
a plan that was interrupted is taken up by running it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.cli.local import Begin, begin_nothing, initialise_cluster
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.core.applications import Application
from meshnode.core.cluster import ClusterSettings
from meshnode.core.keys import CLUSTER, NAMES, PARTITIONS, RECORDS, SETTINGS, name_key, partition_key, record_key
from meshnode.core.nodes import Node
from meshnode.core.partition import encode_partition
from meshnode.core.rebuild import RebuildPlan
from meshnode.core.record import RepositoryState, encode_record
from meshnode.core.shared_settings import SharedSettings, encode_shared_settings
from meshnode.engine.ranges import read_all
from meshnode.ports import Catalog, Compare, Put

BATCH: Final = 64
"""Writes of one transaction (port Catalog)."""
_PASSES_MAX: Final = 8
"""Reads and writes again after unknown outcomes."""


def entries_of(plan: RebuildPlan, settings: SharedSettings | None = None) -> dict[str, bytes]:
    """What the plan puts into the catalog, in the order of writing; first the settings that the nodes had heard of."""
    entries: dict[str, bytes] = {} if settings is None else {SETTINGS: encode_shared_settings(settings)}
    for decision in plan.decisions:
        record = decision.record
        entries[record_key(record.repository)] = encode_record(record)
    for decision in plan.decisions:
        if decision.record.state is RepositoryState.ACTIVE:
            entries[name_key(decision.record.name)] = decision.record.repository.encode()
    for partition in plan.partitions:
        entries[partition_key(partition.partition)] = encode_partition(partition)
    return entries


async def check_catalog_empty(catalog: Catalog, wanted: dict[str, bytes]) -> list[str]:
    """Check that nothing is there but what an interrupted rebuild by the same plan left; the keys still missing.

    Raises:
        CommandError: something else is there.
    """
    (settings,) = await catalog.get([CLUSTER])
    found = await _read(catalog)
    foreign = sorted(key for key, value in found.items() if wanted.get(key) != value)
    if settings is not None or foreign:
        raise CommandError(
            "the catalog is not empty",
            key=CLUSTER if settings is not None else foreign[0],
            advice="a catalog that is there is never overwritten: start the nodes on it, or remove it for good first",
            exit_code=ExitCode.REFUSED,
        )
    return [key for key in wanted if key not in found]


async def write_catalog(
    catalog: Catalog,
    plan: RebuildPlan,
    *,
    settings: ClusterSettings,
    nodes: Sequence[Node],
    applications: Sequence[Application],
    shared: SharedSettings | None = None,
    begin: Begin = begin_nothing,
) -> int:
    """Make the catalog what the plan says; how many keys this call wrote.

    Raises:
        CommandError: the catalog is not empty.
        CatalogUnavailable: it cannot be reached, or outcomes stayed unknown.
    """
    wanted = entries_of(plan, shared)
    written = 0
    for _ in range(_PASSES_MAX):
        missing = await check_catalog_empty(catalog, wanted)
        if not missing:
            return written + await initialise_cluster(
                catalog, settings=settings, nodes=nodes, applications=applications, begin=begin
            )
        await begin()
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            try:
                revision = await catalog.transact(
                    [Compare(key, 0) for key in batch], [Put(key, wanted[key]) for key in batch]
                )
            except OutcomeUnknown:
                break
            if revision is None:
                break
            written += len(batch)
    raise CatalogUnavailable("the catalog did not keep what was written", keys=len(missing), passes=_PASSES_MAX)


async def _read(catalog: Catalog) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for prefix in (SETTINGS, RECORDS, NAMES, PARTITIONS):
        found.update((entry.key, entry.value) for entry in await read_all(catalog, prefix))
    return found
