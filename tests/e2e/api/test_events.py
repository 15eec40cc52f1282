"""EventService over a real cluster: pushes, API writes and deletes are told by every node, and resumed at any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from meshnode.auth.channel import SignedChannel
from meshnode.base.errors import InvalidRequest, RepositoryNotFound
from meshnode.v1 import event_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.cluster import Cluster, git, list_refs

WATCH = "/mesh.v1.EventService/Watch"
SEEN_S = 30.0


class Watched:
    """A stream of events, read in order."""

    def __init__(self, events: Any) -> None:
        self._events = events

    async def next(self) -> pb.WatchResponse:
        async with asyncio.timeout(SEEN_S):
            return pb.WatchResponse.FromString(await anext(self._events))

    async def change(self) -> pb.Change:
        """The next change; standings and heartbeats are passed over."""
        while (response := await self.next()).WhichOneof("event") != "change":
            assert response.WhichOneof("event") != "gap", response
        return response.change


def watching(
    api: Api, request: pb.WatchRequest, story: Callable[[Watched], Coroutine[Any, Any, None]], *, node: int
) -> None:
    async def run(channel: SignedChannel) -> None:
        async with channel.stream(WATCH, request.SerializeToString(), timeout_ms=120_000) as events:
            await story(Watched(events))

    api.run(run, node)


@pytest.mark.parametrize("node", [1, 2, 3])
def test_push_is_told_by_every_node(api: Api, cluster: Cluster, name: str, work: Path, node: int) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = list_refs(cluster.url(1, name))["refs/heads/main"]

    async def story(watched: Watched) -> None:
        first = await watched.next()
        assert [standing.name for standing in first.standings.standings] == [name]
        assert first.standings.is_last
        await asyncio.to_thread(git, "push", "--quiet", cluster.url(2, name), "main:refs/heads/two", cwd=work)
        change = await watched.change()
        assert (change.name, change.kind) == (name, pb.Change.KIND_UPDATED)
        assert change.generation == first.standings.standings[0].generation + 1
        assert [(one.name, one.old_oid, one.new_oid) for one in change.references] == [("refs/heads/two", "", tip)]
        await asyncio.to_thread(git, "push", "--quiet", cluster.url(3, name), ":refs/heads/two", cwd=work)
        change = await watched.change()
        assert [(one.name, one.old_oid, one.new_oid) for one in change.references] == [("refs/heads/two", tip, "")]

    watching(api, pb.WatchRequest(repository=name), story, node=node)


def test_stream_is_resumed_at_another_node(api: Api, cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    seen = pb.ResumePoint()

    async def first(watched: Watched) -> None:
        standing = (await watched.next()).standings.standings[0]
        seen.repository_id, seen.generation = standing.repository_id, standing.generation

    watching(api, pb.WatchRequest(repository=name), first, node=1)
    for number in range(3):
        git("push", "--quiet", cluster.url(1 + number, name), f"main:refs/heads/b{number}", cwd=work)

    async def second(watched: Watched) -> None:
        changes = [await watched.change() for _ in range(3)]
        assert [change.generation for change in changes] == [seen.generation + 1 + number for number in range(3)]
        assert [change.references[0].name for change in changes] == [f"refs/heads/b{number}" for number in range(3)]

    watching(api, pb.WatchRequest(repository=name, resume=pb.Resume(points=[seen])), second, node=3)


def test_prefix_sees_a_repository_from_its_creation_to_its_end(
    api: Api, cluster: Cluster, name: str, work: Path
) -> None:
    async def story(watched: Watched) -> None:
        assert not (await watched.next()).standings.standings
        await asyncio.to_thread(git, "push", "--quiet", cluster.url(2, f"{name}/deep"), "main", cwd=work)
        kinds = [(await watched.change()).kind, (await watched.change()).kind]
        assert kinds == [pb.Change.KIND_CREATED, pb.Change.KIND_UPDATED]
        await asyncio.to_thread(cluster.meshnode, "repo", "rename", f"{name}/deep", f"{name}/deeper")
        change = await watched.change()
        assert (change.kind, change.name) == (pb.Change.KIND_RENAMED, f"{name}/deeper")
        await asyncio.to_thread(cluster.meshnode, "repo", "delete", f"{name}/deeper", "--yes")
        assert (await watched.change()).kind == pb.Change.KIND_DELETED

    watching(api, pb.WatchRequest(prefix=f"{name}/"), story, node=1)


def test_large_push_comes_in_parts_and_silence_is_a_heartbeat(
    api: Api, cluster: Cluster, name: str, work: Path
) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = list_refs(cluster.url(1, name))["refs/heads/main"]
    lines = "".join(f"create refs/heads/many/{number} {tip}\n" for number in range(6_000))
    git("update-ref", "--stdin", cwd=work, stdin=lines)

    async def story(watched: Watched) -> None:
        assert (await watched.next()).HasField("standings")
        assert (await watched.next()).HasField("heartbeat")
        await asyncio.to_thread(git, "push", "--quiet", "--all", cluster.url(1, name), cwd=work)
        parts = [await watched.change(), await watched.change()]
        assert [part.has_more for part in parts] == [True, False]
        assert sum(len(part.references) for part in parts) == 6_000

    watching(api, pb.WatchRequest(repository=name, heartbeat_ms=1_000), story, node=2)


def test_senseless_watch_is_refused(api: Api, name: str) -> None:
    for request in (
        pb.WatchRequest(),
        pb.WatchRequest(prefix="a", everything=True),
        pb.WatchRequest(everything=True, heartbeat_ms=5),
        pb.WatchRequest(everything=True, resume=pb.Resume(points=[pb.ResumePoint(repository_id="x")])),
    ):
        with pytest.raises(InvalidRequest):
            api.stream("EventService/Watch", request, pb.WatchResponse)
    with pytest.raises(RepositoryNotFound):
        api.stream("EventService/Watch", pb.WatchRequest(repository=name), pb.WatchResponse)


def test_watch_ends_well_when_the_call_has_no_more_time(api: Api, cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    request = pb.WatchRequest(repository=name, heartbeat_ms=1_000)
    events = api.stream("EventService/Watch", request, pb.WatchResponse, timeout_ms=5_000)
    assert [event.WhichOneof("event") for event in events][:2] == ["standings", "heartbeat"]
