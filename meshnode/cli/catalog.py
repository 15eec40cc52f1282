"""`meshnode catalog`: make a lost catalog again from what the nodes' disks say.

    every node is stopped -> each disk describes itself (here, or by `export` on its machine) -> `rebuild`

Rule: nothing is written before every node has been heard or given up by name, because the one that is missing may
hold the highest generation; and nothing is ever written over a catalog that is there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from meshnode.auth.keys import load_private_key
from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.catalog.open import open_catalog
from meshnode.cli.acts import recorded
from meshnode.cli.blueprint import nodes_of, operator_of, settings_of
from meshnode.cli.layout import ClusterFile, Layout, require_cluster_file
from meshnode.cli.local import plan_partitions
from meshnode.cli.not_restored import Missing, list_missing, newest_settings
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_json, print_note, print_table, progress
from meshnode.cli.refill import check_catalog_empty, entries_of, write_catalog
from meshnode.cli.target import data_option, json_option
from meshnode.config import Config, load_config
from meshnode.core.accounts import NodeAccount, decode_node_account, encode_node_account
from meshnode.core.keys import CLUSTER
from meshnode.core.nodes import Node, NodeState
from meshnode.core.rebuild import Decision, RebuildPlan, plan_rebuild
from meshnode.core.record import consistent_nodes
from meshnode.core.shared_settings import SharedSettings
from meshnode.git.description import describe_disk, holds_replicas
from meshnode.git.family_marks import read_family_marks
from meshnode.git.read_replica_marks import read_read_replica_marks
from meshnode.git.settings_note import read_settings_note
from meshnode.ports import Catalog

_SETTINGS: Final = "meshnode.toml"

T = TypeVar("T")


@click.group()
def catalog() -> None:
    """Make a lost catalog again. The nodes must be stopped: they cannot serve without one anyway."""


@catalog.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    required=True,
    help="Data directory of one node that is stopped.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The node's settings.  [default: {_SETTINGS} in its data directory]",
)
def export(data: Path, config_file: Path | None) -> None:
    """Print what one node's disk says of itself, as JSON for `catalog rebuild --export`. Changes nothing."""
    config = load_config(config_file or data / _SETTINGS, os.environ)
    click.echo(encode_node_account(_describe(config, data.absolute())), nl=False)


@catalog.command()
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="What `catalog export` printed on a node's machine. Repeat for each node that is not on this one.",
)
@click.option(
    "--without", "given_up", multiple=True, metavar="NODE", help="Go on without this node: its disk is gone for good."
)
@click.option("--dry-run", is_flag=True, help="Say what would be decided and why; write nothing.")
@data_option
@json_option
def rebuild(
    *, layout: Layout, exports: tuple[Path, ...], given_up: tuple[str, ...], dry_run: bool, is_json: bool
) -> None:
    """Make the catalog again from the disks of all nodes.

    For each repository the highest published generation that any disk proves becomes the truth, never a head
    count; replicas that do not have it are listed and repair themselves once the nodes run.
    """
    with layout.lock():
        cluster = require_cluster_file(layout)
        with progress("reading what the nodes' disks say"):
            accounts = _read_accounts(layout, cluster, exports, {parse_node_id(node) for node in given_up})
            plan = plan_rebuild(
                accounts,
                plan_partitions(settings_of(cluster), nodes_of(cluster)),
                factor=cluster.replication_factor,
            )
        shared = newest_settings(accounts)
        _on_catalog(layout, cluster, lambda opened: check_catalog_empty(opened, entries_of(plan, shared)))
        written = 0
        if not dry_run:
            nodes = [*nodes_of(cluster), *_joined_later(cluster, accounts)]

            async def write(opened: Catalog) -> int:
                request = {"cluster_id": cluster.cluster_id, "without": ", ".join(given_up)}
                async with recorded(opened, "catalog rebuild", request) as act:
                    written = await write_catalog(
                        opened,
                        plan,
                        settings=settings_of(cluster),
                        nodes=nodes,
                        applications=[operator_of(layout)],
                        shared=shared,
                        begin=act.begin,
                    )
                    act.facts.update(repositories=len(plan.decisions), keys_written=written)
                return written

            written = _on_catalog(layout, cluster, write)
    missing = list_missing(cluster, shared)
    _print_plan(
        plan, accounts, given_up, written=None if dry_run else written, shared=shared, missing=missing, is_json=is_json
    )


def check_catalog_not_lost(layout: Layout, cluster: ClusterFile) -> None:
    """Check that nodes with replicas are not about to be given an empty catalog. Raises CommandError."""
    if not any(holds_replicas(layout.node_directory(entry.node)) for entry in cluster.nodes):
        return

    async def has_settings(opened: Catalog) -> bool:
        (entry,) = await opened.get([CLUSTER])
        return entry is not None

    if not _on_catalog(layout, cluster, has_settings):
        raise CommandError(
            "the catalog is empty, and the nodes hold repositories",
            catalog=cluster.catalog_url,
            advice="bring the catalog back from its backup, or make it again: `meshnode catalog rebuild --dry-run`",
            exit_code=ExitCode.REFUSED,
        )


def _read_accounts(
    layout: Layout, cluster: ClusterFile, exports: Sequence[Path], given_up: set[NodeId]
) -> list[NodeAccount]:
    """An account of every node of the cluster. Raises CommandError: one is missing, or given twice."""
    accounts: dict[NodeId, NodeAccount] = {}
    for file in exports:
        account = decode_node_account(file.read_text())
        if account.node in accounts:
            raise click.UsageError(f"two exports are of {account.node}")
        accounts[account.node] = account
    for entry in cluster.nodes:
        data = layout.node_directory(entry.node)
        if entry.node in accounts or not layout.config_file(entry.node).exists():
            continue
        if (data / "repositories").is_dir() and entry.node not in given_up:
            accounts[entry.node] = _describe(load_config(layout.config_file(entry.node), os.environ), data)
    missing = [entry.node for entry in cluster.nodes if entry.node not in accounts and entry.node not in given_up]
    if missing:
        raise CommandError(
            "not every node's disk has been heard",
            missing=", ".join(missing),
            advice="run `meshnode catalog export --data NODE_DATA` there and give the files with --export, or give"
            " those whose disks are gone for good up with --without NODE",
            exit_code=ExitCode.REFUSED,
        )
    return [accounts[node] for node in sorted(accounts)]


def _describe(config: Config, data: Path) -> NodeAccount:
    replicas, unreadable = describe_disk(data)
    key_file = Path(config.auth.key_file) if config.auth.key_file else data / "node.pem"
    return NodeAccount(
        node=parse_node_id(config.node.id),
        grpc_url=config.listen.grpc_url or config.listen.grpc,
        http_url=config.listen.http_url or f"http://{config.listen.http}",
        zone=config.node.zone,
        weight=config.node.weight,
        public_key=load_private_key(key_file).public_pem,
        replicas=tuple(replicas),
        unreadable=tuple(unreadable),
        read_replica_of=read_read_replica_marks(data),
        families=read_family_marks(data),
        settings=_noted_settings(data),
    )


def _noted_settings(data: Path) -> SharedSettings | None:
    """The node's note, which is a hint: one that cannot be read is told and left out."""
    try:
        return read_settings_note(data)
    except Corrupt as error:
        print_note(f"doubt: {data}: the note of the cluster's settings cannot be read: {error}")
        return None


def _joined_later(cluster: ClusterFile, accounts: Sequence[NodeAccount]) -> list[Node]:
    """Nodes that `cluster.json` does not know yet, by their own account."""
    known = {entry.node for entry in cluster.nodes}
    return [
        Node(
            node=account.node,
            grpc_url=account.grpc_url,
            http_url=account.http_url,
            zone=account.zone,
            weight=account.weight,
            state=NodeState.AVAILABLE,
            public_keys=(account.public_key,),
        )
        for account in accounts
        if account.node not in known
    ]


def _on_catalog(layout: Layout, cluster: ClusterFile, work: Callable[[Catalog], Awaitable[T]]) -> T:
    """Do something on the catalog that the cluster's first node would use."""
    settings = load_config(layout.config_file(cluster.nodes[0].node), os.environ).catalog

    async def run() -> T:
        opened = await open_catalog(settings)
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


def _print_plan(
    plan: RebuildPlan,
    accounts: Sequence[NodeAccount],
    given_up: Sequence[str],
    *,
    written: int | None,
    shared: SharedSettings | None,
    missing: Sequence[Missing],
    is_json: bool,
) -> None:
    """Show the decisions, and what is not to be had any more; `written` None: nothing was written."""
    if is_json:
        print_json(
            {
                "nodes": [account.node for account in accounts],
                "without": list(given_up),
                "keys_written": written,
                "doubts": list(plan.doubts),
                "settings": None if shared is None else {"version": shared.version, "values": dict(shared.values)},
                "not_restored": [{"what": one.what, "advice": one.advice} for one in missing],
                "repositories": [_describe_decision(decision, plan) for decision in plan.decisions],
            }
        )
        return
    print_table(
        ["name", "id", "state", "generation", "consistent", "listed", "why"],
        [
            [
                decision.record.name,
                decision.record.repository,
                decision.record.state.value,
                str(decision.record.generation),
                ", ".join(_consistent(decision, plan)) or "nobody",
                ", ".join(sorted(decision.record.inconsistent)) or "nobody",
                decision.reason,
            ]
            for decision in plan.decisions
        ],
        empty="the disks hold no repositories",
    )
    for doubt in plan.doubts:
        print_note(f"doubt: {doubt}")
    for decision in plan.decisions:
        for doubt in decision.doubts:
            print_note(f"doubt: {decision.record.name}: {doubt}")
        if decision.doubts:
            print_note("  " + "; ".join(f"{node}: {standing}" for node, standing in decision.standings))
    if shared is not None:
        print_note(f"settings of the cluster: version {shared.version}, the newest that a node had noted")
    for one in missing:
        print_note(f"not restored: {one.what}")
        print_note(f"  {one.advice}")
    active = len(plan.decisions)
    if written is None:
        click.echo(f"{active} repositories would be in the catalog; nothing was written")
    else:
        click.echo(f"{active} repositories are in the catalog ({written} keys written); start the nodes")


def _consistent(decision: Decision, plan: RebuildPlan) -> tuple[NodeId, ...]:
    return consistent_nodes(decision.record, plan.partition(decision.record.partition))


def _describe_decision(decision: Decision, plan: RebuildPlan) -> dict[str, Any]:
    record = decision.record
    return {
        "name": record.name,
        "id": record.repository,
        "partition": record.partition,
        "state": record.state.value,
        "generation": record.generation,
        "round_id": record.round_id,
        "refs_digest": record.refs_digest,
        "consistent": list(_consistent(decision, plan)),
        "inconsistent": sorted(record.inconsistent),
        "reason": decision.reason,
        "replicas": dict(decision.standings),
        "doubts": list(decision.doubts),
    }
