"""Everyone who works on the cluster at once: clients of each kind at each node, each bound to its node.

A node that hangs holds up its own clients only, so what is measured is the cluster's availability and not theirs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Final

import aiohttp

from meshnode.cli.client import ClusterClient
from tests.chaos.cluster import ChaosCluster
from tests.chaos.git_client import GitClient
from tests.chaos.history import Change, Ending, History, Level, Write
from tests.chaos.light_client import LightClient
from tests.chaos.packs import EMPTY_TREE, GitObject, push_body, read_report
from tests.chaos.rpc_client import RpcClient
from tests.chaos.verdict import FINAL
from tests.chaos.workload import BASE, POOL, REPOSITORIES, ROOT, Wishes, make_pool

LIGHT_CLIENTS: Final = 6
"""Spread over the nodes: more would only wait for the processors of a small machine."""
_SETUP_S: Final = 60.0
_LAST_S: Final = 60.0
_PAUSE_S: Final = 0.5


class Load:
    """The clients of one run."""

    def __init__(self, cluster: ChaosCluster, history: History, work: Path, seed: int) -> None:
        self._cluster = cluster
        self._history = history
        self._work = work
        self._seed = seed
        self._pool = make_pool()
        self._newcomers: asyncio.Queue[str] = asyncio.Queue()

    def welcome(self, node: str) -> None:
        """Let clients work at a node that has joined."""
        self._newcomers.put_nowait(node)

    async def prepare(self) -> None:
        """Create the repositories, with the commits that clients build on."""
        data = str(self._cluster.data)
        for repository in REPOSITORIES:
            await self._cluster.meshnode("repo", "create", repository, "--data", data)
        async with aiohttp.ClientSession() as session:
            for repository in REPOSITORIES:
                await self._push_pool(session, repository)

    async def _push_pool(self, session: aiohttp.ClientSession, repository: str) -> None:
        objects: list[GitObject] = [EMPTY_TREE, ROOT, *self._pool]
        changes = [Change(ref=BASE, value=ROOT.oid), Change(ref=POOL, value=self._pool[-1].oid)]
        write = self._history.begin_write(
            client="setup", way="light", node=self._cluster.names[0], repository=repository, changes=changes
        )
        async with session.post(
            f"{self._cluster.http(write.node)}/{repository}.git/git-receive-pack",
            data=push_body(changes, objects),
            headers={
                "Authorization": f"Bearer {self._cluster.token}",
                "Content-Type": "application/x-git-receive-pack-request",
            },
            timeout=aiohttp.ClientTimeout(total=_SETUP_S),
        ) as answer:
            endings, generation, reason = read_report(await answer.read(), changes)
        self._history.end_write(write, endings, generation=generation, reason=reason)
        assert all(change.ending is Ending.DONE for change in changes), f"{repository} cannot be filled: {reason}"

    async def run(self) -> None:
        """Let everyone work until cancelled."""
        values = iter([commit.oid for commit in self._pool])
        async with self._connections() as (session, calls):
            git_clients = [await self._git_client(node) for node in self._cluster.names]
            async with asyncio.TaskGroup() as group:
                for client in git_clients:
                    group.create_task(client.run())
                for number, node in zip(range(LIGHT_CLIENTS), cycle(self._cluster.names), strict=False):
                    group.create_task(self._light_client(node, f"-{number}", session).run())
                for node in self._cluster.names:
                    group.create_task(self._rpc_client(node, calls, values).run())
                while node := await self._newcomers.get():
                    group.create_task((await self._git_client(node)).run())
                    group.create_task(self._light_client(node, "", session).run())
                    group.create_task(self._rpc_client(node, calls, values).run())

    async def _git_client(self, node: str) -> GitClient:
        name = f"git-{node}"
        client = GitClient(self._cluster, node, self._wishes(name), self._work / f"{name}.git")
        await client.prepare()
        return client

    def _light_client(self, node: str, number: str, session: aiohttp.ClientSession) -> LightClient:
        return LightClient(self._cluster, node, self._wishes(f"light-{node}{number}"), session)

    def _rpc_client(self, node: str, calls: ClusterClient, values: Iterator[str]) -> RpcClient:
        return RpcClient(self._cluster, node, self._wishes(f"rpc-{node}"), calls, lambda: next(values))

    async def finish(self) -> list[str]:
        """One more write through every node to every repository, then a look at everything from every node.

        Returns what did not work in time, one line each.
        """
        async with self._connections() as (session, _):
            clients = {
                node: LightClient(self._cluster, node, self._wishes(f"last-{node}"), session)
                for node in self._cluster.names
            }
            watchers = {
                node: LightClient(self._cluster, node, self._wishes(FINAL), session) for node in self._cluster.names
            }
            places = [(node, repository) for node in self._cluster.names for repository in REPOSITORIES]
            late = "after everything was healed"
            failures = [
                f"no write to {repository} through {node} {late}"
                for node, repository in places
                if not await _write_once(clients[node], repository)
            ]
            failures += [
                f"no read of {repository} through {node} {late}"
                for node, repository in places
                if not await _read_once(watchers[node], repository)
            ]
        return failures

    def _wishes(self, name: str) -> Wishes:
        return Wishes(name, self._history, random.Random(f"{self._seed} {name}"))

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[tuple[aiohttp.ClientSession, ClusterClient]]:
        assert self._cluster.target is not None
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, ClusterClient(self._cluster.target) as calls:
            yield session, calls


async def _write_once(client: LightClient, repository: str) -> bool:
    """Push until a push is acknowledged."""
    try:
        async with asyncio.timeout(_LAST_S):
            while True:
                await client.read(repository, Level.VERIFIED)
                write: Write = await client.push(repository)
                if write.is_acknowledged:
                    return True
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        return False


async def _read_once(client: LightClient, repository: str) -> bool:
    try:
        async with asyncio.timeout(_LAST_S):
            while not await client.read(repository, Level.VERIFIED):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        return False
    return True


def count_endings(writes: Sequence[Write]) -> dict[str, dict[str, int]]:
    """How many changes ended how, by way."""
    counts: dict[str, dict[str, int]] = {}
    for write in writes:
        for change in write.changes:
            row = counts.setdefault(write.way, {})
            row[change.ending.value] = row.get(change.ending.value, 0) + 1
    return counts
