"""Writes with this node as coordinator: from a wish to a published round.

    wish --> record (linearizable) --> this replica is consistent? --> write slot --> record again
         --> edits from the replica's references --> round --> RoundDriver --> answer

`write()` is the one path; create, fork, rename, delete, reference updates and pushes differ only in the draft
they make of the record and the references they find inside the slot.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import (
    CatalogUnavailable,
    Fenced,
    OutcomeUnknown,
    QuorumLost,
    ReadOnly,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId, PartitionId, RepositoryId, RepositoryName, RoundId
from meshnode.core.partition import Partition
from meshnode.core.quorum import has_quorum, quorum_size
from meshnode.core.record import Record, RepositoryState, consistent_nodes, learner_nodes
from meshnode.core.refs import EMPTY_DIGEST, RefEdit, digest_after
from meshnode.core.request_marks import RequestMark, encode_request_mark
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.core.write import Finish, Outcome
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.records import RecordAt, Records
from meshnode.engine.replicas import Replicas
from meshnode.engine.rounds import NameChange, RoundDriver
from meshnode.engine.shipping import Shipment
from meshnode.engine.slots import KeyedLocks
from meshnode.ports import Clock, Compare, Entropy, Peers, Put, RefsSnapshot, StageOpen, WriteResult

log = logging.getLogger("meshnode.engine")

ATTEMPTS_MAX: Final = 4
"""Whole rounds tried for one API write when another coordinator was faster."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a write wants to do, made inside the write slot."""

    kind: WriteKind
    name: RepositoryName
    edits: tuple[RefEdit, ...] = ()
    names: NameChange = NameChange()
    mark: str | None = None
    """Key under which the catalog remembers the request together with `names`; None: it cannot be recognised."""
    fork_root: RepositoryId | None = None
    fork_parent: RepositoryId | None = None
    fork_generation: Generation | None = None
    object_format: str = "sha1"
    has_pack: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, and by what a repetition is recognised ("" : it cannot be)."""

    request_key: str
    actor: str


MakeDraft = Callable[[RecordAt, RefsSnapshot | None], Awaitable[Draft | None]]
"""Called inside the slot; None means there is nothing (left) to do, an exception refuses the write."""


@dataclass(kw_only=True)
class Writer:
    """The write path of this node."""

    own: NodeId
    records: Records
    membership: ClusterMembership
    peers: Peers
    replicas: Replicas
    driver: RoundDriver
    slots: KeyedLocks
    clock: Clock
    entropy: Entropy

    def new_round_id(self) -> RoundId:
        """A round id nobody has used."""
        return RoundId(self.entropy.new_id())

    async def check_may_coordinate(self, record: Record) -> None:
        """Check, before anything is received, that this node's replica can lead a write of the repository.

        Raises:
            ReplicaBehind: it cannot; another node may.
            ReadOnly: too few consistent replicas for anyone to write.
        """
        partition = self.membership.partition(record.partition)
        self._check_writable(record, partition)
        if self.own not in consistent_nodes(record, partition):
            raise ReplicaBehind("this node has no consistent replica to lead the write", node=self.own)

    async def base(self, key: ReplicaKey) -> tuple[Record, RefsSnapshot]:
        """The record and the references a write would be made on now. Raises as `write` does before its draft."""
        at = await self.records.read(key)
        snapshot = await self._check_base(key, at)
        if at.record is None or snapshot is None:
            raise RepositoryNotFound("no such repository", repository=key.repository)
        return at.record, snapshot

    def shipment(
        self,
        key: ReplicaKey,
        round_id: RoundId,
        object_format: str,
        record: Record | None,
        *,
        partition: PartitionId | None = None,
    ) -> Shipment:
        """The outgoing side of a round: consistent replicas, and learners that can be reached.

        `partition` is where a repository that has no record is to live; None: at home.
        """
        placed = self.membership.partition(_place(key, record, partition))
        if record is None:
            believed = placed.replicas
            learners = tuple(node for node in placed.members if node not in believed)
        else:
            believed = consistent_nodes(record, placed)
            learners = learner_nodes(record, placed)
        reachable = [
            node for node in learners if node in self.membership.online() and not self.membership.is_suspect(node)
        ]
        working = [node for node in believed if not self.membership.is_disabled(node)]
        if not has_quorum(working, placed.replicas):
            working = list(
                believed
            )  # better to ask who is out of service, as far as is known here, than to write nothing
        learning = [node for node in reachable if not self.membership.is_disabled(node)]
        nodes = [node for node in dict.fromkeys([*working, *learning]) if node != self.own]
        opening = StageOpen(key=key, round_id=round_id, object_format=object_format, coordinator=self.own)
        return Shipment(
            own=self.own,
            peers=self.peers,
            opening=opening,
            nodes=nodes,
            replicas=placed.replicas,
            believed=believed,
            read_replicas=[node for node in placed.read_replicas if node not in placed.accountable],
            supervisor=self.driver.supervisor,
            on_unreachable=self.membership.suspect,
        )

    async def write(
        self,
        key: ReplicaKey,
        round_id: RoundId,
        shipment: Shipment,
        make_draft: MakeDraft,
        *,
        request: Request,
        partition: PartitionId | None = None,
        on_deciding: Callable[[], None] = lambda: None,
    ) -> WriteResult | None:
        """Take one round through the slot; None where the draft found nothing to do.

        `partition` is where a repository that has no record is to live; None: at home.
        `on_deciding` is called when the round is about to be sent: from then on it runs to its end.

        Raises:
            QuorumLost, Fenced, CatalogUnavailable, ReadOnly, ReplicaBehind, Overloaded: nothing was written.
            OutcomeUnknown: the round may still be published; fields `round` and `repository` name it.
        """
        async with self.slots.hold(key):
            at = await (
                self.records.read(key) if partition is None else self.records.read_at(key.repository, partition)
            )
            snapshot = await self._check_base(key, at)
            draft = await make_draft(at, snapshot)
            if draft is None:
                return None
            round_ = self._round(key, round_id, at, draft, request)
            on_deciding()
            finish = await self.driver.run(round_, at, shipment, _remembered(draft, round_))
        return self._result(round_, finish)

    async def write_without_objects(
        self, key: ReplicaKey, make_draft: MakeDraft, request: Request, *, partition: PartitionId | None = None
    ) -> WriteResult | None:
        """`write` for API calls: opens its own shipment, tries again where another round was faster."""
        return await self.replicas.run_to_end(
            "writer-api", self._write_without_objects(key, make_draft, request, partition)
        )

    async def _write_without_objects(
        self, key: ReplicaKey, make_draft: MakeDraft, request: Request, partition: PartitionId | None
    ) -> WriteResult | None:
        attempt = 0
        while True:
            attempt += 1
            record = (await self.records.read(key)).record
            object_format = "sha1" if record is None else record.object_format
            round_id = self.new_round_id()
            try:
                async with self.shipment(key, round_id, object_format, record, partition=partition) as shipment:
                    return await self.write(key, round_id, shipment, make_draft, request=request, partition=partition)
            except Fenced:
                if attempt == ATTEMPTS_MAX:
                    raise

    # ------------------------------------------------------------ inside

    def _check_writable(self, record: Record, partition: Partition) -> None:
        if record.state is not RepositoryState.ACTIVE:
            raise RepositoryNotFound("the repository is deleted", repository=record.repository)
        consistent = consistent_nodes(record, partition)
        needed = quorum_size(len(partition.replicas))
        if len(consistent) < needed:
            raise ReadOnly(
                "too few consistent replicas to write; wait for repair", consistent=len(consistent), needed=needed
            )

    async def _check_base(self, key: ReplicaKey, at: RecordAt) -> RefsSnapshot | None:
        """The references at the record's generation, from this node's replica."""
        record = at.record
        if record is None:
            return None
        self._check_writable(record, at.partition)
        if self.own not in consistent_nodes(record, at.partition):
            raise ReplicaBehind("this node has no consistent replica to lead the write", node=self.own)
        if self.replicas.activity.is_damaged(key):
            raise ReplicaBehind("this node's replica is damaged and being replaced", node=self.own)
        state = await self.replicas.settle(key, record)
        if state is None or (state.generation, state.round_id) != (record.generation, record.round_id):
            self.replicas.report_behind(key, "behind at the start of a write")
            raise ReplicaBehind(
                "this node's replica is not at the record's generation",
                generation=0 if state is None else state.generation,
                wanted=record.generation,
            )
        return await self.replicas.disk.reader.snapshot(key)

    def _round(
        self,
        key: ReplicaKey,
        round_id: RoundId,
        at: RecordAt,
        draft: Draft,
        request: Request,
    ) -> Round:
        record = at.record
        before = EMPTY_DIGEST if record is None else record.refs_digest
        return Round(
            round_id=round_id,
            repository=key.repository,
            home=key.home,
            kind=draft.kind,
            base_generation=Generation(0) if record is None else record.generation,
            base_round_id=None if record is None else record.round_id,
            edits=draft.edits,
            refs_digest=digest_after(before, draft.edits),
            name=draft.name,
            object_format=draft.object_format if record is None else record.object_format,
            coordinator=self.own,
            request_key=request.request_key,
            actor=request.actor,
            fork_root=draft.fork_root or (key.repository if record is None else record.fork_root),
            fork_parent=draft.fork_parent,
            fork_generation=draft.fork_generation,
            has_pack=draft.has_pack,
            created_at_ms=self.clock.wall_ms(),
        )

    def _result(self, round_: Round, finish: Finish) -> WriteResult:
        facts = {"round": round_.round_id, "repository": round_.repository}
        match finish.outcome:
            case Outcome.PUBLISHED:
                assert finish.record is not None
                return WriteResult(record=finish.record, round_id=round_.round_id, generation=round_.generation)
            case Outcome.QUORUM_LOST:
                raise QuorumLost(f"quorum lost, nothing was written: {finish.reason}", **facts)
            case Outcome.FENCED:
                raise Fenced(f"nothing was written: {finish.reason}; read again and retry", **facts)
            case Outcome.CATALOG_UNAVAILABLE:
                raise CatalogUnavailable(f"nothing was written: {finish.reason}", **facts)
            case Outcome.UNKNOWN:
                raise OutcomeUnknown(
                    f"the outcome of the write is not known: {finish.reason}; ask GetRoundOutcome, or read the references",
                    **facts,
                )


def _place(key: ReplicaKey, record: Record | None, partition: PartitionId | None) -> PartitionId:
    if record is not None:
        return record.partition
    return key.home if partition is None else partition


def _remembered(draft: Draft, round_: Round) -> NameChange:
    """What the publish does to names, with the mark that lets the same request take effect once only."""
    if draft.mark is None:
        return draft.names
    mark = RequestMark(
        repository=round_.repository,
        round_id=round_.round_id,
        generation=round_.generation,
        at_ms=round_.created_at_ms,
    )
    return NameChange(
        compares=[*draft.names.compares, Compare(draft.mark, 0)],
        writes=[*draft.names.writes, Put(draft.mark, encode_request_mark(mark))],
    )
