"""What the control plane keeps in the catalog beside partitions: orders about moves, and accounts of them.

`MoveControl` is an order and followed by everyone; `MoveProgress` and `NodeUsage` are accounts, as old as they say,
and nothing rests on them but what people are shown and which of several equal moves is planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshnode.base.ids import NodeId, PartitionId, parse_node_id, parse_partition_id
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import FORMAT_VERSION, encode_json


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveControl:
    """What operators want of moves."""

    is_paused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionProgress:
    """How far one partition's move is."""

    partition: PartitionId
    step: str
    """What comes next, or what is waited for."""
    node: NodeId | None
    """The node that enters or goes with this step."""
    predecessor: NodeId | None
    """The replica that goes when `node` has entered, where that is known."""
    repositories: int
    """Active repositories of the partition."""
    left: int
    """Those that are not filled on `node` yet, or in the way otherwise."""
    size_bytes: int
    """What a copy of the partition takes, as far as nodes have told."""
    since_ms: int
    """Wall clock of when this planner first saw the move."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveProgress:
    """The planner's account of all moves."""

    planner: NodeId
    at_ms: int
    """Wall clock."""
    waiting: int
    """Partitions with a target whose turn has not come."""
    moves: tuple[PartitionProgress, ...]
    done_bytes: int
    """Filled since this planner began, by its own estimate."""
    left_ms: int
    """Estimated time to the end of all moves; -1 where nothing can be told yet."""
    blocked: tuple[str, ...]
    """Why moves that are wanted cannot even be planned, one line each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeUsage:
    """What a node's replicas take, in its own words."""

    node: NodeId
    at_ms: int
    partitions: Mapping[PartitionId, int] = field(default_factory=dict)
    """Bytes of the node's replicas by partition."""
    disk_bytes: int = 0
    """Size of the file system that holds them; 0 where that is not known."""
    free_bytes: int = 0


def encode_control(control: MoveControl) -> bytes:
    """The order as JSON."""
    return encode_json({"v": FORMAT_VERSION, "is_paused": control.is_paused})


def decode_control(value: bytes) -> MoveControl:
    """The order of its JSON. Raises Corrupt."""
    return decode(
        value, "move control", FORMAT_VERSION, lambda fields: MoveControl(is_paused=fields.truth("is_paused"))
    )


def encode_progress(progress: MoveProgress) -> bytes:
    """The planner's account as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "planner": progress.planner,
            "at_ms": progress.at_ms,
            "waiting": progress.waiting,
            "moves": [
                {
                    "partition": move.partition,
                    "step": move.step,
                    "node": move.node,
                    "predecessor": move.predecessor,
                    "repositories": move.repositories,
                    "left": move.left,
                    "size_bytes": move.size_bytes,
                    "since_ms": move.since_ms,
                }
                for move in progress.moves
            ],
            "done_bytes": progress.done_bytes,
            "left_ms": progress.left_ms,
            "blocked": list(progress.blocked),
        }
    )


def decode_progress(value: bytes) -> MoveProgress:
    """The planner's account of its JSON. Raises Corrupt."""
    return decode(
        value,
        "move progress",
        FORMAT_VERSION,
        lambda fields: MoveProgress(
            planner=fields.parsed("planner", parse_node_id),
            at_ms=fields.number("at_ms"),
            waiting=fields.number("waiting"),
            moves=tuple(_move(Fields(item)) for item in fields.items("moves")),
            done_bytes=fields.number("done_bytes"),
            left_ms=fields.number("left_ms", smallest=-1),
            blocked=fields.texts("blocked"),
        ),
    )


def encode_usage(usage: NodeUsage) -> bytes:
    """A node's account as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "node": usage.node,
            "at_ms": usage.at_ms,
            "partitions": [
                {"partition": partition, "bytes": size} for partition, size in sorted(usage.partitions.items())
            ],
            "disk_bytes": usage.disk_bytes,
            "free_bytes": usage.free_bytes,
        }
    )


def decode_usage(value: bytes) -> NodeUsage:
    """A node's account of its JSON. Raises Corrupt."""
    return decode(
        value,
        "node usage",
        FORMAT_VERSION,
        lambda fields: NodeUsage(
            node=fields.parsed("node", parse_node_id),
            at_ms=fields.number("at_ms"),
            partitions=dict(_held(Fields(item)) for item in fields.items("partitions")),
            disk_bytes=fields.number("disk_bytes"),
            free_bytes=fields.number("free_bytes"),
        ),
    )


def _move(fields: Fields) -> PartitionProgress:
    return PartitionProgress(
        partition=parse_partition_id(fields.number("partition")),
        step=fields.text("step"),
        node=fields.optional("node", parse_node_id),
        predecessor=fields.optional("predecessor", parse_node_id),
        repositories=fields.number("repositories"),
        left=fields.number("left"),
        size_bytes=fields.number("size_bytes"),
        since_ms=fields.number("since_ms"),
    )


def _held(fields: Fields) -> tuple[PartitionId, int]:
    return parse_partition_id(fields.number("partition")), fields.number("bytes")
