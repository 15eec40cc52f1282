"""What can go wrong between a simulated node and the catalog: slow, refused, unknown (landed, lost, landing late)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from meshnode.base.errors import CatalogUnavailable, NotFound, OutcomeUnknown
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.keys import RECORDS
from tests.sim.auditor import Auditor
from tests.sim.network import CATALOG, Network
from tests.sim.process import Process

DEADLINE_MS: Final = 2_000
"""The catalog client's own deadline."""


class CatalogFaults:
    """The fault hook of one node's catalog client. Every change of the catalog is shown to the auditor at once."""

    def __init__(self, process: Process, network: Network, catalog: MemoryCatalog, auditor: Auditor) -> None:
        self._process = process
        self._network = network
        self._catalog = catalog
        self._auditor = auditor
        self._chance: Random = network.chance
        self.is_stormy = False
        """Whether every second write of a record has an unknown outcome."""

    async def __call__(self, call: CatalogCall) -> None:
        """Be the network between the node and the catalog."""
        if call.operation == "event":
            await self._event()
        elif call.moment is Moment.BEFORE:
            await self._before(call)
        else:
            self._auditor.look(call.keys)
            await self._after(call)

    async def _event(self) -> None:
        await self._process.gate()
        delay_ms = int(self._chance.random() * 31)
        if self._network.weather.watch_slow and self._chance.random() < self._network.weather.watch_slow:
            self._network.count("catalog: hint late")
            delay_ms = self._chance.choice((200, 1_500, 8_000))
        await asyncio.sleep(delay_ms / 1000)
        if self._network.is_cut(CATALOG, self._process.name):
            await asyncio.sleep(1)
            raise CatalogUnavailable("the watch broke off")

    async def _before(self, call: CatalogCall) -> None:
        await self._process.gate()
        weather, name = self._network.weather, self._process.name
        is_write = call.operation == "transact"
        try:
            await self._wait(weather.catalog_slow)
        except asyncio.CancelledError:
            if is_write and self._chance.random() < 0.5:
                self._land_later(call)
            raise
        if self._network.is_cut(name, CATALOG):
            self._network.count("catalog: request lost on a cut way")
            await asyncio.sleep(DEADLINE_MS / 1000)
            raise self._no_answer(call)
        draw = self._chance.random() if is_write else 1.0
        if weather.catalog_refused and draw < weather.catalog_refused:
            self._network.count("catalog: refused")
            raise CatalogUnavailable("the catalog takes no requests")
        draw = self._chance.random() if is_write else 1.0
        storm = 0.3 if self.is_stormy else 0.0
        if draw < weather.catalog_lost + storm / 3:
            self._network.count("catalog: unknown, lost")
            await asyncio.sleep(DEADLINE_MS / 1000)
            raise self._no_answer(call)
        if draw < weather.catalog_lost + weather.catalog_late + storm * 2 / 3:
            self._network.count("catalog: unknown, late")
            self._land_later(call)
            await asyncio.sleep(DEADLINE_MS / 1000)
            raise self._no_answer(call)

    async def _after(self, call: CatalogCall) -> None:
        weather = self._network.weather
        if self._network.is_cut(CATALOG, self._process.name):
            self._network.count("catalog: answer lost on a cut way")
            await asyncio.sleep(DEADLINE_MS / 1000)
            raise self._no_answer(call)
        storm = 0.1 if self.is_stormy else 0.0
        if call.operation == "transact" and self._chance.random() < weather.catalog_hidden + storm:
            self._network.count("catalog: unknown, landed")
            await asyncio.sleep(DEADLINE_MS / 1000)
            raise self._no_answer(call)
        await self._wait(weather.catalog_slow)
        await self._process.gate()

    async def _wait(self, slow: float) -> None:
        delay_ms = int(self._chance.random() * 4)
        if slow and self._chance.random() < slow:
            delay_ms = self._chance.randint(50, 1_500)
        await asyncio.sleep(delay_ms / 1000)

    def _no_answer(self, call: CatalogCall) -> Exception:
        if call.operation == "transact":
            return OutcomeUnknown("the catalog did not answer in time")
        return CatalogUnavailable("the catalog did not answer in time")

    def _land_later(self, call: CatalogCall) -> None:
        delay_ms = self._chance.choice((1, 20, 300, 2_500, 6_000))
        after_next = self._chance.random() < 0.3 and any(key.startswith(RECORDS) for key in call.keys)
        self._network.spawn(self._land(call, delay_ms, after_next=after_next))

    async def _land(self, call: CatalogCall, delay_ms: int, *, after_next: bool) -> None:
        if after_next:
            try:
                async with asyncio.timeout(DEADLINE_MS * 3 / 1000):
                    await self._auditor.next_change(call.keys)
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(delay_ms / 1000)
        with suppress(NotFound):  # the write's lease has ended meanwhile
            await self._catalog.transact(call.compares, call.writes)
        self._auditor.look(call.keys)
