"""What a stopped node's disk says of its replicas, and the JSON it travels in from node to operator.

    disk --describe--> NodeAccount --export, a file--> operator --> core/rebuild.py

An account is evidence: what was applied was published, because a replica applies nothing else (I2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from meshnode.base.ids import (
    Generation,
    NodeId,
    PartitionId,
    RefsDigest,
    RepositoryId,
    RepositoryName,
    RoundId,
    parse_node_id,
    parse_object_format,
    parse_partition_id,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.decoding import Fields, decode
from meshnode.core.families import format_families, parse_families
from meshnode.core.participant import Position
from meshnode.core.round import ReplicaKey, Round, decode_round, encode_round
from meshnode.core.shared_settings import SharedSettings, decode_shared_settings, encode_shared_settings

ACCOUNT_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaAccount:
    """One replica, or the tombstone of one, as files say."""

    key: ReplicaKey
    name: RepositoryName
    generation: Generation
    """Applied; 0 for one that was being created or filled."""
    round_id: RoundId | None
    refs_digest: RefsDigest
    digest_on_disk: RefsDigest | None
    """Of the references as they are; None where they cannot be read, or for a tombstone."""
    object_format: str
    is_deleted: bool
    fork_parent: RepositoryId | None = None
    fork_root: RepositoryId | None = None
    """None where the history does not reach back to a round that names it."""
    recent: tuple[RoundId, ...] = ()
    """The last applied rounds, oldest first, as far as the history tells."""
    prepared: tuple[Round, ...] = ()
    """The journal: voted for, not known to be published."""
    begun: RoundId | None = None
    """A round of the journal whose references were being written when the node ended: so it was published (I2).
    `digest_on_disk` is then that of the references without it."""
    trouble: str = ""
    """Why its files cannot be believed; "" where they can."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.generation, self.round_id)

    @property
    def is_sound(self) -> bool:
        """Whether files and references agree with each other."""
        return not self.trouble and (self.is_deleted or self.digest_on_disk == self.refs_digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeAccount:
    """A node and everything on its disk."""

    node: NodeId
    grpc_url: str
    http_url: str
    zone: str
    weight: int
    public_key: str
    """PEM."""
    replicas: tuple[ReplicaAccount, ...]
    unreadable: tuple[str, ...] = ()
    """Replica directories whose state cannot be read at all, with the reason."""
    read_replica_of: tuple[PartitionId, ...] = ()
    """Partitions that the node had read replicas of, as far as it had heard: copies that never voted."""
    families: Mapping[RepositoryId, PartitionId] = field(default_factory=dict)
    """Which fork families have a partition for themselves, by their roots, as far as it had heard."""
    settings: SharedSettings | None = None
    """The cluster's settings as it had heard of them; None where it never had."""


def encode_node_account(account: NodeAccount) -> str:
    """The account as JSON for a file."""
    raw = {
        "v": ACCOUNT_FORMAT,
        "node": account.node,
        "grpc_url": account.grpc_url,
        "http_url": account.http_url,
        "zone": account.zone,
        "weight": account.weight,
        "public_key": account.public_key,
        "unreadable": [_writable(line) for line in account.unreadable],
        "read_replica_of": list(account.read_replica_of),
        "families": format_families(account.families),
        "settings": None if account.settings is None else json.loads(encode_shared_settings(account.settings)),
        "replicas": [_replica_json(replica) for replica in account.replicas],
    }
    return json.dumps(raw, indent=1, ensure_ascii=True) + "\n"


def decode_node_account(text: str) -> NodeAccount:
    """The account of its JSON. Raises Corrupt."""

    def build(fields: Fields) -> NodeAccount:
        return NodeAccount(
            node=fields.parsed("node", parse_node_id),
            grpc_url=fields.text("grpc_url"),
            http_url=fields.text("http_url"),
            zone=fields.text("zone"),
            weight=fields.number("weight"),
            public_key=fields.text("public_key"),
            unreadable=fields.texts("unreadable"),
            read_replica_of=_partitions(fields) if fields.has("read_replica_of") else (),
            families=parse_families(fields.items("families")) if fields.has("families") else {},
            settings=_settings(fields) if fields.has("settings") else None,
            replicas=tuple(_replica_of(Fields(one)) for one in fields.items("replicas")),
        )

    return decode(text, "account", ACCOUNT_FORMAT, build)


def _partitions(fields: Fields) -> tuple[PartitionId, ...]:
    numbers = fields.items("read_replica_of")
    if not all(type(number) is int for number in numbers):
        raise TypeError("a partition is no number")
    return tuple(parse_partition_id(number) for number in numbers)


def _settings(fields: Fields) -> SharedSettings | None:
    raw = fields.raw("settings")
    return None if raw is None else decode_shared_settings(json.dumps(raw).encode())


def _writable(text: str) -> str:
    """What people are told, fit for JSON: the path of a data directory need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _replica_json(replica: ReplicaAccount) -> dict[str, Any]:
    return {
        "repository": replica.key.repository,
        "partition": replica.key.home,
        "name": replica.name,
        "generation": replica.generation,
        "round_id": replica.round_id,
        "refs_digest": replica.refs_digest,
        "digest_on_disk": replica.digest_on_disk,
        "object_format": replica.object_format,
        "is_deleted": replica.is_deleted,
        "fork_parent": replica.fork_parent,
        "fork_root": replica.fork_root,
        "recent": list(replica.recent),
        "prepared": [json.loads(encode_round(round_)) for round_ in replica.prepared],
        "begun": replica.begun,
        "trouble": _writable(replica.trouble),
    }


def _replica_of(fields: Fields) -> ReplicaAccount:
    partition = parse_partition_id(fields.number("partition"))
    return ReplicaAccount(
        key=ReplicaKey(partition, fields.parsed("repository", parse_repository_id)),
        name=fields.parsed("name", parse_repository_name),
        generation=Generation(fields.number("generation")),
        round_id=fields.optional("round_id", parse_round_id),
        refs_digest=fields.parsed("refs_digest", parse_refs_digest),
        digest_on_disk=fields.optional("digest_on_disk", parse_refs_digest),
        object_format=fields.parsed("object_format", parse_object_format),
        is_deleted=fields.truth("is_deleted"),
        fork_parent=fields.optional("fork_parent", parse_repository_id),
        fork_root=fields.optional("fork_root", parse_repository_id),
        recent=fields.all_parsed("recent", parse_round_id),
        prepared=tuple(decode_round(json.dumps(one).encode()) for one in fields.items("prepared")),
        begun=fields.optional("begun", parse_round_id),
        trouble=fields.text("trouble"),
    )
