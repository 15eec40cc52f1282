"""User tokens: what applications may grant, and to whom it opens what."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.auth.users import LIFETIME_S_MAX, UserVerifier, issue_user_token
from meshnode.base.errors import Forbidden, InvalidRequest, MeshError, Unauthenticated
from tests.unit.auth.forge import forge
from tests.unit.auth.parties import CLUSTER, StillClock, application_signer, key, registry

DAY_MS = 86_400_000


def users(clock: StillClock) -> UserVerifier:
    return UserVerifier(registry(), frozenset({CLUSTER}), clock)


def issue(clock: StillClock, application: str = "web", **changes: Any) -> str:
    wish: dict[str, Any] = {"audience": CLUSTER, "user": "ada", "scopes": {"read", "write"}}
    return issue_user_token(application=application, key=key(application), clock=clock, **(wish | changes))


def claims_of(clock: StillClock, **changes: Any) -> dict[str, Any]:
    now_s = clock.wall_ms() // 1000
    claims = {"typ": "user", "iss": "app:web", "sub": "ada", "aud": CLUSTER, "scope": "read", "repo": "*"}
    return claims | {"iat": now_s, "exp": now_s + 60} | changes


def test_user_may_do_what_the_token_says_where_it_says() -> None:
    clock = StillClock()
    user = users(clock).verify(issue(clock, repository="team/*"))
    assert (user.name, user.issuer) == ("ada", "app:web")
    assert user.allows("team/tool", "write")
    assert user.allows("team/deep/tool", "read")
    assert not user.allows("other/tool", "read")
    assert not user.allows("team", "read")
    assert not user.allows("team/tool", "administrate")


def test_reading_token_does_not_write() -> None:
    clock = StillClock()
    user = users(clock).verify(issue(clock, scopes=["read"]))
    assert user.allows("any/name", "read")
    assert not user.allows("any/name", "write")


def test_pattern_is_case_sensitive_and_matches_whole_names() -> None:
    clock = StillClock()
    user = users(clock).verify(issue(clock, repository="Team/to?l"))
    assert user.allows("Team/tool", "read")
    assert not user.allows("team/tool", "read")
    assert not user.allows("Team/tool2", "read")


def test_pyjwt_reads_a_user_token_made_here() -> None:
    clock = StillClock()
    claims = jwt.decode(
        issue(clock),
        key("web").public_pem,
        algorithms=["RS256"],
        audience=CLUSTER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (claims["typ"], claims["sub"], claims["scope"], claims["repo"]) == ("user", "ada", "read write", "*")


def test_token_is_good_until_it_expires() -> None:
    clock = StillClock()
    token = issue(clock, lifetime_s=86_400)
    clock.now_ms += DAY_MS
    users(clock).verify(token)
    clock.now_ms += 120_000
    with pytest.raises(Unauthenticated, match="expired"):
        users(clock).verify(token)


def test_token_from_the_future_is_refused() -> None:
    clock = StillClock()
    with pytest.raises(Unauthenticated, match="not valid yet"):
        users(StillClock(clock.now_ms - 121_000)).verify(issue(clock))


def test_token_longer_than_a_year_is_neither_made_nor_taken() -> None:
    clock = StillClock()
    for lifetime_s in (0, -1, LIFETIME_S_MAX + 1):
        with pytest.raises(InvalidRequest, match="lifetime"):
            issue(clock, lifetime_s=lifetime_s)
    now_s = clock.wall_ms() // 1000
    with pytest.raises(Unauthenticated, match="lives too long"):
        users(clock).verify(forge(claims_of(clock, exp=now_s + LIFETIME_S_MAX + 1), key("web")))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typ": None}, "lacks a claim"),
        ({"typ": "response"}, "not a user token"),
        ({"aud": "cluster-2"}, "another audience"),
        ({"sub": ""}, "printable"),
        ({"sub": "a\nb"}, "printable"),
        ({"sub": 3}, "lacks a claim"),
        ({"scope": "write"}, "scope must be"),
        ({"scope": "read admin"}, "scope must be"),
        ({"scope": ""}, "scope must be"),
        ({"repo": ""}, "pattern"),
        ({"repo": "*" * 256}, "pattern"),
        ({"exp": None}, "lacks a claim"),
        ({"iss": "app:nobody"}, "not known"),
    ],
)
def test_token_with_a_wrong_claim_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    clock = StillClock()
    with pytest.raises(Unauthenticated, match=reason):
        users(clock).verify(forge(claims_of(clock, **changes), key("web")))


def test_request_token_does_not_pass_for_a_user() -> None:
    clock = StillClock()
    signed = application_signer("web", clock).request_token(audience=CLUSTER, method="/a/b", first_body=b"")
    with pytest.raises(Unauthenticated, match="lacks a claim"):
        users(clock).verify(signed.token)


def test_application_grants_no_more_than_its_role() -> None:
    clock = StillClock()
    with pytest.raises(Forbidden, match="may not grant"):
        users(clock).verify(issue(clock, "reader"))
    assert users(clock).verify(issue(clock, "reader", scopes=["read"])).issuer == "app:reader"
    assert users(clock).verify(issue(clock, "root")).allows("any/name", "write")


def test_node_cannot_vouch_for_a_user() -> None:
    clock = StillClock()
    with pytest.raises(Forbidden, match="cannot vouch"):
        users(clock).verify(forge(claims_of(clock, iss="node:n1"), key("n1")))


@pytest.mark.parametrize(
    "changes",
    [
        {"user": ""},
        {"user": "a\0"},
        {"scopes": []},
        {"scopes": ["write"]},
        {"scopes": ["read", "x"]},
        {"repository": ""},
    ],
    ids=str,
)
def test_token_that_would_be_refused_is_not_made(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        issue(StillClock(), **changes)


@given(st.text())
def test_no_text_gets_more_than_a_refusal(token: str) -> None:
    clock = StillClock()
    with pytest.raises(MeshError):
        users(clock).verify(token)
