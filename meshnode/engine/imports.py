"""Creates repositories with content: objects and references in one round, the first one. Implements `ports.Imports`.

A create that brings a pack goes the way of a push, to a repository that does not exist yet: until its round is
published there is nothing, not even a name; a client that goes away before that leaves nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, Generation, RefName, RefValue, RepositoryName, symbolic
from meshnode.core.refs import RefEdit
from meshnode.core.request_marks import request_mark_key
from meshnode.core.round import WriteKind
from meshnode.engine.api_writes import ApiWrites
from meshnode.engine.delivery import Delivery
from meshnode.engine.edits import FIRST_BRANCHES, EditPlan
from meshnode.engine.records import RecordAt
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.writer import Draft, Request
from meshnode.ports import ImportSource, RefsSnapshot, WriteResult


@dataclass(kw_only=True)
class ApiImports:
    """Implements `ports.Imports`."""

    writes: ApiWrites
    supervisor: Supervisor

    async def create_from(
        self,
        name: RepositoryName,
        source: ImportSource,
        *,
        default_branch: RefName | None,
        request_key: str,
        actor: str,
    ) -> WriteResult:
        """Create a repository with everything that `source` has."""
        place = self.writes.places.draw()
        key = place.key
        head = default_branch or source.default_branch or FIRST_BRANCHES[0]
        edits = (RefEdit(HEAD, None, symbolic(head)), *_edits(source))
        delivery = Delivery(self.writes.writer, None, key, source.object_format)
        request = Request(request_key, actor)
        mark = request_mark_key(WriteKind.CREATE, (name,), request_key=request_key, actor=actor)

        async def draft(at: RecordAt, _snapshot: RefsSnapshot, has_pack: bool) -> Draft:
            place.check(at.partition)
            return Draft(
                kind=WriteKind.CREATE,
                name=name,
                edits=edits,
                names=await self.writes.reserve(name, key.repository, mark),
                mark=mark,
                object_format=source.object_format,
                has_pack=has_pack,
            )

        async def deliver() -> WriteResult:
            await self.writes.reserve(
                name, key.repository, mark
            )  # a name that is taken is said before anything is sent
            result = await delivery.run(source.pack, edits, draft, lambda: request)
            assert result is not None
            self.writes.writer.records.note_name(name, key.repository)
            return result

        task = self.supervisor.spawn("push-import", self.writes.once(mark, deliver()))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not delivery.is_deciding:
                task.cancel()
                await asyncio.wait({task})
            raise


def _edits(source: ImportSource) -> list[RefEdit]:
    """References to be made, checked to be able to live beside each other. Raises InvalidRequest."""
    if source.references and source.pack is None:
        raise InvalidRequest("there are references, but no objects")
    plan = EditPlan(RefsSnapshot(generation=Generation(0), refs={}, peeled={}))
    for ref, oid in sorted(source.references.items()):
        plan.add(ref, None, RefValue(oid))
    return list(plan.edits.values())
