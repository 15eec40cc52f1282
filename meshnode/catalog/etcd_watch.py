"""A watch on etcd that outlives members, leaders and compactions.

    pick a member --> create from revision r --> events, each moves r on --> stream breaks
          ^                    |                                                  |
          |                    +-- r is compacted, or not reached: r = now,       |
          |                        tell "anything"                                |
          +-----------------------------------------------------------------------+

Rule: the place in the history is this client's, so a new stream goes on behind the last revision that was
delivered: nothing is lost, nothing comes twice, and the order stays. A member that is silent is asked for a sign
of life each second; only its presence counts, not its revision, which etcd before 3.4.25 could report too early.
Source: https://etcd.io/docs/v3.4/learning/api/#watch-streams
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from meshnode.base.errors import CatalogUnavailable, Forbidden, MeshError
from meshnode.catalog.etcd_errors import Verdict, judge, refusal
from meshnode.catalog.etcd_members import EtcdMembers, Member
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb
from meshnode.ports import WatchEvent

PROBE_S: Final = 1.0
"""Silence after which a member is asked for a sign of life."""
SILENCE_S: Final = 3.0
"""Silence after which another member is tried: well above a probe's answer on a loaded machine."""
PAUSE_S: Final = (0.01, 0.05, 0.2, 0.5)
"""Between streams that broke without an event in between."""
PICK_S: Final = 5.0
BEHIND_MAX: Final = 6
"""Members in a row that may lag, over about two seconds, before the history itself must have gone back."""

_PATH: Final = "/etcdserverpb.Watch/Watch"


@dataclass(slots=True)
class _Place:
    """How far a watch has come."""

    next_revision: int = 0
    """Deliver from here on; 0: from now, and say that anything may have changed."""
    breaks: int = 0
    """Streams that broke since the last answer that was of use."""
    behind: int = 0
    """Members in a row that have not come as far as `next_revision`."""


class _Broken(Exception):
    """The stream cannot be used any further."""


async def watch_range(
    members: EtcdMembers, key: bytes, range_end: bytes, prefix_bytes: int
) -> AsyncIterator[WatchEvent]:
    """Yield hints for keys in [key, range_end), the first `prefix_bytes` of each key cut off.

    Ends when `members` is closed.

    Raises:
        CatalogUnavailable: `members` was closed before the watch began.
        Forbidden, Unauthenticated: etcd does not let this user watch.
    """
    if members.is_closed:
        raise CatalogUnavailable("the catalog is closed")
    place = _Place()
    request = pb.WatchCreateRequest(key=key, range_end=range_end)
    while not members.is_closed:
        try:
            deadline_s = asyncio.get_running_loop().time() + PICK_S
            metadata = await members.metadata(deadline_s)
            member = await members.pick(deadline_s)
        except CatalogUnavailable:
            await _pause(place)
            continue
        try:
            request.start_revision = place.next_revision
            async with aclosing(_stream(member, request, metadata)) as responses:
                async for response in responses:
                    for event in _hints(response, place, prefix_bytes):
                        yield event
                    place.breaks = 0
        except _Broken as broken:
            error = broken.__cause__
            details = (error.details() or "") if isinstance(error, grpc.aio.AioRpcError) else str(broken)
            code = error.code() if isinstance(error, grpc.aio.AioRpcError) else grpc.StatusCode.UNKNOWN
            match judge(code, details):
                case Verdict.NEW_TOKEN:
                    members.forget_token(metadata)
                case Verdict.REFUSED:
                    raise refusal(code, details) or MeshError("etcd refused the watch", detail=details) from broken
                case _:
                    members.suspect(member)
            await _pause(place)


def _hints(response: pb.WatchResponse, place: _Place, prefix_bytes: int) -> list[WatchEvent]:
    """Turn a response into hints and move `place` behind it."""
    if response.canceled:
        if response.compact_revision:
            place.next_revision = 0
        if "permission denied" in response.cancel_reason:
            raise Forbidden("etcd does not let this user watch", detail=response.cancel_reason[:200])
        raise _Broken(response.cancel_reason.removeprefix("rpc error: code = ").partition("desc = ")[2])
    if response.created:
        if not place.next_revision:
            place.next_revision = response.header.revision + 1
            return [WatchEvent("", response.header.revision)]
        if response.header.revision + 1 < place.next_revision:
            # A member that lags, or the whole cluster was restored from a backup and counts anew.
            place.behind += 1
            if place.behind >= BEHIND_MAX:
                place.next_revision = 0
            raise _Broken("the member has not come that far")
        place.behind = 0
    hints = [
        WatchEvent(event.kv.key[prefix_bytes:].decode(errors="replace"), event.kv.mod_revision)
        for event in response.events
    ]
    if hints:
        # A response holds whole revisions: splitting them has to be asked for.
        place.next_revision = hints[-1].revision + 1
    return hints


async def _stream(
    member: Member, request: pb.WatchCreateRequest, metadata: tuple[tuple[str, str], ...]
) -> AsyncGenerator[pb.WatchResponse, None]:
    """Yield one stream's responses until it breaks; nothing of it is left when this ends."""
    call: Any = member.channel.stream_stream(
        _PATH,
        request_serializer=pb.WatchRequest.SerializeToString,
        response_deserializer=pb.WatchResponse.FromString,
    )(metadata=metadata)
    reading: asyncio.Future[Any] | None = None
    try:
        await call.write(pb.WatchRequest(create_request=request))
        while True:
            # In a task: a read that is cancelled takes the whole call with it.
            reading = asyncio.ensure_future(call.read())
            if not (await asyncio.wait({reading}, timeout=PROBE_S))[0]:
                async with asyncio.timeout(SILENCE_S - PROBE_S):
                    await call.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
                    await asyncio.wait({reading})
            response = reading.result()
            if response is grpc.aio.EOF:
                raise _Broken("the stream ended")
            yield response
    except grpc.aio.AioRpcError as error:
        raise _Broken("the stream failed") from error
    except TimeoutError as error:
        raise _Broken("the member is silent") from error
    except asyncio.InvalidStateError as error:  # what grpc raises for a write to a stream that has just ended
        raise _Broken("the stream ended") from error
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise _Broken("the channel was closed") from error
    finally:
        call.cancel()
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _pause(place: _Place) -> None:
    await asyncio.sleep(PAUSE_S[min(place.breaks, len(PAUSE_S) - 1)])
    place.breaks += 1
