"""`meshnode cluster hot`: the busiest repositories over all nodes, and how many replicas they need."""

from __future__ import annotations

from typing import Any, Final

import click

from meshnode.cli.client import ask
from meshnode.cli.durations import DurationType
from meshnode.cli.moves import print_warnings, size_text
from meshnode.cli.output import print_json, print_table
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_hot_pb2 as pb

_METHOD: Final = "/mesh.v1.ClusterService/GetHotRepositories"


@click.command()
@click.option("--window", type=DurationType(), default="10m", show_default=True, help="Look back so far: 1m to 1h.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@click.option("--suggest", is_flag=True, help="Say how many replicas each needs, and why.")
@target_options
@json_option
def hot(target: Target, *, window: int, limit: int, suggest: bool, is_json: bool) -> None:
    """List the busiest repositories: reads, writes, bytes and time of git processes, added up over all nodes."""
    request = pb.GetHotRepositoriesRequest(window_s=window, limit=limit, cluster=True, suggest=suggest)
    answer = ask(target, _METHOD, request, pb.GetHotRepositoriesResponse)
    missing = [
        f"{node.node} gave no answer, its part is missing: {node.reason}" for node in answer.nodes if not node.reachable
    ]
    if is_json:
        print_json(_describe(answer, window))
        return
    print_table(
        ["repository", "reads", "writes", "in", "out", "git", "replicas", "answered by"],
        [
            [
                one.name,
                str(one.reads),
                str(one.writes),
                size_text(one.bytes_in),
                size_text(one.bytes_out),
                f"{one.git_ms / 1_000:.1f} s",
                _replicas_text(one),
                ", ".join(f"{share.node} {share.reads + share.writes}" for share in one.shares),
            ]
            for one in answer.repositories
        ],
        empty="nothing was read or written",
    )
    for one in answer.repositories if suggest else ():
        click.echo(f"{one.name}: {_advice(one)}")
        for reason in one.suggestion.reasons:
            click.echo(f"  {reason}")
    print_warnings(missing)


def _advice(one: pb.HotRepository) -> str:
    suggestion = one.suggestion
    if not one.HasField("suggestion"):
        return "the catalog does not say where it is"
    if suggestion.read_replicas:
        number = suggestion.read_replicas
        return f"add {number} read replicas: meshnode repo add-read-replicas {one.name} {number}"
    if suggestion.factor:
        number = suggestion.factor
        return f"have {number} voting replicas: meshnode repo factor {one.name} {number}"
    return "nothing to do"


def _replicas_text(one: pb.HotRepository) -> str:
    if not one.replicas:
        return "-"
    if not one.read_replicas:
        return str(one.replicas)
    return f"{one.replicas} + {one.read_replicas} read ({one.read_replica_reads} reads there)"


def _describe(answer: pb.GetHotRepositoriesResponse, window_s: int) -> dict[str, Any]:
    return {
        "window_s": window_s,
        "repositories": [_describe_repository(one) for one in answer.repositories],
        "nodes": [
            {
                "node": node.node,
                "reachable": node.reachable,
                "reason": node.reason,
                "observed_s": node.observed_s,
                "cores": node.cores,
                "missed_work_ms": node.missed_work_ms,
            }
            for node in answer.nodes
        ],
    }


def _describe_repository(one: pb.HotRepository) -> dict[str, Any]:
    return {
        "name": one.name,
        "reads": one.reads,
        "writes": one.writes,
        "bytes_in": one.bytes_in,
        "bytes_out": one.bytes_out,
        "git_ms": one.git_ms,
        "partition": one.partition if one.HasField("partition") else None,
        "replicas": one.replicas or None,
        "read_replicas": one.read_replicas,
        "read_replica_reads": one.read_replica_reads,
        "shares": [{"node": share.node, "reads": share.reads, "writes": share.writes} for share in one.shares],
        "suggestion": {
            "replicas": one.suggestion.replicas,
            "read_replicas": one.suggestion.read_replicas,
            "factor": one.suggestion.factor or None,
            "reasons": list(one.suggestion.reasons),
        }
        if one.HasField("suggestion")
        else None,
    }
