"""Reads of this node's replica, held against the asked consistency level. Implements `ports.Reads`.

    VERIFIED   record (linearizable, shared) says consistent + replica applied up to it
    AT_LEAST   replica applied that generation; no catalog
    ANY        whatever the replica has

A replica that has voted for the round the record names, but has not heard the commit, applies it first: the
record is proof enough. A read replica, of which the record says nothing, answers where a record read after the request
came names the round it stands at, at or past the generation of the first one (`core/read_replicas.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from meshnode.base.errors import CatalogUnavailable, Corrupt, MeshError, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import NodeId, RepositoryId, RepositoryName
from meshnode.core.keys import NAMES
from meshnode.core.record import Record, consistent_nodes, is_on_line
from meshnode.core.round import ReplicaKey
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.meter import Meter
from meshnode.engine.records import Records
from meshnode.engine.replicas import Replicas
from meshnode.ports import Catalog, Consistency, ConsistencyLevel, ReadView, ReplicaState


@dataclass(kw_only=True)
class Reader:
    """Implements `ports.Reads`."""

    own: NodeId
    catalog: Catalog
    records: Records
    membership: ClusterMembership
    replicas: Replicas
    on_damaged: Callable[[ReplicaKey, str], None]
    meter: Meter

    async def view(self, name: RepositoryName, consistency: Consistency) -> ReadView:
        """Open this node's replica for a read."""
        if consistency.level is ConsistencyLevel.VERIFIED:
            record = await self.records.find(name)
            key = record.key
            return await self._guarded(key, self._view_at(key, record))
        key = await self._known_key(name)
        return await self._guarded(key, self._view_unverified(key, name, consistency))

    def report_damage(self, key: ReplicaKey, reason: str) -> None:
        """Have a replica taken out whose objects turned out to be damaged."""
        self.on_damaged(key, reason)

    def likely_key(self, name: RepositoryName) -> ReplicaKey | None:
        """Where the name led when it was last read."""
        return self.records.last_known_key(name)

    async def _guarded(self, key: ReplicaKey, work: Coroutine[Any, Any, ReadView]) -> ReadView:
        """Serve nothing of a damaged replica, and have it taken out as soon as the damage is met."""
        if self.replicas.activity.is_damaged(key):
            work.close()
            raise ReplicaBehind("this replica is damaged and being replaced", node=self.own)
        placed = self.membership.partitions().get(self.records.partition_of(key))
        is_read_replica = placed is not None and self.own in placed.read_replicas
        try:
            view = await work
        except Corrupt as damage:
            self.on_damaged(key, str(damage))
            raise
        except ReplicaBehind:
            if is_read_replica:
                self.meter.count_read_at_read_replica("behind")
            raise
        if is_read_replica:
            self.meter.count_read_at_read_replica("answered")
        return view

    async def _view_unverified(self, key: ReplicaKey, name: RepositoryName, consistency: Consistency) -> ReadView:
        state = await self.replicas.disk.store.load(key)
        if state is None or state.is_deleted or not state.generation:
            raise ReplicaBehind("no replica here", node=self.own, generation=0)
        is_behind = consistency.level is ConsistencyLevel.AT_LEAST and state.generation < consistency.generation
        if is_behind and state.prepared:
            state = await self._caught_up(key) or state
            is_behind = state.generation < consistency.generation
        if is_behind:
            raise ReplicaBehind("this replica has not got there yet", node=self.own, generation=state.generation)
        snapshot = await self.replicas.disk.reader.snapshot(key)
        return ReadView(key=key, name=name, snapshot=snapshot, record=None)

    async def _caught_up(self, key: ReplicaKey) -> ReplicaState | None:
        """The state after rounds that were voted for and published, but whose commit was not heard yet."""
        try:
            record = await self.records.find_by_id(key.repository)
        except CatalogUnavailable:
            return None
        return await self.replicas.settle(key, record)

    async def _view_at(self, key: ReplicaKey, record: Record) -> ReadView:
        """This node's replica at or past a record just read."""
        partition = self.membership.partition(record.partition)
        is_believed = self.own in consistent_nodes(record, partition)
        if not is_believed and self.own not in partition.read_replicas:
            raise ReplicaBehind("this replica is being repaired", node=self.own, wanted=record.generation)
        state = await self.replicas.disk.store.load(key)
        if state is not None and state.generation < record.generation:
            state = await self.replicas.settle(key, record)
        if state is None or state.generation < record.generation:
            self.replicas.report_behind(key, "behind a verified read")
            raise ReplicaBehind(
                "this replica is behind the record",
                node=self.own,
                generation=0 if state is None else state.generation,
                wanted=record.generation,
            )
        if not is_believed:
            await self._check_position(key, record, state)
        if state.generation == record.generation and state.refs_digest != record.refs_digest:
            raise Corrupt("I9: this replica's references differ from the record's", node=self.own)
        snapshot = await self.replicas.disk.reader.snapshot(key)
        return ReadView(key=key, name=record.name, snapshot=snapshot, record=record)

    async def _check_position(self, key: ReplicaKey, record: Record, state: ReplicaState) -> None:
        """Check that a position nobody vouches for was published. Raises ReplicaBehind."""
        if not is_on_line(record, state.generation, state.round_id):
            # A write came in after the record was read, or this is another line: a later record tells.
            later = await self.records.find_by_id(key.repository)
            if later is None or not is_on_line(later, state.generation, state.round_id):
                self.replicas.report_behind(key, "at a position that the record does not name")
                raise ReplicaBehind(
                    "this replica's position is not known to be published", node=self.own, generation=state.generation
                )

    async def find(self, name: RepositoryName) -> Record:
        """The record behind a name, linearizably."""
        return await self.records.find(name)

    async def find_by_id(self, repository: RepositoryId) -> Record | None:
        """The record of a repository id, deleted ones included."""
        return await self.records.find_by_id(repository)

    async def list_names(self, prefix: str, after: str, limit: int) -> list[RepositoryName]:
        """Names in byte order."""
        entries = await self.catalog.range(NAMES + prefix, after=NAMES + after if after else "", limit=limit)
        return [RepositoryName(entry.key.removeprefix(NAMES)) for entry in entries]

    async def _known_key(self, name: RepositoryName) -> ReplicaKey:
        """Where the name leads, by the catalog if it answers, else by what was known last or lies on this disk."""
        known = self.records.last_known_id(name)
        if known is None:
            try:
                record = await self.records.find(name)
            except CatalogUnavailable:
                known = None
            else:
                return record.key
        store = self.replicas.disk.store
        likely = self.records.last_known_key(name)
        unreadable: MeshError | None = None
        for key in await store.list_replicas() if likely is None else [likely]:
            if known is not None and key.repository != known:
                continue
            try:
                state = await store.load(key)
            except MeshError as error:
                if known is None:
                    unreadable = error
                    continue
                if isinstance(error, Corrupt):
                    return key  # damage that is known is no answer, and the first to meet it has it taken out
                raise
            if state is not None and state.name == name and not state.is_deleted:
                return key
        if known is not None:
            raise ReplicaBehind("no replica here", node=self.own, generation=0)
        if unreadable is not None:  # it may be the one
            raise ReplicaBehind("a replica here cannot be read", node=self.own, generation=0) from unreadable
        raise RepositoryNotFound("no such repository is known here, and the catalog is out of reach", name=name)
