"""Git's own protocol, served from the right replica wherever the request came in. Implements `ports.Transport`.

    request --> candidates (router) --+--> this node: its replica answers
                                      +--> another: the stream is handed to it (RemoteTransport)

A candidate that refuses before it has taken a byte of the body is passed over for the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from meshnode.base.errors import (
    Corrupt,
    Draining,
    MeshError,
    OutcomeUnknown,
    PeerUnavailable,
    ReadOnly,
    ReplicaBehind,
    RepositoryExists,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId, RefName
from meshnode.core.record import Record
from meshnode.engine.api_writes import ApiWrites
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.push import PushRun
from meshnode.engine.reader import Reader
from meshnode.engine.readers import Readers
from meshnode.engine.router import CandidateRouter
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.writer import Writer
from meshnode.ports import (
    Consistency,
    FetchProtocol,
    GitService,
    PushProtocol,
    RemoteTransport,
    TransportReply,
    TransportRequest,
)

log = logging.getLogger("meshnode.engine")

ELSEWHERE: Final = (ReplicaBehind, PeerUnavailable, Draining, Corrupt)
"""Errors of one candidate after which another may well answer."""
KEEP_ALIVE_S: Final = 5.0
"""Between keep-alives while a push is worked on: below the idle time-outs of common proxies."""
DEFAULT_FORMAT: Final = "sha1"
DEFAULT_BRANCH: Final = RefName("refs/heads/main")


@dataclass(kw_only=True)
class GitTransport:
    """Implements `ports.Transport`."""

    own: NodeId
    router: CandidateRouter
    membership: ClusterMembership
    reader: Reader
    writer: Writer
    writes: ApiWrites
    remote: RemoteTransport
    push_protocol: PushProtocol
    fetch_protocol: FetchProtocol
    supervisor: Supervisor
    readers: Readers

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        """The advertisement that starts a fetch or a push."""
        if service is GitService.RECEIVE_PACK and request.may_create and not await self._exists(request):
            advertisement = self.push_protocol.advertise(None, DEFAULT_FORMAT)
            return TransportReply(generation=Generation(0), body=_once(advertisement), node=self.own)
        if service is GitService.RECEIVE_PACK:
            request = replace(request, consistency=Consistency())
        errors = _Errors()
        for node in await self._read_nodes(request):
            try:
                if node != self.own:
                    return await self.remote.info_refs(node, replace(request, is_forwarded=True), service)
                view = await self.reader.view(request.name, request.consistency)
            except ELSEWHERE as error:
                self._passed_over(request, node, error, errors)
                continue
            if service is GitService.RECEIVE_PACK:
                advertisement = self.push_protocol.advertise(view.snapshot, view.snapshot.object_format)
            else:
                advertisement = self.fetch_protocol.advertise(view.snapshot, request.version)
            return TransportReply(generation=view.generation, body=_once(advertisement), node=self.own)
        raise errors.last

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One stateless upload-pack request."""
        errors = _Errors()
        for node in await self._read_nodes(request):
            try:
                if node != self.own:
                    return await self.remote.upload_pack(node, replace(request, is_forwarded=True), body)
                view = await self.reader.view(request.name, request.consistency)
            except ELSEWHERE as error:
                self._passed_over(request, node, error, errors)
                continue
            self.readers.note(view.key)
            answer = self.readers.counted(
                view.key, self.fetch_protocol.serve(view.key, view.snapshot, request.version, body)
            )
            return TransportReply(generation=view.generation, body=answer, node=self.own)
        raise errors.last

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One push, led by this node or handed to the node that leads writes of the repository."""
        errors = _Errors()
        nodes = [self.own] if request.is_forwarded else await self.router.write_candidates(request.name)
        for node in nodes:
            try:
                if node != self.own:
                    return await self.remote.receive_pack(node, replace(request, is_forwarded=True), body)
                record = await self._open_for_push(request)
            except OutcomeUnknown:
                self.membership.suspect(node)
                raise
            except ELSEWHERE as error:
                self._passed_over(request, node, error, errors)
                continue
            generation = Generation(0) if record is None else record.generation
            return TransportReply(generation=generation, body=self._push(request, record, body), node=self.own)
        raise errors.last

    # ------------------------------------------------------------ pushes led by this node

    async def _open_for_push(self, request: TransportRequest) -> Record | None:
        """The record of a repository this node can lead a push to; None: the push will create it."""
        try:
            record = await self.reader.find(request.name)
        except RepositoryNotFound:
            if request.may_create:
                return None
            raise
        await self.writer.check_may_coordinate(record)
        return record

    async def _create(self, request: TransportRequest) -> Record:
        try:
            created = await self.writes.create(
                request.name,
                object_format=DEFAULT_FORMAT,
                default_branch=DEFAULT_BRANCH,
                request_key="",
                actor=request.actor,
            )
        except RepositoryExists:
            record = await self.reader.find(request.name)
            await self.writer.check_may_coordinate(record)
            return record
        log.info("repository_created_by_push", extra={"repository": request.name, "actor": request.actor})
        return created.record

    async def _push(
        self, request: TransportRequest, record: Record | None, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Do the push and yield its report.

        A client that is about to send a large body first sends a request without commands, to see whether it may
        (remote-curl's probe); it gets an empty answer and creates nothing.
        """
        push = await self.push_protocol.read_push(body, DEFAULT_FORMAT if record is None else record.object_format)
        if not push.commands:
            return
        if record is None:
            record = await self._create(request)
        run = PushRun(writer=self.writer, protocol=self.push_protocol, record=record, push=push, actor=request.actor)
        task = self.supervisor.spawn("push", run.run())
        try:
            while True:
                await asyncio.wait({task}, timeout=KEEP_ALIVE_S)
                if task.done():
                    break
                keep_alive = self.push_protocol.format_progress(push, "")
                if keep_alive:
                    yield keep_alive
            yield task.result()
        finally:
            if not task.done() and not run.is_deciding:
                task.cancel()
                await asyncio.wait({task})

    # ------------------------------------------------------------ routing

    async def _exists(self, request: TransportRequest) -> bool:
        try:
            await self.reader.find(request.name)
        except RepositoryNotFound:
            return False
        return True

    async def _read_nodes(self, request: TransportRequest) -> list[NodeId]:
        if request.is_forwarded:
            return [self.own]
        return await self.router.read_candidates(request.name, request.consistency)

    def _passed_over(self, request: TransportRequest, node: NodeId, error: MeshError, errors: _Errors) -> None:
        """Go on with the next candidate, unless the failed one may have used the body up."""
        self.router.note_refusal(request.name, node, error)
        if isinstance(error, PeerUnavailable):
            self.membership.suspect(node)
            if error.fields.get("is_untouched") is False:
                raise error
        log.info("candidate_passed_over", extra={"peer": node, "error": str(error)})
        errors.last = error


class _Errors:
    """The reason the last candidate was passed over."""

    def __init__(self) -> None:
        self.last: MeshError = ReadOnly("no node can answer now; try again")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
