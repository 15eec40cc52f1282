"""One node as a process: how its interpreter is set, until which signal it runs, and how it exits.

    catalog -> who this node is (`app/identity.py`) -> its parts, started (`app/node.py`)
    SIGTERM, SIGINT: drain -> close -> catalog

Only here is uvloop the loop; processes are never spawned by it (docs/adr/0005).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

import uvloop

from meshnode.app.identity import wait_for_identity
from meshnode.app.node import RunningNode
from meshnode.base.errors import MeshError
from meshnode.catalog.open import open_catalog
from meshnode.config import Loaded
from meshnode.config.live import LiveSettings
from meshnode.telemetry.logs import configure_logging

log = logging.getLogger("meshnode.app")

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 5
"""The node may not start as it is: another key, id or cluster than the catalog's, or an entry that is gone."""
SWITCH_INTERVAL_S: Final = 0.0005
"""Threads that sign, read the catalog's file or the disk wait up to one interval for the interpreter whenever the
loop is busy: at Python's 5 ms, a call that takes 0.3 ms took 19 ms (measured)."""
GARBAGE_AFTER: Final = (20_000, 20, 10)
"""Objects that outlive their making before Python looks for cycles among the youngest, and how many looks make one at the
older ones. At its 700 a listing of 8,000 entries sets off a dozen looks. Cycles are few: exceptions and their frames."""


def run_node(loaded: Loaded) -> int:
    """Run a node until SIGTERM or SIGINT; the process's exit code."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GARBAGE_AFTER)
    settings = LiveSettings(loaded)
    configure_logging(settings.config.log.level, file=settings.config.log.file)
    try:
        return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(settings))
    except MeshError as error:
        log.error("node_refused", extra={"error": str(error)})  # noqa: TRY400 - a fact for the operator, no defect
        print(f"meshnode: {error}", file=sys.stderr)  # noqa: T201 - whoever started it in a terminal
        return EXIT_REFUSED


async def serve(settings: LiveSettings) -> int:
    """Start everything, wait for a signal, stop everything."""
    config = settings.config
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        catalog = await open_catalog(config.catalog)
        stack.push_async_callback(catalog.close)
        identity = await wait_for_identity(config, catalog, stopping)
        if identity is None:
            return EXIT_OK
        node = RunningNode(settings, identity, catalog)
        stack.push_async_callback(node.close)
        await node.start(stopping)
        # What is there now stays: modules, classes, descriptors. Each look at all of it would stop the loop for 50 ms.
        gc.collect()
        gc.freeze()
        if not stopping.is_set():
            log.info(
                "node_ready", extra={"node": identity.node, "grpc": config.listen.grpc, "http": config.listen.http}
            )
        await stopping.wait()
        log.info("node_stopping", extra={"node": identity.node})
        await node.drain()
    log.info("node_stopped", extra={"node": identity.node})
    return EXIT_OK
