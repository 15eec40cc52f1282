"""`meshnode doctor`: run every check that applies here, in the order in which one builds on the other.

    this machine -> settings and keys of each node -> catalog -> connections and clocks -> a signed call

Rule: everything is checked that can be, so one run shows all that needs doing; a check that another's failure
makes meaningless is left out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from meshnode.auth.keys import load_private_key
from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId
from meshnode.cli.checks import (
    CatalogContent,
    Check,
    Status,
    check_catalog,
    check_clock,
    check_connection,
    check_directory,
    check_git,
    check_key,
    check_ports,
    check_python,
    check_tls,
)
from meshnode.cli.client import ClusterClient, run_client
from meshnode.cli.layout import OPERATOR, ClusterFile, Layout, read_cluster_file
from meshnode.cli.outcome import ExitCode
from meshnode.cli.output import print_json, print_note, print_table
from meshnode.cli.process import find_process
from meshnode.cli.target import Endpoint, Target, data_option, json_option, local_endpoints
from meshnode.config import Config, ConfigError, load_config
from meshnode.v1 import cluster_pb2

_CALL_MS: Final = 5_000
_METHOD: Final = "/mesh.v1.ClusterService/GetNodeActivity"


@dataclass(frozen=True, slots=True)
class _Subject:
    """A node whose settings are on this machine."""

    node: NodeId
    config: Config
    is_running: bool


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check the node of these settings instead of a local cluster.",
)
@data_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, layout: Layout, config_file: Path | None, *, is_json: bool) -> None:
    """Check this machine and the cluster, and say what to do. Exit code 1 where a check fails."""
    checks = list(_run_checks(layout, config_file))
    if is_json:
        print_json(
            [
                {"check": check.name, "status": check.status.value, "detail": check.detail, "advice": check.advice}
                for check in checks
            ]
        )
    else:
        print_table(["", "check", "found"], [[check.status.value, check.name, check.detail] for check in checks])
        for check in checks:
            if check.advice:
                print_note(f"{check.status.value}: {check.name}: {check.advice}")
    is_failed = any(check.status is Status.FAIL for check in checks)
    ctx.exit(ExitCode.CHECK_FAILED if is_failed else ExitCode.OK)


def _run_checks(layout: Layout, config_file: Path | None) -> Iterator[Check]:
    yield check_python()
    yield check_git()
    if config_file is not None:
        yield from _check_one(config_file)
        return
    cluster = read_cluster_file(layout)
    if cluster is None:
        advice = "make a cluster with `meshnode up`, or name one with --data DIR or --config FILE"
        yield Check("cluster", Status.WARN, f"none in {layout.data}", advice)
        return
    yield check_directory("data", layout.data)
    yield check_key("operator key", layout.operator_key)
    subjects: list[_Subject] = []
    for entry in cluster.nodes:
        if cluster.base_port is None and not layout.config_file(entry.node).exists():
            continue  # its settings are on its own machine
        check, config = _check_config(entry.node, layout.config_file(entry.node))
        yield check
        if config is not None:
            subject = _Subject(entry.node, config, find_process(layout, entry.node) is not None)
            subjects.append(subject)
            yield from _check_node(subject, is_local=cluster.base_port is not None)
    if not subjects and cluster.base_port is not None:
        return
    stopped = {subject.node for subject in subjects if not subject.is_running and cluster.base_port is not None}
    if subjects:
        check, content = asyncio.run(check_catalog(subjects[0].config.catalog, cluster.cluster_id))
        yield check
        if content is not None:
            yield from _check_peers(content, stopped, subjects[0].config.auth.skew_ms)
    yield from _check_calls(layout, cluster, stopped)


def _check_one(config_file: Path) -> Iterator[Check]:
    """A node by its settings file; whether it runs is seen by its ports."""
    check, config = _check_config("node", config_file)
    yield check
    if config is None:
        return
    node = NodeId(config.node.id)
    connection = check_connection(f"{node} listens", config.listen.grpc)
    yield from _check_node(_Subject(node, config, connection.status is Status.OK), is_local=True)
    check, content = asyncio.run(check_catalog(config.catalog, ""))
    yield check
    if content is not None:
        yield from _check_peers(content, {node}, config.auth.skew_ms)


def _check_config(name: str, config_file: Path) -> tuple[Check, Config | None]:
    label = f"{name} settings"
    try:
        config = load_config(config_file, os.environ)
    except ConfigError as error:
        advice = f"correct {config_file}; `meshnode config check --config {config_file}` lists every problem"
        return Check(label, Status.FAIL, "; ".join(error.problems), advice), None
    return Check(label, Status.OK, str(config_file)), config


def _check_node(subject: _Subject, *, is_local: bool) -> Iterator[Check]:
    node, config = subject.node, subject.config
    if is_local:
        yield check_directory(f"{node} data", config.node.data)
        key_file = Path(config.auth.key_file) if config.auth.key_file else config.node.data / "node.pem"
        yield check_key(f"{node} key", key_file, is_made_on_start=True)
        yield check_tls(f"{node} tls", config)
        addresses = (config.listen.grpc, config.listen.http)
        yield check_ports(f"{node} ports", addresses, is_running=subject.is_running)


def _check_peers(content: CatalogContent, left_out: set[NodeId], skew_ms: int) -> Iterator[Check]:
    for node in content.nodes:
        if node.node not in left_out:
            yield check_connection(f"{node.node} reachable", node.grpc_url)
            yield check_clock(f"{node.node} clock", node.http_url, skew_ms)


def _check_calls(layout: Layout, cluster: ClusterFile, left_out: set[NodeId]) -> Iterator[Check]:
    """A signed call to each node that runs; needs the operator's key."""
    try:
        target = Target(
            endpoints=local_endpoints(layout, cluster),
            key=load_private_key(layout.operator_key),
            application=OPERATOR,
            cluster_id=cluster.cluster_id,
            is_verbose=False,
        )
    except MeshError:
        return  # told by the checks of keys and settings
    for endpoint in target.endpoints:
        if endpoint.node not in left_out:
            yield _check_call(target, endpoint)


def _check_call(target: Target, endpoint: Endpoint) -> Check:
    name = f"{endpoint.node} answers"

    async def call(client: ClusterClient) -> cluster_pb2.GetNodeActivityResponse:
        request = cluster_pb2.GetNodeActivityRequest()
        answer = cluster_pb2.GetNodeActivityResponse
        return await client.call_node(endpoint, _METHOD, request, answer, timeout_ms=_CALL_MS)

    try:
        activity = run_client(target, call)
    except MeshError as error:
        return Check(name, Status.FAIL, str(error), "look at the node's log; compare keys and clocks")
    if not activity.ready:
        return Check(name, Status.WARN, "signed answer: not ready", "wait, or look at the node's log")
    return Check(name, Status.OK, f"signed answer; {len(activity.repairs)} repairs running")
