"""`meshnode cluster rebalance`, `factor` and `partitions`, `meshnode node remove`: where replicas are to be."""

from __future__ import annotations

from typing import Any, Final

import click

from meshnode.cli.client import ask
from meshnode.cli.output import print_json, print_table
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_pb2

_SERVICE: Final = "/mesh.v1.ClusterService/"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


@click.command()
@click.option("--plan", "is_plan", is_flag=True, help="Only show what would move, and how much.")
@click.option("--pause", "is_pause", is_flag=True, help="Stop moves between two steps; nothing is forgotten.")
@click.option("--resume", "is_resume", is_flag=True, help="Let paused moves go on.")
@target_options
@json_option
def rebalance(target: Target, *, is_plan: bool, is_pause: bool, is_resume: bool, is_json: bool) -> None:
    """Spread replicas evenly over nodes and zones; `cluster status` shows how far it is."""
    if is_plan + is_pause + is_resume > 1:
        raise click.UsageError("--plan, --pause and --resume exclude each other")
    if is_pause or is_resume:
        answer = ask(
            target,
            _SERVICE + "PauseMoves",
            cluster_pb2.PauseMovesRequest(paused=is_pause),
            cluster_pb2.PauseMovesResponse,
            is_write=True,
        )
        if is_json:
            print_json({"paused": answer.paused})
        else:
            click.echo("moves are paused" if answer.paused else "moves go on")
        return
    plan = ask(
        target,
        _SERVICE + "Rebalance",
        cluster_pb2.RebalanceRequest(dry_run=is_plan),
        cluster_pb2.RebalanceResponse,
        is_write=True,
    )
    if is_json:
        print_json({"dry_run": is_plan, **_describe_plan(plan)})
        return
    _print_plan(plan)
    copies = sum(len(move.entering) for move in plan.moves)
    if not plan.moves:
        click.echo("nothing has to move")
    elif is_plan:
        click.echo(f"{copies} copies would be made, {size_text(plan.size_bytes)}; nothing has been changed")
    else:
        click.echo(f"{copies} copies are being made, {size_text(plan.size_bytes)}; see `meshnode cluster status`")


@click.command()
@click.argument("replicas", type=click.IntRange(0, 9))
@click.option("--partition", type=click.IntRange(0, 65_535), help="Only this partition; 0 replicas: as the cluster.")
@target_options
@json_option
def factor(target: Target, replicas: int, partition: int | None, *, is_json: bool) -> None:
    """Have that many REPLICAS of everything, or of one partition; they come and go while writes go on."""
    request = cluster_pb2.SetReplicationFactorRequest(factor=replicas)
    if partition is not None:
        request.partition = partition
    answer = ask(
        target, _SERVICE + "SetReplicationFactor", request, cluster_pb2.SetReplicationFactorResponse, is_write=True
    )
    if is_json:
        print_json({"factor": answer.factor, "partition": partition, "warnings": list(answer.warnings)})
        return
    what = "the cluster" if partition is None else f"partition {partition}"
    many = "as many replicas as the cluster" if not answer.factor else f"{answer.factor} replicas"
    click.echo(f"{what} is to have {many}; see `meshnode cluster status`")
    print_warnings(answer.warnings)


@click.command()
@target_options
@json_option
def partitions(target: Target, *, is_json: bool) -> None:
    """List where every partition is, and where it is to be."""
    answer = ask(
        target, _SERVICE + "ListPartitions", cluster_pb2.ListPartitionsRequest(), cluster_pb2.ListPartitionsResponse
    )
    if is_json:
        print_json([_describe_partition(one) for one in answer.partitions])
        return
    print_table(
        ["partition", "replicas", "read replicas", "joining", "leaving", "to be", "factor", "family of"],
        [
            [
                str(one.partition),
                ", ".join(one.replicas),
                ", ".join(one.read_replicas) or "-",
                ", ".join(one.joining) or "-",
                ", ".join(one.leaving) or "-",
                ", ".join(one.target) or "-",
                str(one.factor) if one.factor else "-",
                one.family or "-",
            ]
            for one in answer.partitions
        ],
        empty="no partitions",
    )


@click.command()
@click.argument("name")
@target_options
@json_option
def remove(target: Target, name: str, *, is_json: bool) -> None:
    """Take a node out for good: its replicas move to other nodes first, then the cluster forgets it."""
    answer = ask(
        target,
        _SERVICE + "RemoveNode",
        cluster_pb2.RemoveNodeRequest(node=name),
        cluster_pb2.RemoveNodeResponse,
        is_write=True,
    )
    if is_json:
        print_json({"node": answer.node.id, "state": "deleting", "partitions": answer.partitions})
        return
    click.echo(
        f"{answer.node.id} is being removed: {answer.partitions} partitions move away first;"
        " see `meshnode cluster status`, and stop the node when it is no longer listed"
    )


def describe_moves(status: cluster_pb2.MoveStatus) -> dict[str, Any]:
    """Moves for programs."""
    return {
        "paused": status.paused,
        "partitions": status.partitions,
        "planner": status.planner,
        "age_s": status.age_s,
        "left_s": status.left_s,
        "moves": [
            {
                "partition": move.partition,
                "step": move.step,
                "node": move.node,
                "predecessor": move.predecessor,
                "repositories": move.repositories,
                "left": move.left,
                "size_bytes": move.size_bytes,
                "running_s": move.running_s,
            }
            for move in status.moves
        ],
        "blocked": list(status.blocked),
        "warnings": list(status.warnings),
    }


def moves_fact(status: cluster_pb2.MoveStatus) -> str:
    """Moves in one line."""
    if not status.partitions:
        return "none, paused" if status.paused else "none"
    left = "" if status.left_s < 0 else f", about {_duration_text(status.left_s)} left"
    return f"{status.partitions} partitions{', paused' if status.paused else left}"


def print_moves(status: cluster_pb2.MoveStatus) -> None:
    """Moves under way, what is in their way, and what a zone's loss would mean."""
    if status.moves:
        print_table(
            ["partition", "step", "node", "for", "done", "size", "running"],
            [
                [
                    str(move.partition),
                    move.step,
                    move.node,
                    move.predecessor or "-",
                    f"{move.repositories - min(move.left, move.repositories)}/{move.repositories}",
                    size_text(move.size_bytes),
                    _duration_text(move.running_s),
                ]
                for move in status.moves
            ],
        )
    for line in status.blocked:
        click.echo(f"blocked: {line}")
    print_warnings(status.warnings)


def print_warnings(warnings: Any) -> None:
    """One line each, on standard error."""
    for line in warnings:
        click.echo(f"warning: {line}", err=True)


def size_text(size_bytes: int) -> str:
    """Bytes for people."""
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size_bytes} B" if not unit else f"{value:.1f} {_UNITS[unit]}"


def _duration_text(seconds: int) -> str:
    hours, rest = divmod(seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _print_plan(plan: cluster_pb2.RebalanceResponse) -> None:
    if plan.moves:
        print_table(
            ["partition", "enters", "leaves", "size"],
            [
                [
                    str(move.partition),
                    ", ".join(move.entering) or "-",
                    ", ".join(move.leaving) or "-",
                    size_text(move.size_bytes),
                ]
                for move in plan.moves
            ],
        )
    for line in plan.blocked:
        click.echo(f"blocked: {line}")
    print_warnings(plan.warnings)


def _describe_plan(plan: cluster_pb2.RebalanceResponse) -> dict[str, Any]:
    return {
        "moves": [
            {
                "partition": move.partition,
                "entering": list(move.entering),
                "leaving": list(move.leaving),
                "size_bytes": move.size_bytes,
            }
            for move in plan.moves
        ],
        "size_bytes": plan.size_bytes,
        "blocked": list(plan.blocked),
        "warnings": list(plan.warnings),
    }


def _describe_partition(one: cluster_pb2.Partition) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "replicas": list(one.replicas),
        "read_replicas": list(one.read_replicas),
        "read_replicas_wanted": one.read_replicas_wanted,
        "joining": list(one.joining),
        "leaving": list(one.leaving),
        "target": list(one.target),
        "factor": one.factor or None,
        "family": one.family or None,
    }
