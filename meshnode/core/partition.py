"""A partition: which nodes hold its repositories, and the JSON that it is in the catalog.

How it changes is said by `core/moves.py`, `core/read_replicas.py` and `core/families.py`; who of its nodes is believed is said
by each record (`core/record.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from meshnode.base.ids import NodeId, PartitionId, RepositoryId, parse_node_id, parse_partition_id, parse_repository_id
from meshnode.core.decoding import decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, encode_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """A placement unit: which nodes hold its repositories. `core/moves.py` says how it changes."""

    partition: PartitionId
    replicas: tuple[NodeId, ...]
    """The configured replicas; their number is the n of the quorum."""
    joining: tuple[NodeId, ...] = ()
    """Nodes being filled, treated as learners by every publish."""
    listed: tuple[NodeId, ...] = ()
    """Those of `joining` that every record has listed: from here on, not being listed means being consistent."""
    leaving: tuple[NodeId, ...] = ()
    """Nodes that are out and whose copies still lie on their disks."""
    target: tuple[NodeId, ...] = ()
    """The replicas that a move under way leads to; empty for none."""
    factor: int | None = None
    """How many replicas there are to be; None: as many as the cluster's setting says."""
    epoch: int = 0
    """Grows whenever `replicas` or `joining` change; by two when a member comes back without what it had voted for."""
    read_replicas: tuple[NodeId, ...] = ()
    """Nodes that get every write and answer reads, and are asked for nothing else (`core/read_replicas.py`)."""
    read_replicas_wanted: int = 0
    """How many of those there are to be; there are fewer where nodes are lacking."""
    family: RepositoryId | None = None
    """The fork root whose family has the partition for itself (`core/families.py`); None: whoever is drawn to it."""

    @property
    def accountable(self) -> tuple[NodeId, ...]:
        """Those whom records list where they have not got everything: replicas, then joining."""
        return self.replicas + tuple(node for node in self.joining if node not in self.replicas)

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Everyone who keeps a copy: replicas, then joining, then read replicas."""
        return self.accountable + tuple(node for node in self.read_replicas if node not in self.accountable)


def encode_partition(partition: Partition) -> bytes:
    """The partition as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "partition": partition.partition,
            "replicas": list(partition.replicas),
            "joining": list(partition.joining),
            "listed": list(partition.listed),
            "leaving": list(partition.leaving),
            "target": list(partition.target),
            "factor": partition.factor,
            "epoch": partition.epoch,
            "read_replicas": list(partition.read_replicas),
            "read_replicas_wanted": partition.read_replicas_wanted,
            "family": partition.family,
        }
    )


@lru_cache(DECODED_MAX)
def decode_partition(value: bytes) -> Partition:
    """The partition of its JSON. Raises Corrupt."""
    return decode(
        value,
        "partition",
        FORMAT_VERSION,
        lambda fields: Partition(
            partition=parse_partition_id(fields.number("partition")),
            replicas=fields.all_parsed("replicas", parse_node_id),
            joining=fields.all_parsed("joining", parse_node_id),
            listed=fields.all_parsed("listed", parse_node_id),
            leaving=fields.all_parsed("leaving", parse_node_id),
            target=fields.all_parsed("target", parse_node_id),
            factor=fields.optional_number("factor"),
            epoch=fields.number("epoch"),
            read_replicas=fields.all_parsed("read_replicas", parse_node_id) if fields.has("read_replicas") else (),
            read_replicas_wanted=fields.number("read_replicas_wanted") if fields.has("read_replicas_wanted") else 0,
            family=fields.optional("family", parse_repository_id) if fields.has("family") else None,
        ),
    )
