"""Issues and checks the tokens of people: who may read or write which repositories over HTTP.

    RS256 JWT, header with kid
      typ    "user"                       iss    app:<name>, who vouches for the user
      sub    the user                     aud    the cluster's id
      scope  "read" or "read write"       repo   pattern over repository names, "*" crosses "/"
      iat exp (one year at most)

Git sends it as the password of Basic authentication, other clients as Bearer; `http/` takes it out. Rule: only an
application can vouch, never a node, and it grants no more than its own role may do. There is no list of tokens: one
is taken back by rotating the key that signed it, or by letting it expire.
Source: RFC 7519, RFC 8725 (explicit typing, so that no token passes for one of another kind).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from meshnode.auth.jwt import JwtEncoder, parse_token, printable
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import APPLICATION_PREFIX, Caller, CallerKind, KeyRegistry
from meshnode.auth.tokens import check_window, find_key
from meshnode.base.errors import Forbidden, InvalidRequest, Unauthenticated
from meshnode.base.ids import RepositoryName
from meshnode.core.applications import Role
from meshnode.ports import Clock

USER_TYPE: Final = "user"
READ: Final = "read"
WRITE: Final = "write"
SCOPES: Final = frozenset({READ, WRITE})

LIFETIME_S_MAX: Final = 366 * 86_400
PATTERN_CHARACTERS_MAX: Final = 255
USER_CHARACTERS_MAX: Final = 255
SKEW_MS: Final = 120_000
"""Clock difference allowed between issuer and node."""


@dataclass(frozen=True, slots=True)
class User:
    """A person, as an application vouches for them."""

    name: str
    scopes: frozenset[str]
    repository: str
    """Pattern over repository names."""
    issuer: str
    """Who vouches: app:<name>."""

    def allows(self, repository: RepositoryName | str, scope: str) -> bool:
        """Whether the user may "read" or "write" `repository`."""
        return scope in self.scopes and fnmatchcase(repository, self.repository)


class UserVerifier:
    """Checks the tokens that HTTP clients bring."""

    def __init__(self, registry: KeyRegistry, audiences: frozenset[str], clock: Clock) -> None:
        """Believe tokens for one of `audiences` (the cluster's id) by applications in `registry`."""
        self._registry = registry
        self._audiences = audiences
        self._clock = clock

    def verify(self, token: str) -> User:
        """Check a bare token; takes about 30 microseconds.

        Raises:
            Unauthenticated: malformed, unknown key, bad signature, not a user's, expired, of another audience.
            Forbidden: the application that vouches may not grant that scope.
        """
        parsed = parse_token(token)
        known = find_key(self._registry, parsed, self._clock.wall_ms())
        parsed.verify(known.key)
        if parsed.text("typ") != USER_TYPE:
            raise Unauthenticated("token is not a user token")
        audience = parsed.text("aud")
        if audience not in self._audiences:
            raise Unauthenticated("token is for another audience", audience=printable(audience))
        issued_ms, expires_ms = parsed.time_ms("iat"), parsed.time_ms("exp")
        check_window(issued_ms, expires_ms, self._clock.wall_ms(), SKEW_MS)
        if expires_ms - issued_ms > LIFETIME_S_MAX * 1000:
            raise Unauthenticated("token lives too long", lifetime_s_max=LIFETIME_S_MAX)
        try:
            name = check_user(parsed.text("sub"))
            scopes = check_scopes(parsed.text("scope").split(" "))
            pattern = check_pattern(parsed.text("repo"))
        except InvalidRequest as error:
            raise Unauthenticated(error.message, **error.fields) from error
        _check_grant(known.caller, scopes)
        return User(name=name, scopes=scopes, repository=pattern, issuer=known.caller.issuer)


def issue_user_token(
    *,
    application: str,
    key: PrivateKey,
    clock: Clock,
    audience: str,
    user: str,
    scopes: Collection[str],
    repository: str = "*",
    lifetime_s: int = 30 * 86_400,
) -> str:
    """Vouch for a user. `audience` is the cluster's id, `repository` a pattern over repository names.

    Raises:
        InvalidRequest: scopes other than "read" and "read write", or something too long or too short.
    """
    if not 1 <= lifetime_s <= LIFETIME_S_MAX:
        raise InvalidRequest("lifetime is out of range", lifetime_s=lifetime_s, lifetime_s_max=LIFETIME_S_MAX)
    now_s = clock.wall_ms() // 1000
    return JwtEncoder(key).encode(
        {
            "typ": USER_TYPE,
            "iss": APPLICATION_PREFIX + application,
            "sub": check_user(user),
            "aud": audience,
            "scope": " ".join(sorted(check_scopes(scopes))),
            "repo": check_pattern(repository),
            "iat": now_s,
            "exp": now_s + lifetime_s,
        }
    )


def check_user(name: str) -> str:
    """Check a user's name: it goes into logs and histories. Raises InvalidRequest."""
    if not 1 <= len(name) <= USER_CHARACTERS_MAX or not name.isprintable():
        raise InvalidRequest("user must be 1 to 255 printable characters", user=printable(name))
    return name


def check_scopes(scopes: Collection[str]) -> frozenset[str]:
    """Check that scopes are "read", or "read" and "write". Raises InvalidRequest."""
    found = frozenset(scopes)
    if not found <= SCOPES or READ not in found:
        raise InvalidRequest("scope must be 'read' or 'read write'", scope=printable(" ".join(sorted(found))))
    return found


def check_pattern(pattern: str) -> str:
    """Check a pattern over repository names. Raises InvalidRequest."""
    if not 1 <= len(pattern) <= PATTERN_CHARACTERS_MAX or not pattern.isprintable():
        raise InvalidRequest("repository pattern must be 1 to 255 printable characters", pattern=printable(pattern))
    return pattern


def _check_grant(issuer: Caller, scopes: frozenset[str]) -> None:
    if issuer.kind is not CallerKind.APPLICATION:
        raise Forbidden("a node cannot vouch for a user", issuer=issuer.issuer)
    if WRITE in scopes and issuer.role is Role.READER:
        raise Forbidden("application may not grant this scope", issuer=issuer.issuer, scope=WRITE)
