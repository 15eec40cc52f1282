"""Serves ClusterService's part about read replicas, and about the factor of one repository."""

from __future__ import annotations

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import PartitionId, RepositoryName, parse_node_id, parse_partition_id, parse_repository_name
from meshnode.ports import ReadReplicas, RepositoryFactors
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_replicas_pb2


class ClusterReplicas:
    """A part of mesh.v1.ClusterService."""

    def __init__(self, read_replicas: ReadReplicas, factors: RepositoryFactors) -> None:
        self._read_replicas = read_replicas
        self._factors = factors

    async def set_repository_factor(
        self, request: cluster_replicas_pb2.SetRepositoryFactorRequest, call: Call
    ) -> Answer:
        """Want other numbers of replicas of one repository."""
        name = parse_repository_name(request.repository)
        call.facts["repository"] = name
        call.facts["factor"] = request.factor
        done = await self._factors.set_factor(name, request.factor)
        return cluster_replicas_pb2.SetRepositoryFactorResponse(
            partition=done.partition, factor=done.factor, warnings=done.warnings
        )

    async def set_read_replicas(self, request: cluster_replicas_pb2.SetReadReplicasRequest, call: Call) -> Answer:
        """Want read replicas of a partition."""
        place: RepositoryName | PartitionId
        match request.WhichOneof("place"):
            case "repository":
                place = parse_repository_name(request.repository)
                call.facts["repository"] = place
            case "partition":
                place = parse_partition_id(request.partition)
            case _:
                raise InvalidRequest("name a repository or a partition")
        if request.count and request.nodes:
            raise InvalidRequest("say how many, or name the nodes, not both")
        nodes = [parse_node_id(node) for node in request.nodes]
        count = None if nodes else request.count
        partition = await self._read_replicas.set_read_replicas(place, count=count, nodes=nodes)
        call.facts["partition"] = partition.partition
        call.facts["read_replicas"] = " ".join(partition.read_replicas)
        return cluster_replicas_pb2.SetReadReplicasResponse(
            partition=partition.partition, nodes=partition.read_replicas
        )
