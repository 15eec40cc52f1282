"""Answers: only the asked node's, for this request, with these messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.auth.responses import MessageTrace, ResponseClaims, verify_response
from meshnode.base.errors import Unauthenticated
from tests.unit.auth.forge import forge
from tests.unit.auth.parties import StillClock, key, registry, response_signer

CALLER = "node:n1"


def trace(*messages: bytes) -> MessageTrace:
    made = MessageTrace()
    for message in messages:
        made.note(message)
    return made


def check(
    token: str,
    *,
    jti: str = "j",
    status: str = "OK",
    response: MessageTrace | None = None,
    request: MessageTrace | None = None,
    detail: str = "",
    trailing: Mapping[str, str | bytes] | None = None,
    audience: str = CALLER,
) -> ResponseClaims:
    return verify_response(
        token,
        registry=registry(),
        expected_issuer="node:n2",
        audience=audience,
        in_reply_to=jti,
        status=status,
        response=response or trace(b"answer"),
        request=request or trace(b"question"),
        detail=detail,
        trailing=trailing,
    )


def sign(signer: str = "n2", **changes: Any) -> str:
    claims: dict[str, Any] = {
        "audience": CALLER,
        "in_reply_to": "j",
        "status": "OK",
        "first": b"answer",
        "last": b"answer",
        "request_last": b"question",
    }
    return response_signer(signer, StillClock()).response_token(**(claims | changes))


def test_answer_of_the_asked_node_is_believed() -> None:
    assert check(sign()) == ResponseClaims(issuer="node:n2", status="OK", count=1, request_count=1)


def test_pyjwt_believes_an_answer_made_here() -> None:
    claims = jwt.decode(
        sign(), key("n2").public_pem, algorithms=["RS256"], audience=CALLER, options={"verify_iat": False}
    )
    assert (claims["iss"], claims["irt"], claims["first"]) == ("node:n2", "j", claims["last"])


def test_answer_of_another_node_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="not signed by the node that was asked"):
        check(sign("n1"))
    stolen_name = forge({"iss": "node:n2", "typ": "response"}, key("n1"), header={"kid": key("n2").key_id})
    with pytest.raises(Unauthenticated, match="does not verify"):
        check(stolen_name)


@pytest.mark.parametrize(
    "changes", [{"audience": "node:n3"}, {"in_reply_to": "other"}, {"status": "NOT_FOUND"}], ids=str
)
def test_answer_to_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated, match="something else"):
        check(sign(**changes))


def test_request_token_does_not_pass_for_an_answer() -> None:
    token = forge({"iss": "node:n2", "aud": CALLER, "irt": "j", "status": "OK"}, key("n2"))
    with pytest.raises(Unauthenticated, match="lacks a claim"):
        check(token)


@pytest.mark.parametrize(
    "received",
    [trace(b"other"), trace(), trace(b"answer", b"answer"), trace(b"answer", b"x"), trace(b"x", b"answer")],
    ids=["changed", "lost", "doubled", "appended", "prepended"],
)
def test_answer_messages_that_were_changed_lost_or_added_are_refused(received: MessageTrace) -> None:
    with pytest.raises(Unauthenticated, match="not those that were signed"):
        check(sign(), response=received)


def test_stream_cut_in_the_middle_is_refused_by_its_count() -> None:
    token = sign(first=b"a", last=b"c", count=3)
    check(token, response=trace(b"a", b"b", b"c"))
    with pytest.raises(Unauthenticated):
        check(token, response=trace(b"a", b"c"))


def test_request_that_the_peer_saw_otherwise_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="another request"):
        check(sign(request_last=b"forged"))
    with pytest.raises(Unauthenticated, match="did not see"):
        check(sign(request_count=2))
    with pytest.raises(Unauthenticated, match="did not see"):
        check(sign(request_count=1), request=trace(b"question", b"more"))


def test_error_may_come_before_the_whole_request_was_seen() -> None:
    token = sign(status="NOT_FOUND", first=None, last=None, request_count=1)
    claims = check(token, status="NOT_FOUND", response=trace(), request=trace(b"question", b"more"))
    assert (claims.count, claims.request_count) == (0, 1)
    nothing_seen = sign(status="INTERNAL", first=None, last=None, request_last=None)
    assert check(nothing_seen, status="INTERNAL", response=trace()).request_count == 0


def test_error_cannot_claim_to_have_seen_more_than_was_sent() -> None:
    token = sign(status="NOT_FOUND", first=None, last=None, request_count=3)
    with pytest.raises(Unauthenticated, match="did not see"):
        check(token, status="NOT_FOUND", response=trace())


def test_status_message_and_trailing_metadata_are_bound_where_they_were_signed() -> None:
    token = sign(detail="näme", trailing=[("mesh-error-bin", b"\x00fact"), ("retry", "7")])
    good: dict[str, str | bytes] = {"mesh-error-bin": b"\x00fact", "retry": "7", "added-by-a-proxy": "x"}
    check(token, detail="näme", trailing=good)
    with pytest.raises(Unauthenticated, match="status message"):
        check(token, detail="other", trailing=good)
    for bad in ({**good, "retry": "8"}, {"mesh-error-bin": b"\x00fact"}, {}):
        with pytest.raises(Unauthenticated, match="trailing metadata"):
            check(token, detail="näme", trailing=bad)


@pytest.mark.parametrize("trailing", [3, {"a": "b"}, [["a"]], [["a", 1]], ["ab"]], ids=str)
def test_trailing_claim_of_another_shape_is_refused(trailing: object) -> None:
    claims = jwt.decode(
        sign(), key("n2").public_pem, algorithms=["RS256"], audience=CALLER, options={"verify_iat": False}
    )
    with pytest.raises(Unauthenticated, match="malformed"):
        check(forge(claims | {"trailing": trailing}, key("n2")))


def test_rubbish_is_refused() -> None:
    for token in ("", "x", "a.b.c"):
        with pytest.raises(Unauthenticated):
            check(token)


CLAIM = st.sampled_from(["typ", "iss", "aud", "irt", "status", "first", "last", "count", "request_last", "trailing"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)


@given(st.text() | st.dictionaries(CLAIM, JSON).map(lambda claims: forge({"iss": "node:n2"} | claims, key("n2"))))
def test_no_answer_made_up_gets_more_than_a_refusal(token: str) -> None:
    with pytest.raises(Unauthenticated):
        check(token)
