"""Compares the replicas of a repository by what their files say, against the record.

A write in the middle makes replicas differ for a moment without anything being wrong, so a comparison during which
the record moved on is made again, a few times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshnode.base.errors import DeadlineExceeded
from meshnode.base.ids import NodeId, RepositoryName
from meshnode.core.partition import Partition
from meshnode.core.record import Record, consistent_nodes
from meshnode.ports import Clock, Membership, Reads, ReplicaDescription
from meshnode.rpc.accounts import Account, Accounts
from meshnode.v1 import repository_pb2

COMPARISONS_MAX: Final = 3
ANSWER_RESERVE_MS: Final = 500
"""Left of the deadline to report that a member did not answer."""


class Verifier:
    """Verifies repositories."""

    def __init__(self, *, reads: Reads, membership: Membership, accounts: Accounts, clock: Clock) -> None:
        self._reads = reads
        self._membership = membership
        self._accounts = accounts
        self._clock = clock

    async def run(self, name: RepositoryName, deadline_ms: int) -> repository_pb2.VerifyResponse:
        """Compare until a comparison saw one generation only, or `deadline_ms` on the monotonic clock is near.

        Raises:
            RepositoryNotFound; DeadlineExceeded: no time for a single comparison.
        """
        record = await self._reads.find(name)
        response = None
        for _ in range(COMPARISONS_MAX):
            left_ms = deadline_ms - self._clock.monotonic_ms() - ANSWER_RESERVE_MS
            if left_ms <= 0:
                break
            partition = self._membership.partition(record.partition)
            key = record.key
            accounts = await self._accounts.of(partition.members, key, deep=True, time_ms=left_ms)
            believed = _trusted(record, partition, accounts)
            response = _report(record, accounts, believed)
            after = await self._reads.find(name)
            if after.generation == record.generation or response.ok:
                return response
            record = after
        if response is None:
            raise DeadlineExceeded("no time to verify", repository=name)
        return response


def _trusted(record: Record, partition: Partition, accounts: Mapping[NodeId, Account]) -> tuple[NodeId, ...]:
    """Who must be what the record says: replicas it believes in, and read replicas that say they stand there."""
    there = [
        node
        for node in partition.members
        if node not in partition.accountable
        and isinstance(account := accounts.get(node), ReplicaDescription)
        and account.generation == record.generation
    ]
    return (*consistent_nodes(record, partition), *there)


def _report(
    record: Record, accounts: Mapping[NodeId, Account], believed: tuple[NodeId, ...]
) -> repository_pb2.VerifyResponse:
    response = repository_pb2.VerifyResponse(
        generation=record.generation, refs_digest=record.refs_digest, ok=bool(believed)
    )
    object_digests: set[str] = set()
    for node, account in accounts.items():
        report = response.replicas.add(node=node, consistent=node in believed)
        is_good = False
        if isinstance(account, ReplicaDescription):
            report.reachable = True
            report.generation = account.generation
            report.refs_digest = account.refs_digest
            report.digest_on_disk = account.digest_on_disk or ""
            report.object_digest = account.object_digest
            report.ref_count = account.ref_count
            report.size_bytes = account.size_bytes
            report.problems.extend(account.problems)
            is_good = _matches(account, record)
            if node in believed:
                object_digests.add(account.object_digest)
        elif account is None:
            report.reachable = True
            report.problems.append("the node has no such replica")
        else:
            report.problems.append(account)
        if node in believed and not is_good:
            response.ok = False
    response.ok = response.ok and len(object_digests) == 1
    return response


def _matches(account: ReplicaDescription, record: Record) -> bool:
    return (
        account.generation == record.generation
        and account.refs_digest == record.refs_digest
        and account.digest_on_disk == record.refs_digest
        and not account.problems
    )
