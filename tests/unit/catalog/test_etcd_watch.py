"""A watch over streams that break in the moment they are used; a member's channel is played here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import grpc.aio

from meshnode.catalog.etcd_members import EtcdMembers, Member
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb
from meshnode.catalog.etcd_watch import watch_range
from meshnode.ports import WatchEvent


class _Calls:
    """A member's channel: streams whose first write finds them ended (so many), then one that is created."""

    def __init__(self, ended: int) -> None:
        self.opened = 0
        self._ended = ended

    def stream_stream(self, *_: object, **__: object) -> Callable[..., _Calls]:
        return self

    def __call__(self, **_: object) -> _Calls:
        self.opened += 1
        return self

    async def write(self, _request: pb.WatchRequest) -> None:
        if self.opened <= self._ended:
            raise asyncio.InvalidStateError("RPC already finished.")

    async def read(self) -> pb.WatchResponse:
        return pb.WatchResponse(created=True, header=pb.ResponseHeader(revision=10))

    def cancel(self) -> None:
        """Nothing runs."""


class _OneMember:
    """What a watch needs of `EtcdMembers`."""

    is_closed = False

    def __init__(self, calls: _Calls) -> None:
        self._member = Member("etcd:1", cast("grpc.aio.Channel", calls))
        self.suspected: list[Member] = []

    async def metadata(self, _deadline_s: float) -> tuple[tuple[str, str], ...]:
        return ()

    async def pick(self, _deadline_s: float) -> Member:
        return self._member

    def suspect(self, member: Member) -> None:
        self.suspected.append(member)


async def test_a_watch_outlives_a_stream_that_ends_while_it_is_written_to() -> None:
    calls = _Calls(ended=2)
    members = _OneMember(calls)
    hints = watch_range(cast("EtcdMembers", members), b"/a/", b"/a0", 1)
    assert await anext(aiter(hints)) == WatchEvent("", 10)
    assert calls.opened == 3
    assert len(members.suspected) == 2
