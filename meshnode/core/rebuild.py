"""A lost catalog made again from what the nodes' disks say. Decides; `cli/catalog.py` reads, shows and writes.

    for each repository: the highest published generation that anyone gives evidence of
        evidence: a position that was applied, or was being applied; a round that another prepared round was built on
        consistent: sound replicas that stand there, or can get there by their own journal; all others are listed
    names: one repository each; partitions: where the placement plans them, or where the replicas are

A node that says its copies of a partition are read replicas gets no vote for having them, unless nobody else stands where
they do.

Rule: truth is the highest published generation and never a head count: one replica at generation 9 outweighs two at 8,
since a quorum stood behind 9 once. A round that was only prepared is not known to be published; it is left out and
named as a doubt. Nothing is decided by a clock, and the same accounts give the same catalog.

Source: docs/adr/0009-rebuilding-a-lost-catalog.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation, NodeId, PartitionId, RefsDigest, RepositoryId, RepositoryName, RoundId
from meshnode.core.accounts import NodeAccount, ReplicaAccount
from meshnode.core.families import newest_families
from meshnode.core.participant import Position, published_path
from meshnode.core.partition import Partition
from meshnode.core.quorum import FACTOR_MAX, quorum_size
from meshnode.core.record import RECENT_ROUNDS_MAX, Record, RepositoryState, consistent_nodes
from meshnode.core.refs import EMPTY_DIGEST
from meshnode.core.round import Round, WriteKind

RECOVERED: Final = "recovered/"
"""Where a repository goes whose name another one has: `recovered/<repository id>` is free by construction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One repository's new record and why it is what it is."""

    record: Record
    reason: str
    standings: tuple[tuple[NodeId, str], ...]
    """What each member and each holder has, in words."""
    doubts: tuple[str, ...] = ()
    """What an operator should know before anything is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildPlan:
    """A whole catalog but for its settings, nodes and applications."""

    partitions: tuple[Partition, ...]
    """By number, ascending; those that families have for themselves come last."""
    decisions: tuple[Decision, ...]
    doubts: tuple[str, ...] = ()

    def partition(self, number: PartitionId) -> Partition:
        """A partition by its number."""
        return next(partition for partition in self.partitions if partition.partition == number)


@dataclass(frozen=True, slots=True)
class _Truth:
    """The published position of a repository, and what goes with it."""

    position: Position
    refs_digest: RefsDigest
    name: RepositoryName
    is_deleted: bool
    rivals: int = 0
    """Other rounds, or other references, that claim the same generation."""
    is_known: bool = True
    """False where a round proves the generation and nobody has what it made."""


Holders = Mapping[NodeId, ReplicaAccount]


def plan_rebuild(accounts: Sequence[NodeAccount], planned: Sequence[Partition], *, factor: int) -> RebuildPlan:
    """Decide every record, name and partition. `planned` are the partitions as placement makes them, by number.

    Raises:
        InvalidRequest: two accounts are of one node, or a replica lies in a partition that the cluster has not got.
    """
    if len({account.node for account in accounts}) != len(accounts):
        raise InvalidRequest("two accounts are of one node")
    holders: dict[RepositoryId, dict[NodeId, ReplicaAccount]] = defaultdict(dict)
    for account in accounts:
        for replica in account.replicas:
            if replica.key.home >= len(planned):
                raise InvalidRequest(
                    "a replica lies in a partition that the cluster has not got; is this its cluster.json?",
                    node=account.node,
                    partition=replica.key.home,
                )
            known = holders[replica.key.repository].get(account.node)
            if known is None or replica.generation > known.generation:
                holders[replica.key.repository][account.node] = replica
    truths = {repository: truth for repository, held in holders.items() if (truth := find_truth(held)) is not None}
    readers = {account.node: frozenset(account.read_replica_of) for account in accounts}
    places, own = _family_places(accounts, planned, holders, truths)
    standing = [
        [(places[repository], node) for node, held in holders[repository].items() if stands_at(held, truth)]
        for repository, truth in truths.items()
        if not truth.is_deleted
    ]
    partitions, moved = _place([*planned, *own], standing, factor, readers)
    by_number = {partition.partition: partition for partition in partitions}
    decisions = [
        _decide(repository, holders, truths, by_number[places[repository]], {account.node for account in accounts})
        for repository in sorted(truths)
    ]
    unread = [f"{account.node}: {line}" for account in accounts for line in account.unreadable]
    unborn = sorted(set(holders) - set(truths))
    return RebuildPlan(
        partitions=partitions,
        decisions=tuple(_settle_names(decisions, by_number)),
        doubts=(
            *moved,
            *(f"cannot be read at all: {line}" for line in unread),
            *(f"repository {one} was never published: left out" for one in unborn),
        ),
    )


def find_truth(holders: Holders) -> _Truth | None:
    """The highest published position of one repository; None where nothing was ever published."""
    journal = {round_.round_id: round_ for held in holders.values() for round_ in held.prepared}
    found: dict[Position, _Truth] = {}
    digests: dict[Position, set[RefsDigest]] = defaultdict(set)
    for held in sorted((holders[node] for node in sorted(holders)), key=lambda one: one.is_sound):
        if held.generation:  # what a sound replica says comes last, and counts
            found[held.position] = _Truth(held.position, held.refs_digest, held.name, held.is_deleted)
            if held.is_sound and not held.is_deleted:
                digests[held.position].add(held.refs_digest)
    for held in holders.values():
        if held.begun is not None and held.begun in journal:
            round_ = journal[held.begun]
            position = Position(round_.generation, round_.round_id)
            found.setdefault(position, _of_round(position, round_))
    for round_ in journal.values():
        base = Position(round_.base_generation, round_.base_round_id)
        if base.generation and base not in found:
            made = journal.get(base.round_id) if base.round_id is not None else None
            found[base] = _Truth(base, EMPTY_DIGEST, round_.name, is_deleted=False, is_known=False)
            if made is not None:
                found[base] = _of_round(base, made)
    if not found:
        return None
    highest = max(position.generation for position in found)
    rivals = sorted(
        (truth for truth in found.values() if truth.position.generation == highest),
        key=lambda truth: (not truth.is_known, truth.position.round_id or ""),
    )
    claims = sum(max(1, len(digests[truth.position])) for truth in rivals)
    return replace(rivals[0], rivals=claims - 1)


def _of_round(position: Position, round_: Round) -> _Truth:
    return _Truth(position, round_.refs_digest, round_.name, round_.kind is WriteKind.DELETE)


def stands_at(held: ReplicaAccount, truth: _Truth) -> bool:
    """Whether a replica is sound and has the truth, or has it in its journal."""
    if not held.is_sound or truth.rivals or not truth.is_known:
        return False
    if held.position == truth.position:
        return held.refs_digest == truth.refs_digest or held.is_deleted
    journal = {round_.round_id: round_ for round_ in held.prepared}
    return bool(published_path(held.position, journal, truth.position.round_id))


def _family_places(
    accounts: Sequence[NodeAccount],
    planned: Sequence[Partition],
    holders: Mapping[RepositoryId, Holders],
    truths: Mapping[RepositoryId, _Truth],
) -> tuple[dict[RepositoryId, PartitionId], list[Partition]]:
    """Where each repository lives, and the partitions that families have for themselves.

    Their own factor is nowhere but in the catalog that was lost: it becomes the number of nodes that have a copy.
    """
    families = newest_families(account.families for account in accounts)
    places: dict[RepositoryId, PartitionId] = {}
    roots: dict[PartitionId, RepositoryId] = {}
    copies: dict[PartitionId, set[NodeId]] = defaultdict(set)
    homes: dict[PartitionId, PartitionId] = {}
    readers = {account.node: frozenset(account.read_replica_of) for account in accounts}
    for repository, truth in sorted(truths.items()):
        home = _best(holders[repository], truth).key.home
        root = _root(repository, holders, truths)
        number = families.get(root, home)
        if number < len(planned):
            places[repository] = home
            continue
        places[repository] = number
        roots[number], homes[number] = root, home
        copies[number] |= {node for node in holders[repository] if number not in readers[node]}
    own = [
        replace(
            planned[homes[number]], partition=number, family=root, factor=min(FACTOR_MAX, len(copies[number])) or None
        )
        for number, root in sorted(roots.items())
    ]
    return places, own


def _place(
    planned: Sequence[Partition],
    standing: Iterable[Sequence[tuple[PartitionId, NodeId]]],
    factor: int,
    readers: Mapping[NodeId, frozenset[PartitionId]],
) -> tuple[tuple[Partition, ...], list[str]]:
    """Each partition's replicas: as planned, unless the replicas turn out to be elsewhere. Read replicas stay what they
    are, but for those that alone have something. `standing`: of each repository, where and on whose disk its truth is.
    """
    has: dict[PartitionId, Counter[NodeId]] = defaultdict(Counter)
    alone: set[tuple[PartitionId, NodeId]] = set()
    for there in standing:
        for number, node in there:
            has[number][node] += 1
        if all(number in readers.get(node, ()) for number, node in there):
            alone.update(there)
    placed: list[Partition] = []
    moved: list[str] = []
    for partition in planned:
        number = partition.partition
        reading = [node for node in has[number] if number in readers.get(node, ()) and (number, node) not in alone]
        counted = Counter({node: count for node, count in has[number].items() if node not in reading})
        moved += [
            f"partition {number}: {node} had a read replica and becomes a replica, since nobody else has all that it has"
            for where, node in sorted(alone)
            if where == number
        ]
        if partition.family is not None:
            moved.append(
                f"partition {number} belongs to the forks of {partition.family}: its own factor is not known, and becomes"
                f" {partition.factor}, the nodes that have a copy; `meshnode repo factor` changes it"
            )
        if set(counted) <= set(partition.replicas) and partition.factor in {None, len(partition.replicas)}:
            placed.append(_with_read_replicas(partition, reading))
            continue
        ranked = sorted(counted, key=lambda node: (-counted[node], node not in partition.replicas, node))
        nodes = tuple(dict.fromkeys([*ranked, *partition.replicas]))[: partition.factor or factor]
        placed.append(_with_read_replicas(replace(partition, replicas=nodes), reading))
        moved.append(
            f"partition {partition.partition}: replicas are on {', '.join(nodes)},"
            f" although placement plans {', '.join(partition.replicas)}"
        )
    return tuple(placed), moved


def _with_read_replicas(partition: Partition, nodes: Iterable[NodeId]) -> Partition:
    kept = tuple(sorted(node for node in nodes if node not in partition.replicas))
    return replace(partition, read_replicas=kept, read_replicas_wanted=len(kept))


def _decide(
    repository: RepositoryId,
    holders: Mapping[RepositoryId, Holders],
    truths: Mapping[RepositoryId, _Truth],
    partition: Partition,
    nodes_read: set[NodeId],
) -> Decision:
    held, truth = holders[repository], truths[repository]
    best = _best(held, truth)
    good = {node for node, one in held.items() if stands_at(one, truth) and one.key.home == best.key.home}
    if truth.is_deleted:  # of a deleted repository, having nothing is right too
        good |= {node for node in partition.accountable if node not in held}
    record = Record(
        repository=repository,
        name=truth.name,
        partition=partition.partition,
        home=best.key.home,
        generation=truth.position.generation,
        round_id=truth.position.round_id,
        refs_digest=truth.refs_digest,
        inconsistent=frozenset(node for node in partition.accountable if node not in good),
        state=RepositoryState.DELETED if truth.is_deleted else RepositoryState.ACTIVE,
        object_format=best.object_format,
        recent=_recent(best, truth),
        fork_root=_root(repository, holders, truths),
        fork_parent=best.fork_parent,
    )
    return Decision(
        record=record,
        reason=_reason(held, truth),
        standings=tuple((node, _standing(held.get(node), truth)) for node in sorted({*held, *partition.members})),
        doubts=tuple(_doubts(held, truth, record, partition, nodes_read)),
    )


def _best(held: Holders, truth: _Truth) -> ReplicaAccount:
    """The account that tells most of the truth: one that stands there, else the newest."""
    return min(
        (held[node] for node in sorted(held)),
        key=lambda one: (not stands_at(one, truth), one.position != truth.position, -one.generation),
    )


def _recent(best: ReplicaAccount, truth: _Truth) -> tuple[RoundId, ...]:
    """Rounds up to the truth without a gap; just its own where the account does not reach it."""
    if truth.position.round_id is None:
        return ()
    journal = {round_.round_id: round_ for round_ in best.prepared}
    path = published_path(best.position, journal, truth.position.round_id)
    if best.position != truth.position and not path:
        return (truth.position.round_id,)
    known = best.recent or ((best.round_id,) if best.round_id else ())
    return (*known, *(step.round_id for step in path))[-RECENT_ROUNDS_MAX:]


def _root(
    repository: RepositoryId, holders: Mapping[RepositoryId, Holders], truths: Mapping[RepositoryId, _Truth]
) -> RepositoryId:
    """The oldest ancestor that anything tells of."""
    seen = [repository]
    while seen[-1] in truths:
        best = _best(holders[seen[-1]], truths[seen[-1]])
        if best.fork_root is not None:
            return best.fork_root
        if best.fork_parent is None or best.fork_parent in seen:
            break
        seen.append(best.fork_parent)
    return seen[-1]


def _reason(held: Holders, truth: _Truth) -> str:
    generation = truth.position.generation
    applied = sorted(node for node, one in held.items() if one.position == truth.position)
    if applied:
        return f"generation {generation} is the highest published one: applied by {', '.join(applied)}"
    return (
        f"generation {generation} is the highest published one: it was being applied, or a later round was built on it"
    )


def _standing(held: ReplicaAccount | None, truth: _Truth) -> str:
    if held is None:
        return "no replica" if not truth.is_deleted else "nothing, as it should be"
    if held.trouble:
        return f"cannot be believed: {held.trouble}"
    if not held.is_sound:
        return f"generation {held.generation}, references on disk are others"
    if stands_at(held, truth):
        return "deleted" if truth.is_deleted else f"generation {truth.position.generation}"
    return f"generation {held.generation}" if held.generation else "being filled"


def _doubts(
    held: Holders, truth: _Truth, record: Record, partition: Partition, nodes_read: set[NodeId]
) -> Iterable[str]:
    if truth.rivals:
        yield f"{truth.rivals + 1} different states claim generation {record.generation}: nobody is believed"
    for round_, voters in _undecided(held, truth):
        yield (
            f"round {round_.round_id} by {round_.actor or 'unknown'} on {', '.join(edit.name for edit in round_.edits[:3])}"
            f" was voted for by {', '.join(voters)} and is not known to be published: it is left out"
        )
    if truth.is_deleted:
        return
    consistent = consistent_nodes(record, partition)
    if not consistent:
        yield "no sound replica has this generation: read-only until `meshnode repo accept-data-loss`"
    elif len(consistent) == len(held) < quorum_size(len(partition.replicas)) and nodes_read >= set(partition.replicas):
        yield f"only {', '.join(consistent)} holds it: the other members' copies were lost"


def _undecided(held: Holders, truth: _Truth) -> Iterable[tuple[Round, list[NodeId]]]:
    """Rounds that build on the truth, with who voted for them."""
    voters: dict[RoundId, list[NodeId]] = defaultdict(list)
    rounds: dict[RoundId, Round] = {}
    for node in sorted(held):
        for round_ in held[node].prepared:
            if Position(round_.base_generation, round_.base_round_id) == truth.position:
                rounds[round_.round_id] = round_
                voters[round_.round_id].append(node)
    return [(rounds[round_id], voters[round_id]) for round_id in sorted(rounds)]


def _settle_names(decisions: Sequence[Decision], partitions: Mapping[PartitionId, Partition]) -> Iterable[Decision]:
    """Give each name to one repository: a quorum of sound replicas first, then generations, then the id."""

    def claim(decision: Decision) -> tuple[bool, Generation, RepositoryId]:
        record = decision.record
        partition = partitions[record.partition]
        has_quorum = len(consistent_nodes(record, partition)) >= quorum_size(len(partition.replicas))
        return (not has_quorum, Generation(-record.generation), record.repository)

    owners: dict[RepositoryName, RepositoryId] = {}
    for decision in sorted(decisions, key=claim):
        if decision.record.state is RepositoryState.ACTIVE:
            owners.setdefault(decision.record.name, decision.record.repository)
    for decision in decisions:
        record = decision.record
        if record.state is not RepositoryState.ACTIVE or owners[record.name] == record.repository:
            yield decision
            continue
        name = RepositoryName(RECOVERED + record.repository)
        doubt = f"the name {record.name} belongs to repository {owners[record.name]}: this one becomes {name}"
        yield replace(decision, record=replace(record, name=name), doubts=(*decision.doubts, doubt))
