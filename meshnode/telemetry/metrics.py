"""Counts what a node does, for Prometheus: one `Metrics` per node with a registry of its own.

Rule: labels have few values that the code chooses (method, status, phase, outcome); never a name, an id or an
address, which would make a series for each. The one exception is `peer`: nodes are few, and one that goes is forgotten.
Names follow Prometheus: base units, `_total`, `_seconds`, `_bytes`.
Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from meshnode.telemetry.logs import lines_lost

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

REQUEST_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    120.0,
    600.0,
)
"""Seconds: from a signed unary call (about 1 ms) to a large clone."""

CATALOG_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds: a quiet read takes half a millisecond, a leader change up to two seconds."""

REPAIR_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1_800.0, 7_200.0)

METHODS_MAX: Final = 200
"""Different methods counted by name; the rest is "other", because a caller can make names up."""


class Metrics:
    """All metrics of one node. Not for use across processes."""

    def __init__(self, *, node: str, version: str, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is a monotonic clock in seconds."""
        self.registry = CollectorRegistry()
        self._now_s = now_s
        self._methods: set[str] = set()
        registry = self.registry
        Gauge(
            "meshnode_info", "Constant 1, with the node's id and version.", ["node", "version"], registry=registry
        ).labels(node, version).set(1)
        self._requests = Counter(
            "meshnode_requests", "Requests answered.", ["server", "method", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "meshnode_request_duration_seconds",
            "Time from a request's arrival to the end of its answer.",
            ["server", "method"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge("meshnode_requests_in_flight", "Requests being served.", ["server"], registry=registry)
        self._bytes = Counter(
            "meshnode_transport_bytes", "Bytes of bodies and messages.", ["server", "direction"], registry=registry
        )
        self._rounds = Counter(
            "meshnode_rounds",
            "Write rounds coordinated here, by how they ended.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._round_seconds = Histogram(
            "meshnode_round_duration_seconds",
            "Time of a round's steps at the coordinator.",
            ["step"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._votes = Counter("meshnode_votes", "Votes given by this node.", ["vote"], registry=registry)
        self._repairs = Counter("meshnode_repairs", "Repairs ended, by outcome.", ["outcome"], registry=registry)
        self._scrubs = Counter(
            "meshnode_scrubs",
            "Replicas scrubbed: every deep look, and quick ones that met damage.",
            ["verdict"],
            registry=registry,
        )
        self._clones = Counter(
            "meshnode_clones",
            "Fetches of clients that had nothing; the answer was made, shared with others, or made for one alone.",
            ["answer"],
            registry=registry,
        )
        self._reads_at_read_replicas = Counter(
            "meshnode_read_replica_reads",
            "Reads that came to a read replica of this node: answered, or turned down because it was behind.",
            ["outcome"],
            registry=registry,
        )
        self._joins = Counter(
            "meshnode_joins", "Machines that asked to join, by what became of it.", ["outcome"], registry=registry
        )
        self._repair_seconds = Histogram(
            "meshnode_repair_phase_duration_seconds",
            "Time of a repair's phases.",
            ["phase"],
            buckets=REPAIR_BUCKETS,
            registry=registry,
        )
        self._repairs_running = Gauge(
            "meshnode_repairs_in_progress", "Repairs running, by phase.", ["phase"], registry=registry
        )
        self._packs = Gauge("meshnode_packs_in_flight", "Packs being received or sent.", ["service"], registry=registry)
        self._queue = Gauge("meshnode_queue_length", "Requests waiting, by queue.", ["queue"], registry=registry)
        self._refused = Counter(
            "meshnode_refused", "Requests refused because a limit was reached.", ["limit"], registry=registry
        )
        self._catalog_seconds = Histogram(
            "meshnode_catalog_duration_seconds",
            "Time of catalog requests.",
            ["operation", "outcome"],
            buckets=CATALOG_BUCKETS,
            registry=registry,
        )
        self._replicas = Gauge("meshnode_replicas", "Replicas on this node, by state.", ["state"], registry=registry)
        self._settings_version = Gauge(
            "meshnode_settings_version",
            "Version of the cluster's settings that this node runs with.",
            registry=registry,
        )
        self._round_trips = Gauge(
            "meshnode_peer_round_trip_seconds",
            "Signed call to a peer and back, best of two minutes.",
            ["peer"],
            registry=registry,
        )
        self._unreachable = Gauge(
            "meshnode_peer_unreachable", "1 while a peer gives no answer.", ["peer"], registry=registry
        )
        Gauge(
            "meshnode_log_lines_lost", "Log lines that could not be written, since the start.", registry=registry
        ).set_function(lines_lost)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def count_request(self, *, server: str, method: str, status: str, duration_s: float) -> None:
        """A request was answered. `server` is "grpc" or "http", `status` a gRPC name or an HTTP code."""
        name = self._method(method)
        self._requests.labels(server, name, status).inc()
        self._request_seconds.labels(server, name).observe(duration_s)

    @contextmanager
    def request_in_flight(self, server: str) -> Iterator[None]:
        """A request is being served inside."""
        gauge = self._in_flight.labels(server)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def count_bytes(self, *, server: str, received: int = 0, sent: int = 0) -> None:
        """Bytes of bodies or messages went in or out."""
        if received:
            self._bytes.labels(server, "received").inc(received)
        if sent:
            self._bytes.labels(server, "sent").inc(sent)

    def count_round(self, *, kind: str, outcome: str) -> None:
        """A round of this coordinator ended: "published", "aborted", "conflict", "unknown"."""
        self._rounds.labels(kind, outcome).inc()

    def time_round(self, step: str, duration_s: float) -> None:
        """A step of a round ("prepare", "publish", "commit") took this long."""
        self._round_seconds.labels(step).observe(duration_s)

    def count_vote(self, vote: str) -> None:
        """This node voted: "granted", "stored" or "refused"."""
        self._votes.labels(vote).inc()

    def count_repair(self, outcome: str) -> None:
        """A repair on this node ended: "done", "failed", "set aside"."""
        self._repairs.labels(outcome).inc()

    def count_join(self, outcome: str) -> None:
        """A machine asked to join: "joined", "repeated", or why it was refused."""
        self._joins.labels(outcome).inc()

    def count_read_at_read_replica(self, outcome: str) -> None:
        """A read came to a read replica of this node: "answered" or "behind"."""
        self._reads_at_read_replicas.labels(outcome).inc()

    def count_clone(self, answer: str) -> None:
        """Somebody who had nothing fetched: the answer was "made", "shared" or made for him "alone"."""
        self._clones.labels(answer).inc()

    def count_scrub(self, verdict: str) -> None:
        """A replica was scrubbed: "sound", "unfinished" or "damaged"."""
        self._scrubs.labels(verdict).inc()

    @contextmanager
    def repair_phase(self, phase: str) -> Iterator[None]:
        """A repair is in `phase` inside; its time is counted whichever way it ends."""
        gauge = self._repairs_running.labels(phase)
        gauge.inc()
        started_s = self._now_s()
        try:
            yield
        finally:
            gauge.dec()
            self._repair_seconds.labels(phase).observe(self._now_s() - started_s)

    @contextmanager
    def pack_in_flight(self, service: str) -> Iterator[None]:
        """An "upload-pack" or "receive-pack" is running inside."""
        gauge = self._packs.labels(service)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def set_queue_length(self, queue: str, length: int) -> None:
        """This many are waiting in `queue` now."""
        self._queue.labels(queue).set(length)

    def count_refused(self, limit: str) -> None:
        """A request was refused because `limit` was reached."""
        self._refused.labels(limit).inc()

    @contextmanager
    def catalog_request(self, operation: str) -> Iterator[None]:
        """A catalog request runs inside; its time is counted as "ok", or "error" where something is raised."""
        started_s = self._now_s()
        outcome = "error"
        try:
            yield
            outcome = "ok"
        finally:
            self._catalog_seconds.labels(operation, outcome).observe(self._now_s() - started_s)

    def set_replicas(self, *, consistent: int, inconsistent: int) -> None:
        """So many replicas of this node are in each state now."""
        self._replicas.labels("consistent").set(consistent)
        self._replicas.labels("inconsistent").set(inconsistent)

    def set_settings_version(self, version: int) -> None:
        """This node runs with this version of the cluster's settings now."""
        self._settings_version.set(version)

    def set_round_trip(self, peer: str, seconds: float | None) -> None:
        """The way to a peer, None while it cannot be reached."""
        self._unreachable.labels(peer).set(seconds is None)
        if seconds is not None:
            self._round_trips.labels(peer).set(seconds)
        else:
            self._forget(self._round_trips, peer)

    def forget_round_trip(self, peer: str) -> None:
        """The peer is no longer there."""
        self._forget(self._round_trips, peer)
        self._forget(self._unreachable, peer)

    def render(self) -> bytes:
        """Everything in Prometheus's text format; serve it as `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    @staticmethod
    def _forget(gauge: Gauge, peer: str) -> None:
        with suppress(KeyError):
            gauge.remove(peer)

    def _method(self, method: str) -> str:
        if method in self._methods:
            return method
        if len(self._methods) >= METHODS_MAX:
            return "other"
        self._methods.add(method)
        return method
