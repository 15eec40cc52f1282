"""Serves ReplicationService: this node as a participant, for other nodes only.

What arrives is checked as if a stranger had sent it; who coordinates a round is the node that signed the call, not
what a message says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import ObjectId, parse_object_id, parse_round_id
from meshnode.core.round import ReplicaKey
from meshnode.ports import Replication, StageMessage
from meshnode.rpc.accounts import Accounts
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.v1 import replication_pb2 as pb
from meshnode.wire.reads import generation_of
from meshnode.wire.replicas import description_message, snapshot_messages
from meshnode.wire.rounds import key_of, round_messages
from meshnode.wire.stage import CHUNK_BYTES_MAX, StageReader, vote_message

OIDS_MAX: Final = 2_000_000
"""Wants and haves of one fetch: two for each reference of the largest repository that is sensible."""


class ReplicationServicer:
    """mesh.v1.ReplicationService."""

    def __init__(self, *, replication: Replication, accounts: Accounts) -> None:
        self._replication = replication
        self._accounts = accounts

    async def prepare(self, requests: AsyncIterator[pb.PrepareRequest], call: Call) -> Answer:
        """Receive objects and a round, and vote."""
        reader = StageReader()
        opening = reader.read_open(await first_message(requests), call.calling_node())
        call.facts["round"] = opening.round_id
        vote = await self._replication.prepare(opening, _stages(reader, requests))
        call.facts["vote"] = vote.kind.value
        return vote_message(vote)

    async def commit(self, request: pb.CommitRequest, call: Call) -> Answer:
        """Apply a published round."""
        key, round_id = _key(request.key, call), parse_round_id(request.round_id)
        generation = await self._replication.commit(key, round_id, generation_of(request.generation))
        return pb.CommitResponse(generation=generation)

    async def abort(self, request: pb.AbortRequest, call: Call) -> Answer:
        """Drop a round."""
        await self._replication.abort(_key(request.key, call), parse_round_id(request.round_id))
        return pb.AbortResponse()

    async def describe_replica(self, request: pb.DescribeReplicaRequest, call: Call) -> Answer:
        """This node's replica in its own words."""
        return description_message(await self._accounts.own(_key(request.key, call), deep=request.deep))

    async def read_history(self, requests: AsyncIterator[pb.ReadHistoryRequest], call: Call) -> AsyncIterator[Answer]:
        """Applied rounds after a generation."""
        request = await first_message(requests)
        for round_ in await self._replication.history(_key(request.key, call), generation_of(request.after)):
            for message, is_complete in round_messages(round_):
                yield pb.ReadHistoryResponse(round=message, complete=is_complete)

    async def read_snapshot(self, requests: AsyncIterator[pb.ReadSnapshotRequest], call: Call) -> AsyncIterator[Answer]:
        """State and references at one generation."""
        request = await first_message(requests)
        state, snapshot = await self._replication.snapshot(_key(request.key, call))
        for message in snapshot_messages(state, snapshot):
            yield message

    async def fetch_objects(self, requests: AsyncIterator[pb.FetchObjectsRequest], call: Call) -> AsyncIterator[Answer]:
        """A pack for a peer's repair."""
        wants: list[ObjectId] = []
        haves: list[ObjectId] = []
        key: ReplicaKey | None = None
        async for request in requests:
            key = key or _key(request.key, call)
            wants += [parse_object_id(oid) for oid in request.wants]
            haves += [parse_object_id(oid) for oid in request.haves]
            if len(wants) + len(haves) > OIDS_MAX:
                raise InvalidRequest("too many wants and haves", oids_max=OIDS_MAX)
        if key is None:
            raise InvalidRequest("request has no message")
        async with closing(self._replication.fetch_objects(key, wants, haves)) as pack:
            async for data in pack:
                for start in range(0, len(data), CHUNK_BYTES_MAX):
                    yield pb.FetchObjectsResponse(data=data[start : start + CHUNK_BYTES_MAX])


async def _stages(reader: StageReader, requests: AsyncIterator[pb.PrepareRequest]) -> AsyncIterator[StageMessage]:
    """The steps of a prepare stream; one that ends before its round is an error, never a short stream."""
    async for message in requests:
        stage = reader.read(message)
        if stage is not None:
            yield stage
    if not reader.is_complete:
        raise InvalidRequest("prepare stream ended before its round")


def _key(message: pb.ReplicaKey, call: Call) -> ReplicaKey:
    key = key_of(message)
    call.facts["repository_id"] = key.repository
    return key
