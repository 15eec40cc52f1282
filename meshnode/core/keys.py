"""Every key of the catalog, in one table, and the JSON that stands behind each.

    key                              value
    cluster                          ClusterSettings: id, format version, partition count, factor
    nodes/<node>                     Node: urls, zone, weight, wanted state, public keys
    online/<node>                    OnlineNode, bound to the node's lease
    applications/<application>       Application: role, public keys
    partitions/<number, 5 digits>    Partition
    records/<repository id>          Record
    names/<repository name>          NameEntry: repository id

Values are JSON so that an operator can read them with the catalog's own tools. A decoder refuses what it does
not know with `Corrupt`: a newer format must not be guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar

from meshnode.base.errors import Corrupt
from meshnode.base.ids import (
    Generation,
    NodeId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.record import Partition, Record, RepositoryState
from meshnode.core.refs import RefEdit
from meshnode.core.round import Round, WriteKind

FORMAT_VERSION: Final = 1
DECODED_MAX: Final = 1_024
"""Values of one kind whose meaning is kept in memory: the same bytes are read again and again, by every verified
read and every sweep. What is kept is a few kilobytes each and never changes."""

CLUSTER: Final = "cluster"
NODES: Final = "nodes/"
ONLINE: Final = "online/"
APPLICATIONS: Final = "applications/"
PARTITIONS: Final = "partitions/"
RECORDS: Final = "records/"
NAMES: Final = "names/"


class NodeState(Enum):
    """What the operator wants of a node."""

    AVAILABLE = "available"
    DRAINING = "draining"
    DISABLED = "disabled"
    DELETING = "deleting"


class Role(Enum):
    """What an application may call."""

    READER = "reader"
    WRITER = "writer"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """What is fixed when a cluster is made."""

    cluster_id: str
    partition_count: int
    replication_factor: int
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node as the catalog lists it."""

    node: NodeId
    grpc_url: str
    """host:port that peers dial."""
    http_url: str
    zone: str
    weight: int
    state: NodeState
    public_keys: tuple[str, ...]
    """PEM, the current one first; more than one while a rotation overlaps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineNode:
    """That a node is up; goes away with its lease."""

    node: NodeId
    version: str
    started_at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A caller that is not a node."""

    application: str
    role: Role
    public_keys: tuple[str, ...]


def node_key(node: NodeId) -> str:
    """Key of a node's entry."""
    return NODES + node


def online_key(node: NodeId) -> str:
    """Key that lives as long as the node's lease."""
    return ONLINE + node


def application_key(application: str) -> str:
    """Key of an application's entry."""
    return APPLICATIONS + application


def partition_key(partition: PartitionId) -> str:
    """Key of a partition; the number has five digits so that a range comes in order."""
    return f"{PARTITIONS}{partition:05d}"


def record_key(repository: RepositoryId) -> str:
    """Key of a repository's record."""
    return RECORDS + repository


def name_key(name: RepositoryName) -> str:
    """Key that a repository's name reserves; its value is the repository id in ASCII."""
    return NAMES + name


def encode_record(record: Record) -> bytes:
    """The record as JSON."""
    return _encode(
        {
            "v": FORMAT_VERSION,
            "repository": record.repository,
            "name": record.name,
            "partition": record.partition,
            "generation": record.generation,
            "round_id": record.round_id,
            "refs_digest": record.refs_digest,
            "inconsistent": sorted(record.inconsistent),
            "state": record.state.value,
            "object_format": record.object_format,
            "recent": list(record.recent),
            "fork_root": record.fork_root,
            "fork_parent": record.fork_parent,
            "fence": record.fence,
        }
    )


@lru_cache(DECODED_MAX)
def decode_record(value: bytes) -> Record:
    """The record of its JSON. Raises Corrupt."""
    return _decode(value, "record", _record)


def encode_partition(partition: Partition) -> bytes:
    """The partition as JSON."""
    return _encode(
        {
            "v": FORMAT_VERSION,
            "partition": partition.partition,
            "replicas": list(partition.replicas),
            "joining": list(partition.joining),
        }
    )


@lru_cache(DECODED_MAX)
def decode_partition(value: bytes) -> Partition:
    """The partition of its JSON. Raises Corrupt."""
    return _decode(
        value,
        "partition",
        lambda raw: Partition(
            partition=PartitionId(int(raw["partition"])),
            replicas=tuple(NodeId(node) for node in raw["replicas"]),
            joining=tuple(NodeId(node) for node in raw["joining"]),
        ),
    )


def encode_node(node: Node) -> bytes:
    """The node as JSON."""
    return _encode(
        {
            "v": FORMAT_VERSION,
            "node": node.node,
            "grpc_url": node.grpc_url,
            "http_url": node.http_url,
            "zone": node.zone,
            "weight": node.weight,
            "state": node.state.value,
            "public_keys": list(node.public_keys),
        }
    )


@lru_cache(DECODED_MAX)
def decode_node(value: bytes) -> Node:
    """The node of its JSON. Raises Corrupt."""
    return _decode(
        value,
        "node",
        lambda raw: Node(
            node=NodeId(raw["node"]),
            grpc_url=str(raw["grpc_url"]),
            http_url=str(raw["http_url"]),
            zone=str(raw["zone"]),
            weight=int(raw["weight"]),
            state=NodeState(raw["state"]),
            public_keys=tuple(str(pem) for pem in raw["public_keys"]),
        ),
    )


def encode_online(online: OnlineNode) -> bytes:
    """The liveness entry as JSON."""
    return _encode(
        {"v": FORMAT_VERSION, "node": online.node, "version": online.version, "started_at_ms": online.started_at_ms}
    )


@lru_cache(DECODED_MAX)
def decode_online(value: bytes) -> OnlineNode:
    """The liveness entry of its JSON. Raises Corrupt."""
    return _decode(
        value,
        "online node",
        lambda raw: OnlineNode(
            node=NodeId(raw["node"]), version=str(raw["version"]), started_at_ms=int(raw["started_at_ms"])
        ),
    )


def encode_application(application: Application) -> bytes:
    """The application as JSON."""
    return _encode(
        {
            "v": FORMAT_VERSION,
            "application": application.application,
            "role": application.role.value,
            "public_keys": list(application.public_keys),
        }
    )


def decode_application(value: bytes) -> Application:
    """The application of its JSON. Raises Corrupt."""
    return _decode(
        value,
        "application",
        lambda raw: Application(
            application=str(raw["application"]),
            role=Role(raw["role"]),
            public_keys=tuple(str(pem) for pem in raw["public_keys"]),
        ),
    )


def encode_settings(settings: ClusterSettings) -> bytes:
    """The cluster settings as JSON."""
    return _encode(
        {
            "v": settings.format_version,
            "cluster_id": settings.cluster_id,
            "partition_count": settings.partition_count,
            "replication_factor": settings.replication_factor,
        }
    )


@lru_cache(DECODED_MAX)
def decode_settings(value: bytes) -> ClusterSettings:
    """The cluster settings of their JSON. Raises Corrupt."""
    return _decode(
        value,
        "cluster settings",
        lambda raw: ClusterSettings(
            cluster_id=str(raw["cluster_id"]),
            partition_count=int(raw["partition_count"]),
            replication_factor=int(raw["replication_factor"]),
        ),
    )


def encode_round(round_: Round) -> bytes:
    """A round as JSON, for journals and histories."""
    return _encode(
        {
            "v": FORMAT_VERSION,
            "round_id": round_.round_id,
            "repository": round_.repository,
            "partition": round_.partition,
            "kind": round_.kind.value,
            "base_generation": round_.base_generation,
            "base_round_id": round_.base_round_id,
            "edits": [[edit.name, edit.old, edit.new] for edit in round_.edits],
            "refs_digest": round_.refs_digest,
            "name": round_.name,
            "object_format": round_.object_format,
            "coordinator": round_.coordinator,
            "request_key": round_.request_key,
            "actor": round_.actor,
            "fork_root": round_.fork_root,
            "fork_parent": round_.fork_parent,
            "fork_generation": round_.fork_generation,
            "has_pack": round_.has_pack,
            "created_at_ms": round_.created_at_ms,
        }
    )


def decode_round(value: bytes) -> Round:
    """The round of its JSON. Raises Corrupt."""
    return _decode(value, "round", _round)


T = TypeVar("T")


def _encode(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(value: bytes, what: str, build: Callable[[dict[str, Any]], T]) -> T:
    try:
        raw = json.loads(value)
        if raw["v"] != FORMAT_VERSION:
            raise Corrupt(f"{what} has an unknown format version", version=str(raw["v"])[:20])
        return build(raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"{what} cannot be decoded", detail=str(error)[:200]) from error


def _record(raw: dict[str, Any]) -> Record:
    return Record(
        repository=RepositoryId(raw["repository"]),
        name=RepositoryName(raw["name"]),
        partition=PartitionId(int(raw["partition"])),
        generation=Generation(int(raw["generation"])),
        round_id=_optional(raw["round_id"], RoundId),
        refs_digest=RefsDigest(raw["refs_digest"]),
        inconsistent=frozenset(NodeId(node) for node in raw["inconsistent"]),
        state=RepositoryState(raw["state"]),
        object_format=str(raw["object_format"]),
        recent=tuple(RoundId(round_id) for round_id in raw["recent"]),
        fork_root=RepositoryId(raw["fork_root"]),
        fork_parent=_optional(raw["fork_parent"], RepositoryId),
        fence=int(raw["fence"]),
    )


def _round(raw: dict[str, Any]) -> Round:
    return Round(
        round_id=RoundId(raw["round_id"]),
        repository=RepositoryId(raw["repository"]),
        partition=PartitionId(int(raw["partition"])),
        kind=WriteKind(raw["kind"]),
        base_generation=Generation(int(raw["base_generation"])),
        base_round_id=_optional(raw["base_round_id"], RoundId),
        edits=tuple(
            RefEdit(RefName(name), _optional(old, RefValue), _optional(new, RefValue))
            for name, old, new in raw["edits"]
        ),
        refs_digest=RefsDigest(raw["refs_digest"]),
        name=RepositoryName(raw["name"]),
        object_format=str(raw["object_format"]),
        coordinator=NodeId(raw["coordinator"]),
        request_key=str(raw["request_key"]),
        actor=str(raw["actor"]),
        fork_root=RepositoryId(raw["fork_root"]),
        fork_parent=_optional(raw["fork_parent"], RepositoryId),
        fork_generation=None if raw["fork_generation"] is None else Generation(int(raw["fork_generation"])),
        has_pack=bool(raw["has_pack"]),
        created_at_ms=int(raw["created_at_ms"]),
    )


def _optional(value: str | None, kind: Callable[[str], T]) -> T | None:
    return None if value is None else kind(value)
