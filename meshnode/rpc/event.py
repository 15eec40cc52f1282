"""Serves EventService: committed writes as a stream, from any node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import REPOSITORY_NAME_BYTES_MAX, parse_repository_name
from meshnode.ports import Clock, Events, Reads, Scope
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.v1 import event_pb2 as pb
from meshnode.wire.events import event_messages, heartbeat_of, resume_of

ENDING_MS: Final = 1_000
"""Before the call's time is over, the stream ends by itself: an end is no error, so clients just resume."""


class EventServicer:
    """mesh.v1.EventService."""

    def __init__(self, *, reads: Reads, events: Events, clock: Clock) -> None:
        self._reads = reads
        self._events = events
        self._clock = clock

    async def watch(self, requests: AsyncIterator[pb.WatchRequest], call: Call) -> AsyncIterator[Answer]:
        """Follow changes."""
        request = await first_message(requests)
        resume = resume_of(request)
        heartbeat_ms = heartbeat_of(request)
        scope = await self._scope(request)
        call.facts["scope"] = scope.repository or scope.prefix or "everything"
        async with closing(self._events.watch(scope, resume, heartbeat_ms)) as events:
            async for event in events:
                for message in event_messages(event):
                    yield message
                if self._clock.monotonic_ms() > call.deadline_ms - ENDING_MS - heartbeat_ms:
                    return

    async def _scope(self, request: pb.WatchRequest) -> Scope:
        given = [bool(request.repository), bool(request.prefix), request.everything]
        if sum(given) != 1:
            raise InvalidRequest("say what to follow: one of repository, prefix, everything")
        if request.repository:
            record = await self._reads.find(parse_repository_name(request.repository))
            return Scope(repository=record.repository)
        if len(request.prefix) > REPOSITORY_NAME_BYTES_MAX:
            raise InvalidRequest("prefix is too long", bytes_max=REPOSITORY_NAME_BYTES_MAX)
        return Scope(prefix=request.prefix)
