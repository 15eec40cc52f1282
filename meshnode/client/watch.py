"""Follows changes without an end: resumes at another node where a stream ended, from what was seen.

The points to resume from are the caller's to keep: `Following.points` after each event is where a new process goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import MeshError, Overloaded, PeerUnavailable
from meshnode.client.services import EventService
from meshnode.v1 import event_pb2 as pb

PAUSE_S: Final = 0.2
PAUSE_S_MAX: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """What to follow: one repository, names that start with `prefix`, or everything (neither)."""

    repository: str = ""
    prefix: str = ""
    points: Mapping[str, int] | None = None
    """Generations seen before, by repository id; None: from now on."""


class Following:
    """An async iterator of `Change` and `Gap` messages; ends only by an error that waiting does not cure."""

    def __init__(self, service: EventService, follow: Follow) -> None:
        self._service = service
        self._follow = follow
        self.points: dict[str, int] | None = None if follow.points is None else dict(follow.points)
        """Generations seen by repository id; None until the first stream stands."""

    async def __aiter__(self) -> AsyncIterator[pb.Change | pb.Gap]:
        """Events from here on. Changes of one generation may come in parts (`has_more`), and again after a part."""
        pause_s = PAUSE_S
        while True:
            try:
                async with aclosing(self._service.watch(self._request())) as responses:  # type: ignore[type-var]
                    async for response in responses:
                        pause_s = PAUSE_S
                        event = self._event(response)
                        if event is not None:
                            yield event
                            self._note(event)
            except MeshError as error:
                is_passing = isinstance(error, PeerUnavailable | Overloaded)
                if not is_passing and error.code not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _request(self) -> pb.WatchRequest:
        request = pb.WatchRequest(
            repository=self._follow.repository,
            prefix=self._follow.prefix,
            everything=not self._follow.repository and not self._follow.prefix,
        )
        if self.points is not None:
            points = [pb.ResumePoint(repository_id=name, generation=seen) for name, seen in self.points.items()]
            request.resume.CopyFrom(pb.Resume(points=points))
        return request

    def _event(self, response: pb.WatchResponse) -> pb.Change | pb.Gap | None:
        match response.WhichOneof("event"):
            case "standings":
                points = self.points or {}
                points.update((one.repository_id, one.generation) for one in response.standings.standings)
                self.points = points
            case "change":
                return response.change
            case "gap":
                return response.gap
        return None

    def _note(self, event: pb.Change | pb.Gap) -> None:
        """Take an event as seen: the caller has come back for the next one."""
        assert self.points is not None
        if isinstance(event, pb.Change):
            if event.has_more:
                return
            if event.kind == pb.Change.KIND_DELETED:
                self.points.pop(event.repository_id, None)
                return
        self.points[event.repository_id] = event.generation
