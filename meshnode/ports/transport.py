"""Git's own protocol served from the right replica, and how new an answer must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import Generation, NodeId, RepositoryName


class ConsistencyLevel(Enum):
    """How new a read's answer must be."""

    VERIFIED = "verified"
    AT_LEAST = "at_least"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Consistency:
    """A read's demand: VERIFIED, AT_LEAST a generation, or ANY."""

    level: ConsistencyLevel = ConsistencyLevel.VERIFIED
    generation: Generation = Generation(0)


class GitService(Enum):
    """The two services of the git protocol, by the names git gives them."""

    UPLOAD_PACK = "git-upload-pack"
    RECEIVE_PACK = "git-receive-pack"


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportRequest:
    """One smart-HTTP request or one TransportService call."""

    name: RepositoryName
    actor: str
    """Authenticated end user or application; "anonymous" where the policy lets them in."""
    version: int = 0
    consistency: Consistency = Consistency()
    is_forwarded: bool = False
    """Came from another node: answer here or refuse, never hand on again."""
    may_create: bool = False
    """A push to a name that does not exist creates it (a setting of the node that met the client)."""


@dataclass(frozen=True, kw_only=True)
class TransportReply:
    """An answer in bytes. Iterate `body` to its end, or aclose() it: then everything behind it stops."""

    generation: Generation
    body: AsyncIterator[bytes]
    node: NodeId
    """Which node's replica answered."""


class Transport(Protocol):
    """Git's own protocol, served from the right replica wherever the request came in."""

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        """The advertisement that starts a fetch or a push (without the HTTP service header)."""
        ...

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One stateless upload-pack request."""
        ...

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One push. `generation` is the one known when the answer starts; the report is in the body."""
        ...


class RemoteTransport(Protocol):
    """`Transport` of another node. A reply is returned only after the node's first message (the position) came.

    Raises, besides what that node raises, PeerUnavailable where it does not answer, and OutcomeUnknown where it does
    not say what became of a push that it had. Any of these errors has the field `is_untouched` True where no byte of
    `body` was consumed: the same request may go to the next node.
    """

    async def info_refs(self, node: NodeId, request: TransportRequest, service: GitService) -> TransportReply:
        """`Transport.info_refs` of `node`."""
        ...

    async def upload_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """`Transport.upload_pack` of `node`."""
        ...

    async def receive_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """`Transport.receive_pack` of `node`."""
        ...
