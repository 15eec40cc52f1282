"""Sees everything the nodes cannot: the catalog's true history and every disk. Checks the invariants as they happen.

    record changes    I4 one generation at a time, I8 a quorum of disks holds the round, I3/I5 nobody was told abort,
                      and every replica the record believes in has, or can reach from its own journal, what it says (I1)
                      nothing is published that the repository's configuration of that moment denies
    a store changes   I2 only published rounds are applied, I6 on their own base; I3 a believed replica never loses what
                      it promised; I9 its references are those of its generation
    a message goes    I5 Commit only of what is published, Abort only of what never was
    a read answers    I1 the references of a published generation, not older than the level allows; I7 by a replica that
                      the record did not list at some moment of the call, or by a read replica, of which it says
                      nothing: then the generation answers for it

What a broken disk or a torn write takes is excused until the record lists the node, and no longer than until it serves.

The truth is a list of reference maps for each repository, one a generation, made from the rounds the records name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from meshnode.base.ids import (
    Generation,
    NodeId,
    ObjectId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RoundId,
    symbolic_target,
)
from meshnode.catalog.memory import MemoryCatalog
from meshnode.core.keys import CONFIGS, NAMES, PARTITIONS, RECORDS, config_key
from meshnode.core.participant import Position, published_path
from meshnode.core.partition import Partition, decode_partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import Record, RepositoryState, consistent_nodes, decode_record
from meshnode.core.refs import digest_after, refs_after
from meshnode.core.repository_config import (
    NO_CONFIG,
    RepositoryConfig,
    decode_repository_config,
    is_deletion_denied,
    must_fast_forward,
    texts_of,
)
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.git.memory_disk import MemoryDisk
from tests.sim.story import Story

EMPTY: RefsDigest = RefsDigest("0" * 64)


@dataclass
class Truth:
    """One repository as the catalog's history tells it."""

    record: Record
    refs: list[Mapping[RefName, RefValue]] = field(default_factory=lambda: [{}])
    """By generation; 0 is nothing."""
    rounds: list[RoundId] = field(default_factory=list)
    listed: list[tuple[float, frozenset[NodeId]]] = field(default_factory=list)
    """Since when which replicas are listed as inconsistent, oldest first."""


class Auditor:
    """One for a whole run. Keeps every violation it meets."""

    def __init__(self, catalog: MemoryCatalog, disks: Mapping[NodeId, MemoryDisk], story: Story) -> None:
        self.violations: list[str] = []
        self.truths: dict[RepositoryId, Truth] = {}
        self.published: dict[RoundId, Round] = {}
        self.rounds_of: dict[str, list[Round]] = {}
        """Published rounds by the actor who asked for them."""
        self.partitions: dict[int, Partition] = {}
        self.read_replicas: dict[int, set[NodeId]] = {}
        """By partition, every node that ever had a read replica of it."""
        self.count: Callable[[str], None] = lambda _what: None
        self._catalog = catalog
        self._disks = disks
        self._story = story
        self._known: dict[RoundId, Round] = {}
        self._aborted: dict[RoundId, NodeId] = {}
        self._revisions: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._name_changes: dict[str, int] = {}
        self._configs: dict[str, RepositoryConfig] = {}
        """By catalog key, what holds now."""
        self._changes: list[tuple[Collection[str], asyncio.Event]] = []
        self._lost: dict[NodeId, set[RepositoryId]] = {}
        """Replicas that went with a disk, until the record lists them or the node serves again."""
        self._lost_rounds: dict[NodeId, set[RoundId]] = {}
        """Rounds that went with them: votes for them count, until the node serves again."""

    def violate(self, what: str) -> None:
        """Keep a violation."""
        self._story.tell("!!!", what)
        self.violations.append(what)

    # ------------------------------------------------------------ what is told

    def note_round(self, round_: Round) -> None:
        """A round reached a disk."""
        known = self._known.setdefault(round_.round_id, round_)
        if known != round_:
            self.violate(f"two rounds have the id {round_.round_id[:6]}")

    def note_abort(self, coordinator: NodeId, round_id: RoundId) -> None:
        """A coordinator calls a round dead."""
        self._aborted[round_id] = coordinator
        if round_id in self.published:
            self.violate(f"I5: {coordinator} aborts round {round_id[:6]}, which is published")

    def note_commit(self, coordinator: NodeId, round_id: RoundId) -> None:
        """A coordinator calls a round published."""
        if round_id not in self.published:
            self.violate(f"I5: {coordinator} commits round {round_id[:6]}, which is not published")

    def note_set_aside(self, node: NodeId, key: ReplicaKey, reason: str) -> None:
        """A node calls its replica damaged; only a torn write damages one."""
        replica = self._disks[node].replicas.get(key)
        if replica is None or not replica.is_unreadable:
            self.violate(f"{node} set the replica of {key.repository[:6]} aside: {reason}")

    def note_lost(self, node: NodeId, keys: Sequence[ReplicaKey], rounds: Sequence[RoundId]) -> None:
        """A node's disk lost these replicas, and the rounds it had promised to keep in them."""
        self._lost.setdefault(node, set()).update(key.repository for key in keys)
        self._lost_rounds.setdefault(node, set()).update(rounds)

    def check_serving(self, node: NodeId) -> None:
        """A node that begins to serve has taken itself out of the records of what it lost, and has seen to it that
        nothing is published any more on votes that it lost.
        """
        lost = self._lost.pop(node, set())
        self._lost_rounds.get(node, set()).intersection_update(self.published)
        for repository in lost:
            truth = self.truths.get(repository)
            if truth is not None:
                self.check_replica(node, truth.record.key, "when it serves again")

    async def next_change(self, keys: Collection[str]) -> None:
        """Return right after one of the keys is written."""
        event = asyncio.Event()
        self._changes.append((keys, event))
        await event.wait()

    # ------------------------------------------------------------ the catalog

    def look(self, keys: Sequence[str]) -> None:
        """Take note of what the catalog holds now at some keys."""
        keys = sorted(keys, key=lambda key: not key.startswith(PARTITIONS))  # records may name new ones
        for key, entry in zip(keys, self._catalog._store.read(keys), strict=True):
            revision = 0 if entry is None else entry.revision
            if revision == self._revisions.get(key, 0):
                continue
            self._revisions[key] = revision
            if key.startswith(NAMES):
                self._name_changes[key] = self._name_changes.get(key, 0) + 1
                if entry is None:
                    self._names.pop(key, None)
                else:
                    self._names[key] = entry.value.decode()
            elif key.startswith(CONFIGS):
                self._configs[key] = NO_CONFIG if entry is None else decode_repository_config(entry.value)
                self._story.tell("cat", f"{key[:14]} is configured: {texts_of(self._configs[key])}")
                self.count("repository configured")
            elif entry is not None and key.startswith(PARTITIONS):
                self._on_partition(decode_partition(entry.value))
            elif entry is not None and key.startswith(RECORDS):
                self._on_record(decode_record(entry.value))
            for waiting in [one for one in self._changes if key in one[0]]:
                self._changes.remove(waiting)
                waiting[1].set()
        self._check_names(keys)

    def _on_partition(self, placed: Partition) -> None:
        before = self.partitions.get(placed.partition)
        self.partitions[placed.partition] = placed
        self.read_replicas.setdefault(placed.partition, set()).update(placed.read_replicas)
        if before is not None and before.read_replicas != placed.read_replicas:
            self.count("read replicas changed")
            self._story.tell("cat", f"partition {placed.partition}: read replicas {placed.read_replicas}")
        if before is None:
            return
        if before.replicas != placed.replicas:
            self._story.tell("cat", f"partition {placed.partition}: {before.replicas} -> {placed.replicas}")
            self.count("replica moved")
        for truth in self.truths.values():
            if truth.record.partition != placed.partition:
                continue
            believed = consistent_nodes(truth.record, placed)
            had = len(consistent_nodes(truth.record, before))
            if truth.record.state is RepositoryState.ACTIVE and len(believed) < min(had, len(placed.replicas)):
                who = f"{truth.record.name} {truth.record.repository[:6]}"
                self.violate(f"a move leaves {who} with {len(believed)} of {had} consistent replicas")
            for node in believed:
                self.check_replica(node, truth.record.key, "believed since the partition changed")

    def _check_names(self, keys: Sequence[str]) -> None:
        if not any(key.startswith(NAMES) for key in keys):
            return
        led = {repository: key.removeprefix(NAMES) for key, repository in self._names.items()}
        for repository, truth in self.truths.items():
            wanted = truth.record.name if truth.record.state is RepositoryState.ACTIVE else None
            if led.get(repository) != wanted:
                self.violate(f"the name of {repository[:6]} is {wanted}, the catalog leads {led.get(repository)} there")

    def _on_record(self, record: Record) -> None:
        partition = self.partitions[record.partition]
        truth = self.truths.get(record.repository)
        old = None if truth is None else truth.record
        before = Generation(0) if old is None else old.generation
        who = f"{record.name} {record.repository[:6]} at generation {record.generation}"
        away = f", without {' '.join(sorted(record.inconsistent))}" if record.inconsistent else ""
        if truth is None:
            truth = self.truths[record.repository] = Truth(record)
        truth.record = record
        believed = frozenset(consistent_nodes(record, partition))
        if old is not None and old.partition != record.partition:
            self._on_family_moved(old, record, partition)
        if not truth.listed or truth.listed[-1][1] != record.inconsistent:
            truth.listed.append((asyncio.get_running_loop().time(), record.inconsistent))
        for node in partition.members:
            if node not in believed:
                self._lost.get(node, set()).discard(record.repository)
        if record.generation == before:
            self._story.tell("cat", f"{who}: fence {record.fence}, {record.state.value}{away}")
            if old is not None and (old.round_id, old.refs_digest) != (record.round_id, record.refs_digest):
                self.violate(f"I4: {who} changed without a generation")
        elif record.generation != before + 1 or record.round_id is None:
            self.violate(f"I4: {who} follows generation {before}")
        else:
            self._story.tell("cat", f"{who}: round {record.round_id[:6]}{away}")
            self._on_publish(truth, old, record, partition, record.round_id)
        for node in consistent_nodes(record, partition):
            self.check_replica(node, record.key, f"believed by {who}")

    def _on_family_moved(self, old: Record, record: Record, partition: Partition) -> None:
        """A family's own partition begins as a copy of the one it lived in, and changes nothing else."""
        self.count("repository moved to its family's own partition")
        before = self.partitions[old.partition]
        if replace(old, partition=record.partition) != record or partition.family != record.fork_root:
            self.violate(
                f"{record.name} {record.repository[:6]} moves to partition {record.partition}: {old} -> {record}"
            )
        if (before.replicas, before.joining, before.listed) != (
            partition.replicas,
            partition.joining,
            partition.listed,
        ):
            self.violate(f"partition {partition.partition} begins with others than {before}: {partition}")

    def home_of_family(self, record: Record) -> str:
        """What is wrong with where a repository lives; "" where nothing is."""
        own = [one for one in self.partitions.values() if one.family == record.fork_root]
        if record.state is RepositoryState.ABANDONED:
            return ""
        if len(own) > 1 or (own and record.partition != own[0].partition):
            return f"{record.name} {record.repository[:6]} lives in {record.partition}, its family in {own}"
        if self.partitions[record.partition].family not in {None, record.fork_root}:
            return f"{record.name} {record.repository[:6]} lives in another family's partition {record.partition}"
        return ""

    def partition_of(self, key: ReplicaKey) -> Partition:
        """Where a replica's repository lives."""
        truth = self.truths.get(key.repository)
        return self.partitions[key.home if truth is None else truth.record.partition]

    def _on_publish(
        self, truth: Truth, old: Record | None, record: Record, partition: Partition, round_id: RoundId
    ) -> None:
        round_ = self._known.get(round_id)
        if round_ is None:
            self.violate(f"I8: round {round_id[:6]} is published and on no disk")
            truth.refs.append(truth.refs[-1])
            return
        if round_id in self._aborted:
            self.violate(f"I5: round {round_id[:6]} is published after {self._aborted[round_id]} called it aborted")
        believed = partition.replicas if old is None else consistent_nodes(old, partition)
        voters = [node for node in believed if self._has(node, round_)]
        if len(voters) < quorum_size(len(partition.replicas)):
            self.violate(f"I8: round {round_id[:6]} is published with {voters} of {partition.replicas} holding it")
        for node in voters:
            if round_.round_id not in self._lost_rounds.get(node, ()):
                self._check_objects(node, round_)
        digest = digest_after(EMPTY if old is None else old.refs_digest, round_.edits)
        if digest != record.refs_digest:
            self.violate(f"I9: the edits of round {round_id[:6]} do not lead to the record's digest")
        config = self._configs.get(config_key(record.repository), NO_CONFIG)
        for edit in round_.edits if round_.kind is WriteKind.UPDATE else ():
            if is_deletion_denied(config, edit) or must_fast_forward(config, edit):  # no value stands on another here
                self.violate(f"round {round_id[:6]} changes {edit.name}, which the configuration of the moment denies")
        self.published[round_id] = round_
        self.rounds_of.setdefault(round_.actor, []).append(round_)
        truth.rounds.append(round_id)
        truth.refs.append({} if round_.kind is WriteKind.DELETE else refs_after(truth.refs[-1], round_.edits))

    def _check_objects(self, node: NodeId, round_: Round) -> None:
        """A vote promises that what the round names is there, in the replica or in the round's pack."""
        disk = self._disks[node]
        pack = disk.replicas[round_.key].packs.get(round_.round_id)
        objects = disk.objects_of(round_.key) | (pack.objects if pack else frozenset())
        for edit in round_.edits:
            if edit.new is not None and symbolic_target(edit.new) is None and ObjectId(edit.new) not in objects:
                self.violate(f"I1: {node} voted for round {round_.round_id[:6]} without object {edit.new[-6:]}")

    def _has(self, node: NodeId, round_: Round) -> bool:
        """Whether a node's disk holds a round on a base that it has or can reach, or held it before the disk broke."""
        if round_.round_id in self._lost_rounds.get(node, ()):
            return True
        replica = self._disks[node].replicas.get(round_.key)
        if replica is None:
            return False
        position = Position(replica.state.generation, replica.state.round_id)
        journal = {known.round_id: known for known in replica.state.prepared}
        return replica.state.round_id == round_.round_id or bool(published_path(position, journal, round_.round_id))

    # ------------------------------------------------------------ disks

    def check_apply(self, node: NodeId, round_: Round) -> None:
        """I2: only what is published may take effect; I6: only on its own base."""
        if round_.round_id not in self.published:
            self.violate(f"I2: {node} applies round {round_.round_id[:6]}, which is not published")
        replica = self._disks[node].replicas.get(round_.key)
        if replica is None or replica.state.generation >= round_.generation:
            return
        base = (round_.base_generation, round_.base_round_id)
        if (replica.state.generation, replica.state.round_id) != base:
            self.violate(f"I6: {node} at {replica.state.generation} applies round {round_.round_id[:6]} on {base[0]}")

    def check_replica(self, node: NodeId, key: ReplicaKey, when: str) -> None:
        """A replica that its record believes in has the record's generation, applied or in the journal."""
        truth = self.truths.get(key.repository)
        if truth is None or node not in consistent_nodes(truth.record, self.partitions[truth.record.partition]):
            return
        record = truth.record
        if record.state is not RepositoryState.ACTIVE or key.repository in self._lost.get(node, ()):
            return
        replica = self._disks[node].replicas.get(key)
        if replica is None:
            self.violate(f"I1: {node} has no replica of {key.repository[:6]}, {when}")
            return
        state = replica.state
        position = Position(state.generation, state.round_id)
        if state.generation > record.generation:
            self.violate(f"I2: {node} is at {state.generation}, past {record.generation}, {when}")
        elif (state.generation, state.round_id) != (record.generation, record.round_id):
            journal = {known.round_id: known for known in state.prepared}
            if not published_path(position, journal, record.round_id):
                self.violate(f"I1: {node} is at {state.generation} of {record.generation} and cannot get there, {when}")
        elif replica.refs != truth.refs[-1]:
            self.violate(f"I9: {node} has other references at {state.generation} of {key.repository[:6]}, {when}")

    # ------------------------------------------------------------ reads

    def generation_of(self, repository: RepositoryId) -> int:
        """The published generation now."""
        truth = self.truths.get(repository)
        return 0 if truth is None else truth.record.generation

    def name_now(self, name: str) -> tuple[str, int]:
        """The repository a name leads to ("" for none), and how often that has changed."""
        key = NAMES + name
        return self._names.get(key, ""), self._name_changes.get(key, 0)

    def check_reader(self, node: NodeId, repository: RepositoryId, called_at: float) -> None:
        """I7: a verified read was answered by a replica that was not listed all the while.

        One that has just left the partition may answer too, as long as it stands where the record does.
        """
        truth = self.truths[repository]
        if node in self.read_replicas.get(truth.record.partition, ()):
            self.count("verified read at a read replica")
            return
        listed = truth.listed
        ends = [since for since, _ in listed[1:]] + [inf]
        if all(node in nodes for (_, nodes), end in zip(listed, ends, strict=True) if end >= called_at):
            self.violate(f"I7: {node} answers a verified read of {repository[:6]}, and is listed as inconsistent")

    def check_read(
        self, repository: RepositoryId, generation: Generation, refs: Mapping[RefName, RefValue], *, at_least: int
    ) -> None:
        """An answer shows a published generation as it was, and one that is new enough."""
        truth = self.truths[repository]
        if generation >= len(truth.refs):
            self.violate(f"I2: a read of {repository[:6]} shows generation {generation}, not published")
            return
        if generation < at_least:
            self.violate(f"a read of {repository[:6]} shows generation {generation}, {at_least} was the least")
        if dict(refs) != truth.refs[generation]:
            self.violate(f"I1: a read of {repository[:6]} shows other references than generation {generation} had")
