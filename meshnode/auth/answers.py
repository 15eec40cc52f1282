"""Believes or refuses a peer's answer: what a caller gets instead of a bare gRPC status.

Rule: an error status counts as the peer's word only with the peer's signature under it (`was_answered`); an OK
without it is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc

from meshnode.auth.registry import KeyRegistry
from meshnode.auth.responses import RESPONSE_METADATA, MessageTrace, verify_response
from meshnode.auth.tokens import AUTHORIZATION, BEARER, SignedRequest, TokenSigner
from meshnode.base.errors import Unauthenticated


class CallFailed(Exception):
    """A call had no good end. The adapter that made the call turns it into an error of `base.errors`."""

    def __init__(
        self, code: grpc.StatusCode, detail: str, trailing: Mapping[str, str | bytes], *, was_answered: bool
    ) -> None:
        super().__init__(f"{code.name}: {detail}")
        self.code = code
        self.detail = detail
        self.trailing = trailing
        """The peer's trailing metadata; not to be believed unless `was_answered`."""
        self.was_answered = was_answered
        """Whether the peer itself said so, proven by signature; else what it did with the request is unknown."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Who speaks and who must answer, for the calls of one channel."""

    audience: str
    signer: TokenSigner
    registry: KeyRegistry
    expected_issuer: str

    def sign(
        self, method: str, first: bytes, metadata: Sequence[tuple[str, str]]
    ) -> tuple[SignedRequest, grpc.aio.Metadata]:
        """The request's token, and all its metadata."""
        request = self.signer.request_token(audience=self.audience, method=method, first_body=first)
        return request, grpc.aio.Metadata(*metadata, (AUTHORIZATION, BEARER + request.token))

    def check(
        self,
        jti: str,
        code: grpc.StatusCode,
        detail: str,
        trailing: Mapping[str, str | bytes],
        *,
        request: MessageTrace,
        response: MessageTrace,
    ) -> None:
        """Check an answer's token. Raises Unauthenticated."""
        token = trailing.get(RESPONSE_METADATA)
        if not isinstance(token, str):
            raise Unauthenticated("response is not signed")
        verify_response(
            token,
            registry=self.registry,
            expected_issuer=self.expected_issuer,
            audience=self.signer.issuer,
            in_reply_to=jti,
            status=code.name,
            response=response,
            request=request,
            detail=detail,
            trailing=trailing,
        )

    def check_ok(
        self,
        jti: str,
        detail: str,
        trailing: Mapping[str, str | bytes],
        *,
        request: MessageTrace,
        response: MessageTrace,
    ) -> None:
        """Check the token of an answer whose status is OK. Raises CallFailed."""
        try:
            self.check(jti, grpc.StatusCode.OK, detail, trailing, request=request, response=response)
        except Unauthenticated as error:
            raise CallFailed(grpc.StatusCode.UNAUTHENTICATED, str(error), trailing, was_answered=False) from error


def fail_call(
    trust: Trust, jti: str, error: grpc.aio.AioRpcError, *, request: MessageTrace, response: MessageTrace
) -> CallFailed:
    """What an error status means to the caller."""
    detail = error.details() or ""
    trailing = trailing_of(error.trailing_metadata())
    try:
        trust.check(jti, error.code(), detail, trailing, request=request, response=response)
    except Unauthenticated:
        return CallFailed(error.code(), detail, trailing, was_answered=False)
    return CallFailed(error.code(), detail, trailing, was_answered=True)


def trailing_of(metadata: grpc.aio.Metadata | None) -> dict[str, str | bytes]:
    """Metadata as a plain mapping; of a repeated key the first value."""
    values: dict[str, str | bytes] = {}
    for key, value in metadata or ():
        values.setdefault(key, value)
    return values


def closed_meanwhile() -> CallFailed:
    """What a call ends with whose stream or channel another task closed."""
    return CallFailed(grpc.StatusCode.CANCELLED, "closed while the call was running", {}, was_answered=False)


def is_cancelled_from_outside() -> bool:
    """Whether a CancelledError is this task's own: gRPC raises one too where only the call was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
