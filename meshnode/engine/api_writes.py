"""Writes that come as API calls. Implements `ports.Writes`; each method is a draft for `Writer`.

A repetition (same request key) of a write that took effect is answered as done. Changes of names leave a mark in the
catalog by their publish (`core/request_marks.py`). For changes of references the applied rounds that every replica keeps
are looked through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from meshnode.base.errors import (
    Fenced,
    InvalidRequest,
    MeshError,
    RefConflict,
    ReplicaBehind,
    RepositoryExists,
    RepositoryNotFound,
)
from meshnode.base.ids import HEAD, PartitionId, RefName, RepositoryId, RepositoryName, symbolic
from meshnode.core.keys import config_key, family_key, fork_mark_key, name_key
from meshnode.core.record import Record
from meshnode.core.refs import RefEdit
from meshnode.core.request_marks import decode_request_mark, request_mark_key
from meshnode.core.round import ReplicaKey, WriteKind
from meshnode.engine.birthplaces import Birthplaces
from meshnode.engine.edits import new_tips, plan_changes
from meshnode.engine.records import RecordAt
from meshnode.engine.ref_policy import check_edits
from meshnode.engine.rounds import NameChange
from meshnode.engine.writer import Draft, MakeDraft, Request, Writer
from meshnode.ports import Compare, Delete, Entry, Put, RefChange, RefsSnapshot, WriteResult


@dataclass(kw_only=True)
class ApiWrites:
    """Implements `ports.Writes`."""

    writer: Writer
    places: Birthplaces

    async def create(
        self,
        name: RepositoryName,
        *,
        object_format: str,
        default_branch: RefName,
        request_key: str,
        actor: str,
        replication_factor: int = 0,
    ) -> WriteResult:
        """Create an empty repository."""
        place = await self.places.choose(replication_factor)
        key = place.key
        head = RefEdit(HEAD, None, symbolic(default_branch))
        mark = request_mark_key(WriteKind.CREATE, (name,), request_key=request_key, actor=actor)

        async def draft(at: RecordAt, _snapshot: RefsSnapshot | None) -> Draft:
            place.check(at.partition)
            return Draft(
                kind=WriteKind.CREATE,
                name=name,
                edits=(head,),
                names=await self.reserve(name, key.repository, mark),
                mark=mark,
                object_format=object_format,
            )

        return await self.once(mark, self._create(key, name, draft, Request(request_key, actor)))

    async def fork(self, source: RepositoryName, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Create a repository with the source's references, sharing its objects."""
        mark = request_mark_key(WriteKind.CREATE, (source, name), request_key=request_key, actor=actor)
        return await self.once(mark, self._fork(source, name, mark, Request(request_key, actor)))

    async def _fork(
        self, source: RepositoryName, name: RepositoryName, mark: str | None, request: Request
    ) -> WriteResult:
        """A fork lives where its parent lives. A parent that gets a partition of its own meanwhile is followed once:
        that happens once in a family's life.
        """
        parent = await self.writer.records.find(source)
        try:
            return await self._fork_in(parent, name, mark, request)
        except Fenced:
            now = await self.writer.records.find(source)
            if now.partition == parent.partition:
                raise
            return await self._fork_in(now, name, mark, request)

    async def _fork_in(self, parent: Record, name: RepositoryName, mark: str | None, request: Request) -> WriteResult:
        source, root = parent.name, parent.fork_root
        key = ReplicaKey(parent.home, RepositoryId(self.writer.entropy.new_id()))
        parent_key = parent.key

        async def draft(at: RecordAt, _snapshot: RefsSnapshot | None) -> Draft:
            family = await self._family(root)  # before the parent's record, which changes with it
            current = (await self.writer.records.read(parent_key)).record
            if current is None:
                raise RepositoryNotFound("no such repository", name=source)
            if current.partition != at.partition.partition:
                raise Fenced("the source has got a partition of its own meanwhile; try again", name=source)
            await self.writer.check_may_coordinate(current)
            await self.writer.replicas.settle(parent_key, current)
            refs = await self.writer.replicas.disk.reader.snapshot(parent_key)
            if refs.generation < current.generation:
                raise ReplicaBehind("this node's replica of the source is behind", generation=refs.generation)
            return Draft(
                kind=WriteKind.CREATE,
                name=name,
                edits=tuple(RefEdit(ref, None, value) for ref, value in sorted(refs.refs.items())),
                names=_in_family(await self.reserve(name, key.repository, mark), family, root, key.repository),
                mark=mark,
                fork_root=root,
                fork_parent=current.repository,
                fork_generation=refs.generation,
                object_format=current.object_format,
            )

        return await self._create(key, name, draft, request, partition=parent.partition)

    async def rename(
        self, name: RepositoryName, new_name: RepositoryName, *, request_key: str, actor: str
    ) -> WriteResult:
        """Give a repository another name."""
        mark = request_mark_key(WriteKind.RENAME, (name, new_name), request_key=request_key, actor=actor)
        return await self.once(mark, self._rename(name, new_name, mark, Request(request_key, actor)))

    async def _rename(
        self, name: RepositoryName, new_name: RepositoryName, mark: str | None, request: Request
    ) -> WriteResult:
        record = await self.writer.records.find(name)
        if name == new_name:
            raise InvalidRequest("the new name is the old one", name=name)

        async def draft(at: RecordAt, _snapshot: RefsSnapshot | None) -> Draft:
            old, new = await self._unless_marked(mark, name_key(name), name_key(new_name))
            if old is None or at.record is None or at.record.name != name:
                raise RepositoryNotFound("no such repository", name=name)
            if new is not None:
                raise RepositoryExists("the new name is taken", name=new_name)
            return Draft(
                kind=WriteKind.RENAME,
                name=new_name,
                names=NameChange(
                    compares=[Compare(old.key, old.revision), Compare(name_key(new_name), 0)],
                    writes=[Delete(old.key), Put(name_key(new_name), record.repository.encode())],
                ),
                mark=mark,
            )

        return await self._write(record, draft, request)

    async def delete(self, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Delete a repository, leaving a tombstone."""
        mark = request_mark_key(WriteKind.DELETE, (name,), request_key=request_key, actor=actor)
        return await self.once(mark, self._delete(name, mark, Request(request_key, actor)))

    async def _delete(self, name: RepositoryName, mark: str | None, request: Request) -> WriteResult:
        record = await self.writer.records.find(name)

        async def draft(at: RecordAt, _snapshot: RefsSnapshot | None) -> Draft:
            (old,) = await self._unless_marked(mark, name_key(name))
            if old is None or at.record is None or at.record.name != name:
                raise RepositoryNotFound("no such repository", name=name)
            return Draft(
                kind=WriteKind.DELETE,
                name=name,
                names=NameChange(
                    compares=[Compare(old.key, old.revision)],
                    writes=[Delete(old.key), *([Delete(config_key(record.repository))] if at.config_revision else [])],
                ),
                mark=mark,
            )

        return await self._write(record, draft, request)

    async def update_refs(
        self, name: RepositoryName, changes: Sequence[RefChange], *, request_key: str, actor: str
    ) -> WriteResult:
        """Apply all changes or none.

        A repetition is looked for before it is made: it would undo what came after the first time, where no value is
        expected or the expected one is there again.
        """
        record = await self.writer.records.find(name)
        key = record.key

        async def draft(at: RecordAt, snapshot: RefsSnapshot | None) -> Draft | None:
            assert snapshot is not None
            if await self.writer.replicas.disk.reader.find_request(key, request_key) is not None:
                raise RefConflict("the same request took effect before")
            edits = plan_changes(snapshot, changes)
            if not edits:
                return None
            oids, commits = new_tips(edits)
            packs = self.writer.replicas.disk.packs
            if oids:
                await packs.check_tips(key, oids, commits=commits)
            await check_edits(packs, key, at.config, edits)
            return Draft(kind=WriteKind.UPDATE, name=record.name, edits=edits)

        try:
            return await self._write(record, draft, Request(request_key, actor))
        except MeshError as refusal:
            if not refusal.nothing_written:
                raise
            return await self._repetition(name, request_key, refusal)

    # ------------------------------------------------------------ inside

    async def _write(self, record: Record, draft: MakeDraft, request: Request) -> WriteResult:
        key = record.key
        await self.writer.check_may_coordinate(record)
        result = await self.writer.write_without_objects(key, draft, request)
        if result is not None:
            return result
        now = (await self.writer.records.read(key)).record or record
        assert now.round_id is not None
        return WriteResult(record=now, round_id=now.round_id, generation=now.generation)

    async def _create(
        self,
        key: ReplicaKey,
        name: RepositoryName,
        draft: MakeDraft,
        request: Request,
        *,
        partition: PartitionId | None = None,
    ) -> WriteResult:
        result = await self.writer.write_without_objects(key, draft, request, partition=partition)
        assert result is not None
        self.writer.records.note_name(name, key.repository)
        return result

    async def _family(self, root: RepositoryId) -> Compare:
        """What a fork's publish rests on: where its family lives."""
        (entry,) = await self.writer.records.get([family_key(root)])
        return Compare(family_key(root), 0 if entry is None else entry.revision)

    async def reserve(self, name: RepositoryName, repository: RepositoryId, mark: str | None) -> NameChange:
        """What gives a name to a new repository. Raises RepositoryExists; RefConflict where `mark` is there."""
        (taken,) = await self._unless_marked(mark, name_key(name))
        if taken is not None:
            raise RepositoryExists("the name is taken", name=name)
        return NameChange(compares=[Compare(name_key(name), 0)], writes=[Put(name_key(name), repository.encode())])

    async def once(self, mark: str | None, write: Awaitable[WriteResult]) -> WriteResult:
        """The result of a change of names, or, where the same request took effect before, of that one."""
        try:
            return await write
        except MeshError as refusal:
            if mark is None or not refusal.nothing_written:
                raise
            (entry,) = await self.writer.records.get([mark])
            if entry is None:
                raise
            done = decode_request_mark(entry.value)
            record = await self.writer.records.find_by_id(done.repository)
            if record is None:
                raise
            return WriteResult(record=record, round_id=done.round_id, generation=done.generation, is_repetition=True)

    async def _unless_marked(self, mark: str | None, *keys: str) -> list[Entry | None]:
        """Entries read at one revision, at which the request had not taken effect. Raises RefConflict if it had."""
        if mark is None:
            return await self.writer.records.get(keys)
        done, *entries = await self.writer.records.get([mark, *keys])
        if done is not None:
            raise RefConflict("the same request took effect before")
        return entries

    async def _repetition(self, name: RepositoryName, request_key: str, refusal: MeshError) -> WriteResult:
        """The result of the same request made before, or the refusal."""
        if not request_key:
            raise refusal
        try:
            record = await self.writer.records.find(name)
        except RepositoryNotFound:
            raise refusal from None
        key = record.key
        await self.writer.replicas.settle(key, record)  # the round may be voted for here, and not applied yet
        done = await self.writer.replicas.disk.reader.find_request(key, request_key)
        if done is None:
            raise refusal
        return WriteResult(record=record, round_id=done.round_id, generation=done.generation, is_repetition=True)


def _in_family(names: NameChange, family: Compare, root: RepositoryId, fork: RepositoryId) -> NameChange:
    """A fork's change of names, on condition that its family stays where it is, and with the mark that it grew."""
    return NameChange(
        compares=[*names.compares, family], writes=[*names.writes, Put(fork_mark_key(root), fork.encode())]
    )
