"""A write round: everything a participant must know to vote on it and, later, to apply it without asking.

A round is written to the journal of every voter before it votes as JSON, so it holds names and values, never
objects of the running program. `base_generation` and `base_round_id` together name the state it starts from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
    parse_ref_name,
    parse_ref_value,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.decoding import Fields, decode, optional_text
from meshnode.core.keys import FORMAT_VERSION, encode_json
from meshnode.core.refs import RefEdit


class WriteKind(Enum):
    """What a round does to its repository."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ReplicaKey:
    """Where a replica lives on its node's disk, for good."""

    home: PartitionId
    """The partition that the repository's fork root was created in. Its family may live in another one since (ADR 19);
    directories, and what forks share, stay."""
    repository: RepositoryId


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One write, as every voter keeps it in its journal."""

    round_id: RoundId
    repository: RepositoryId
    home: PartitionId
    """Where its replicas lie on disk (`ReplicaKey`); which partition it lives in is the record's business."""
    kind: WriteKind
    base_generation: Generation
    base_round_id: RoundId | None
    edits: tuple[RefEdit, ...]
    refs_digest: RefsDigest
    """Digest of the references after the edits."""
    name: RepositoryName
    """The repository's name after the round."""
    object_format: str
    coordinator: NodeId
    request_key: str
    """Same for a request and its repetitions; "" means the write cannot be recognised again."""
    actor: str
    """Who asked, for the log."""
    fork_root: RepositoryId
    fork_parent: RepositoryId | None = None
    """CREATE only: share objects with this repository of the same home."""
    fork_generation: Generation | None = None
    """CREATE only: the parent's replica must have applied this generation before it can vote."""
    has_pack: bool = False
    """Whether objects travel with the round (the quarantine of a voter then holds exactly one pack)."""
    created_at_ms: int = 0
    """Wall clock at the coordinator, for people; nothing is decided by it."""

    @property
    def key(self) -> ReplicaKey:
        """The replica this round writes to."""
        return ReplicaKey(self.home, self.repository)

    @property
    def generation(self) -> Generation:
        """The generation this round makes."""
        return Generation(self.base_generation + 1)


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
