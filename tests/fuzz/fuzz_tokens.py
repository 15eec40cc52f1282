"""Tokens: what was not signed to the letter is refused, whoever made it; signed nonsense ends in a refusal of ours."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from meshnode.auth.jwt import JwtEncoder, digest, parse_token
from meshnode.auth.registry import KeyRegistry
from meshnode.auth.responses import MessageTrace, ResponseSigner, verify_response
from meshnode.auth.tokens import BEARER
from meshnode.auth.users import READ, WRITE, UserVerifier, issue_user_token
from meshnode.base.errors import Forbidden, MeshError, Overloaded, Unauthenticated
from meshnode.core.applications import Application, Role
from meshnode.http.status import answer_of
from tests.fuzz.inputs import Draw, damaged
from tests.fuzz.keys import key
from tests.unit.auth import parties
from tests.unit.auth.forge import forge
from tests.unit.auth.parties import CLUSTER, METHOD, StillClock

BODY = b"body"
CLOCK = StillClock()
NOW_S = CLOCK.now_ms // 1_000
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 1e11, 1e308, "", "x", "\ud800", "a" * 300, [], {}, ["a", 1], [[["x"]]], NOW_S, NOW_S + 30,
     "node:n1", "node:n2", "app:web", "app:reader", "n2", CLUSTER, "user", "response", "OK", "read", "read write", METHOD]
)  # fmt: skip
_CLAIM = st.sampled_from(
    [
        "iss",
        "aud",
        "sub",
        "iat",
        "exp",
        "jti",
        "body",
        "typ",
        "irt",
        "status",
        "first",
        "last",
        "count",
        "trailing",
        "scope",
        "repo",
    ]
)
_HEADER = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), _ODD, max_size=1)
EXAMPLES = st.one_of(
    st.builds(
        lambda kind, who, header, claims: bytes([3, kind, who]) + json.dumps([header, claims]).encode(),
        st.integers(0, 2), st.integers(0, 2), _HEADER, st.dictionaries(_CLAIM, _ODD, max_size=5),
    ),
    st.builds(lambda kind, data: bytes([kind]) + data, st.integers(0, 2), st.binary(max_size=12)),
    st.text("eyJ.-_=+/ \n", max_size=30).map(lambda text: b"\4" + text.encode()),
)  # fmt: skip


def check_tokens(data: bytes) -> None:
    draw = Draw(data)
    match draw.number(5):
        case 0 | 1 | 2 as kind:
            good = good_token(kind)
            bad = damaged(good.encode(), draw).decode("utf-8", "surrogateescape")
            assert is_refused(kind, bad) == (bad != good)
        case 3:
            _check_signed_nonsense(draw)
        case _:
            text = draw.rest().decode("utf-8", "surrogateescape")
            assert all(is_refused(kind, text) for kind in range(3))


def _check_signed_nonsense(draw: Draw) -> None:
    """A caller whose key is believed signs whatever it likes: believed are only claims that say what is needed."""
    kind, who = draw.number(3), draw.pick(("n1", "web", "reader"))
    try:
        header, claims = json.loads(draw.rest())
    except (ValueError, TypeError, RecursionError):
        return
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return
    issuer = f"node:{who}" if who == "n1" else f"app:{who}"
    full = _claims(kind, issuer) | claims
    full = {name: value for name, value in full.items() if value is not None}
    token = forge(full, key(who), header={name: value for name, value in header.items() if value is not None})
    if not is_refused(kind, token):
        assert full["iss"] == issuer
        assert full["aud"] == ("n2" if kind == 0 and full["aud"] == "n2" else "node:n2" if kind == 1 else CLUSTER)
        assert full.get("typ") == (None, "response", "user")[kind]
        assert (
            kind != 2 or full["scope"] == "read" or (who == "web" and set(full["scope"].split()) == {"read", "write"})
        )
        assert kind != 1 or full["iss"] == "node:n1"


def _claims(kind: int, issuer: str) -> dict[str, Any]:
    """Claims that would be believed."""
    parts = parse_token(good_token(kind))
    return dict(parts.claims) | {"iss": issuer}


def is_refused(kind: int, token: str) -> bool:
    """Whether who checks such tokens does not believe this one."""
    try:
        match kind:
            case 0:
                parties.verifier(CLOCK, known=_registry()).verify(
                    BEARER + token, method=METHOD, body=BODY, is_replay_refused=True
                )
            case 1:
                verify_response(
                    token, registry=_registry(), expected_issuer="node:n1", audience="node:n2", in_reply_to="jti",
                    status="OK", response=MessageTrace.of(BODY), request=MessageTrace.of(BODY), detail="",
                    trailing={"a": "b"},
                )  # fmt: skip
            case _:
                user = UserVerifier(_registry(), frozenset({CLUSTER}), CLOCK).verify(token)
                assert user.scopes <= {READ, WRITE}
                assert user.name.isprintable()
    except (Unauthenticated, Forbidden, Overloaded) as error:
        _check_error(error)
        return True
    return False


def _check_error(error: MeshError) -> None:
    """What is said of a bad token fits a line of a log and of an answer."""
    assert str(error).isascii()
    assert len(str(error)) < 1_000
    assert answer_of(error, realm="meshnode").status in {401, 403, 429}


@cache
def _registry() -> KeyRegistry:
    made = KeyRegistry()
    made.replace(
        [parties.node("n1", key("n1").public_pem)],
        [
            Application(application="web", role=Role.WRITER, public_keys=(key("web").public_pem,)),
            Application(application="reader", role=Role.READER, public_keys=(key("reader").public_pem,)),
        ],
    )
    return made


@cache
def good_token(kind: int) -> str:
    """A request's, an answer's or a user's token that is believed; the same in every run."""
    match kind:
        case 0:
            claims: dict[str, object] = {
                "iss": "node:n1", "aud": "n2", "sub": METHOD, "body": digest(BODY), "jti": "j" * 22,
                "iat": NOW_S, "exp": NOW_S + 30,
            }  # fmt: skip
            return JwtEncoder(key("n1")).encode(claims)
        case 1:
            return ResponseSigner("node:n1", key("n1"), CLOCK).response_token(
                audience="node:n2", in_reply_to="jti", status="OK", first=BODY, last=BODY, request_last=BODY,
                trailing=[("a", "b")],
            )  # fmt: skip
        case _:
            return issue_user_token(
                application="web", key=key("web"), clock=CLOCK, audience=CLUSTER, user="ann", scopes=[READ, WRITE]
            )
