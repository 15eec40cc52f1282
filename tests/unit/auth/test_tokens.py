"""Requests: who is believed, and every reason why not."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from meshnode.auth.registry import CallerKind, KeyRegistry
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tokens import LIFETIME_MS, RequestVerifier, TokenSigner, VerifiedRequest
from meshnode.base.errors import InvalidRequest, MeshError, Overloaded, Unauthenticated
from meshnode.core.applications import Role
from tests.unit.auth.forge import forge
from tests.unit.auth.parties import (
    CLUSTER,
    METHOD,
    Policy,
    StillClock,
    application_signer,
    key,
    node,
    node_signer,
    verifier,
)

BODY = b"request"
SKEW_MS = 120_000


def check(
    checker: RequestVerifier, token: str, *, method: str = METHOD, body: bytes | None = BODY, is_mutating: bool = False
) -> VerifiedRequest:
    return checker.verify(f"Bearer {token}", method=method, body=body, is_replay_refused=is_mutating)


def claims_of(clock: StillClock, **changes: Any) -> dict[str, Any]:
    now_s = clock.wall_ms() / 1000
    claims = {"iss": "app:web", "aud": "n2", "sub": METHOD, "iat": now_s, "exp": now_s + 30, "jti": "j-1"}
    return {name: value for name, value in (claims | changes).items() if value is not None}


@pytest.mark.parametrize("audience", ["n2", CLUSTER])
def test_node_is_believed_by_its_signature(audience: str) -> None:
    clock = StillClock()
    signed = node_signer("n1", clock).request_token(audience=audience, method=METHOD, first_body=BODY)
    verified = check(verifier(clock), signed.token)
    assert verified.jti == signed.jti
    assert (verified.caller.name, verified.caller.kind) == ("n1", CallerKind.NODE)
    assert verified.caller.role is Role.ADMINISTRATOR


def test_application_is_believed_with_its_role() -> None:
    clock = StillClock()
    signed = application_signer("reader", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    verified = check(verifier(clock), signed.token)
    assert (verified.caller.name, verified.caller.kind, verified.caller.role) == (
        "reader",
        CallerKind.APPLICATION,
        Role.READER,
    )


def test_token_made_with_pyjwt_is_believed() -> None:
    clock = StillClock()
    now_s = clock.wall_ms() // 1000
    claims = {"iss": "app:web", "aud": "n2", "iat": now_s, "exp": now_s + 30, "jti": "1"}
    token = jwt.encode(claims, key("web").private_pem(), "RS256", headers={"kid": key("web").key_id})
    assert check(verifier(clock), token, is_mutating=True).caller.name == "web"


def test_pyjwt_believes_a_token_made_here() -> None:
    clock = StillClock()
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    claims = jwt.decode(
        signed.token,
        key("web").public_pem,
        algorithms=["RS256"],
        audience="n2",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == METHOD
    assert claims["jti"] == signed.jti
    assert claims["exp"] - claims["iat"] == LIFETIME_MS / 1000


def test_each_token_has_an_id_of_its_own() -> None:
    signer = node_signer("n1", StillClock())
    made = {signer.request_token(audience="n2", method=METHOD, first_body=BODY).jti for _ in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "no bearer token"),
        ("Basic dXNlcjpwYXNz", "not a bearer"),
        ("bearer x", "not a bearer"),
        ("Bearer", "not a"),
    ],
)
def test_request_without_bearer_token_is_refused(authorization: str, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        verifier(StillClock()).verify(authorization, method=METHOD, body=BODY, is_replay_refused=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "n3"}, "another audience"),
        ({"aud": ["n2"]}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"sub": "/mesh.v1.RefService/UpdateRefs"}, "another method"),
        ({"sub": ""}, "another method"),
        ({"iss": None}, "lacks a claim"),
        ({"iss": "app:nobody"}, "not known"),
        ({"iss": "node:n1"}, "not known"),
        ({"jti": None}, "lacks a claim"),
        ({"jti": ""}, "token id"),
        ({"jti": "j" * 129}, "token id"),
        ({"jti": "jé"}, "token id"),
        ({"iat": None}, "lacks a claim"),
        ({"exp": None}, "lacks a claim"),
        ({"exp": "soon"}, "not a time"),
        ({"typ": "user"}, "not a request token"),
        ({"typ": "response"}, "not a request token"),
        ({"body": 7}, "not a text"),
        ({"body": "AAAA"}, "not the one that was signed"),
    ],
)
def test_token_with_a_wrong_claim_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    clock = StillClock()
    token = forge(claims_of(clock) | changes, key("web"))
    with pytest.raises(Unauthenticated, match=reason):
        check(verifier(clock), token)


def test_the_same_claims_without_a_fault_are_taken() -> None:
    clock = StillClock()
    assert check(verifier(clock), forge(claims_of(clock), key("web"))).caller.name == "web"


def test_unknown_key_and_key_of_another_are_refused() -> None:
    clock = StillClock()
    for signer in (key("stranger"), key("root")):
        with pytest.raises(Unauthenticated, match="key is not known"):
            check(verifier(clock), forge(claims_of(clock), signer))
    with pytest.raises(Unauthenticated, match="does not verify"):
        check(verifier(clock), forge(claims_of(clock), key("stranger"), header={"kid": key("web").key_id}))


def test_body_that_was_changed_on_the_way_is_refused() -> None:
    clock = StillClock()
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    with pytest.raises(Unauthenticated, match="not the one that was signed"):
        check(verifier(clock), signed.token, body=BODY + b"!")


def test_first_message_that_comes_after_the_token_is_checked_then() -> None:
    clock = StillClock()
    signed = node_signer("n1", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    verified = check(verifier(clock), signed.token, body=None)
    verified.check_body(BODY)
    with pytest.raises(Unauthenticated, match="not the one that was signed"):
        verified.check_body(b"another")


def test_application_may_leave_out_method_and_body_where_the_settings_say_so() -> None:
    clock = StillClock()
    signed = application_signer("web", clock).request_token(audience="n2", method="", first_body=None)
    assert check(verifier(clock), signed.token).body_digest is None
    strict = verifier(clock, policy=Policy(is_body_digest_required=True))
    with pytest.raises(Unauthenticated, match="does not name the method"):
        check(strict, signed.token)
    half = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=None)
    with pytest.raises(Unauthenticated, match="no digest of the body"):
        check(strict, half.token)


def test_node_may_never_leave_out_method_or_body() -> None:
    clock = StillClock()
    signer = node_signer("n1", clock)
    for method, body, reason in (("", BODY, "name the method"), (METHOD, None, "no digest")):
        signed = signer.request_token(audience="n2", method=method, first_body=body)
        with pytest.raises(Unauthenticated, match=reason):
            check(verifier(clock), signed.token)
        with pytest.raises(Unauthenticated, match=reason):
            check(verifier(clock), signed.token, body=None)


@pytest.mark.parametrize(
    ("moved_ms", "reason"),
    [
        (-SKEW_MS - 1, "not valid yet"),
        (-SKEW_MS, ""),
        (0, ""),
        (LIFETIME_MS, ""),
        (LIFETIME_MS + SKEW_MS - 1, ""),
        (LIFETIME_MS + SKEW_MS, "expired"),
    ],
)
def test_clock_difference_is_allowed_up_to_the_skew_and_no_further(moved_ms: int, reason: str) -> None:
    clock = StillClock()
    signed = node_signer("n1", StillClock(clock.now_ms)).request_token(audience="n2", method=METHOD, first_body=BODY)
    clock.now_ms += moved_ms
    checker = verifier(clock)
    if reason:
        with pytest.raises(Unauthenticated, match=reason):
            check(checker, signed.token)
    else:
        check(checker, signed.token)


def test_token_that_lives_too_long_or_ends_before_it_begins_is_refused() -> None:
    clock = StillClock()
    now_s = clock.wall_ms() / 1000
    with pytest.raises(Unauthenticated, match="lives too long"):
        check(verifier(clock), forge(claims_of(clock, exp=now_s + 31), key("web")))
    with pytest.raises(Unauthenticated, match="before it is issued"):
        check(verifier(clock), forge(claims_of(clock, exp=now_s), key("web")))


def test_token_of_a_mutating_call_is_good_once() -> None:
    clock = StillClock()
    checker = verifier(clock)
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    check(checker, signed.token, is_mutating=True)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="used before"):
            check(checker, signed.token, is_mutating=True)


def test_replay_is_refused_until_the_token_has_expired_for_every_clock() -> None:
    clock = StillClock()
    checker = verifier(clock)
    ahead = StillClock(clock.now_ms + SKEW_MS)
    signed = application_signer("web", ahead).request_token(audience="n2", method=METHOD, first_body=BODY)
    check(checker, signed.token, is_mutating=True)
    clock.now_ms += LIFETIME_MS + 2 * SKEW_MS - 1
    with pytest.raises(Unauthenticated, match="used before"):
        check(checker, signed.token, is_mutating=True)
    clock.now_ms += 1
    with pytest.raises(Unauthenticated, match="expired"):
        check(checker, signed.token, is_mutating=True)


def test_token_of_a_reading_call_may_be_repeated() -> None:
    clock = StillClock()
    checker = verifier(clock)
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    assert check(checker, signed.token) == check(checker, signed.token)


def test_refused_request_does_not_use_its_token_up() -> None:
    clock = StillClock()
    checker = verifier(clock)
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    with pytest.raises(Unauthenticated, match="not the one"):
        check(checker, signed.token, body=b"other", is_mutating=True)
    check(checker, signed.token, is_mutating=True)


def test_token_from_before_the_process_began_may_read_but_not_write() -> None:
    clock = StillClock()
    signed = application_signer("web", clock).request_token(audience="n2", method=METHOD, first_body=BODY)
    clock.now_ms += 1_001
    restarted = verifier(clock)
    check(restarted, signed.token)
    with pytest.raises(Unauthenticated, match="older than this process"):
        check(restarted, signed.token, is_mutating=True)


def test_full_replay_memory_refuses_mutating_calls_only() -> None:
    clock = StillClock()
    checker = verifier(clock, entries_max=1)
    signer = application_signer("web", clock)
    first, second = (signer.request_token(audience="n2", method=METHOD, first_body=BODY) for _ in range(2))
    check(checker, first.token, is_mutating=True)
    with pytest.raises(Overloaded):
        check(checker, second.token, is_mutating=True)
    check(checker, second.token)


def test_verifier_does_not_begin_with_a_memory_that_is_too_short() -> None:
    replay = ReplayCache(LIFETIME_MS + 2 * SKEW_MS - 1, 10)
    with pytest.raises(InvalidRequest, match="forgets too early"):
        RequestVerifier(KeyRegistry(), frozenset({"n2"}), StillClock(), replay, Policy())


def test_both_keys_of_a_node_verify_while_a_rotation_overlaps() -> None:
    clock = StillClock()
    old, new = key("n1"), key("n1 next")
    known = KeyRegistry()
    known.replace([node("n1", new.public_pem, old.public_pem)], [])
    checker = verifier(clock, known=known)
    tokens = [
        TokenSigner("node:n1", pair, clock).request_token(audience="n2", method=METHOD, first_body=BODY).token
        for pair in (old, new)
    ]
    for token in tokens:
        assert check(checker, token).caller.name == "n1"
    known.replace([node("n1", new.public_pem)], [])
    with pytest.raises(Unauthenticated, match="key is not known"):
        check(checker, tokens[0])
    check(checker, tokens[1])


def test_refusal_never_repeats_the_token() -> None:
    clock = StillClock()
    token = forge(claims_of(clock, aud="n3"), key("web"))
    with pytest.raises(MeshError) as refusal:
        check(verifier(clock), token)
    assert token.split(".")[2] not in str(refusal.value)
