"""What etcd's failures prove: the table that decides between "not applied" and "unknown"."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from meshnode.base.errors import Forbidden, InvalidRequest, MeshError, NotFound, Unauthenticated
from meshnode.catalog.etcd_errors import Verdict, judge, refusal

REFUSED_CONNECTION = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
    "Failed to connect to remote host: Connection refused"
)


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        (StatusCode.UNAVAILABLE, REFUSED_CONNECTION, Verdict.ELSEWHERE),
        (StatusCode.UNAVAILABLE, "DNS resolution failed for etcd-0:2379", Verdict.ELSEWHERE),
        (StatusCode.UNAVAILABLE, "etcdserver: no leader", Verdict.ELSEWHERE),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Verdict.ELSEWHERE),
        (StatusCode.UNAVAILABLE, "etcdserver: request timed out", Verdict.UNKNOWN),
        (
            StatusCode.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to previous leader failure",
            Verdict.UNKNOWN,
        ),
        (
            StatusCode.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to connection lost",
            Verdict.UNKNOWN,
        ),
        (StatusCode.UNAVAILABLE, "etcdserver: leader changed", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "etcdserver: server stopped", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "Socket closed", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "recvmsg:Connection reset by peer", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "", Verdict.UNKNOWN),
        (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", Verdict.UNKNOWN),
        (StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded", Verdict.UNKNOWN),
        (StatusCode.CANCELLED, "", Verdict.UNKNOWN),
        (StatusCode.UNKNOWN, "raft: stopped", Verdict.UNKNOWN),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Verdict.UNKNOWN),
        (StatusCode.DATA_LOSS, "etcdserver: corrupt cluster", Verdict.UNKNOWN),
        (StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token", Verdict.NEW_TOKEN),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Verdict.NEW_TOKEN),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: user name is empty", Verdict.NEW_TOKEN),
    ],
)
def test_a_failure_proves_only_what_happens_before_the_proposal(
    code: StatusCode, details: str, verdict: Verdict
) -> None:
    assert judge(code, details) is verdict
    assert refusal(code, details) is None


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (StatusCode.NOT_FOUND, "etcdserver: requested lease not found", NotFound),
        (
            StatusCode.INVALID_ARGUMENT,
            "etcdserver: authentication failed, invalid user ID or password",
            Unauthenticated,
        ),
        (StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", Forbidden),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large", InvalidRequest),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: too many operations in txn request", InvalidRequest),
    ],
)
def test_what_etcd_refuses_for_what_it_is_becomes_the_callers_error(
    code: StatusCode, details: str, error: type[MeshError]
) -> None:
    assert judge(code, details) is Verdict.REFUSED
    assert type(refusal(code, details)) is error
