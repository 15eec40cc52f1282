"""A client that speaks git's protocol over HTTP by itself: most of the load, at little cost.

It reads with an advertisement and pushes with the very request a stock git would send. Where no answer came it
sometimes sends the same bytes again, as a client's transport does.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Change, Ending, Level, Read, Write
from tests.chaos.packs import push_body, read_advertisement, read_report
from tests.chaos.workload import Wishes

_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 15.0
_READ_S: Final = 8.0
THINK_S: Final = 0.12
BACK_OFF_S: Final = 0.4
"""Pause when a node does not answer a read: a dead one is not stormed."""
_OPEN_STATUS: Final = frozenset({500, 502, 504})
"""Answers that promise nothing; every other status but 200 says that nothing was written."""


class LightClient:
    """Works through one node until cancelled."""

    def __init__(self, cluster: ChaosCluster, node: str, wishes: Wishes, session: aiohttp.ClientSession) -> None:
        self._base = cluster.http(node)
        self._node = node
        self._wishes = wishes
        self._session = session
        self._headers = {"Authorization": f"Bearer {cluster.token}"}

    async def run(self) -> None:
        """Read and write, a little pause between."""
        chance = self._wishes.chance
        while True:
            repository = self._wishes.repository()
            level = self._wishes.level() if chance.random() < 0.5 else Level.VERIFIED
            if not await self.read(repository, level):
                await asyncio.sleep(BACK_OFF_S)
            if chance.random() < 0.75:
                await self.push(repository)
            await asyncio.sleep(chance.uniform(0, 2 * THINK_S))

    async def read(self, repository: str, level: Level) -> bool:
        """List the references; whether there was an answer."""
        history = self._wishes.history
        position = self._wishes.positions.get(repository, 0)
        asked = f"at-least={position}" if level is Level.AT_LEAST else level.value
        headers = {**self._headers, "Mesh-Consistency": asked}
        called_at = history.now()
        try:
            async with self._session.get(
                f"{self._base}/{repository}.git/info/refs?service=git-upload-pack",
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_READ_S, sock_connect=_CONNECT_S),
            ) as answer:
                body = await answer.read()
                if answer.status != 200:
                    self._check_trusted(answer.status)
                    history.note_failed_read(f"{answer.status} {body.decode(errors='replace').split('(')[0]}")
                    return False
                refs = read_advertisement(body)
                generation = int(answer.headers["Mesh-Generation"])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            history.note_failed_read(type(error).__name__)
            return False
        self._wishes.remember_read(
            Read(
                client=self._wishes.name,
                way="light",
                node=self._node,
                repository=repository,
                level=level,
                called_at=called_at,
                answered_at=history.now(),
                refs=refs,
                generation=generation,
                at_least=position if level is Level.AT_LEAST else 0,
            )
        )
        return True

    def _check_trusted(self, status: int) -> None:
        """A good token is never refused: git's helpers would forget it."""
        if status in {401, 403}:
            self._wishes.history.alarms.append(f"{self._node} answered {status} to a good token")

    async def push(self, repository: str) -> Write:
        """Push to one reference, or to two."""
        wishes = self._wishes
        count = 2 if wishes.chance.random() < 0.15 else 1
        changes, objects = wishes.plan(repository, wishes.refs(count))
        is_atomic = count == 2 and wishes.chance.random() < 0.5
        write = wishes.history.begin_write(
            client=wishes.name,
            way="light",
            node=self._node,
            repository=repository,
            changes=changes,
            is_atomic=is_atomic,
        )
        body = push_body(changes, objects, option=f"write {write.number}", is_atomic=is_atomic)
        endings, generation, reason = await self._send(repository, body, changes)
        is_open = len(endings) < len(changes)
        if is_open and wishes.chance.random() < 0.5:
            write.sendings += 1
            again, generation, reason = await self._send(repository, body, changes)
            endings = {ref: ending for ref, ending in again.items() if ending is Ending.DONE}
        wishes.history.end_write(write, endings, generation=generation, reason=reason)
        wishes.remember_written(repository, [one for one in changes if one.ending is Ending.DONE], generation)
        return write

    async def _send(self, repository: str, body: bytes, changes: list[Change]) -> tuple[dict[str, Ending], int, str]:
        refused = {change.ref: Ending.REFUSED for change in changes}
        try:
            async with self._session.post(
                f"{self._base}/{repository}.git/git-receive-pack",
                data=body,
                headers={**self._headers, "Content-Type": "application/x-git-receive-pack-request"},
                timeout=aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=_CONNECT_S),
            ) as answer:
                text = await answer.read()
                if answer.status == 200:
                    return read_report(text, changes)
                self._check_trusted(answer.status)
                reason = f"{answer.status} {text.decode(errors='replace').strip()}"
                return {} if answer.status in _OPEN_STATUS else refused, 0, reason
        except aiohttp.ClientConnectorError as error:
            return refused, 0, f"not connected: {type(error).__name__}"
        except aiohttp.ConnectionTimeoutError as error:
            return refused, 0, f"not connected: {type(error).__name__}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return {}, 0, f"no answer: {type(error).__name__} {error}"
