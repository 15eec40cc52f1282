"""Turns move plans, their progress and partitions into the messages operators see."""

from __future__ import annotations

from meshnode.core.control import PartitionProgress
from meshnode.core.partition import Partition
from meshnode.ports import MoveOverview, MovePlan
from meshnode.v1 import cluster_pb2


def move_status_message(overview: MoveOverview) -> cluster_pb2.MoveStatus:
    """How far moves are; what the planner told last is left out where nothing moves any more."""
    message = cluster_pb2.MoveStatus(
        paused=overview.is_paused, partitions=overview.moving, left_s=-1, warnings=overview.warnings
    )
    told = overview.progress
    if told is None:
        return message
    message.planner = told.planner
    message.age_s = overview.age_ms // 1_000
    message.blocked.extend(told.blocked)
    if overview.moving:
        message.left_s = -1 if told.left_ms < 0 else told.left_ms // 1_000
        message.moves.extend(_move_message(move, told.at_ms) for move in told.moves)
    return message


def plan_message(plan: MovePlan) -> cluster_pb2.RebalanceResponse:
    """What would move."""
    return cluster_pb2.RebalanceResponse(
        moves=[
            cluster_pb2.PlannedMove(
                partition=move.partition, entering=move.entering, leaving=move.leaving, size_bytes=move.size_bytes
            )
            for move in plan.moves
        ],
        size_bytes=sum(move.size_bytes for move in plan.moves),
        blocked=plan.blocked,
        warnings=plan.warnings,
    )


def partition_message(partition: Partition) -> cluster_pb2.Partition:
    """Where a partition is, and where it is to be."""
    return cluster_pb2.Partition(
        partition=partition.partition,
        replicas=partition.replicas,
        joining=partition.joining,
        leaving=partition.leaving,
        target=partition.target,
        factor=partition.factor or 0,
        read_replicas=partition.read_replicas,
        read_replicas_wanted=partition.read_replicas_wanted,
        family=partition.family or "",
    )


def _move_message(move: PartitionProgress, at_ms: int) -> cluster_pb2.Move:
    return cluster_pb2.Move(
        partition=move.partition,
        step=move.step,
        node=move.node or "",
        predecessor=move.predecessor or "",
        repositories=move.repositories,
        left=move.left,
        size_bytes=move.size_bytes,
        running_s=max(0, at_ms - move.since_ms) // 1_000,
    )
