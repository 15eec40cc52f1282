"""Bugs to be put into a simulated engine in place of a production rule: the simulator must catch each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from meshnode.base.errors import CatalogUnavailable, ReplicaBehind
from meshnode.base.ids import Generation, NodeId, PartitionId, RepositoryId, RepositoryName, RoundId
from meshnode.core import participant as participant_rules
from meshnode.core import write as write_rules
from meshnode.core.keys import record_key
from meshnode.core.moves import Fill, Step, Swap
from meshnode.core.partition import Partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import Record, record_rejoined
from meshnode.core.refs import refs_after
from meshnode.core.round import ReplicaKey, Round
from meshnode.engine.node import NodeEngine
from meshnode.engine.records import RecordAt
from meshnode.engine.rounds import NameChange, RoundDriver, _Run
from meshnode.engine.shipping import Shipment
from meshnode.engine.survey import Surveyed
from meshnode.git.state import state_after
from meshnode.ports import Compare, Consistency, ConsistencyLevel, ReadView, Vote, VoteKind
from tests.sim.world import Plant


class _BuggyDriver(RoundDriver):
    """Drives rounds with another machine."""

    machine: Callable[[write_rules.WriteRound], write_rules.WriteRound]

    async def run(self, round_: Round, at: RecordAt, shipment: Shipment, names: NameChange) -> write_rules.Finish:
        run = _Run(self, round_, at, shipment, names)
        run._machine = self.machine(run._machine)
        return await run.drive()


def _with_machine(kind: type[write_rules.WriteRound]) -> Plant:
    def plant(engine: NodeEngine) -> None:
        fields = {name: getattr(engine.driver, name) for name in RoundDriver.__dataclass_fields__}
        driver = _BuggyDriver(**fields)
        driver.machine = lambda right: kind(
            round=right.round, own=right.own, base=right.base, partition=right.partition, invited=right.invited
        )
        engine.driver = engine.writer.driver = driver

    return plant


class _ForgetfulDriver(RoundDriver):
    """Publishes by whatever configuration a round was checked."""

    async def run(self, round_: Round, at: RecordAt, shipment: Shipment, names: NameChange) -> write_rules.Finish:
        run = _Run(self, round_, at, shipment, names)
        run._config = Compare(record_key(round_.repository), at.record_revision)
        return await run.drive()


def _publish_whatever_is_configured(engine: NodeEngine) -> None:
    fields = {name: getattr(engine.driver, name) for name in RoundDriver.__dataclass_fields__}
    engine.driver = engine.writer.driver = _ForgetfulDriver(**fields)


class _PublishesEarly(write_rules.WriteRound):
    """Counts those who were asked as if they had voted, once its own vote is there."""

    def _after_vote(self) -> list[write_rules.Effect]:
        if self.own not in self.granted:
            return super()._after_vote()
        self.granted |= self.invited
        return self._publish(self.base, self.partition)


class _ForgetsLaggards(write_rules.WriteRound):
    """Publishes with a quorum and leaves whoever did not vote among the believed."""

    def _publish(self, base: Record | None, partition: Partition) -> list[write_rules.Effect]:
        effects = super()._publish(base, partition)
        assert self.pending is not None
        before = frozenset() if base is None else base.inconsistent
        self.pending = replace(self.pending, inconsistent=self.pending.inconsistent & before)
        return [write_rules.Publish(self.pending) if isinstance(one, write_rules.Publish) else one for one in effects]


class _AbortsOnUnknown(write_rules.WriteRound):
    """Takes "no answer" for "it did not happen"."""

    def on(self, event: write_rules.Event) -> list[write_rules.Effect]:
        if isinstance(event, write_rules.PublishUnknown) and self.phase is write_rules.Phase.PUBLISHING:
            event = write_rules.PublishRefused("the catalog did not answer")
        return super().on(event)


class _CountsLearners(write_rules.WriteRound):
    """Counts every vote, whether or not the record believes in the voter."""

    def _believed(self) -> set[NodeId]:
        return set(self.partition.members)

    def _publish(self, base: Record | None, partition: Partition) -> list[write_rules.Effect]:
        trusting = None if base is None else replace(base, inconsistent=frozenset())
        return super()._publish(trusting, partition)


class _CountsReadReplicas(write_rules.WriteRound):
    """Takes a read replica's answer for a vote."""

    def _is_read_replica(self, node: NodeId) -> bool:
        del node
        return False

    def _after_vote(self) -> list[write_rules.Effect]:
        voters = self.granted & {*self._believed(), *self.partition.read_replicas}
        if self.own in self.granted and len(voters) >= quorum_size(len(self.partition.replicas)):
            return self._publish(self.base, self.partition)
        return super()._after_vote()

    def _publish(self, base: Record | None, partition: Partition) -> list[write_rules.Effect]:
        granted = set(self.granted)
        self.granted |= set(partition.replicas)
        (publish,) = super()._publish(base, partition)
        self.granted = granted
        assert isinstance(publish, write_rules.Publish)
        away = frozenset(node for node in partition.accountable if node not in granted)
        self.pending = replace(publish.record, inconsistent=away)
        return [write_rules.Publish(self.pending)]


class _RepublishesOverFences(write_rules.WriteRound):
    """Meets a fence and publishes again all the same."""

    def _republish(self, record: Record | None, partition: Partition) -> list[write_rules.Effect]:
        if record is not None and self.base is not None:
            self.base = replace(self.base, fence=record.fence)
        return super()._republish(record, partition)


def _skip_journal(engine: NodeEngine) -> None:
    """Votes without having written anything down."""
    replicas = engine.replicas
    right = replicas.run

    async def run(key: ReplicaKey, effects: Any, generation: Generation) -> Vote | None:
        kept = list(effects)
        if any(isinstance(effect, participant_rules.Grant) for effect in kept):
            journals = [one for one in kept if isinstance(one, participant_rules.Journal)]
            for one in journals:
                engine.supervisor.spawn("late-journal", late(one.round))
            return Vote(kind=VoteKind.GRANTED, generation=generation)
        return await right(key, kept, generation)

    async def late(round_: Round) -> None:
        await engine.world.clock.sleep(40)
        await replicas.disk.store.prepare(round_)

    replicas.run = run  # type: ignore[method-assign]


def _serve_while_inconsistent(engine: NodeEngine) -> None:
    """Answers verified reads with whatever is there."""
    reader = engine.reads

    async def view_at(key: ReplicaKey, record: Record) -> ReadView:
        state = await reader.replicas.disk.store.load(key)
        if state is None or not state.generation:
            raise ReplicaBehind("no replica here")
        snapshot = await reader.replicas.disk.reader.snapshot(key)
        return ReadView(key=key, name=record.name, snapshot=snapshot, record=record)

    reader._view_at = view_at  # type: ignore[method-assign]


def _answer_wherever_it_stands(engine: NodeEngine) -> None:
    """Believes a read replica as long as no record lists it, as if it were a replica."""
    reader = engine.reads
    right = reader._view_at

    async def view_at(key: ReplicaKey, record: Record) -> ReadView:
        if engine.own not in engine.membership.partition(key.home).read_replicas:
            return await right(key, record)
        state = await reader.replicas.disk.store.load(key)
        if engine.own in record.inconsistent or state is None or not state.generation:
            raise ReplicaBehind("no replica here")
        snapshot = await reader.replicas.disk.reader.snapshot(key)
        return ReadView(key=key, name=record.name, snapshot=snapshot, record=record)

    reader._view_at = view_at  # type: ignore[method-assign]


def _abort_without_fence(engine: NodeEngine) -> None:
    """Drops old rounds that the record does not name yet, without a fence."""
    replicas = engine.replicas

    async def drop(key: ReplicaKey, at: RecordAt, round_: Round) -> None:
        async with replicas.locks.hold(key):
            if at.record is None or at.record.round_id != round_.round_id:
                await replicas.disk.store.discard(key, round_.round_id)

    replicas._fence = drop  # type: ignore[method-assign]


def _apply_on_vote(engine: NodeEngine) -> None:
    """Applies what it has voted for, published or not."""
    participant = engine.participant
    right = participant._vote_locked

    async def vote_locked(key: ReplicaKey, round_: Round) -> Vote:
        vote = await right(key, round_)
        if vote.kind is VoteKind.GRANTED:
            async with engine.replicas.locks.hold(key):
                await engine.replicas.disk.store.apply(round_)
        return vote

    participant._vote_locked = vote_locked  # type: ignore[method-assign]


def _vote_without_base(engine: NodeEngine) -> None:
    """Grants rounds on bases it has not applied."""
    replicas = engine.replicas
    right = replicas.run

    async def run(key: ReplicaKey, effects: Any, generation: Generation) -> Vote | None:
        vote = await right(key, effects, generation)
        return replace(vote, kind=VoteKind.GRANTED) if vote is not None and vote.kind is VoteKind.STORED else vote

    replicas.run = run  # type: ignore[method-assign]


def _apply_without_base(engine: NodeEngine) -> None:
    """Applies a committed round whether or not it stands on what is here."""
    participant = engine.participant
    right = participant._commit

    async def commit(key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        result = await right(key, round_id, generation)
        replica = engine.replicas.disk.store._inner._disk.replicas.get(key)  # type: ignore[attr-defined]
        for known in () if replica is None else replica.state.prepared:
            if known.round_id == round_id and known.base_generation > replica.state.generation:
                replica.refs = dict(refs_after(replica.refs, known.edits))
                replica.state = state_after(replica.state, known)
        return result

    participant._commit = commit  # type: ignore[method-assign]


def _skip_start_checks(engine: NodeEngine) -> None:
    """Serves what its disk holds without holding it against the records first."""

    async def recover() -> None:
        while True:
            try:
                await engine.membership.start()
            except CatalogUnavailable:
                await engine.world.clock.sleep(500)
            else:
                return

    engine.recover = recover  # type: ignore[method-assign]


def _rejoin_unfilled(engine: NodeEngine) -> None:
    """Takes itself off the list where it was to fetch what it missed."""
    repairer = engine.repairer

    async def fetch(key: ReplicaKey, *_: object) -> None:
        at = await engine.records.read(key)
        assert at.record is not None
        await repairer._replace(at, record_rejoined(at.record, engine.own))

    repairer._fetch = fetch  # type: ignore[assignment]


def _ignore_positions(engine: NodeEngine) -> None:
    """Answers a read at a position with whatever is there."""
    reader = engine.reads
    right = reader._view_unverified

    async def view(key: ReplicaKey, name: RepositoryName, consistency: Consistency) -> ReadView:
        return await right(key, name, replace(consistency, level=ConsistencyLevel.ANY))

    reader._view_unverified = view  # type: ignore[method-assign]


def _overstate_generation(engine: NodeEngine) -> None:
    """Says of an unverified read that it stands where the last round of the journal will lead."""
    reader = engine.reads
    right = reader._view_unverified

    async def view(key: ReplicaKey, name: RepositoryName, consistency: Consistency) -> ReadView:
        seen = await right(key, name, consistency)
        state = await reader.replicas.disk.store.load(key)
        if state is None or not state.prepared:
            return seen
        return replace(seen, snapshot=replace(seen.snapshot, generation=state.prepared[-1].generation))

    reader._view_unverified = view  # type: ignore[method-assign]


def _ask_drained_nodes(engine: NodeEngine) -> None:
    """Sends work to every node that is online, whatever the operator wants of it."""
    membership = engine.membership
    membership.takes_work = lambda node: node in membership.online()  # type: ignore[method-assign]


def _believe_before_listed(engine: NodeEngine) -> None:
    """Takes it for done that every record lists a joining node."""

    async def list_everywhere(*_: object) -> bool:
        return True

    engine.mover.steps._list_everywhere = list_everywhere  # type: ignore[assignment]


def _switch_while_listed(engine: NodeEngine) -> None:
    """Lets a joining node take its predecessor's place before it is filled."""
    mover = engine.mover
    right = mover._take

    async def take(surveyed: Surveyed, step: Step | None) -> bool:
        if isinstance(step, Fill):
            partition = surveyed.at.partition
            exits = [node for node in partition.replicas if node not in partition.target]
            step = Swap(step.node, exits[0] if exits else None)
        return await right(surveyed, step)

    mover._take = take  # type: ignore[method-assign]


def _drop_before_the_switch(engine: NodeEngine) -> None:
    """Takes a copy for left as soon as its partition's target is elsewhere."""
    departure = engine.departure

    async def drop(key: ReplicaKey) -> bool:
        async with engine.replicas.locks.hold(key):
            return await engine.world.disk.store.drop(key)

    def left_partitions(kept: dict[PartitionId, list[ReplicaKey]]) -> list[PartitionId]:
        partitions = engine.membership.partitions()
        return [number for number in kept if partitions[number].target and engine.own not in partitions[number].target]

    departure._drop = drop  # type: ignore[method-assign]
    departure._left_partitions = left_partitions  # type: ignore[method-assign]
    departure._is_out_long_enough = lambda _number: True  # type: ignore[assignment]


def _leave_forks_behind(engine: NodeEngine) -> None:
    """Gives a partition of its own to the oldest of a family alone."""
    families = engine.factors.families
    right = families._members

    async def members(root: RepositoryId) -> list[RepositoryId]:
        return [one for one in await right(root) if one == root]

    families._members = members  # type: ignore[method-assign]


BUGS: dict[str, Plant] = {
    "publish before the votes": _with_machine(_PublishesEarly),
    "forget to exclude a laggard": _with_machine(_ForgetsLaggards),
    "abort on unknown instead of fencing": _with_machine(_AbortsOnUnknown),
    "count a learner's vote": _with_machine(_CountsLearners),
    "count a read replica's vote": _with_machine(_CountsReadReplicas),
    "answer at a read replica wherever it stands": _answer_wherever_it_stands,
    "publish whatever is configured by now": _publish_whatever_is_configured,
    "publish over a fence": _with_machine(_RepublishesOverFences),
    "vote before the journal": _skip_journal,
    "serve while inconsistent": _serve_while_inconsistent,
    "drop an old round without a fence": _abort_without_fence,
    "apply at the vote": _apply_on_vote,
    "vote without the base": _vote_without_base,
    "apply without the base": _apply_without_base,
    "serve without looking at the disk first": _skip_start_checks,
    "rejoin before it is filled": _rejoin_unfilled,
    "ignore the position of a read": _ignore_positions,
    "say a later generation than the one read": _overstate_generation,
    "ask drained nodes": _ask_drained_nodes,
    "believe in a joining node before it is listed": _believe_before_listed,
    "switch to a node while it is listed": _switch_while_listed,
    "drop a copy before the switch": _drop_before_the_switch,
    "leave forks behind": _leave_forks_behind,
}
