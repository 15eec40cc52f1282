"""Serves RepositoryService: repositories as wholes.

Writes go to a coordinator, reads of a replica to one that is new enough; what the catalog alone can answer (exists,
list, the record) is answered by any node.
"""

from __future__ import annotations

from typing import Any, Final

from meshnode.base.errors import CatalogUnavailable, NotFound, RepositoryNotFound
from meshnode.base.ids import (
    Generation,
    NodeId,
    parse_ref_name,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.record import Record
from meshnode.ports import ConsistencyLevel, Membership, Reads, ReadView, WriteResult, Writes
from meshnode.rpc.accounts import Accounts
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.outcome import OutcomeFinder, Verdict
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token
from meshnode.rpc.verify import Verifier
from meshnode.v1 import common_pb2, repository_pb2
from meshnode.wire.reads import consistency_of, object_format_number, object_format_of, page_size_of, position_message
from meshnode.wire.reads import request_key_of as key_of
from meshnode.wire.records import repository_message
from meshnode.wire.refs import BRANCHES

ACCOUNT_MS: Final = 2_000
"""How long a member may take to describe its replica for `Get` with details."""
PREFIX_CHARS_MAX: Final = 255

_BY_NAME: Final = Route("name")
_BY_SOURCE: Final = Route("source_name")
_OUTCOMES: Final = {
    Verdict.PUBLISHED: repository_pb2.GetRoundOutcomeResponse.OUTCOME_PUBLISHED,
    Verdict.NOT_PUBLISHED: repository_pb2.GetRoundOutcomeResponse.OUTCOME_NOT_PUBLISHED,
    Verdict.UNDECIDED: repository_pb2.GetRoundOutcomeResponse.OUTCOME_UNDECIDED,
    Verdict.FORGOTTEN: repository_pb2.GetRoundOutcomeResponse.OUTCOME_FORGOTTEN,
}


class RepositoryServicer:
    """mesh.v1.RepositoryService."""

    def __init__(
        self,
        *,
        own: NodeId,
        reads: Reads,
        writes: Writes,
        membership: Membership,
        forwarder: Forwarder,
        accounts: Accounts,
        verifier: Verifier,
        outcomes: OutcomeFinder,
    ) -> None:
        self._own = own
        self._reads = reads
        self._writes = writes
        self._membership = membership
        self._forwarder = forwarder
        self._accounts = accounts
        self._verifier = verifier
        self._outcomes = outcomes

    async def create(self, request: repository_pb2.CreateRequest, call: Call) -> Answer:
        """Create an empty repository."""
        return await self._forwarder.run(_BY_NAME, request, call, self._create)

    async def fork(self, request: repository_pb2.ForkRequest, call: Call) -> Answer:
        """Create a repository in its source's partition, with its references."""
        return await self._forwarder.run(_BY_SOURCE, request, call, self._fork)

    async def rename(self, request: repository_pb2.RenameRequest, call: Call) -> Answer:
        """Give a repository another name."""
        return await self._forwarder.run(_BY_NAME, request, call, self._rename)

    async def delete(self, request: repository_pb2.DeleteRequest, call: Call) -> Answer:
        """Delete a repository."""
        return await self._forwarder.run(_BY_NAME, request, call, self._delete)

    async def get(self, request: repository_pb2.GetRequest, call: Call) -> Answer:
        """A repository's record; at VERIFIED from the catalog alone, so it answers with every replica down."""
        if consistency_of(request.consistency).level is ConsistencyLevel.VERIFIED:
            record = await self._reads.find(parse_repository_name(request.name))
            return await self._describe(request, record, record.generation)
        return await self._forwarder.run(_BY_NAME, request, call, self._get)

    async def size(self, request: repository_pb2.SizeRequest, call: Call) -> Answer:
        """Bytes on disk of the answering replica."""
        return await self._forwarder.run(_BY_NAME, request, call, self._size)

    async def exists(self, request: repository_pb2.ExistsRequest, _: Call) -> Answer:
        """Whether a name is taken."""
        try:
            record = await self._reads.find(parse_repository_name(request.name))
        except RepositoryNotFound:
            return repository_pb2.ExistsResponse(exists=False)
        return repository_pb2.ExistsResponse(exists=True, position=self._position(record.generation))

    async def list(self, request: repository_pb2.ListRequest, _: Call) -> Answer:
        """Names in byte order."""
        size = page_size_of(request.page_size, default=100, largest=1_000)
        token = parse_page_token(request.page_token)
        after = "" if token is None else token.last
        names = await self._reads.list_names(request.prefix[:PREFIX_CHARS_MAX], after, size + 1)
        response = repository_pb2.ListResponse(names=names[:size])
        if len(names) > size:
            response.next_page_token = format_page_token(PageToken(Generation(0), names[size - 1]))
        return response

    async def verify(self, request: repository_pb2.VerifyRequest, call: Call) -> Answer:
        """Compare all replicas by what their files say."""
        return await self._verifier.run(parse_repository_name(request.name), call.deadline_ms)

    async def get_round_outcome(self, request: repository_pb2.GetRoundOutcomeRequest, _: Call) -> Answer:
        """What became of a round whose answer was lost."""
        verdict, generation = await self._outcomes.find(
            parse_repository_id(request.repository_id), parse_round_id(request.round_id)
        )
        return repository_pb2.GetRoundOutcomeResponse(outcome=_OUTCOMES[verdict], position=self._position(generation))

    async def _create(self, request: repository_pb2.CreateRequest, call: Call) -> Answer:
        branch = parse_ref_name(BRANCHES + (request.default_branch or "main"))
        result = await self._writes.create(
            parse_repository_name(request.name),
            object_format=object_format_of(request.object_format),
            default_branch=branch,
            request_key=key_of(request.request_key),
            actor=call.actor,
            replication_factor=request.replication_factor,
        )
        return repository_pb2.CreateResponse(**self._written(result, call))

    async def _fork(self, request: repository_pb2.ForkRequest, call: Call) -> Answer:
        result = await self._writes.fork(
            parse_repository_name(request.source_name),
            parse_repository_name(request.name),
            request_key=key_of(request.request_key),
            actor=call.actor,
        )
        return repository_pb2.ForkResponse(**self._written(result, call))

    async def _rename(self, request: repository_pb2.RenameRequest, call: Call) -> Answer:
        result = await self._writes.rename(
            parse_repository_name(request.name),
            parse_repository_name(request.new_name),
            request_key=key_of(request.request_key),
            actor=call.actor,
        )
        return repository_pb2.RenameResponse(**self._written(result, call))

    async def _delete(self, request: repository_pb2.DeleteRequest, call: Call) -> Answer:
        result = await self._writes.delete(
            parse_repository_name(request.name), request_key=key_of(request.request_key), actor=call.actor
        )
        return repository_pb2.DeleteResponse(position=self._written(result, call)["position"])

    async def _get(self, request: repository_pb2.GetRequest, _: Call) -> Answer:
        view = await self._view(request)
        record = view.record
        if record is None:
            try:
                record = await self._reads.find_by_id(view.key.repository)
            except CatalogUnavailable:
                record = None
        if record is None:
            message = common_pb2.Repository(
                name=view.name,
                id=view.key.repository,
                partition=view.key.home,
                generation=view.generation,
                object_format=object_format_number(view.snapshot.object_format),
            )
            return repository_pb2.GetResponse(repository=message, position=self._position(view.generation))
        return await self._describe(request, record, view.generation)

    async def _size(self, request: repository_pb2.SizeRequest, _: Call) -> Answer:
        view = await self._view(request)
        account = await self._accounts.own(view.key, deep=False)
        if account is None:
            raise NotFound("this node's replica is gone", repository=view.name)
        return repository_pb2.SizeResponse(bytes=account.size_bytes, position=self._position(view.generation))

    async def _view(self, request: Any) -> ReadView:
        return await self._reads.view(parse_repository_name(request.name), consistency_of(request.consistency))

    async def _describe(
        self, request: repository_pb2.GetRequest, record: Record, generation: Generation
    ) -> repository_pb2.GetResponse:
        partition = self._membership.partition(record.partition)
        accounts = None
        if request.details:
            key = record.key
            found = await self._accounts.of(partition.members, key, deep=False, time_ms=ACCOUNT_MS)
            accounts = {node: "no replica yet" if said is None else said for node, said in found.items()}
        message = repository_message(record, partition, self._membership.online().keys(), accounts)
        if generation != record.generation:
            message.generation = generation
            message.refs_digest = ""
            message.round_id = ""
        return repository_pb2.GetResponse(repository=message, position=self._position(generation))

    def _written(self, result: WriteResult, call: Call) -> dict[str, Any]:
        call.facts["round"] = result.round_id
        call.facts["generation"] = result.generation
        partition = self._membership.partition(result.record.partition)
        return {
            "repository": repository_message(result.record, partition, self._membership.online().keys()),
            "position": self._position(result.generation),
        }

    def _position(self, generation: Generation) -> common_pb2.Position:
        return position_message(generation, self._own)
