"""`MeshClient`: every service of a cluster, typed, for applications.

    async with MeshClient(read_cluster_file(path), key=load_private_key(file), application="ci") as mesh:
        answer = await mesh.ref.list_refs(ref_pb2.ListRefsRequest(repository="team/app"))
        async for event in mesh.watch(Follow(prefix="team/")):
            ...

Requests are signed, answers verified; any node is asked, and again where that is safe (`client/caller.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import grpc

from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import application_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.client import services
from meshnode.client.caller import Caller
from meshnode.client.nodes import NodeAddress, Nodes
from meshnode.client.positions import Positions, ReadLevel
from meshnode.client.watch import Follow, Following
from meshnode.engine.system import SystemClock


class MeshClient(AbstractAsyncContextManager["MeshClient"]):
    """A cluster, called by an application."""

    def __init__(
        self,
        nodes: Sequence[NodeAddress],
        *,
        key: PrivateKey,
        application: str,
        reads: ReadLevel = ReadLevel.VERIFIED,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Prepare calls to `nodes` as `application`, whose public key the cluster knows; nothing is sent yet.

        `credentials` are for `https://` nodes (`meshnode.auth.tls.channel_credentials`). Must be made inside a loop.
        """
        signer = TokenSigner(application_issuer(application), key, SystemClock())
        self._nodes = Nodes(nodes, signer, credentials)
        self._positions = Positions(reads)
        caller = Caller(self._nodes, self._positions)
        self.repository = services.RepositoryService(caller)
        self.commit = services.CommitService(caller)
        self.ref = services.RefService(caller)
        self.tree = services.TreeService(caller)
        self.diff = services.DiffService(caller)
        self.event = services.EventService(caller)
        self.cluster = services.ClusterService(caller)
        self.maintenance = services.MaintenanceService(caller)

    def last_seen(self, repository: str) -> int:
        """The last generation that an answer to this client showed of a repository; 0 for none."""
        return self._positions.of(repository)

    def watch(self, follow: Follow) -> Following:
        """Follow changes for as long as it is iterated over, through restarts of nodes."""
        return Following(self.event, follow)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._nodes.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
