"""Brings local nodes up: starts what does not run, waits until each is ready, and watches over them.

    files -> ports free? -> catalog -> processes -> /readyz of each -> (in the foreground) wait for a signal

Rule: what this call started it stops again when it cannot finish; what ran before is left alone.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

from meshnode.base.ids import NodeId
from meshnode.catalog.open import open_catalog
from meshnode.cli.acts import recorded
from meshnode.cli.blueprint import ClusterBlueprint, nodes_of, operator_of, plan_settings, settings_of
from meshnode.cli.layout import ClusterFile, ClusterNode, Layout
from meshnode.cli.local import find_removed, initialise_cluster
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.process import (
    ENDING_MS,
    NodeCommand,
    StartedNode,
    check_ports_free,
    find_process,
    read_log_tail,
    reap,
    serve_command,
    start_process,
    stop_processes,
)
from meshnode.config import CatalogSettings, load_config, parse_config
from meshnode.core.cluster import decode_settings
from meshnode.core.keys import CLUSTER
from meshnode.http.target import RESTING
from meshnode.ports import Entry

READY_MS: Final = 90_000
"""A node is ready in about two seconds; on a machine that is busy with other things it takes much longer."""
_POLL_S: Final = 0.05
_WATCH_S: Final = 0.5
_PROBE_S: Final = 2.0
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_REASON_BYTES_MAX: Final = 500

OnLine = Callable[[str], None]


def check_catalog_free(blueprint: ClusterBlueprint) -> None:
    """Check that the catalog of a new cluster holds none yet, before anything is written down.

    Raises:
        CommandError: it does. MeshError: as `open_catalog` and `Catalog.get`.
    """
    text = next(iter(plan_settings(blueprint).values()))
    settings = parse_config(text, os.environ).catalog

    async def read() -> Entry | None:
        catalog = await open_catalog(settings)
        try:
            (entry,) = await catalog.get([CLUSTER])
        finally:
            await catalog.close()
        return entry

    entry = asyncio.run(read())
    if entry is not None:
        raise CommandError(
            "the catalog belongs to another cluster",
            found=decode_settings(entry.value).cluster_id,
            catalog=settings.url,
            advice="use that cluster's data directory, or give this one a catalog of its own",
            exit_code=ExitCode.REFUSED,
        )


def fill_catalog(layout: Layout, cluster: ClusterFile, *, command: str, added: Collection[NodeId] = ()) -> int:
    """Make the catalog describe the cluster, by the settings its nodes have; keys that were written.

    What `command` writes is on record in the audit log. `added` are nodes that the cluster did not have yet.

    Raises:
        MeshError: as `initialise_cluster` and `open_catalog`.
    """
    settings = _catalog_settings(layout, cluster)

    async def fill() -> int:
        catalog = await open_catalog(settings)
        try:
            request = {"cluster_id": cluster.cluster_id, "nodes": ", ".join(node.node for node in cluster.nodes)}
            async with recorded(catalog, command, request) as act:
                written = await initialise_cluster(
                    catalog,
                    settings=settings_of(cluster),
                    nodes=nodes_of(cluster),
                    applications=[operator_of(layout)],
                    added=added,
                    begin=act.begin,
                )
                act.facts["keys_written"] = written
            return written
        finally:
            await catalog.close()

    return asyncio.run(fill())


def read_removed(layout: Layout, cluster: ClusterFile) -> list[NodeId]:
    """The nodes of `cluster.json` that were removed from the cluster. Raises MeshError: the catalog cannot be read."""
    settings = _catalog_settings(layout, cluster)

    async def read() -> list[NodeId]:
        catalog = await open_catalog(settings)
        try:
            return await find_removed(catalog, settings_of(cluster), [entry.node for entry in cluster.nodes])
        finally:
            await catalog.close()

    return asyncio.run(read())


def _catalog_settings(layout: Layout, cluster: ClusterFile) -> CatalogSettings:
    """How the first node whose settings are here reaches the catalog; a removed one's directory may be gone."""
    files = [layout.config_file(entry.node) for entry in cluster.nodes]
    return load_config(next((file for file in files if file.exists()), files[0]), os.environ).catalog


def start_nodes(
    layout: Layout, entries: Sequence[ClusterNode], *, command: NodeCommand = serve_command
) -> list[StartedNode]:
    """Start those of the nodes that do not run. The caller holds the directory's lock.

    Raises:
        CommandError: a port is in use (then nothing was started), or a process cannot be started.
    """
    missing = [entry for entry in entries if find_process(layout, entry.node) is None]
    check_ports_free(missing, wait_ms=ENDING_MS)
    started: list[StartedNode] = []
    try:
        for entry in missing:
            started.append(start_process(layout, entry.node, command))  # noqa: PERF401 - what started must be known
    except BaseException:
        stop_started(layout, started)
        raise
    return started


def stop_started(layout: Layout, started: Sequence[StartedNode]) -> None:
    """Stop what a call that failed has started, and take the children's exit codes."""
    stop_processes(layout, [node.node for node in started])
    for node in started:
        reap(node.pid)


def wait_until_ready(
    layout: Layout, entries: Sequence[ClusterNode], started: Sequence[StartedNode], *, ready_ms: int = READY_MS
) -> None:
    """Wait until every node answers /readyz with 200.

    Raises:
        CommandError: a process ended, or the time is over; with the last lines of its log.
    """
    log_offsets = {node.node: node.log_offset for node in started}
    children = {node.node: node.pid for node in started}
    waiting = list(entries)
    reasons: dict[NodeId, str] = {}
    deadline = time.monotonic() + ready_ms / 1_000
    while waiting:
        for entry in list(waiting):
            reason = probe_ready(entry)
            if reason is None:
                waiting.remove(entry)
                continue
            reasons[entry.node] = reason
            if find_process(layout, entry.node) is None:
                code = reap(children[entry.node], wait_ms=ENDING_MS) if entry.node in children else None
                raise _not_ready(
                    layout,
                    entry.node,
                    "the node stopped while it started",
                    "unknown" if code is None else _describe_exit(code),
                    log_offsets,
                )
        if waiting and time.monotonic() > deadline:
            node = waiting[0].node
            raise _not_ready(layout, node, "the node is not ready in time", reasons[node], log_offsets)
        if waiting:
            time.sleep(_POLL_S)


def probe_ready(entry: ClusterNode) -> str | None:
    """None where the node is ready, or would be if it were not out of service; else what it or the system says."""
    address = urlsplit(entry.http)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        reason = answer.read(_REASON_BYTES_MAX).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on {entry.http}/readyz: {error}"
    else:
        is_up = answer.status == http.HTTPStatus.OK or reason == RESTING
        return None if is_up else f"{answer.status} {reason}"
    finally:
        connection.close()


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, so that clean-up runs."""
    with _handling(signal.default_int_handler):
        yield


@contextmanager
def deferring_signals() -> Iterator[None]:
    """While inside, signals that ask to stop wait: a process must not be started and then not be known."""
    pending: list[int] = []
    with _handling(lambda number, _frame: pending.append(number)):
        yield
    if pending:
        signal.raise_signal(pending[0])


def watch_nodes(started: Sequence[StartedNode], on_line: OnLine) -> None:
    """Return when SIGINT, SIGTERM or SIGHUP comes; until then say which of this call's processes ended, and reap."""
    is_over = threading.Event()

    running = {node.pid: node.node for node in started}
    with _handling(lambda _number, _frame: is_over.set()):
        while not is_over.wait(_WATCH_S):
            for pid, node in list(running.items()):
                code = reap(pid)
                if code is not None:
                    del running[pid]
                    on_line(f"{node} ended ({_describe_exit(code)}); `meshnode start {node}` starts it again")


def _not_ready(layout: Layout, node: NodeId, message: str, reason: str, log_offsets: dict[NodeId, int]) -> CommandError:
    log = layout.log_file(node)
    return CommandError(
        message,
        node=node,
        reason=reason,
        log=str(log),
        log_lines=read_log_tail(log, log_offsets.get(node, 0)),
        advice="the lines above are the end of its log",
        exit_code=ExitCode.SETUP,
    )


def _describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
