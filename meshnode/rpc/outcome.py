"""Finds out what became of a round: published, never to be published, not decided yet, or forgotten.

The record's last rounds decide, then a consistent replica's history, then the journals. A round that may still be
published is in the journals of a quorum; so where more replicas than a quorum can spare say that they do not have it,
and the record read after that does not either, it can never be published.

Rule: "not published" is a promise and is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import Generation, NodeId, RepositoryId, RoundId
from meshnode.core.partition import Partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import Record, RepositoryState, consistent_nodes
from meshnode.core.round import ReplicaKey, Round
from meshnode.ports import Membership, Peers, Reads, ReplicaDescription, Replication
from meshnode.rpc.accounts import Account, Accounts

ACCOUNT_MS: Final = 2_000
"""How long each replica may take to say what is in its journal."""
HISTORY_DISTANCES: Final = (1_000, 300, 100, 30)
"""How far back to begin, the farthest first: replicas keep about a thousand rounds, and some keep fewer."""
HISTORY_READS_MAX: Final = 12


class Verdict(Enum):
    """What became of a round."""

    PUBLISHED = "published"
    NOT_PUBLISHED = "not_published"
    UNDECIDED = "undecided"
    FORGOTTEN = "forgotten"


class OutcomeFinder:
    """Looks for rounds."""

    def __init__(
        self,
        *,
        own: NodeId,
        reads: Reads,
        replication: Replication,
        peers: Peers,
        membership: Membership,
        accounts: Accounts,
    ) -> None:
        self._own = own
        self._reads = reads
        self._replication = replication
        self._peers = peers
        self._membership = membership
        self._accounts = accounts

    async def find(self, repository: RepositoryId, round_id: RoundId) -> tuple[Verdict, Generation]:
        """What became of `round_id`, and the generation of the record that says so.

        Raises:
            CatalogUnavailable: the record cannot be read.
        """
        record = await self._reads.find_by_id(repository)
        if record is None:
            return Verdict.UNDECIDED, Generation(0)
        verdict = _by_record(record, round_id)
        if verdict is not None:
            return verdict, record.generation
        key = record.key
        partition = self._membership.partition(record.partition)
        accounts = await self._accounts.of(partition.replicas, key, deep=False, time_ms=ACCOUNT_MS)
        # Read again: a round that left a journal because it was published is in the record or a history by now.
        record = await self._reads.find_by_id(repository) or record
        verdict = _by_record(record, round_id)
        if verdict is None:
            verdict = await self._by_history(record, partition, key, round_id)
        if verdict is None or verdict is Verdict.FORGOTTEN:
            verdict = _by_journals(accounts, partition, round_id, verdict)
        return verdict, record.generation

    async def _by_history(
        self, record: Record, partition: Partition, key: ReplicaKey, round_id: RoundId
    ) -> Verdict | None:
        """PUBLISHED, FORGOTTEN where no history reaches back to the beginning, None where one does without it."""
        for node in consistent_nodes(record, partition):
            try:
                rounds, is_whole = await self._history(node, record, key)
            except MeshError:
                continue
            if any(round_.round_id == round_id for round_ in rounds):
                return Verdict.PUBLISHED
            return None if is_whole else Verdict.FORGOTTEN
        return Verdict.FORGOTTEN

    async def _history(self, node: NodeId, record: Record, key: ReplicaKey) -> tuple[list[Round], bool]:
        """The oldest rounds a replica still has up to the record's, and whether they are all there ever were."""
        rounds: list[Round] = []
        after = record.generation
        for distance in HISTORY_DISTANCES:
            after = Generation(max(0, record.generation - distance))
            rounds = await self._read_history(node, key, after)
            if rounds:
                break
        is_whole = after == 0 and bool(rounds)
        for _ in range(HISTORY_READS_MAX):
            if not rounds or rounds[-1].generation >= record.generation:
                return rounds, is_whole
            more = await self._read_history(node, key, rounds[-1].generation)
            if not more:
                break
            rounds += more
        return rounds, False

    async def _read_history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        if node == self._own:
            return await self._replication.history(key, after)
        return await self._peers.history(node, key, after)


def _by_record(record: Record, round_id: RoundId) -> Verdict | None:
    if record.state is RepositoryState.ABANDONED:
        return Verdict.NOT_PUBLISHED
    return Verdict.PUBLISHED if round_id in record.recent else None


def _by_journals(
    accounts: Mapping[NodeId, Account], partition: Partition, round_id: RoundId, so_far: Verdict | None
) -> Verdict:
    """What the journals add, where neither record nor history has the round."""
    absent = sum(_is_surely_absent(account, round_id) for account in accounts.values())
    spared = len(partition.replicas) - quorum_size(len(partition.replicas))
    if absent <= spared:
        return Verdict.UNDECIDED
    return so_far or Verdict.NOT_PUBLISHED


def _is_surely_absent(account: Account, round_id: RoundId) -> bool:
    if isinstance(account, ReplicaDescription):
        return account.prepared is not None and round_id not in account.prepared
    return account is None
