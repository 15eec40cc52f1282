"""Asks every member of a partition for its own account of a replica, this node included, all at once.

A member that does not answer in time is reported as such; it never makes the others' accounts unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId
from meshnode.core.round import ReplicaKey
from meshnode.ports import Activity, Peers, ReplicaDescription, Replication
from meshnode.rpc.patience import PATIENCE_MS, ask_patiently

Account = ReplicaDescription | str | None
"""What a member said of its replica; None: it has none; a text: why it did not say."""


class Accounts:
    """Collects accounts of replicas."""

    def __init__(
        self,
        *,
        own: NodeId,
        replication: Replication,
        peers: Peers,
        activity: Activity,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        """A member is asked for a deep account for `patience_ms` before it counts as away."""
        self._own = own
        self._replication = replication
        self._peers = peers
        self._activity = activity
        self._patience_ms = patience_ms

    async def own(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """This node's account, with what it is doing about the replica."""
        account = await self._replication.describe(key, deep=deep)
        if account is None:
            return None
        since_ms = account.consistent_since_ms or self._activity.consistent_since_ms(key)
        return replace(account, consistent_since_ms=since_ms, activity=account.activity or self._doing(key, since_ms))

    async def of(
        self, members: Sequence[NodeId], key: ReplicaKey, *, deep: bool, time_ms: int
    ) -> dict[NodeId, Account]:
        """The accounts of `members`, each given `time_ms` to answer."""
        async with asyncio.TaskGroup() as group:
            asked = {
                node: group.create_task(self._ask(node, key, deep=deep, time_ms=time_ms), name=f"describe {node}")
                for node in members
            }
        return {node: task.result() for node, task in asked.items()}

    async def _ask(self, node: NodeId, key: ReplicaKey, *, deep: bool, time_ms: int) -> Account:
        try:
            async with asyncio.timeout(time_ms / 1000):
                if node == self._own:
                    return await self.own(key, deep=deep)
                patience_ms = self._patience_ms if deep else 0
                return await ask_patiently(lambda: self._peers.describe(node, key, deep=deep), patience_ms)
        except TimeoutError:
            return f"no answer within {time_ms} ms"
        except MeshError as error:
            return f"no answer: {error.message}"

    def _doing(self, key: ReplicaKey, since_ms: int) -> str:
        for repair in self._activity.repairs():
            if repair.key == key:
                return f"repairing: {repair.phase}"
        return "consistent" if since_ms else ""
