"""Objects from where they come into being to every replica, then one round: the one path of pushes and operations.

    pack --> ingest (git indexes) + shipment (raw bytes to the others) --> index to the others --> connectivity
         --> write slot --> draft --> round

Until the round is sent, whoever runs a delivery may be cancelled and nothing is left; from then on (`is_deciding`) it
ends by itself and must not be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation
from meshnode.core.record import Record
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey
from meshnode.engine.edits import new_tips
from meshnode.engine.records import RecordAt
from meshnode.engine.ref_policy import check_input_size
from meshnode.engine.shipping import Shipment
from meshnode.engine.writer import Draft, Request, Writer
from meshnode.ports import PackFix, PackIngest, RefsSnapshot, StageChunk, StageFix, WriteResult

CHUNK_BYTES: Final = 512 << 10
"""Per message between nodes; a stream costs per message up to about this size (measured)."""

LOOK_BYTES: Final = 16 << 20
"""How much of a pack comes between two looks at how much may."""

MakeDeliveryDraft = Callable[[RecordAt, RefsSnapshot, bool], Awaitable[Draft | None]]
"""As `writer.MakeDraft`; the last argument tells whether objects came."""


class PackRefused(InvalidRequest):
    """Git would not take the pack itself, whatever it was to be used for."""


class Delivery:
    """One write that may bring objects. Runs once."""

    def __init__(self, writer: Writer, record: Record | None, key: ReplicaKey, object_format: str) -> None:
        """`record` None: the write creates the repository; its draft then sees no references."""
        self._writer = writer
        self._record = record
        self._key = key
        self._object_format = object_format
        self.pack_id = ""
        """Of the pack that came; known when the draft and the request are made."""
        self.is_deciding = False
        self.round_id = writer.new_round_id()
        self._size_bytes = 0
        """Of the pack, as it came."""

    @classmethod
    def to(cls, writer: Writer, record: Record) -> Delivery:
        """One write to a repository that exists."""
        return cls(writer, record, record.key, record.object_format)

    async def run(
        self,
        pack: AsyncIterator[bytes] | None,
        edits: Sequence[RefEdit],
        make_draft: MakeDeliveryDraft,
        make_request: Callable[[], Request],
    ) -> WriteResult | None:
        """Take the objects in, check that the new values of `edits` are whole, and write what `make_draft` says.

        None where the draft found nothing to do.

        Raises:
            PackRefused: as `PackIngest.write` and `finish`. InvalidRequest: as `PackIngest.check_connected`.
            MeshError: as `Writer.write`.
        """
        writer, key = self._writer, self._key
        round_id = self.round_id
        async with writer.shipment(key, round_id, self._object_format, self._record) as shipment:
            try:
                has_pack = await self._receive(shipment, pack, edits)

                async def draft(at: RecordAt, snapshot: RefsSnapshot | None) -> Draft | None:
                    check_input_size(at.config, self._size_bytes)
                    return await make_draft(at, snapshot or self._nothing(), has_pack)

                return await writer.write(
                    key, round_id, shipment, draft, request=make_request(), on_deciding=self._on_deciding
                )
            finally:
                if not self.is_deciding:
                    await writer.replicas.disk.store.discard(key, round_id)

    def _on_deciding(self) -> None:
        self.is_deciding = True

    def _nothing(self) -> RefsSnapshot:
        """The references of a repository that is being created."""
        return RefsSnapshot(generation=Generation(0), refs={}, peeled={}, object_format=self._object_format)

    async def _receive(self, shipment: Shipment, pack: AsyncIterator[bytes] | None, edits: Sequence[RefEdit]) -> bool:
        """Take the pack in and check what it brings; whether there was one."""
        disk = self._writer.replicas.disk
        oids, commits = new_tips(edits)
        if pack is None:
            if oids:
                await disk.packs.check_tips(self._key, oids, commits=commits)
            return False
        ingest = await disk.packs.open_ingest(self._key, shipment.round_id, self._object_format)
        try:
            fix = await self._ingest(ingest, pack, shipment)
            if fix is not None:
                self.pack_id = fix.pack_id
                await shipment.ship_index(ingest, StageFix(fix))  # completed over there while this node checks on
            if oids:
                await ingest.check_connected(oids, commits=commits)
            return fix is not None
        finally:
            await ingest.close()

    async def _ingest(self, ingest: PackIngest, pack: AsyncIterator[bytes], shipment: Shipment) -> PackFix | None:
        try:
            async for data in pack:
                await self._count(len(data))
                for start in range(0, len(data), CHUNK_BYTES):
                    chunk = data[start : start + CHUNK_BYTES]
                    await ingest.write(chunk)
                    await shipment.offer(StageChunk(chunk))
            return await ingest.finish()
        except InvalidRequest as error:
            raise PackRefused(error.message, **error.fields) from error

    async def _count(self, size_bytes: int) -> None:
        """Look now and then how large a pack may be while it comes. The write slot decides; this saves the bytes."""
        before, self._size_bytes = self._size_bytes, self._size_bytes + size_bytes
        if self._record is not None and self._size_bytes // LOOK_BYTES != before // LOOK_BYTES:
            check_input_size((await self._writer.records.read(self._key)).config, self._size_bytes)
