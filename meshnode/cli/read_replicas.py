"""`meshnode repo add-read-replicas`, `remove-read-replicas` and `factor`: how many copies a repository has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from meshnode.base.errors import InvalidRequest, NotFound
from meshnode.cli.client import ClusterClient, ask, run_client
from meshnode.cli.moves import print_warnings
from meshnode.cli.output import print_json
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_pb2, cluster_replicas_pb2, repository_pb2

_CLUSTER: Final = "/mesh.v1.ClusterService/"
_GET: Final = "/mesh.v1.RepositoryService/Get"

nodes_option = click.option("--nodes", default="", help="These nodes, separated by commas.")


@click.command("add-read-replicas")
@click.argument("name")
@click.argument("number", type=click.IntRange(1, 16), required=False)
@nodes_option
@target_options
@json_option
def add_read_replicas(target: Target, name: str, number: int | None, nodes: str, *, is_json: bool) -> None:
    """Have NUMBER more read replicas for repository NAME, or one on each of --nodes.

    A read replica gets every write and answers reads, git's own and the API's, and never votes: writes do not wait for
    it. It holds the whole partition that the repository lives in, with everything else that lives there.
    """
    if (number is None) == (not nodes):
        raise click.UsageError("say how many, or name the --nodes")

    async def change(client: ClusterClient) -> cluster_replicas_pb2.SetReadReplicasResponse:
        now = await _partition_of(client, name)
        request = cluster_replicas_pb2.SetReadReplicasRequest(partition=now.partition)
        if number is None:
            request.nodes.extend(dict.fromkeys([*now.read_replicas, *_names(nodes)]))
        else:
            request.count = now.read_replicas_wanted + number
        return await _set(client, request)

    _print(run_client(target, change), name, is_json=is_json)


@click.command("remove-read-replicas")
@click.argument("name")
@nodes_option
@target_options
@json_option
def remove_read_replicas(target: Target, name: str, nodes: str, *, is_json: bool) -> None:
    """Have no read replicas any more for repository NAME, and all else in its partition; or none on --nodes."""

    async def change(client: ClusterClient) -> cluster_replicas_pb2.SetReadReplicasResponse:
        now = await _partition_of(client, name)
        request = cluster_replicas_pb2.SetReadReplicasRequest(partition=now.partition)
        if nodes:
            going = _names(nodes)
            unknown = [node for node in going if node not in now.read_replicas]
            if unknown:
                raise InvalidRequest("no read replica is there", nodes=", ".join(unknown))
            request.nodes.extend(node for node in now.read_replicas if node not in going)
        return await _set(client, request)

    _print(run_client(target, change), name, is_json=is_json)


@click.command()
@click.argument("name")
@click.argument("replicas", type=click.IntRange(0, 9))
@target_options
@json_option
def factor(target: Target, name: str, replicas: int, *, is_json: bool) -> None:
    """Have that many REPLICAS of repository NAME and its forks; 0: as many as the cluster's setting says.

    Replicas belong to partitions, so the repository and its forks get a partition of their own. Nothing is copied for
    that; then replicas come or go one by one, while reads and writes go on.
    """
    request = cluster_replicas_pb2.SetRepositoryFactorRequest(repository=name, factor=replicas)
    answer = ask(
        target,
        _CLUSTER + "SetRepositoryFactor",
        request,
        cluster_replicas_pb2.SetRepositoryFactorResponse,
        is_write=True,
    )
    if is_json:
        print_json(
            {
                "name": name,
                "partition": answer.partition,
                "factor": answer.factor,
                "warnings": list(answer.warnings),
            }
        )
        return
    many = f"{answer.factor} replicas" if answer.factor else "as many replicas as the cluster"
    click.echo(f"{name} is to have {many}, in partition {answer.partition}; see `meshnode cluster status`")
    print_warnings(answer.warnings)


async def _partition_of(client: ClusterClient, name: str) -> cluster_pb2.Partition:
    shown = await client.call(_GET, repository_pb2.GetRequest(name=name), repository_pb2.GetResponse)
    listed = await client.call(
        _CLUSTER + "ListPartitions", cluster_pb2.ListPartitionsRequest(), cluster_pb2.ListPartitionsResponse
    )
    for partition in listed.partitions:
        if partition.partition == shown.repository.partition:
            return partition
    raise NotFound("the repository's partition is not listed", partition=shown.repository.partition)


async def _set(
    client: ClusterClient, request: cluster_replicas_pb2.SetReadReplicasRequest
) -> cluster_replicas_pb2.SetReadReplicasResponse:
    return await client.call(
        _CLUSTER + "SetReadReplicas", request, cluster_replicas_pb2.SetReadReplicasResponse, is_write=True
    )


def _names(nodes: str) -> Sequence[str]:
    return [node.strip() for node in nodes.split(",") if node.strip()]


def _print(answer: cluster_replicas_pb2.SetReadReplicasResponse, name: str, *, is_json: bool) -> None:
    if is_json:
        print_json({"name": name, "partition": answer.partition, "read_replicas": list(answer.nodes)})
    elif answer.nodes:
        click.echo(
            f"partition {answer.partition}, where {name} lives, has read replicas on {', '.join(answer.nodes)};"
            f" `meshnode repo show {name}` tells how far they are"
        )
    else:
        click.echo(f"partition {answer.partition}, where {name} lives, has no read replicas")
