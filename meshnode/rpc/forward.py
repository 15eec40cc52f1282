"""Takes a unary call to the node that can answer it: here, or one hop away, or the next best one.

    ACCESSOR  read candidates in order; a node that is behind, busy or gone makes way for the next. Where this node
              answered for the repository before, it tries without asking who else could
    MUTATOR   write candidates in order; the next one only where the last surely wrote nothing, or a repetition
              would be recognised

Rules: one pass over the candidates within the caller's deadline; a call that was forwarded is never forwarded
again, so a loop is impossible; once a candidate may have written, no later refusal may promise the opposite.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    DeadlineExceeded,
    Draining,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    QuorumLost,
    ReadOnly,
    ReplicaBehind,
)
from meshnode.base.ids import NodeId, RepositoryName, parse_repository_name
from meshnode.ports import Clock, Consistency, ConsistencyLevel, Entropy, Membership, Router
from meshnode.rpc.call import Answer, Call, forwarding_metadata
from meshnode.rpc.method import Kind
from meshnode.telemetry.logs import bind
from meshnode.wire.reads import consistency_of, request_key_of
from meshnode.wire.status import promises_nothing_written

ELSEWHERE_READ: Final = (ReplicaBehind, PeerUnavailable, Draining, Overloaded, Corrupt, CatalogUnavailable)
"""Errors after which another replica may well answer a read."""
ELSEWHERE_WRITE: Final = (ReplicaBehind, PeerUnavailable, Draining, QuorumLost, CatalogUnavailable)
"""Errors after which another coordinator may well manage. Not Overloaded: pushes to one repository queue in one
place on purpose, and going round that queue only makes rounds collide."""

Local = Callable[[Any, Call], Awaitable[Answer]]


class UnaryForwarding(Protocol):
    """What hands a call to another node: `peer.grpc.GrpcPeers`."""

    async def forward_unary(
        self, node: NodeId, method: str, body: bytes, metadata: Sequence[tuple[str, str]], *, timeout_ms: int
    ) -> bytes:
        """The node's answer. Raises what the node raised, or PeerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """How to find the repository in a method's request."""

    name_field: str


class Forwarder:
    """Routes unary calls of one node."""

    def __init__(
        self,
        *,
        own: NodeId,
        router: Router,
        membership: Membership,
        remote: UnaryForwarding,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._own = own
        self._router = router
        self._membership = membership
        self._remote = remote
        self._clock = clock
        self._entropy = entropy

    async def run(self, route: Route, request: Any, call: Call, local: Local) -> Answer:
        """Answer `request` here by `local`, or have another node answer it.

        Raises:
            MeshError: what the last candidate said, or OutcomeUnknown where an earlier one may have written.
        """
        name = parse_repository_name(getattr(request, route.name_field))
        call.facts["repository"] = name
        bind(repository=name)
        if call.is_forwarded:
            return await local(request, call)
        if call.method.kind is Kind.MUTATOR:
            return await self._write(name, request, call, local)
        consistency = consistency_of(request.consistency)
        if is_read_here_first(self._router, name, consistency):
            try:
                return await local(request, call)
            except MeshError as error:
                self._router.note_refusal(name, self._own, error)
                if not is_worth_elsewhere(error, ELSEWHERE_READ):
                    raise
        candidates = await self._router.read_candidates(name, consistency)
        if not candidates:
            raise ReplicaBehind("no replica can answer at this consistency level just now", repository=name)
        return await self._pass_over(name, candidates, request, call, local)

    async def _write(self, name: RepositoryName, request: Any, call: Call, local: Local) -> Answer:
        if not request_key_of(request.request_key):
            # A fresh key makes a repetition on another coordinator safe: every voter journals the key with the
            # round, and a coordinator reads the record and its own history before it writes. Either the lost write
            # is published by then, and the key is found there; or it is not, and then both want the same
            # generation, for which the compare-and-set of the record lets only one through.
            request.request_key = self._entropy.new_id()
            call.body = request.SerializeToString()
        call.facts["request_key"] = request.request_key
        candidates = await self._router.write_candidates(name)
        if not candidates:
            raise ReadOnly("no node can coordinate a write just now", repository=name)
        return await self._pass_over(name, candidates, request, call, local)

    async def _pass_over(
        self, name: RepositoryName, candidates: Sequence[NodeId], request: Any, call: Call, local: Local
    ) -> Answer:
        elsewhere = ELSEWHERE_WRITE if call.method.kind is Kind.MUTATOR else ELSEWHERE_READ
        may_have_written = False
        for position, node in enumerate(candidates):
            left = len(candidates) - position
            try:
                if node == self._own:
                    call.facts.pop("forwarded_to", None)
                    return await local(request, call)
                return await self._forward(node, call, left)
            except MeshError as error:
                self._router.note_refusal(name, node, error)
                if isinstance(error, PeerUnavailable) and node != self._own:
                    self._membership.suspect(node)
                is_over = left == 1 or not is_worth_elsewhere(error, elsewhere)
                if call.method.kind is Kind.MUTATOR:
                    if is_over and may_have_written and not isinstance(error, OutcomeUnknown):
                        raise OutcomeUnknown(
                            "an earlier attempt may have taken effect; repeat with the same request key to find out",
                            request_key=request.request_key,
                            last=error.message,
                        ) from error
                    may_have_written |= not promises_nothing_written(error)
                if is_over:
                    raise
        raise AssertionError("a pass over candidates returns or raises")

    async def _forward(self, node: NodeId, call: Call, left: int) -> bytes:
        """Ask `node`, leaving the candidates after it their share of the time."""
        time_ms = (call.deadline_ms - self._clock.monotonic_ms()) // left
        if time_ms <= 0:
            raise DeadlineExceeded("no time left to ask another node", node=node)
        call.facts["forwarded_to"] = node
        return await self._remote.forward_unary(
            node, call.method.path, call.body, forwarding_metadata(call), timeout_ms=time_ms
        )


def is_read_here_first(router: Router, name: RepositoryName, consistency: Consistency) -> bool:
    """Whether a read is tried here before candidates are looked for: the read itself looks at the record, and one
    look at the catalog does instead of two. Other levels do not look, and might take one repository for another.
    """
    return consistency.level is ConsistencyLevel.VERIFIED and router.is_own_likely(name)


def is_worth_elsewhere(error: MeshError, elsewhere: tuple[type[MeshError], ...]) -> bool:
    """Whether another candidate may do better.

    An unknown outcome that names its round is an answer the caller can follow up; one that does not comes from a
    node that ran out of time, and another one can find out.
    """
    if isinstance(error, OutcomeUnknown):
        return not error.fields.keys() & {"round", "round_id"}
    return isinstance(error, elsewhere)
