"""A simulated node's disk: the memory stores behind the process's gate, slow at times, watched by the auditor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from meshnode.base.ids import Generation, ObjectId, RefName, RefsDigest, RefValue, RoundId
from meshnode.core.round import ReplicaKey, Round
from meshnode.engine.replicas import Disk
from meshnode.git.memory import open_memory_stores
from meshnode.git.stores import Stores
from meshnode.ports import Inspection, PackIngest, PackReceive, RefsSnapshot, ReplicaState
from tests.sim.auditor import Auditor
from tests.sim.power import SimDisk
from tests.sim.process import Process


def open_disk(process: Process, disk: SimDisk, auditor: Auditor) -> Disk:
    """Open a node's disk for one life of its process."""
    stores = open_memory_stores(disk.memory, step=process.step)
    return Disk(
        store=_Store(process, disk, stores, auditor), reader=_Reader(process, stores), packs=_Packs(process, stores)
    )


class _Store:
    """`ReplicaStore` behind the gate."""

    def __init__(self, process: Process, disk: SimDisk, stores: Stores, auditor: Auditor) -> None:
        self._process = process
        self._disk = disk
        self._inner = stores.store
        self._pace = disk.pace
        self._auditor = auditor

    async def list_replicas(self) -> list[ReplicaKey]:
        await self._process.gate()
        return await self._inner.list_replicas()

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        await self._process.gate()
        return await self._inner.load(key)

    async def prepare(self, round_: Round) -> None:
        await self._pace.pass_(self._process)
        self._auditor.note_round(round_)
        if self._process.is_tearing and self._disk.tear(round_.key):
            self._auditor.note_lost(self._process.name, [round_.key], self._disk.rounds_of(round_.key))
            self._auditor.count("journal record torn")
            self._process.die()
            raise asyncio.CancelledError
        await self._inner.prepare(round_)
        self._disk.note_synced(round_.key)

    async def apply(self, round_: Round, *, is_published: bool = True) -> ReplicaState:
        await self._pace.pass_(self._process)
        self._auditor.check_apply(self._process.name, round_)
        with self._disk.dropping(round_.key, keeps_packs=True):
            return await self._inner.apply(round_, is_published=is_published)

    async def discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        await self._pace.pass_(self._process)
        with self._disk.dropping(key):
            await self._inner.discard(key, round_id)
        self._auditor.check_replica(self._process.name, key, f"after discard of {round_id[:6]}")

    async def replace(
        self,
        state: ReplicaState,
        refs: Mapping[RefName, RefValue],
        quarantine: RoundId | None,
        *,
        history: Sequence[Round] = (),
    ) -> None:
        await self._pace.pass_(self._process)
        with self._disk.dropping(state.key):
            await self._inner.replace(state, refs, quarantine, history=history)
        self._auditor.check_replica(self._process.name, state.key, "after a sync")

    async def rebase(self, state: ReplicaState) -> None:
        await self._pace.pass_(self._process)
        await self._inner.rebase(state)

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        await self._pace.pass_(self._process)
        self._auditor.note_set_aside(self._process.name, key, reason)
        self._disk.note_synced(key)
        return await self._inner.set_aside(key, reason)

    async def drop(self, key: ReplicaKey) -> bool:
        await self._pace.pass_(self._process)
        is_gone = await self._inner.drop(key)
        self._disk.note_synced(key)
        self._auditor.check_replica(self._process.name, key, "after a drop")
        return is_gone

    async def purge(self, key: ReplicaKey) -> None:
        await self._pace.pass_(self._process)
        await self._inner.purge(key)
        self._auditor.check_replica(self._process.name, key, "after a purge")


class _Reader:
    """`ReplicaReader` behind the gate."""

    def __init__(self, process: Process, stores: Stores) -> None:
        self._process = process
        self._inner = stores.reader

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        await self._process.gate()
        return await self._inner.snapshot(key)

    async def history(self, key: ReplicaKey, after: Generation, limit: int = 200) -> list[Round]:
        await self._process.gate()
        return await self._inner.history(key, after, limit)

    async def find_request(self, key: ReplicaKey, request_key: str) -> Round | None:
        await self._process.gate()
        return await self._inner.find_request(key, request_key)

    async def digest_on_disk(self, key: ReplicaKey) -> RefsDigest:
        await self._process.gate()
        return await self._inner.digest_on_disk(key)

    async def fsck(self, key: ReplicaKey) -> list[str]:
        await self._process.gate()
        return await self._inner.fsck(key)

    async def inspect(self, key: ReplicaKey, *, is_deep: bool) -> Inspection:
        await self._process.gate()
        return await self._inner.inspect(key, is_deep=is_deep)

    async def size_bytes(self, key: ReplicaKey) -> int:
        await self._process.gate()
        return await self._inner.size_bytes(key)

    async def object_digest(self, key: ReplicaKey) -> str:
        await self._process.gate()
        return await self._inner.object_digest(key)


class _Packs:
    """`PackStore` behind the gate."""

    def __init__(self, process: Process, stores: Stores) -> None:
        self._process = process
        self._inner = stores.packs

    async def open_ingest(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackIngest:
        await self._process.gate()
        return await self._inner.open_ingest(key, round_id, object_format)

    async def open_receive(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackReceive:
        await self._process.gate()
        return await self._inner.open_receive(key, round_id, object_format)

    async def pack_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        await self._process.gate()
        async for chunk in self._inner.pack_objects(key, wants, haves):
            yield chunk

    async def missing(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[ObjectId]:
        await self._process.gate()
        return await self._inner.missing(key, oids)

    async def is_ancestor(
        self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId, *, round_id: RoundId | None = None
    ) -> bool:
        await self._process.gate()
        return await self._inner.is_ancestor(key, ancestor, descendant, round_id=round_id)

    async def check_tips(
        self, key: ReplicaKey, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()
    ) -> None:
        await self._process.gate()
        await self._inner.check_tips(key, tips, commits=commits)
