"""What giving up published writes means for a record, and when it may be done at all. Pure.

    record (generation g, nobody believed in can answer) --accept--> record (generation past all known, a new round,
                                                                     the chosen replica's references, everyone listed)

Rule: the generation still only grows (I4), so every replica that knows something of the old line is behind the new
one and is filled from it; the new round is in no journal and no history, so nothing of the old line connects to it.
Nobody is believed in until the chosen replica has taken the new position and rejoins by the usual compare-and-set.

Source: docs/adr/0010-accepting-data-loss.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from enum import Enum

from meshnode.base.ids import Generation, NodeId, RefsDigest, RoundId
from meshnode.core.partition import Partition
from meshnode.core.record import Record, consistent_nodes


class Standing(Enum):
    """What a member's replica is, as far as it could be found out."""

    SOUND = "sound"
    """It answers, and is what the record says."""
    SILENT = "silent"
    UNFIT = "unfit"
    """It answers, and is not what the record says: behind, damaged or missing."""


def obstacle_to_loss(
    *,
    chosen: NodeId,
    record: Record,
    partition: Partition,
    standings: Mapping[NodeId, Standing],
    online: Collection[NodeId],
) -> str:
    """Why nothing may be given up yet, "" where it may. A replica that may still be the truth comes first."""
    if chosen not in partition.replicas:
        return f"{chosen} is no replica of this repository's partition"
    for node in consistent_nodes(record, partition):
        standing = standings.get(node, Standing.SILENT)
        if standing is Standing.SOUND:
            return f"{node} is consistent and answers: nothing has to be given up, repair brings the others along"
        if standing is Standing.SILENT and node in online:
            return f"{node} is believed in and online but did not answer: reach it, or stop it for good, first"
    return ""


def new_generation(record: Record, known: Iterable[Generation]) -> Generation:
    """One past every generation that the record or any replica knows of."""
    return Generation(max([record.generation, *known]) + 1)


def record_after_loss(
    record: Record, partition: Partition, *, generation: Generation, round_id: RoundId, refs_digest: RefsDigest
) -> Record:
    """The record that makes `refs_digest` the truth at `generation`, with nobody believed in yet."""
    return replace(
        record,
        generation=generation,
        round_id=round_id,
        refs_digest=refs_digest,
        inconsistent=frozenset(partition.accountable),
        recent=(round_id,),
        fence=record.fence + 1,
    )
