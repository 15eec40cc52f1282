"""Signs answers and checks them: this node answered that request, with these messages and this status.

    mesh-response-token (trailing metadata): RS256 JWT
      typ     "response"                            iss   who answers, node:<id>
      aud     the request's iss                     irt   the request's jti
      status  gRPC status name                      iat
      first last count                              digests of the first and last answer message, their number
      request_last request_count                    the same of the request, as the server saw it
      detail  digest of the status message          trailing  [name, digest of value] of signed metadata

For a unary call first = last = the body. Rule: both ends agree on how many messages went each way and on those at
the ends, so a stream that was cut, spliced or answered halfway cannot pass for a complete one; what lies between
the ends is TLS's to protect (a running hash would cost a quarter of the throughput). An OK answer must have seen
the whole request: a server reads a request stream to its end before it answers OK.
Source: docs/adr/0004-signed-both-ways.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshnode.auth.jwt import JwtEncoder, Unverified, digest, parse_token, printable
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry
from meshnode.base.errors import Unauthenticated
from meshnode.ports import Clock

RESPONSE_METADATA: Final = "mesh-response-token"

RESPONSE_TYPE: Final = "response"


class MessageTrace:
    """The messages of one direction of a call: first, last and how many. Keeps two of them in memory."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.first: bytes | None = None
        self.last: bytes | None = None
        self.count = 0

    @classmethod
    def of(cls, message: bytes) -> MessageTrace:
        """The trace of a single message: a unary call's."""
        trace = cls()
        trace.note(message)
        return trace

    def note(self, message: bytes) -> None:
        """Take the next message."""
        if self.count == 0:
            self.first = message
        self.last = message
        self.count += 1


@dataclass(frozen=True, slots=True)
class ResponseClaims:
    """What a believed response token says."""

    issuer: str
    status: str
    count: int
    request_count: int


class ResponseSigner:
    """Signs this node's answers."""

    def __init__(self, issuer: str, key: PrivateKey, clock: Clock) -> None:
        self.issuer = issuer
        self._encoder = JwtEncoder(key)
        self._clock = clock

    def use_key(self, key: PrivateKey) -> None:
        """Sign with another key from now on."""
        self._encoder = JwtEncoder(key)

    def response_token(
        self,
        *,
        audience: str,
        in_reply_to: str,
        status: str,
        first: bytes | None = None,
        last: bytes | None = None,
        count: int | None = None,
        request_last: bytes | None = None,
        request_count: int | None = None,
        detail: str = "",
        trailing: Sequence[tuple[str, str | bytes]] = (),
    ) -> str:
        """Sign an answer; takes about 250 microseconds.

        `audience` is `Caller.issuer`, `in_reply_to` the request's jti, `status` the gRPC status name. Messages
        are raw bytes, None where there was none; counts default to 1 for a message and 0 for none. `detail` is
        the status message, `trailing` the trailing metadata that the caller shall rely on.
        """
        first_digest = None if first is None else digest(first)
        claims: dict[str, object] = {
            "typ": RESPONSE_TYPE,
            "iss": self.issuer,
            "aud": audience,
            "irt": in_reply_to,
            "iat": self._clock.wall_ms() / 1000,
            "status": status,
            "first": first_digest,
            "last": first_digest if last is first else _digest_or_none(last),
            "count": (first is not None) + 0 if count is None else count,
            "request_last": _digest_or_none(request_last),
            "request_count": (request_last is not None) + 0 if request_count is None else request_count,
        }
        if detail:
            claims["detail"] = digest(detail.encode())
        if trailing:
            claims["trailing"] = [[name, digest(_as_bytes(value))] for name, value in trailing]
        return self._encoder.encode(claims)


def verify_response(
    token: str,
    *,
    registry: KeyRegistry,
    expected_issuer: str,
    audience: str,
    in_reply_to: str,
    status: str,
    response: MessageTrace,
    request: MessageTrace,
    detail: str = "",
    trailing: Mapping[str, str | bytes] | None = None,
) -> ResponseClaims:
    """Check the token of an answer against what was sent and what came; takes about 30 microseconds.

    Time is not checked: `in_reply_to` was made for this call alone. Of an answer that is not OK the request may
    have been seen in part, and the answer messages must agree all the same.

    Raises:
        Unauthenticated: not signed by `expected_issuer`, for another caller, request or status, or messages were
            added, lost or changed on the way.
    """
    parsed = parse_token(token)
    issuer = parsed.text("iss")
    known = registry.find(expected_issuer, parsed.key_id) if issuer == expected_issuer else None
    if known is None:
        raise Unauthenticated(
            "response is not signed by the node that was asked", issuer=printable(issuer), expected=expected_issuer
        )
    parsed.verify(known.key)
    for claim, expected in (
        ("typ", RESPONSE_TYPE),
        ("aud", audience),
        ("irt", in_reply_to),
        ("status", status),
    ):
        if parsed.text(claim) != expected:
            raise Unauthenticated("response was signed for something else", claim=claim, expected=expected)
    count, request_count = parsed.count("count"), parsed.count("request_count")
    is_response_bound = (
        count == response.count
        and parsed.optional_text("first") == _digest_or_none(response.first)
        and parsed.optional_text("last") == _digest_or_none(response.last)
    )
    if not is_response_bound:
        raise Unauthenticated("response messages are not those that were signed", count=response.count, signed=count)
    _check_request(parsed, request, request_count, is_ok=status == "OK")
    _check_words(parsed, detail, trailing or {})
    return ResponseClaims(issuer=issuer, status=status, count=count, request_count=request_count)


def _check_request(parsed: Unverified, request: MessageTrace, seen: int, *, is_ok: bool) -> None:
    if seen > request.count or (is_ok and seen < request.count):
        raise Unauthenticated("peer did not see the request that was sent", seen=seen, sent=request.count)
    if seen == request.count and parsed.optional_text("request_last") != _digest_or_none(request.last):
        raise Unauthenticated("peer saw another request than was sent")


def _check_words(parsed: Unverified, detail: str, trailing: Mapping[str, str | bytes]) -> None:
    signed_detail = parsed.optional_text("detail")
    if signed_detail is not None and signed_detail != digest(detail.encode()):
        raise Unauthenticated("response has another status message than was signed")
    signed: Any = parsed.claims.get("trailing", [])
    if not isinstance(signed, list):
        raise Unauthenticated("token is malformed")
    for pair in signed:
        match pair:
            case [str(name), str(expected)]:
                value = trailing.get(name)
                if value is None or digest(_as_bytes(value)) != expected:
                    raise Unauthenticated("response has other trailing metadata than was signed", name=printable(name))
            case _:
                raise Unauthenticated("token is malformed")


def _digest_or_none(message: bytes | None) -> str | None:
    return None if message is None else digest(message)


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
