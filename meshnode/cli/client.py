"""Calls the cluster for a command: node after node until one gives an answer that is signed and final.

    n1 unreachable -> n2 draining -> n3 answers           every answer under the node's pinned key

Rule: another node is asked only where that is safe. Reads always are; writes are because each carries a request
key, by which a repetition is recognised, or sets a state that may be set twice. Where a write was sent and no
node said what became of it, the command says so and does not call it a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from google.protobuf.message import DecodeError, Message

from meshnode.auth.channel import CallFailed, SignedChannel
from meshnode.auth.keys import PublicKey
from meshnode.auth.pinned import open_pinned_channel
from meshnode.auth.registry import application_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.base.errors import MeshError, OutcomeUnknown, PeerUnavailable
from meshnode.base.ids import NodeId
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_note
from meshnode.cli.target import Endpoint, Target
from meshnode.engine.system import SystemClock
from meshnode.wire.status import error_from_call, is_turned_away, promises_nothing_written

CALL_MS: Final = 30_000
"""One node's time for an answer; a node that hangs is found sooner, by gRPC's keep-alive."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class ClusterClient:
    """Signed calls to the nodes of one target; channels are opened when needed and closed at the end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._clock = SystemClock()
        self._signer = signer_of(target)
        self._channels: dict[Endpoint, SignedChannel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def call(
        self, method: str, request: Message, answer: type[M], *, is_write: bool = False, timeout_ms: int = CALL_MS
    ) -> M:
        """Ask the nodes in turn; the first final answer. `request` of a write must be safe to repeat.

        Raises:
            CommandError: no node gave an answer.
            OutcomeUnknown: a write may have reached a node that then did not answer.
            MeshError: what a node answered.
        """
        failures: list[tuple[NodeId, MeshError]] = []
        for endpoint in self._target.endpoints:
            try:
                return await self.call_node(endpoint, method, request, answer, timeout_ms=timeout_ms)
            except MeshError as error:
                failures.append((endpoint.node, error))
                if not isinstance(error, PeerUnavailable) and not is_turned_away(error):
                    break
        raise _final_error(failures, is_write=is_write)

    async def call_node(
        self, endpoint: Endpoint, method: str, request: Message, answer: type[M], *, timeout_ms: int = CALL_MS
    ) -> M:
        """Ask one node. Raises MeshError: what it answered, or PeerUnavailable."""
        try:
            body = await self._channel(endpoint).unary(method, request.SerializeToString(), timeout_ms=timeout_ms)
            message = answer.FromString(body)
        except CallFailed as failed:
            raise error_from_call(failed, endpoint.node) from failed
        except DecodeError as error:
            raise PeerUnavailable("answer cannot be decoded", node=endpoint.node, method=method) from error
        if self._target.is_verbose:
            ids = " or ".join(PublicKey.parse(pem).key_id for pem in endpoint.public_keys)
            print_note(f"{endpoint.node} ({endpoint.address}) answered {method}: signature verified, key {ids}")
        return message

    def _channel(self, endpoint: Endpoint) -> SignedChannel:
        channel = self._channels.get(endpoint)
        if channel is None:
            channel = self._channels[endpoint] = open_pinned_channel(
                endpoint.address,
                endpoint.node,
                endpoint.public_keys,
                signer=self._signer,
                credentials=endpoint.credentials,
                clock=self._clock,
            )
        return channel


def signer_of(target: Target) -> TokenSigner:
    """Signs requests as the target's application."""
    return TokenSigner(application_issuer(target.application), target.key, SystemClock())


def run_client(target: Target, work: Callable[[ClusterClient], Awaitable[T]]) -> T:
    """Run `work` with a client on a loop of its own."""

    async def run() -> T:
        async with ClusterClient(target) as client:
            return await work(client)

    return asyncio.run(run())


def ask(
    target: Target,
    method: str,
    request: Message,
    answer: type[M],
    *,
    is_write: bool = False,
    timeout_ms: int = CALL_MS,
) -> M:
    """One call, as `ClusterClient.call`."""
    return run_client(
        target, lambda client: client.call(method, request, answer, is_write=is_write, timeout_ms=timeout_ms)
    )


def _final_error(failures: Sequence[tuple[NodeId, MeshError]], *, is_write: bool) -> MeshError:
    """What all failures together mean."""
    last = failures[-1][1]
    if is_write and not all(promises_nothing_written(error) for _, error in failures):
        if isinstance(last, OutcomeUnknown):
            return last
        return OutcomeUnknown("the write was sent and no node said what became of it", detail=_summary(failures))
    answers = [error for _, error in failures if not isinstance(error, PeerUnavailable)]
    if answers:
        return answers[-1]
    if any(error.fields.get("code") == "UNAUTHENTICATED" for _, error in failures):
        return CommandError(
            "no node believes this caller, or none can be believed",
            detail=_summary(failures),
            advice="compare the caller's key and the servers' public keys with the cluster's, and the clocks",
            exit_code=ExitCode.REFUSED,
        )
    return CommandError(
        "no node of the cluster answered",
        detail=_summary(failures),
        advice="start the nodes (`meshnode up` or `meshnode start NODE`), or run `meshnode doctor`",
        exit_code=ExitCode.UNREACHABLE,
    )


def _summary(failures: Sequence[tuple[NodeId, MeshError]]) -> str:
    return "; ".join(f"{node}: {_reason(error)}" for node, error in failures)[:600]


def _reason(error: MeshError) -> str:
    if error.fields.get("is_untouched") is True:
        return "not reachable"
    detail = error.fields.get("detail")
    return f"{error.fields.get('code', error.code)} {detail}" if detail else error.message
