"""`meshnode repo`: create, list, show, verify, fork, rename and delete repositories; scrub is in `maintenance.py`."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Final

import click

from meshnode.base.ids import RepositoryName
from meshnode.cli.client import ClusterClient, ask, run_client
from meshnode.cli.maintenance import accept_data_loss, optimize, scrub
from meshnode.cli.names import NAME
from meshnode.cli.outcome import ExitCode
from meshnode.cli.output import print_facts, print_json, print_table, progress, yes_no
from meshnode.cli.read_replicas import add_read_replicas, factor, remove_read_replicas
from meshnode.cli.repository_config import config
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import common_pb2, repository_pb2

_SERVICE: Final = "/mesh.v1.RepositoryService/"
_PAGE: Final = 1_000
_VERIFY_MS: Final = 3_600_000
"""fsck of a large repository takes minutes; the node's own limit is usually shorter."""
_FORMATS: Final = {
    "sha1": common_pb2.OBJECT_FORMAT_SHA1,
    "sha256": common_pb2.OBJECT_FORMAT_SHA256,
}


@click.group()
def repo() -> None:
    """Create, list, inspect and change repositories. A name is project/repo or deeper."""


repo.add_command(scrub)
repo.add_command(optimize)
repo.add_command(accept_data_loss)
repo.add_command(add_read_replicas)
repo.add_command(remove_read_replicas)
repo.add_command(config)
repo.add_command(factor)


@repo.command()
@click.argument("name", type=NAME)
@click.option("--object-format", type=click.Choice(list(_FORMATS)), default="sha1", show_default=True)
@click.option("--default-branch", default="main", show_default=True, help="Branch that HEAD points to.")
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 9),
    default=None,
    help="Replicas of it and its forks, whatever the cluster's setting becomes.",
)
@target_options
@json_option
def create(
    target: Target,
    name: RepositoryName,
    object_format: str,
    default_branch: str,
    replication_factor: int | None,
    *,
    is_json: bool,
) -> None:
    """Create an empty repository."""
    request = repository_pb2.CreateRequest(
        name=name,
        object_format=_FORMATS[object_format],
        default_branch=default_branch,
        request_key=secrets.token_hex(16),
        replication_factor=replication_factor or 0,
    )
    answer = ask(target, _SERVICE + "Create", request, repository_pb2.CreateResponse, is_write=True)
    _print_written("created", answer.repository, answer.position, is_json=is_json)


@repo.command()
@click.argument("source", type=NAME)
@click.argument("name", type=NAME)
@target_options
@json_option
def fork(target: Target, source: RepositoryName, name: RepositoryName, *, is_json: bool) -> None:
    """Create repository NAME with the references of SOURCE; objects are shared on disk."""
    request = repository_pb2.ForkRequest(source_name=source, name=name, request_key=secrets.token_hex(16))
    answer = ask(target, _SERVICE + "Fork", request, repository_pb2.ForkResponse, is_write=True)
    _print_written("forked", answer.repository, answer.position, is_json=is_json)


@repo.command()
@click.argument("name", type=NAME)
@click.argument("new_name", type=NAME)
@target_options
@json_option
def rename(target: Target, name: RepositoryName, new_name: RepositoryName, *, is_json: bool) -> None:
    """Give a repository another name; the old name is free afterwards."""
    request = repository_pb2.RenameRequest(name=name, new_name=new_name, request_key=secrets.token_hex(16))
    answer = ask(target, _SERVICE + "Rename", request, repository_pb2.RenameResponse, is_write=True)
    _print_written("renamed", answer.repository, answer.position, is_json=is_json)


@repo.command()
@click.argument("name", type=NAME)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@target_options
@json_option
def delete(target: Target, name: RepositoryName, *, yes: bool, is_json: bool) -> None:
    """Delete a repository with all its references. This cannot be undone."""
    if not yes:
        click.confirm(f"Delete {name} on every replica?", abort=True, err=True)
    request = repository_pb2.DeleteRequest(name=name, request_key=secrets.token_hex(16))
    answer = ask(target, _SERVICE + "Delete", request, repository_pb2.DeleteResponse, is_write=True)
    if is_json:
        print_json({"name": name, "generation": answer.position.generation})
    else:
        click.echo(f"deleted {name} (generation {answer.position.generation})")


@repo.command("list")
@click.option("--prefix", default="", help="Only names that start with this.")
@target_options
@json_option
def list_names(target: Target, prefix: str, *, is_json: bool) -> None:
    """List repository names in byte order, one a line."""

    async def read(client: ClusterClient) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            request = repository_pb2.ListRequest(prefix=prefix, page_size=_PAGE, page_token=token)
            page = await client.call(_SERVICE + "List", request, repository_pb2.ListResponse)
            names.extend(page.names)
            if not page.next_page_token or page.next_page_token == token:
                return names
            token = page.next_page_token

    names = run_client(target, read)
    if is_json:
        print_json([{"name": name} for name in names])
    else:
        for name in names:
            click.echo(name)


@repo.command()
@click.argument("name", type=NAME)
@target_options
@json_option
def show(target: Target, name: RepositoryName, *, is_json: bool) -> None:
    """Show a repository's generation and what each replica says of itself."""
    request = repository_pb2.GetRequest(name=name, details=True)
    answer = ask(target, _SERVICE + "Get", request, repository_pb2.GetResponse)
    described = _describe(answer.repository)
    if is_json:
        print_json({**described, "answered_by": answer.position.node})
        return
    print_facts(
        [
            ("name", described["name"]),
            ("id", described["id"]),
            ("partition", str(described["partition"])),
            ("generation", str(described["generation"])),
            ("round", described["round_id"]),
            ("refs digest", described["refs_digest"]),
            ("object format", described["object_format"]),
            *([("fork of", described["fork_parent_id"])] if described["fork_parent_id"] else []),
        ]
    )
    print_table(
        ["node", "votes", "online", "consistent", "generation", "since", "activity"],
        [
            [
                replica["node"],
                yes_no(not replica["read_replica"]),
                yes_no(replica["online"]),
                yes_no(replica["consistent"]),
                str(replica["generation"]),
                replica["consistent_since"] or "-",
                replica["activity"],
            ]
            for replica in described["replicas"]
        ],
    )


@repo.command()
@click.argument("name", type=NAME)
@target_options
@json_option
@click.pass_context
def verify(ctx: click.Context, target: Target, name: RepositoryName, *, is_json: bool) -> None:
    """Compare the replicas: references on disk, reachable objects, git fsck. Exit code 1 where they differ."""
    with progress(f"verifying the replicas of {name}"):
        request = repository_pb2.VerifyRequest(name=name)
        answer = ask(target, _SERVICE + "Verify", request, repository_pb2.VerifyResponse, timeout_ms=_VERIFY_MS)
    if is_json:
        print_json(
            {
                "name": name,
                "ok": answer.ok,
                "generation": answer.generation,
                "refs_digest": answer.refs_digest,
                "replicas": [_describe_report(report) for report in answer.replicas],
            }
        )
    else:
        _print_verdict(name, answer)
    ctx.exit(ExitCode.OK if answer.ok else ExitCode.CHECK_FAILED)


def _print_verdict(name: str, answer: repository_pb2.VerifyResponse) -> None:
    print_facts([("name", name), ("generation", str(answer.generation)), ("refs digest", answer.refs_digest)])
    print_table(
        ["node", "reachable", "consistent", "generation", "refs on disk", "objects", "refs", "MiB", "problems"],
        [
            [
                report.node,
                yes_no(report.reachable),
                yes_no(report.consistent),
                str(report.generation),
                report.digest_on_disk[:12],
                report.object_digest[:12],
                str(report.ref_count),
                f"{report.size_bytes / (1 << 20):.1f}",
                "; ".join(report.problems) or "none",
            ]
            for report in answer.replicas
        ],
    )
    click.echo(_verdict(answer))


def _verdict(answer: repository_pb2.VerifyResponse) -> str:
    if answer.ok:
        return "ok: the replicas agree"
    silent = [report.node for report in answer.replicas if not report.reachable]
    asked = [report for report in answer.replicas if report.reachable]
    states = {(report.generation, report.digest_on_disk, report.object_digest) for report in asked if report.consistent}
    if silent and len(states) <= 1 and not any(report.problems for report in asked):
        return f"NOT ok: {', '.join(silent)} could not be asked"
    return "NOT ok: the replicas differ or are damaged"


def _print_written(
    done: str, repository: common_pb2.Repository, position: common_pb2.Position, *, is_json: bool
) -> None:
    if is_json:
        print_json(_describe(repository))
    else:
        click.echo(f"{done} {repository.name} (id {repository.id}, generation {position.generation})")


def _describe(repository: common_pb2.Repository) -> dict[str, Any]:
    return {
        "name": repository.name,
        "id": repository.id,
        "partition": repository.partition,
        "generation": repository.generation,
        "round_id": repository.round_id,
        "refs_digest": repository.refs_digest,
        "object_format": "sha256" if repository.object_format == common_pb2.OBJECT_FORMAT_SHA256 else "sha1",
        "fork_parent_id": repository.fork_parent_id,
        "replicas": [
            {
                "node": replica.node,
                "read_replica": replica.read_replica,
                "online": replica.online,
                "consistent": replica.consistent,
                "generation": replica.generation,
                "consistent_since": _format_time(replica.consistent_since_s),
                "activity": replica.activity,
            }
            for replica in repository.replicas
        ],
    }


def _describe_report(report: repository_pb2.ReplicaReport) -> dict[str, Any]:
    return {
        "node": report.node,
        "reachable": report.reachable,
        "consistent": report.consistent,
        "generation": report.generation,
        "refs_digest": report.refs_digest,
        "digest_on_disk": report.digest_on_disk,
        "object_digest": report.object_digest,
        "ref_count": report.ref_count,
        "size_bytes": report.size_bytes,
        "problems": list(report.problems),
    }


def _format_time(seconds: int) -> str:
    """ISO 8601 in UTC; "" for 0, which means unknown."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
