"""Every key of the catalog, in one table, and the JSON that stands behind each.

    key                              value
    cluster                          ClusterSettings: id, format version, partition count, factor
    settings                         SharedSettings: what administrators have set for all nodes
    nodes/<node>                     Node: urls, zone, weight, wanted state, public keys
    online/<node>                    OnlineNode, bound to the node's lease
    applications/<application>       Application: role, public keys
    partitions/<number, 5 digits>    Partition
    records/<repository id>          Record
    names/<repository name>          NameEntry: repository id
    requests/<SHA-256>               RequestMark: the round of a request that changed names (core/request_marks.py)
    configs/<repository id>          RepositoryConfig: what writes to the repository may do; no entry: whatever there is
    families/<repository id>         the partition that the fork family of this root has for itself (core/families.py)
    forks/<repository id>            fork mark: its revision says when the fork family of this root grew
    upkeep/<repository id>           the node whose replica is being optimised, bound to a lease
    invitations/<16 hex digits>      Invitation (core/joining.py): what a new machine may become, once
    rotations/<node>                 RotationTimes (core/rotation.py): when the node's rotation of its key goes on
    listings/<number, 5 digits>      listing mark: its revision says when a record came to list a node of a move's target
    usage/<node>                     NodeUsage: what the node's replicas take on its disk
    round_trips/<node>               RoundTripReport: how far its peers are, in the node's words
    moves/control                    MoveControl: whether moves are paused
    moves/planner                    who plans now, bound to that node's lease
    moves/progress                   MoveProgress: how far moves are, in the planner's words
    audit/head                       AuditHead: number of the next administrative act, and of the oldest one kept
    audit/entries/<number>           AuditEntry: who did what, and how it ended

Values are JSON so that an operator can read them with the catalog's own tools. A decoder refuses what it does
not know with `Corrupt`: a newer format must not be guessed at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from meshnode.base.ids import (
    Generation,
    NodeId,
    PartitionId,
    RepositoryId,
    RepositoryName,
    parse_node_id,
    parse_object_format,
    parse_partition_id,
    parse_ref_name,
    parse_ref_value,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.decoding import Fields, decode, optional_text
from meshnode.core.record import Partition, Record, RepositoryState
from meshnode.core.refs import RefEdit
from meshnode.core.round import Round, WriteKind

FORMAT_VERSION: Final = 1
DECODED_MAX: Final = 1_024
"""Values of one kind whose meaning is kept in memory: the same bytes are read again and again, by every verified
read and every sweep. What is kept is a few kilobytes each and never changes."""

CLUSTER: Final = "cluster"
SETTINGS: Final = "settings"
NODES: Final = "nodes/"
ONLINE: Final = "online/"
APPLICATIONS: Final = "applications/"
PARTITIONS: Final = "partitions/"
RECORDS: Final = "records/"
NAMES: Final = "names/"
REQUESTS: Final = "requests/"
CONFIGS: Final = "configs/"
FAMILIES: Final = "families/"
FORKS: Final = "forks/"
UPKEEP: Final = "upkeep/"
INVITATIONS: Final = "invitations/"
ROTATIONS: Final = "rotations/"
LISTINGS: Final = "listings/"
USAGE: Final = "usage/"
ROUND_TRIPS: Final = "round_trips/"
MOVE_CONTROL: Final = "moves/control"
MOVE_PLANNER: Final = "moves/planner"
MOVE_PROGRESS: Final = "moves/progress"
AUDIT_HEAD: Final = "audit/head"
AUDIT_ENTRIES: Final = "audit/entries/"


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


@dataclass(frozen=True, slots=True)
class KeyDrop:
    """That a key is believed for a while only."""

    public_key: str
    """PEM."""
    at_ms: int
    """Wall clock; it is not believed from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A caller that is not a node."""

    application: str
    role: Role
    public_keys: tuple[str, ...]
    """PEM."""
    drops: tuple[KeyDrop, ...] = ()
    """Which of the keys end, and when."""


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


def upkeep_key(repository: RepositoryId) -> str:
    """Key that says whose replica is being optimised."""
    return UPKEEP + repository


def config_key(repository: RepositoryId) -> str:
    """Key of a repository's own configuration."""
    return CONFIGS + repository


def family_key(root: RepositoryId) -> str:
    """Key of the partition that a fork family has for itself; its value is the number in ASCII."""
    return FAMILIES + root


def fork_mark_key(root: RepositoryId) -> str:
    """Key of a fork family's mark; only its revision says anything."""
    return FORKS + root


def record_key(repository: RepositoryId) -> str:
    """Key of a repository's record."""
    return RECORDS + repository


def name_key(name: RepositoryName) -> str:
    """Key that a repository's name reserves; its value is the repository id in ASCII."""
    return NAMES + name


def listing_key(partition: PartitionId) -> str:
    """Key of a partition's listing mark; only its revision says anything."""
    return f"{LISTINGS}{partition:05d}"


def round_trips_key(node: NodeId) -> str:
    """Key of what a node says of the way to its peers."""
    return ROUND_TRIPS + node


def usage_key(node: NodeId) -> str:
    """Key of what a node says of its disk."""
    return USAGE + node


def encode_record(record: Record) -> bytes:
    """The record as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "repository": record.repository,
            "name": record.name,
            "partition": record.partition,
            "home": record.home,
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
            "returned": list(record.returned),
        }
    )


@lru_cache(DECODED_MAX)
def decode_record(value: bytes) -> Record:
    """The record of its JSON. Raises Corrupt."""
    return decode(value, "record", FORMAT_VERSION, _record)


def encode_partition(partition: Partition) -> bytes:
    """The partition as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "partition": partition.partition,
            "replicas": list(partition.replicas),
            "joining": list(partition.joining),
            "listed": list(partition.listed),
            "leaving": list(partition.leaving),
            "target": list(partition.target),
            "factor": partition.factor,
            "epoch": partition.epoch,
            "read_replicas": list(partition.read_replicas),
            "read_replicas_wanted": partition.read_replicas_wanted,
            "family": partition.family,
        }
    )


@lru_cache(DECODED_MAX)
def decode_partition(value: bytes) -> Partition:
    """The partition of its JSON. Raises Corrupt."""
    return decode(
        value,
        "partition",
        FORMAT_VERSION,
        lambda fields: Partition(
            partition=parse_partition_id(fields.number("partition")),
            replicas=fields.all_parsed("replicas", parse_node_id),
            joining=fields.all_parsed("joining", parse_node_id),
            listed=fields.all_parsed("listed", parse_node_id),
            leaving=fields.all_parsed("leaving", parse_node_id),
            target=fields.all_parsed("target", parse_node_id),
            factor=fields.optional_number("factor"),
            epoch=fields.number("epoch"),
            read_replicas=fields.all_parsed("read_replicas", parse_node_id) if fields.has("read_replicas") else (),
            read_replicas_wanted=fields.number("read_replicas_wanted") if fields.has("read_replicas_wanted") else 0,
            family=fields.optional("family", parse_repository_id) if fields.has("family") else None,
        ),
    )


def encode_node(node: Node) -> bytes:
    """The node as JSON."""
    return encode_json(
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
    return decode(
        value,
        "node",
        FORMAT_VERSION,
        lambda fields: Node(
            node=fields.parsed("node", parse_node_id),
            grpc_url=fields.text("grpc_url"),
            http_url=fields.text("http_url"),
            zone=fields.text("zone"),
            weight=fields.number("weight"),
            state=NodeState(fields.text("state")),
            public_keys=fields.texts("public_keys"),
        ),
    )


def encode_online(online: OnlineNode) -> bytes:
    """The liveness entry as JSON."""
    return encode_json(
        {"v": FORMAT_VERSION, "node": online.node, "version": online.version, "started_at_ms": online.started_at_ms}
    )


@lru_cache(DECODED_MAX)
def decode_online(value: bytes) -> OnlineNode:
    """The liveness entry of its JSON. Raises Corrupt."""
    return decode(
        value,
        "online node",
        FORMAT_VERSION,
        lambda fields: OnlineNode(
            node=fields.parsed("node", parse_node_id),
            version=fields.text("version"),
            started_at_ms=fields.number("started_at_ms"),
        ),
    )


def encode_application(application: Application) -> bytes:
    """The application as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "application": application.application,
            "role": application.role.value,
            "public_keys": list(application.public_keys),
            "drops": [{"public_key": drop.public_key, "at_ms": drop.at_ms} for drop in application.drops],
        }
    )


def decode_application(value: bytes) -> Application:
    """The application of its JSON. Raises Corrupt."""
    return decode(
        value,
        "application",
        FORMAT_VERSION,
        lambda fields: Application(
            application=fields.text("application"),
            role=Role(fields.text("role")),
            public_keys=fields.texts("public_keys"),
            drops=tuple(
                KeyDrop(drop.text("public_key"), drop.number("at_ms"))
                for drop in map(Fields, fields.items("drops") if fields.has("drops") else ())
            ),
        ),
    )


def encode_settings(settings: ClusterSettings) -> bytes:
    """The cluster settings as JSON."""
    return encode_json(
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
    return decode(
        value,
        "cluster settings",
        FORMAT_VERSION,
        lambda fields: ClusterSettings(
            cluster_id=fields.text("cluster_id"),
            partition_count=fields.number("partition_count"),
            replication_factor=fields.number("replication_factor"),
        ),
    )


def encode_round(round_: Round) -> bytes:
    """A round as JSON, for journals and histories."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "round_id": round_.round_id,
            "repository": round_.repository,
            "partition": round_.home,
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
    return decode(value, "round", FORMAT_VERSION, _round)


def encode_json(raw: dict[str, Any]) -> bytes:
    """A catalog value."""
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()


def _record(fields: Fields) -> Record:
    return Record(
        repository=fields.parsed("repository", parse_repository_id),
        name=fields.parsed("name", parse_repository_name),
        partition=parse_partition_id(fields.number("partition")),
        home=parse_partition_id(fields.number("home" if fields.has("home") else "partition")),
        generation=Generation(fields.number("generation")),
        round_id=fields.optional("round_id", parse_round_id),
        refs_digest=fields.parsed("refs_digest", parse_refs_digest),
        inconsistent=frozenset(fields.all_parsed("inconsistent", parse_node_id)),
        state=RepositoryState(fields.text("state")),
        object_format=fields.parsed("object_format", parse_object_format),
        recent=fields.all_parsed("recent", parse_round_id),
        fork_root=fields.parsed("fork_root", parse_repository_id),
        fork_parent=fields.optional("fork_parent", parse_repository_id),
        fence=fields.number("fence"),
        returned=fields.all_parsed("returned", parse_node_id) if fields.has("returned") else (),
    )


def _round(fields: Fields) -> Round:
    fork_generation = fields.optional_number("fork_generation")
    return Round(
        round_id=fields.parsed("round_id", parse_round_id),
        repository=fields.parsed("repository", parse_repository_id),
        home=parse_partition_id(fields.number("partition")),
        kind=WriteKind(fields.text("kind")),
        base_generation=Generation(fields.number("base_generation")),
        base_round_id=fields.optional("base_round_id", parse_round_id),
        edits=tuple(_edit(item) for item in fields.items("edits")),
        refs_digest=fields.parsed("refs_digest", parse_refs_digest),
        name=fields.parsed("name", parse_repository_name),
        object_format=fields.parsed("object_format", parse_object_format),
        coordinator=fields.parsed("coordinator", parse_node_id),
        request_key=fields.text("request_key"),
        actor=fields.text("actor"),
        fork_root=fields.parsed("fork_root", parse_repository_id),
        fork_parent=fields.optional("fork_parent", parse_repository_id),
        fork_generation=None if fork_generation is None else Generation(fork_generation),
        has_pack=fields.truth("has_pack"),
        created_at_ms=fields.number("created_at_ms"),
    )


def _edit(item: object) -> RefEdit:
    match item:
        case [str(name), old, new]:
            return RefEdit(
                parse_ref_name(name), optional_text(old, parse_ref_value), optional_text(new, parse_ref_value)
            )
        case _:
            raise ValueError("an edit is a name and two values")
