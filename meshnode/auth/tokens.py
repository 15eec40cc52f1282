"""Signs requests and checks them: who calls which method of whom, with which first message, and only once.

    authorization: Bearer <RS256 JWT, header with kid>
      iss   caller: node:<id> or app:<name>         aud   node id or cluster id
      sub   full method, /mesh.v1.RefService/ListRefs
      body  SHA-256 of the only or first request message, base64url
      iat exp (30 s at most)                        jti   22 characters, never the same twice

Rule: nodes name method and body always; applications may leave them out where the settings say so (grpcurl). A
token of a mutating call is good once. The answer's token is in `auth/responses.py`.
Source: design in docs/adr/0004-signed-both-ways.md; RFC 7519, RFC 8725.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final, Protocol

from meshnode.auth.jwt import JwtEncoder, Unverified, digest, parse_token, printable
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import Caller, CallerKind, KeyRegistry, KnownKey
from meshnode.auth.replay import ReplayCache
from meshnode.auth.responses import (
    RESPONSE_METADATA,
    MessageTrace,
    ResponseClaims,
    ResponseSigner,
    verify_response,
)
from meshnode.base.errors import InvalidRequest, Unauthenticated
from meshnode.ports import Clock

__all__ = [
    "AUTHORIZATION",
    "BEARER",
    "LIFETIME_MS",
    "RESPONSE_METADATA",
    "MessageTrace",
    "RequestVerifier",
    "ResponseClaims",
    "ResponseSigner",
    "SignedRequest",
    "TokenPolicy",
    "TokenSigner",
    "UnknownKey",
    "VerifiedRequest",
    "replay_window_ms",
    "verify_response",
]

AUTHORIZATION: Final = "authorization"
BEARER: Final = "Bearer "

LIFETIME_MS: Final = 30_000
"""Life of a request token, and the longest accepted: a stolen one is soon worthless."""

JTI_CHARACTERS_MAX: Final = 128


class TokenPolicy(Protocol):
    """What the verifier needs of `config.AuthSettings`."""

    @property
    def is_body_digest_required(self) -> bool:
        """Whether applications must name method and body."""
        ...

    @property
    def skew_ms(self) -> int:
        """Clock difference allowed."""
        ...


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What goes with one request: the token (without "Bearer ") and the id that the answer must name."""

    token: str
    jti: str


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """A request whose token is believed."""

    caller: Caller
    jti: str
    body_digest: str | None
    """What the token says of the first message; None where an application left it out."""
    key_id: str
    """Of the caller's key that signed it."""

    def check_body(self, body: bytes) -> None:
        """Check the only or first message of a request whose token was verified before it came.

        Raises:
            Unauthenticated: it is not the message that was signed.
        """
        if self.body_digest is not None and digest(body) != self.body_digest:
            raise Unauthenticated("request body is not the one that was signed", caller=self.caller.issuer)


class UnknownKey(Unauthenticated):
    """A token names a key that is not in the registry: nobody's, or one that was listed a moment ago."""


def replay_window_ms(skew_ms: int) -> int:
    """How long a `ReplayCache` must remember: from first possible use to last possible acceptance."""
    return LIFETIME_MS + 2 * skew_ms


class TokenSigner:
    """Signs this caller's requests."""

    def __init__(self, issuer: str, key: PrivateKey, clock: Clock) -> None:
        self.issuer = issuer
        self._encoder = JwtEncoder(key)
        self._clock = clock

    def use_key(self, key: PrivateKey) -> None:
        """Sign with another key from now on."""
        self._encoder = JwtEncoder(key)

    def request_token(self, *, audience: str, method: str, first_body: bytes | None) -> SignedRequest:
        """Sign a request; takes about 250 microseconds.

        `method` is the full method with its leading "/", "" to leave it out; `first_body` None leaves the
        digest out. Only applications may leave something out.
        """
        now_ms = self._clock.wall_ms()
        jti = urlsafe_b64encode(token_bytes(16))[:22].decode("ascii")
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now_ms / 1000,
            "exp": (now_ms + LIFETIME_MS) / 1000,
            "jti": jti,
        }
        if method:
            claims["sub"] = method
        if first_body is not None:
            claims["body"] = digest(first_body)
        return SignedRequest(self._encoder.encode(claims), jti)


class RequestVerifier:
    """Checks requests to this node. Its life is the process's: the replay cache starts empty with it."""

    def __init__(
        self,
        registry: KeyRegistry,
        audiences: frozenset[str],
        clock: Clock,
        replay: ReplayCache,
        settings: TokenPolicy,
    ) -> None:
        """Believe tokens for one of `audiences` (node id and cluster id) by keys in `registry`.

        Raises:
            InvalidRequest: `replay` forgets a token before its acceptance ends (see `replay_window_ms`).
        """
        if replay.window_ms < replay_window_ms(settings.skew_ms):
            raise InvalidRequest(
                "replay cache forgets too early",
                window_ms=replay.window_ms,
                window_ms_min=replay_window_ms(settings.skew_ms),
            )
        self._registry = registry
        self._audiences = audiences
        self._clock = clock
        self._replay = replay
        self._settings = settings
        self._started_ms = clock.wall_ms()

    def verify(
        self, authorization: str, *, method: str, body: bytes | None, is_replay_refused: bool
    ) -> VerifiedRequest:
        """Check the `authorization` value of a call to `method`; takes about 30 microseconds.

        `body` is the only or first message; None where it has not come yet: then call `check_body` when it does.
        With `is_replay_refused` (every kind but ACCESSOR) the token is used up.

        Raises:
            Unauthenticated: no bearer token, malformed, unknown key, bad signature, expired, not yet valid, of
                another audience, method or body, without them where they are needed, or used before.
            Overloaded: too many mutating calls to remember.
        """
        if not authorization.startswith(BEARER):
            raise Unauthenticated("request has no bearer token" if not authorization else "token is not a bearer token")
        token = parse_token(authorization.removeprefix(BEARER))
        known = find_key(self._registry, token, self._clock.wall_ms())
        token.verify(known.key)
        self._check_times(token)
        audience = token.text("aud")
        if audience not in self._audiences:
            raise Unauthenticated("token is for another audience", audience=printable(audience))
        verified = VerifiedRequest(known.caller, self._jti(token), token.optional_text("body"), known.key.key_id)
        self._check_subject(token, verified, method)
        if body is not None:
            verified.check_body(body)
        if is_replay_refused:
            self._use_up(token, verified)
        return verified

    def _check_times(self, token: Unverified) -> None:
        now_ms = self._clock.wall_ms()
        skew_ms = self._settings.skew_ms
        issued_ms, expires_ms = token.time_ms("iat"), token.time_ms("exp")
        check_window(issued_ms, expires_ms, now_ms, skew_ms)
        if expires_ms - issued_ms > LIFETIME_MS:
            raise Unauthenticated(
                "token lives too long", lifetime_ms=expires_ms - issued_ms, lifetime_ms_max=LIFETIME_MS
            )

    def _jti(self, token: Unverified) -> str:
        jti = token.text("jti")
        if not 1 <= len(jti) <= JTI_CHARACTERS_MAX or not jti.isascii():
            raise Unauthenticated("token id must be 1 to 128 ascii characters")
        return jti

    def _check_subject(self, token: Unverified, verified: VerifiedRequest, method: str) -> None:
        if token.claims.get("typ") is not None:
            raise Unauthenticated("token is not a request token", type=printable(token.claims["typ"]))
        subject = token.optional_text("sub")
        is_complete_required = verified.caller.kind is CallerKind.NODE or self._settings.is_body_digest_required
        if subject is None and is_complete_required:
            raise Unauthenticated("token does not name the method", caller=verified.caller.issuer)
        if verified.body_digest is None and is_complete_required:
            raise Unauthenticated("token has no digest of the body", caller=verified.caller.issuer)
        if subject is not None and subject != method:
            raise Unauthenticated("token is for another method", subject=printable(subject), method=method)

    def _use_up(self, token: Unverified, verified: VerifiedRequest) -> None:
        # The second below the start: other libraries cut `iat` to whole seconds.
        if token.time_ms("iat") < self._started_ms - 1000:
            raise Unauthenticated("token is older than this process and might have been used; sign a new one")
        self._replay.remember(verified.caller.issuer, verified.jti, self._clock.monotonic_ms())


def find_key(registry: KeyRegistry, token: Unverified, now_ms: int) -> KnownKey:
    """The believed key that a token claims to be signed with. Raises UnknownKey, Unauthenticated: its time is over."""
    issuer = token.text("iss")
    known = registry.find(issuer, token.key_id)
    if known is None:
        raise UnknownKey("key is not known", issuer=printable(issuer), key_id=printable(token.key_id))
    if known.is_over(now_ms):
        raise Unauthenticated(
            "key is not believed any more; sign with the one that took its place",
            issuer=printable(issuer),
            key_id=known.key.key_id,
            dropped_ms=now_ms - known.until_ms,
        )
    return known


def check_window(issued_ms: int, expires_ms: int, now_ms: int, skew_ms: int) -> None:
    """Check that now is between issue and expiry, give or take the skew. Raises Unauthenticated."""
    if expires_ms <= issued_ms:
        raise Unauthenticated("token expires before it is issued")
    if issued_ms > now_ms + skew_ms:
        raise Unauthenticated("token is not valid yet; compare the clocks", ahead_ms=issued_ms - now_ms)
    if expires_ms <= now_ms - skew_ms:
        raise Unauthenticated("token is expired", expired_ms=now_ms - expires_ms)
