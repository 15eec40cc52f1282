"""Decides which partition a repository lives in and which nodes hold a partition.

Weighted rendezvous hashing: every (partition, node) pair has a draw of its own, the lowest draw for its weight
wins. A node that comes or goes moves only the partitions it wins or held; the others keep their draws.

    draw(partition, node)  = -log2(uniform in (0, 1]) / weight       lowest first
    replicas               = lowest draws, each time from a zone that holds fewest so far

The rule: the answer depends on the arguments alone, so every node plans the same. Draws are whole numbers and
fractions of them, never floats, because libraries of two machines may round a logarithm differently.

Source: Schindelhauer and Schomaker, "Weighted distributed hash tables" (2005), the logarithmic method.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, PartitionId, RepositoryId

_HASH_BITS: Final = 64
_LOG_FRACTION_BITS: Final = 32
"""Draws closer than 2**-32 count as equal and go by node id; among 10,000 pairs that is one in a million runs."""


@dataclass(frozen=True, slots=True)
class NodePlacement:
    """What placement needs to know of a node."""

    node: NodeId
    zone: str
    """Failure domain: nodes of one zone are expected to fail together."""
    weight: int
    """Share of replicas relative to the other nodes of its zone; 0 means none."""


def plan_replicas(partition: PartitionId, nodes: Sequence[NodePlacement], factor: int) -> tuple[NodeId, ...]:
    """Choose `factor` nodes for a partition, the preferred one first; the order of `nodes` does not matter.

    Replicas are spread over zones as evenly as the zones' sizes allow, so no zone holds a majority if there is
    any choice without one. Nodes of weight 0 are never chosen.

    Raises:
        InvalidRequest: `factor` is below 1, a weight is negative, a node comes twice, or fewer than `factor`
            nodes have a weight.
    """
    _check_nodes(nodes, factor)
    waiting = sorted((node for node in nodes if node.weight), key=lambda node: (_draw(partition, node), node.node))
    per_zone: Counter[str] = Counter()
    chosen: list[NodeId] = []
    while len(chosen) < factor:
        best = min(waiting, key=lambda node: per_zone[node.zone])  # the first of equals: the lowest draw
        waiting.remove(best)
        per_zone[best.zone] += 1
        chosen.append(best.node)
    return tuple(chosen)


def partition_of(fork_root: RepositoryId, partition_count: int) -> PartitionId:
    """The partition of a repository and all its forks: 0 to `partition_count` - 1, evenly over ids.

    Raises:
        InvalidRequest: `partition_count` is not 1 to 65,536.
    """
    if not 1 <= partition_count <= 65_536:
        raise InvalidRequest("partition count must be 1 to 65536", partition_count=partition_count)
    return PartitionId(_hash(fork_root) % partition_count)


def draw_of(partition: PartitionId, node: NodeId) -> int:
    """The pair's own draw without a weight, 0 to 2**64 - 1: the higher, the sooner the node gets the partition."""
    return _hash(f"{partition}/{node}")


def _check_nodes(nodes: Sequence[NodePlacement], factor: int) -> None:
    if factor < 1:
        raise InvalidRequest("replication factor must be at least 1", factor=factor)
    if len({node.node for node in nodes}) != len(nodes):
        raise InvalidRequest("a node is listed twice for placement")
    for node in nodes:
        if node.weight < 0:
            raise InvalidRequest("node weight must not be negative", node=node.node, weight=node.weight)
    usable = sum(1 for node in nodes if node.weight)
    if usable < factor:
        raise InvalidRequest("too few nodes for the replication factor", nodes=usable, factor=factor)


def _draw(partition: PartitionId, node: NodePlacement) -> Fraction:
    uniform = draw_of(partition, node.node) + 1
    return Fraction((_HASH_BITS << _LOG_FRACTION_BITS) - _log2(uniform), node.weight)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: _HASH_BITS // 8], "big")


def _log2(number: int) -> int:
    """The binary logarithm of a number from 1 to 2**64, in units of 2**-32, rounded down (repeated squaring)."""
    whole = number.bit_length() - 1
    result = whole
    mantissa = number << (_HASH_BITS - whole)  # 1.0 <= mantissa / 2**64 < 2.0
    for _ in range(_LOG_FRACTION_BITS):
        mantissa = (mantissa * mantissa) >> _HASH_BITS
        bit = mantissa >> (_HASH_BITS + 1)
        mantissa >>= bit
        result = (result << 1) | bit
    return result
