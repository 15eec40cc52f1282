"""Makes this node's replica the truth where no consistent one is left. Only an operator asks for it.

    describe every member -> a consistent one answers? refuse
    publish: generation past all that is known, a new round, this replica's references, everyone listed   (I4)
    take the new position on this disk -> the repairer takes this node off the list -> the others are filled

Rule: between any two steps nobody is believed in, so nothing is served and nothing is written; whatever dies
there, asking again is safe and ends with a still higher generation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from meshnode.base.errors import Corrupt, Fenced, InvalidRequest, MeshError, NotFound, OutcomeUnknown
from meshnode.base.ids import Generation, NodeId, RepositoryName, RoundId
from meshnode.core.keys import partition_key, record_key
from meshnode.core.losses import Standing, new_generation, obstacle_to_loss, record_after_loss
from meshnode.core.record import Record, consistent_nodes, encode_record
from meshnode.core.round import ReplicaKey, Round
from meshnode.engine.participant import Participant
from meshnode.engine.records import RecordAt, Records, listing_mark
from meshnode.engine.replicas import Replicas
from meshnode.ports import (
    Catalog,
    Compare,
    Entropy,
    LossPlan,
    LostRound,
    MemberAccount,
    Peers,
    Put,
    ReplicaDescription,
    ReplicaState,
)

log = logging.getLogger("meshnode.engine")

ASK_MS: Final = 5_000
"""How long a member may take to describe itself; longer than a connect time-out."""
DEEP_MS: Final = 20_000
"""How long a replica that may be the truth may take to check itself; one that answers and takes longer counts as
sound, so that a large repository is never given up for being large."""
LOST_ROUNDS_MAX: Final = 200


class DataLosses:
    """Implements `ports.Losses`."""

    def __init__(
        self,
        *,
        own: NodeId,
        catalog: Catalog,
        records: Records,
        online: Callable[[], Collection[NodeId]],
        peers: Peers,
        replicas: Replicas,
        participant: Participant,
        entropy: Entropy,
    ) -> None:
        self._own = own
        self._catalog = catalog
        self._records = records
        self._online = online
        self._peers = peers
        self._replicas = replicas
        self._participant = participant
        self._entropy = entropy

    async def plan_loss(self, name: RepositoryName) -> LossPlan:
        """Say what making this node's replica the truth would lose. Raises RepositoryNotFound, NotFound."""
        record = await self._records.find(name)
        key = record.key
        return await self._plan(key, await self._records.read(key))

    async def accept_loss(self, name: RepositoryName, *, actor: str) -> LossPlan:
        """Make this node's replica the truth. Raises InvalidRequest, Fenced, OutcomeUnknown, NotFound."""
        record = await self._records.find(name)
        key = record.key
        at = await self._records.read(key)
        plan = await self._plan(key, at)
        if plan.obstacle:
            raise InvalidRequest(plan.obstacle, repository=name)
        return await self._replicas.run_to_end("accept-loss", self._accept(key, at, plan, actor))

    # ------------------------------------------------------------ the plan

    async def _plan(self, key: ReplicaKey, at: RecordAt) -> LossPlan:
        record = at.record
        if record is None:
            raise NotFound("the repository has no record", repository=key.repository)
        believed = consistent_nodes(record, at.partition)
        nodes = at.partition.members
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._describe(node, key, node in believed)) for node in nodes]
        accounts = {node: task.result() for node, task in zip(nodes, asked, strict=True)}
        standings = {node: _standing(account, record) for node, account in accounts.items()}
        mine = accounts.get(self._own)
        obstacle = obstacle_to_loss(
            chosen=self._own, record=record, partition=at.partition, standings=standings, online=self._online()
        )
        chosen_generation = mine.generation if isinstance(mine, ReplicaDescription) else Generation(0)
        generations = {
            node: account.generation for node, account in accounts.items() if isinstance(account, ReplicaDescription)
        }
        return LossPlan(
            name=record.name,
            chosen=self._own,
            record=record,
            chosen_generation=chosen_generation,
            new_generation=new_generation(record, generations.values()),
            members=tuple(
                MemberAccount(
                    node=node,
                    is_believed=node in believed,
                    generation=generations.get(node, Generation(0)),
                    trouble=_trouble(account),
                )
                for node, account in accounts.items()
            ),
            lost=await self._lost(key, chosen_generation, generations),
            obstacle=obstacle or _unusable(mine),
        )

    async def _describe(self, node: NodeId, key: ReplicaKey, is_believed: bool) -> ReplicaDescription | str | None:
        """A member's account, checked in depth where it matters; a text says why there is none."""
        try:
            async with asyncio.timeout(ASK_MS / 1000):
                account = await self._ask(node, key, deep=False)
            if account is None or not (is_believed or node == self._own):
                return account
        except TimeoutError:
            return f"no answer within {ASK_MS} ms"
        except MeshError as error:
            return f"no answer: {error.message}"
        try:
            async with asyncio.timeout(DEEP_MS / 1000):
                return await self._ask(node, key, deep=True)
        except TimeoutError:
            return account
        except MeshError as error:
            return replace(account, problems=(error.message,))

    async def _ask(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        if node == self._own:
            return await self._participant.describe(key, deep=deep)
        return await self._peers.describe(node, key, deep=deep)

    async def _lost(
        self, key: ReplicaKey, after: Generation, generations: Mapping[NodeId, Generation]
    ) -> tuple[LostRound, ...]:
        """The rounds past `after` that other replicas' histories tell of."""
        found: dict[RoundId, LostRound] = {}
        for node, generation in generations.items():
            if node == self._own or generation <= after:
                continue
            try:
                async with asyncio.timeout(ASK_MS / 1000):
                    rounds = await self._peers.history(node, key, after)
            except (MeshError, TimeoutError) as error:
                log.info("lost_rounds_not_told", extra={"peer": node, "error": str(error)})
                continue
            for round_ in rounds:
                found.setdefault(round_.round_id, _lost_round(round_, node))
        return tuple(sorted(found.values(), key=lambda lost: (lost.generation, lost.round_id))[:LOST_ROUNDS_MAX])

    # ------------------------------------------------------------ the deed

    async def _accept(self, key: ReplicaKey, at: RecordAt, plan: LossPlan, actor: str) -> LossPlan:
        disk = self._replicas.disk
        async with self._replicas.locks.hold(key):
            state = await disk.store.load(key)
            if state is None or state.generation != plan.chosen_generation:
                raise Fenced("this node's replica changed meanwhile; look again", node=self._own)
            if await disk.reader.digest_on_disk(key) != state.refs_digest:
                raise Corrupt("references on disk are not those of the replica's generation", node=self._own)
            round_id = RoundId(self._entropy.new_id())
            wanted = replace(state, generation=plan.new_generation, round_id=round_id, prepared=())
            log.error("data_loss_decided", extra=_audit(plan, round_id, actor))
            self._replicas.activity.note_inconsistent(key)
            await self._publish(key, at, wanted)
            await disk.store.rebase(wanted)
        log.error("data_loss_accepted", extra=_audit(plan, round_id, actor))
        self._replicas.report_behind(key, "made the truth by an operator")
        return plan

    async def _publish(self, key: ReplicaKey, at: RecordAt, wanted: ReplicaState) -> None:
        assert at.record is not None
        assert wanted.round_id is not None
        record = record_after_loss(
            at.record,
            at.partition,
            generation=wanted.generation,
            round_id=wanted.round_id,
            refs_digest=wanted.refs_digest,
        )
        try:
            revision = await self._catalog.transact(
                [
                    Compare(record_key(key.repository), at.record_revision),
                    Compare(partition_key(at.partition.partition), at.partition_revision),
                ],
                [
                    Put(record_key(key.repository), encode_record(record)),
                    *listing_mark(at.record, record, at.partition),
                ],
            )
        except OutcomeUnknown:
            if (await self._records.read(key)).record != record:
                raise
            return
        if revision is None:
            raise Fenced("the record changed meanwhile; look again", repository=key.repository)


def _standing(account: ReplicaDescription | str | None, record: Record) -> Standing:
    if isinstance(account, str):
        return Standing.SILENT
    if account is None or account.problems or account.generation < record.generation:
        return Standing.UNFIT
    is_other = account.generation == record.generation and account.refs_digest != record.refs_digest
    is_edited = account.digest_on_disk not in (None, account.refs_digest)
    return Standing.UNFIT if is_other or is_edited else Standing.SOUND


def _trouble(account: ReplicaDescription | str | None) -> str:
    if account is None:
        return "no replica"
    if isinstance(account, str):
        return account
    if account.digest_on_disk not in (None, account.refs_digest):
        return "references on disk are not those of its generation"
    return "; ".join(account.problems[:5])


def _unusable(account: ReplicaDescription | str | None) -> str:
    """Why this node's replica cannot become the truth. Damaged objects are no reason: the operator sees them."""
    if not isinstance(account, ReplicaDescription):
        return "this node has no replica to make the truth"
    if not account.generation:
        return "this node's replica is still being filled"
    if account.digest_on_disk not in (None, account.refs_digest):
        return "references on this node's disk are not those of its generation; put them right first"
    return ""


def _lost_round(round_: Round, node: NodeId) -> LostRound:
    return LostRound(
        round_id=round_.round_id,
        generation=round_.generation,
        actor=round_.actor,
        refs=tuple(edit.name for edit in round_.edits),
        known_to=node,
    )


def _audit(plan: LossPlan, round_id: RoundId, actor: str) -> dict[str, str | int | list[str]]:
    """What the log keeps of the decision."""
    return {
        "repository": plan.record.repository,
        "repository_name": plan.name,
        "actor": actor,
        "chosen": plan.chosen,
        "generation": plan.record.generation,
        "chosen_generation": plan.chosen_generation,
        "new_generation": plan.new_generation,
        "round": round_id,
        "lost": [lost.round_id for lost in plan.lost],
        "members": [f"{member.node}:{member.generation}:{member.trouble}" for member in plan.members],
    }
