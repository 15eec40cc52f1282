"""What can be asked of a replica in memory, and objects going out of one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, NotFound, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import Generation, ObjectId, RefsDigest, RoundId, symbolic_target
from meshnode.core.refs import digest_of
from meshnode.core.round import ReplicaKey, Round
from meshnode.git.memory_disk import MemoryDisk, MemoryReplica
from meshnode.git.memory_packs import MemoryIngest, MemoryQuarantines, MemoryReceive
from meshnode.git.snapshot import SnapshotCache, snapshot_of
from meshnode.ports import Inspection, PackIngest, PackReceive, RefsSnapshot

_CHUNK_BYTES: Final = 512 << 10


class MemoryReplicaReader:
    """`ReplicaReader` in memory."""

    def __init__(self, disk: MemoryDisk, snapshots: SnapshotCache) -> None:
        self._disk = disk
        self._snapshots = snapshots

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        """The references at the applied generation. Raises RepositoryNotFound, ReplicaBehind, Corrupt."""
        replica = self._replica(key)
        snapshot = self._snapshots.get(key)
        state = replica.state
        if snapshot is None or snapshot.generation != state.generation:
            if not state.is_deleted and digest_of(replica.refs) != state.refs_digest:
                if state.prepared or state.generation == 0:
                    raise ReplicaBehind("replica is between two generations", generation=state.generation)
                raise Corrupt("references on disk do not have the replica's digest", repository=key.repository)
            snapshot = snapshot_of(replica.state.generation, dict(replica.refs), {}, replica.state.object_format)
            self._snapshots.put(key, snapshot)
        return snapshot

    async def history(self, key: ReplicaKey, after: Generation, limit: int = 200) -> list[Round]:
        """Applied rounds after a generation."""
        rounds = self._replica(key).history
        if not rounds or rounds[0].generation > after + 1:
            return []
        return [one for one in rounds if one.generation > after][:limit]

    async def find_request(self, key: ReplicaKey, request_key: str) -> Round | None:
        """The newest applied round with this request key; none has the key ""."""
        replica = self._disk.replicas.get(key)
        if replica is None or not request_key:
            return None
        return next((one for one in reversed(replica.history) if one.request_key == request_key), None)

    async def digest_on_disk(self, key: ReplicaKey) -> RefsDigest:
        """The digest of the references as they are."""
        return digest_of(self._replica(key).refs)

    async def fsck(self, key: ReplicaKey) -> list[str]:
        """What a test wrote into `problems`, and references to objects that are not here."""
        replica = self._replica(key)
        objects = self._disk.objects_of(key)
        return replica.problems + [
            f"error: {name}: invalid sha1 pointer {value}"
            for name, value in sorted(replica.refs.items())
            if symbolic_target(value) is None and ObjectId(value) not in objects
        ]

    async def inspect(self, key: ReplicaKey, *, is_deep: bool) -> Inspection:
        """The replica as it is, and what `fsck` says of it. Raises Corrupt where a test made it unreadable."""
        replica = self._disk.replicas.get(key)
        if replica is None:
            return Inspection(state=None, refs_digest=None)
        if replica.is_unreadable:
            raise Corrupt("replica state cannot be decoded", repository=key.repository)
        problems = await self.fsck(key) if is_deep else []
        return Inspection(state=replica.state, refs_digest=digest_of(replica.refs), problems=tuple(problems))

    async def size_bytes(self, key: ReplicaKey) -> int:
        """A figure that grows with references and objects."""
        replica = self._replica(key)
        return 100 * (len(replica.refs) + len(replica.objects)) + 1

    async def object_digest(self, key: ReplicaKey) -> str:
        """Hash over the objects that references name."""
        oids = {value for value in self._replica(key).refs.values() if symbolic_target(value) is None}
        return f"{sum(int(hashlib.sha256(oid.encode()).hexdigest(), 16) for oid in oids) % (1 << 256):064x}"

    def _replica(self, key: ReplicaKey) -> MemoryReplica:
        replica = self._disk.replicas.get(key)
        if replica is None:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        return replica


class MemoryPackStore:
    """`PackStore` in memory."""

    def __init__(self, disk: MemoryDisk, quarantines: MemoryQuarantines, pack_bytes_max: int) -> None:
        self._disk = disk
        self._quarantines = quarantines
        self._pack_bytes_max = pack_bytes_max

    async def open_ingest(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackIngest:
        """Start a quarantine at the coordinator. Raises Overloaded where the disk is full."""
        self._disk.check_space()
        return MemoryIngest(
            self._quarantines,
            (key, round_id),
            objects_here=lambda: self._disk.objects_of(key),
            check_space=self._disk.check_space,
            pack_bytes_max=self._pack_bytes_max,
            object_format=object_format,
        )

    async def open_receive(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackReceive:
        """Start a quarantine at a participant. Raises Overloaded where the disk is full."""
        self._disk.check_space()
        return MemoryReceive(
            self._quarantines,
            (key, round_id),
            check_space=self._disk.check_space,
            pack_bytes_max=self._pack_bytes_max,
            object_format=object_format,
        )

    async def pack_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Every object of the replica that is not in `haves`, a line each. Raises NotFound, RepositoryNotFound."""
        if key not in self._disk.replicas:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        objects = self._disk.objects_of(key)
        for want in wants:
            if want not in objects:
                raise NotFound("object is not in this replica", oid=want)
        data = "".join(f"{oid}\n" for oid in sorted(objects - set(haves))).encode() if wants else b""
        for start in range(0, len(data), _CHUNK_BYTES):
            yield data[start : start + _CHUNK_BYTES]

    async def missing(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of `oids` that are not here."""
        objects = self._disk.objects_of(key) if key in self._disk.replicas else set()
        return [oid for oid in oids if oid not in objects]

    async def is_ancestor(
        self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId, *, round_id: RoundId | None = None
    ) -> bool:
        """By what the disk was told of parents: objects in memory say nothing."""
        del key, round_id
        here: ObjectId | None = descendant
        while here is not None and here != ancestor:
            here = self._disk.parents.get(here)
        return here is not None

    async def check_tips(
        self, key: ReplicaKey, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()
    ) -> None:
        """Check that the replica has every tip. Raises InvalidRequest."""
        for oid in await self.missing(key, sorted({*tips, *commits})):
            raise InvalidRequest("object is missing", oid=oid)
