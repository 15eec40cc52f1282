"""What a failed etcd call proves: whether the request took effect, and whether asking again can help.

etcd reports its own timeouts as UNAVAILABLE, the same code as a refused connection, so the code alone decides
nothing; the message does. Rule: a request counts as not applied only where the place that raises the error comes
before the proposal to Raft, or before the bytes left this process. Everything else, the unknown included, may
have been applied.

    never sent        no connection could be made; the bytes are still here
    refused           an interceptor or a check before the proposal said no
    not applied       the state machine ran it and refused it as a whole, on every member alike
    unknown           the rest: timeouts, leader changes, broken connections, "server stopped", and a full
                      database, which etcd reports also for the very write that filled it

Source: etcd server/etcdserver/api/v3rpc (interceptor.go, quota.go, util.go), apply.go, api/v3rpc/rpctypes/error.go
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import grpc

from meshnode.base.errors import Forbidden, InvalidRequest, MeshError, NotFound, Unauthenticated


class Verdict(Enum):
    """What to do about a failed call."""

    ELSEWHERE = "elsewhere"
    """Surely without effect, and another member or moment may do better."""
    NEW_TOKEN = "new_token"  # noqa: S105 - a verdict's name
    """Surely without effect; the authentication token is not good any more."""
    REFUSED = "refused"
    """Surely without effect, and it never will have one: raise `refusal`."""
    UNKNOWN = "unknown"
    """It may have taken effect, or may still."""


class AlreadyDone(MeshError):
    """An earlier attempt of the same request was applied. Never leaves this floor."""


_NEVER_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed", "empty address list")
"""grpc's words for a call that found no connection."""
_ELSEWHERE: Final = (
    "etcdserver: no leader",  # asked for by the hasleader metadata, checked before the request is looked at
    "etcdserver: too many requests",
    "etcdserver: not capable",
    "etcdserver: rpc not supported for learner",
)
_NEW_TOKEN: Final = (
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
    "etcdserver: user name is empty",  # no token was sent: authentication is on by now
)
_BAD_LOGIN: Final = ("etcdserver: authentication failed", "etcdserver: user name not found")
_INVALID: Final = ("etcdserver: request is too large", "etcdserver: too many operations", "etcdserver: duplicate key")
_LEASE_GONE: Final = "etcdserver: requested lease not found"
_LEASE_EXISTS: Final = "etcdserver: lease already exists"
NO_AUTHENTICATION: Final = "etcdserver: authentication is not enabled"


def judge(code: grpc.StatusCode, details: str) -> Verdict:
    """Decide what a failed call's status proves."""
    if details.startswith(_NEW_TOKEN):
        return Verdict.NEW_TOKEN
    if details.startswith(_ELSEWHERE):
        return Verdict.ELSEWHERE
    if code is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_SENT):
        return Verdict.ELSEWHERE
    if refusal(code, details) is not None:
        return Verdict.REFUSED
    return Verdict.UNKNOWN


def refusal(code: grpc.StatusCode, details: str) -> MeshError | None:
    """The error for a request that etcd refuses for what it is, or None."""
    facts = {"detail": details[:200]}
    if details.startswith(_LEASE_GONE):
        return NotFound("the lease has ended", **facts)
    if details.startswith(_LEASE_EXISTS):
        return AlreadyDone("the lease was opened by an earlier attempt", **facts)
    if details.startswith(_BAD_LOGIN):
        return Unauthenticated("etcd refused the user or the password", **facts)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return Forbidden("etcd does not let this user do that", **facts)
    if details.startswith(_INVALID):
        return InvalidRequest("etcd refused the request", **facts)
    return None
