"""A partition that one fork family has for itself: how it comes to be, and how its name outlives a lost catalog.

    partition P, all records of the family --one transaction--> partition Q, a copy of P as it stands, with another factor;
                                                                every record of the family names Q

Nothing moves on any disk: replicas lie where the family was created (`Record.home`), and Q's nodes are P's, learners,
targets and all. Only then do Q's replicas come and go, by the usual steps (`core/moves.py`). A round that is under way
meets one change of its partition and is published to Q by the votes it has.

Rules:
* All of a family's records go at once, deleted ones too: a fork's objects lie with its parent's.
* A fork that is being created stays with its parent: its publish names the family's key, and leaves the *fork mark*,
  which the transaction names. Whichever is second is refused.
* Numbers of such partitions only grow. So of several notes on nodes' disks the highest is the newest.

Source: docs/adr/0019-families.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import PartitionId, RepositoryId, parse_partition_id, parse_repository_id
from meshnode.core.partition import Partition
from meshnode.core.record import Record

FAMILY_MAX: Final = 60
"""Records of one family, deleted ones included: with the partitions and marks they fit into one get of 64 keys, and into
one transaction of etcd's 128 operations."""


def next_partition(numbers: Collection[PartitionId]) -> PartitionId:
    """A number that no partition has or has had. Raises InvalidRequest: there is none left."""
    return parse_partition_id(max(numbers) + 1)


def partition_for_family(
    partition: Partition, number: PartitionId, root: RepositoryId, factor: int | None
) -> Partition:
    """The partition that a family of `partition` gets for itself."""
    return replace(partition, partition=number, family=root, factor=factor, epoch=partition.epoch + 1)


def record_in(record: Record, partition: PartitionId) -> Record:
    """The record, living in another partition; its generation and who is listed stay."""
    return replace(record, partition=partition)


def check_family_size(root: RepositoryId, records: int) -> None:
    """Raises InvalidRequest: too many for one transaction."""
    if records > FAMILY_MAX:
        raise InvalidRequest(
            "the fork family is too large to get a partition of its own; give its partition the factor:"
            " `meshnode cluster factor N --partition P`",
            fork_root=root,
            records=records,
            records_max=FAMILY_MAX,
        )


def newest_families(
    notes: Iterable[Mapping[RepositoryId, PartitionId]],
) -> dict[RepositoryId, PartitionId]:
    """Which partition each family has for itself, of all that was noted."""
    newest: dict[RepositoryId, PartitionId] = {}
    for note in notes:
        for root, number in note.items():
            newest[root] = max(number, newest.get(root, number))
    return newest


def format_families(families: Mapping[RepositoryId, PartitionId]) -> list[list[object]]:
    """Families and their partitions, for JSON."""
    return [[root, families[root]] for root in sorted(families)]


def parse_families(items: Iterable[object]) -> dict[RepositoryId, PartitionId]:
    """What `format_families` wrote. Raises TypeError, InvalidRequest."""
    families: dict[RepositoryId, PartitionId] = {}
    for item in items:
        match item:
            case [str(root), int(number)] if not isinstance(number, bool):
                families[parse_repository_id(root)] = parse_partition_id(number)
            case _:
                raise TypeError("a family is a repository id and a partition number")
    return families
