"""Writes that make objects, with this node as coordinator. Implements `ports.Operations`.

    upload -> workshop (blobs) -> place of the branch -> [ references as they are -> recipe -> pack -> a push's way ]
                                                       ^-------- moved meanwhile, nothing expected --------+

Operations on one reference wait for each other here, so that those which expect nothing of it do not undo each
other's work over and over; pushes and other coordinators may still be faster, which is what the rebuilding is for.
A client that goes away before its round is sent takes everything with it; after that the round ends by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Corrupt, Fenced, InvalidRequest, RefConflict
from meshnode.base.ids import HEAD, ObjectId, RefValue, symbolic_target
from meshnode.core.record import Record
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.bench import Base, Made, Recipe
from meshnode.engine.delivery import Delivery
from meshnode.engine.edits import EditPlan
from meshnode.engine.recipes import RecipeBook
from meshnode.engine.records import RecordAt
from meshnode.engine.ref_policy import check_edits
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.writer import Draft, Request, Writer
from meshnode.ports import FilePart, OperationResult, Outcome, RefsSnapshot, Target, Wish, Workshop, Workshops

log = logging.getLogger("meshnode.engine")

ATTEMPTS_MAX: Final = 8
"""Times an operation is built where others keep moving its reference; each takes tens of milliseconds."""


class _Moved(Exception):
    """The reference is not where it was when the operation was built."""


@dataclass(kw_only=True)
class ApiOperations:
    """Implements `ports.Operations`."""

    writer: Writer
    workshops: Workshops
    recipes: RecipeBook
    supervisor: Supervisor
    places: KeyedLocks
    on_damaged: Callable[[ReplicaKey, str], None]
    """Has this node's replica taken out."""

    async def run(self, target: Target, wish: Wish, parts: AsyncIterator[FilePart] | None = None) -> OperationResult:
        """Build what is wished for on the reference as it is, and write it: one round, or nothing."""
        record = await self.writer.records.find(target.repository)
        await self.writer.check_may_coordinate(record)
        key = record.key
        try:
            return await self._run(target, wish, parts, key, record.object_format)
        except Corrupt as damage:  # a workshop borrows the replica's objects
            self.on_damaged(key, str(damage))
            raise

    async def _run(
        self,
        target: Target,
        wish: Wish,
        parts: AsyncIterator[FilePart] | None,
        key: ReplicaKey,
        object_format: str,
    ) -> OperationResult:
        async with self.workshops.open(key, object_format) as workshop:
            recipe = await self.recipes.prepare(wish, workshop, parts)
            run = _Run(self, target, key, workshop, recipe)
            task = self.supervisor.spawn("operation", run.run())
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                run.is_abandoned = True
                if not run.is_deciding:
                    task.cancel()
                    await asyncio.wait({task})
                raise


class _Run:
    """One operation whose uploads are in the workshop."""

    def __init__(
        self, operations: ApiOperations, target: Target, key: ReplicaKey, workshop: Workshop, recipe: Recipe
    ) -> None:
        self._operations = operations
        self._writer = operations.writer
        self._target = target
        self._key = key
        self._workshop = workshop
        self._recipe = recipe
        self._delivery: Delivery | None = None
        self.is_abandoned = False
        """Nobody waits any more, and the workshop is gone: no further attempt."""

    @property
    def is_deciding(self) -> bool:
        """Whether a round may be on its way, so that this must not be cancelled."""
        return self._delivery is not None and self._delivery.is_deciding

    async def run(self) -> OperationResult:
        async with self._operations.places.hold((self._key, self._target.ref)):
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    return await self._attempt()
                except (_Moved, Fenced) as moved:
                    log.info(
                        "operation_overtaken",
                        extra={"repository": self._key.repository, "ref": self._target.ref, "attempt": attempt},
                    )
                    if self.is_abandoned and isinstance(moved, Fenced):
                        raise
        raise RefConflict(
            "others keep writing to the reference or its repository; nothing was written",
            ref=self._target.ref,
            attempts=ATTEMPTS_MAX,
        )

    async def _attempt(self) -> OperationResult:
        record, snapshot = await self._writer.base(self._key)
        done = await self._repetition()
        if done is not None:
            return done
        base = Base(self._key, snapshot, self._target.ref, self._head(snapshot))
        made = await self._recipe(base)
        if made.outcome is not Outcome.WRITTEN or made.new == base.head:
            outcome = Outcome.UP_TO_DATE if made.outcome is Outcome.WRITTEN else made.outcome
            return OperationResult(
                outcome=outcome,
                oid=base.head,
                previous=base.head,
                generation=snapshot.generation,
                merged=made.merged,
                stopped_at=made.stopped_at,
            )
        return await self._write(record, base, made)

    def _head(self, snapshot: RefsSnapshot) -> ObjectId | None:
        """What the reference holds. Raises RefConflict where that is not what is expected."""
        target = self._target
        actual = snapshot.refs.get(target.ref)
        if target.expected is not None and (actual or "") != target.expected:
            raise RefConflict(
                "reference is not at its expected old value", ref=target.ref, expected=target.expected, actual=actual
            )
        if actual is not None and symbolic_target(actual) is not None:
            raise InvalidRequest("the reference is symbolic; name the one it leads to", ref=target.ref)
        return None if actual is None else ObjectId(actual)

    async def _write(self, record: Record, base: Base, made: Made) -> OperationResult:
        delivery = self._delivery = Delivery.to(self._writer, record)
        target = self._target
        old = None if base.head is None else RefValue(base.head)
        new = None if made.new is None else RefValue(made.new)
        repeated: list[OperationResult] = []

        async def draft(at: RecordAt, snapshot: RefsSnapshot, has_pack: bool) -> Draft | None:
            assert at.record is not None
            done = await self._repetition()
            if done is not None:
                repeated.append(done)
                return None
            self._head(snapshot)
            if snapshot.refs.get(target.ref) != old:
                raise _Moved
            if new is None and symbolic_target(snapshot.refs.get(HEAD, RefValue(""))) == target.ref:
                raise InvalidRequest("the default branch cannot be deleted; choose another default branch first")
            plan = EditPlan(snapshot)
            plan.add(target.ref, old, new)
            plan.point_head_at_first_branch()
            edits = plan.result()
            packs = self._writer.replicas.disk.packs
            await check_edits(packs, self._key, at.config, edits, round_id=delivery.round_id)
            return Draft(kind=WriteKind.UPDATE, name=at.record.name, edits=edits, has_pack=has_pack)

        async def deliver(pack: AsyncIterator[bytes] | None) -> OperationResult:
            edits = [RefEdit(target.ref, old, new)]
            result = await delivery.run(pack, edits, draft, lambda: Request(target.request_key, target.actor))
            if result is None:
                return repeated[0]
            return OperationResult(
                outcome=Outcome.WRITTEN,
                oid=made.new,
                previous=base.head,
                generation=result.generation,
                round_id=result.round_id,
            )

        if not made.has_objects or made.new is None:
            return await deliver(None)
        async with aclosing(self._workshop.pack(made.new, made.haves)) as pack:  # type: ignore[type-var]
            return await deliver(pack)

    async def _repetition(self) -> OperationResult | None:
        """What the same request did before, None where it did nothing yet."""
        if not self._target.request_key:
            return None
        done = await self._writer.replicas.disk.reader.find_request(self._key, self._target.request_key)
        return None if done is None else _repeated(done, self._target)


def _repeated(done: Round, target: Target) -> OperationResult:
    edit = next((edit for edit in done.edits if edit.name == target.ref), None)
    if edit is None:
        raise InvalidRequest("the request key was used for another write", request_key=target.request_key)
    return OperationResult(
        outcome=Outcome.WRITTEN,
        oid=None if edit.new is None else ObjectId(edit.new),
        previous=None if edit.old is None else ObjectId(edit.old),
        generation=done.generation,
        round_id=done.round_id,
        is_repetition=True,
    )
