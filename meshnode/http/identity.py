"""Decides who a request comes from and whether they may use a repository.

    Authorization: Bearer <token>            -> the token's user
    Authorization: Basic user:<token>        -> the same; git sends this, the user part is for people
    none, and `auth.anonymous_http` suffices -> "anonymous"
    none otherwise                           -> 401, so that git asks for a password
    a user without the right                 -> 403 with the reason

A header that is there must be good: a bad token is refused even where nobody needs one. Tokens never reach a log,
an error or an answer.

Source: RFC 7617 (Basic), RFC 6750 (Bearer).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, Protocol

from meshnode.base.errors import Forbidden, Unauthenticated
from meshnode.base.ids import RepositoryName
from meshnode.config import AuthSettings
from meshnode.ports import GitService

ANONYMOUS: Final = "anonymous"

REALM: Final = "meshnode"

_SCOPES: Final = {GitService.UPLOAD_PACK: "read", GitService.RECEIVE_PACK: "write"}

_ANONYMOUS_SCOPES: Final = {
    "none": frozenset[str](),
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
}


class KnownUser(Protocol):
    """A user whose token verified."""

    @property
    def name(self) -> str:
        """Who it is, for the log."""
        ...

    def allows(self, repository: RepositoryName, scope: str) -> bool:
        """Whether the token covers `scope` ("read" or "write") on a repository."""
        ...


class TokenVerifier(Protocol):
    """What this server needs of the users' directory."""

    def verify(self, token: str) -> KnownUser:
        """The user of a token. Raises Unauthenticated."""
        ...


class Gate:
    """Lets callers through to a repository, or says why not."""

    def __init__(self, users: TokenVerifier, settings: AuthSettings) -> None:
        self._users = users
        self._settings = settings

    def check_access(self, authorization: str | None, repository: RepositoryName, service: GitService) -> str:
        """The caller's name, where they may use `service` on the repository.

        Raises:
            Unauthenticated: no token where one is needed, or a bad one.
            Forbidden: the user's token does not cover it.
        """
        scope = _SCOPES[service]
        if authorization is None:
            if scope in _ANONYMOUS_SCOPES[self._settings.anonymous_http]:
                return ANONYMOUS
            raise Unauthenticated("this needs a token as the password", scope=scope)
        user = self._users.verify(parse_token(authorization))
        if not user.allows(repository, scope):
            raise Forbidden("the token does not allow this", user=user.name, scope=scope, repository=repository)
        return user.name


def parse_token(authorization: str) -> str:
    """The token in an Authorization header. Raises Unauthenticated for any other scheme or form."""
    scheme, _, rest = authorization.strip().partition(" ")
    credentials = rest.strip()
    if scheme.lower() == "bearer" and credentials:
        return credentials
    if scheme.lower() == "basic":
        try:
            _, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise Unauthenticated("the basic credentials are not base64 of user:token") from error
        if colon and password:
            return password
    raise Unauthenticated("send a token as bearer, or as the password of basic authentication")
