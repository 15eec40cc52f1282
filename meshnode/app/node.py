"""A running node: its parts and its two servers, and the order in which they start and stop.

    start:  parts -> HTTP listens -> engine.recover() -> gRPC listens -> engine.serve()
    drain:  HTTP finishes what is in flight -> engine.drain() -> gRPC finishes what is in flight
    close:  both servers -> engine.close() -> git processes, peers

HTTP listens from the beginning, so that `/healthz` answers and `/readyz` says what is missing while replicas are
checked; git requests are refused until then.
"""

from __future__ import annotations

import asyncio
from typing import Final

from meshnode.app.parts import NodeParts
from meshnode.app.servicers import make_servicers
from meshnode.auth.identity import Identity
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tls import server_credentials
from meshnode.auth.tokens import RequestVerifier, replay_window_ms
from meshnode.auth.users import UserVerifier
from meshnode.config.live import LiveSettings
from meshnode.engine.round_trips import RoundTrips
from meshnode.engine.system import SystemEntropy
from meshnode.http.server import HttpServer
from meshnode.ports import Catalog
from meshnode.rpc.acts import Acts
from meshnode.rpc.admission import Admission
from meshnode.rpc.key_search import KeySearch
from meshnode.rpc.observer import Observer
from meshnode.rpc.pipeline import Pipeline
from meshnode.rpc.server import RpcServer

REPLAY_ENTRIES_MAX: Final = 1_000_000
"""At 1,700 signed calls a second (measured) the window holds about 500,000."""


class RunningNode:
    """A node's engine and servers."""

    def __init__(self, settings: LiveSettings, identity: Identity, catalog: Catalog) -> None:
        self._parts = NodeParts(settings, identity, catalog)
        self._rpc: RpcServer | None = None
        self._http: HttpServer | None = None

    async def start(self, stopping: asyncio.Event) -> None:
        """Check the replicas, listen, announce. Returns early where a stop is wanted meanwhile."""
        parts, engine = self._parts, self._parts.engine
        audiences = frozenset({parts.identity.node, parts.identity.cluster_id})
        users = UserVerifier(parts.registry, audiences, parts.clock)
        self._http = HttpServer(
            engine.transport,
            engine.activity,
            parts.metrics,
            users,
            parts.config,
            parts.identity.node,
            admission=parts.packs,
            access=parts.access,
        )
        engine.activity.count_with(lambda: self._http.requests_in_flight if self._http else 0)
        engine.activity.wait_for(lambda: self._http.git_requests_in_flight if self._http else 0)
        await self._http.start()
        recovery = engine.supervisor.spawn("recovery", engine.recover())
        waiting = engine.supervisor.spawn("recovery-stop", stopping.wait())
        await asyncio.wait({recovery, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not recovery.done():
            recovery.cancel()
            return
        recovery.result()
        self._rpc = self._make_rpc(audiences)
        await self._rpc.start()
        await engine.serve()
        self._make_round_trips().start()
        parts.rotation.start()

    async def drain(self) -> None:
        """Finish what is in flight, take nothing new."""
        grace_ms = self._parts.config.limits.drain_ms
        self._parts.engine.activity.note_stopping()
        if self._http is not None:
            await self._http.stop(grace_ms)
        await self._parts.engine.drain()
        if self._rpc is not None:
            await self._rpc.stop(grace_ms)

    async def close(self) -> None:
        """Let go of everything; also after a start that failed."""
        if self._http is not None:
            await self._http.stop(0)
        if self._rpc is not None:
            await self._rpc.stop(0)
        await self._parts.close()

    def _make_rpc(self, audiences: frozenset[str]) -> RpcServer:
        parts, config, engine, own = self._parts, self._parts.config, self._parts.engine, self._parts.identity.node
        admission = Admission(engine.activity)
        engine.activity.count_with(lambda: admission.running)
        engine.activity.wait_for(lambda: admission.working)
        replay = ReplayCache(replay_window_ms(config.auth.skew_ms), REPLAY_ENTRIES_MAX)
        pipeline = Pipeline(
            own=own,
            verifier=RequestVerifier(parts.registry, audiences, parts.clock, replay, config.auth),
            keys=KeySearch(engine.membership.refresh_keys, parts.clock),
            signer=parts.responses,
            admission=admission,
            clock=parts.clock,
            entropy=SystemEntropy(),
            observer=Observer(own, parts.access),
            acts=Acts(own=own, audit=engine.audit, clock=parts.clock, entropy=SystemEntropy()),
            limits=config.limits,
            is_open_introspection=config.auth.is_open_introspection,
        )
        return RpcServer(
            servicers=make_servicers(parts),
            pipeline=pipeline,
            activity=engine.activity,
            clock=parts.clock,
            address=config.listen.grpc,
            credentials=server_credentials(config.tls),
        )

    def _make_round_trips(self) -> RoundTrips:
        parts, engine = self._parts, self._parts.engine
        return RoundTrips(
            own=parts.identity.node,
            membership=engine.membership,
            catalog=engine.world.catalog,
            ping=parts.peers.ping,
            clock=parts.clock,
            entropy=SystemEntropy(),
            supervisor=engine.supervisor,
            settings=parts.config.replication,
            metrics=parts.metrics,
        )
