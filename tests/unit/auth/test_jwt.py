"""The codec against PyJWT both ways, and against everything a stranger can put into a token."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshnode.auth.jwt import JwtEncoder, digest, parse_token, printable
from meshnode.base.errors import MeshError, Unauthenticated
from tests.unit.auth.forge import forge, part
from tests.unit.auth.parties import METHOD, StillClock, key, verifier

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CLAIM = st.sampled_from(["iss", "aud", "sub", "iat", "exp", "jti", "body", "typ"])


def outcome(authorization: str) -> str | MeshError:
    """Who the caller is, or why it is refused; anything else comes through."""
    try:
        verified = verifier(StillClock()).verify(authorization, method=METHOD, body=b"", is_replay_refused=True)
    except MeshError as error:
        return error
    return verified.caller.issuer


def test_pyjwt_reads_what_is_written_here() -> None:
    token = JwtEncoder(key("web")).encode({"iss": "app:web", "iat": 1.5, "list": ["ü"]})
    claims = jwt.decode(token, key("web").public_pem, algorithms=["RS256"], options={"verify_exp": False})
    assert claims == {"iss": "app:web", "iat": 1.5, "list": ["ü"]}
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": key("web").key_id, "typ": "JWT"}


def test_what_pyjwt_writes_is_read_here() -> None:
    token = jwt.encode({"iss": "app:web", "n": 3}, key("web").private_pem(), "RS256", headers={"kid": "k"})
    parsed = parse_token(token)
    parsed.verify(key("web").public_key())
    assert parsed.key_id == "k"
    assert parsed.claims == {"iss": "app:web", "n": 3}


def test_signature_of_another_key_does_not_verify() -> None:
    parsed = parse_token(JwtEncoder(key("web")).encode({}))
    with pytest.raises(Unauthenticated, match="does not verify"):
        parsed.verify(key("root").public_key())


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS512", "PS256", "rs256", "", None, 1, ["RS256"]])
def test_every_other_algorithm_is_refused(algorithm: object) -> None:
    token = forge({"iss": "app:web"}, key("web"), header={"alg": algorithm})
    with pytest.raises(Unauthenticated, match="not RS256"):
        parse_token(token)


def test_token_signed_with_the_public_key_as_a_shared_secret_is_refused() -> None:
    claims = {"iss": "app:web"}
    head = part(json.dumps({"alg": "HS256", "kid": key("web").key_id}).encode())
    with pytest.raises(Unauthenticated, match="not RS256"):
        parse_token(f"{head}.{part(json.dumps(claims).encode())}.{part(b'mac')}")


def test_token_without_key_id_or_with_critical_headers_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="no key id"):
        parse_token(forge({}, key("web"), drop=("kid",)))
    with pytest.raises(Unauthenticated, match="no key id"):
        parse_token(forge({}, key("web"), header={"kid": 7}))
    with pytest.raises(Unauthenticated, match="critical"):
        parse_token(forge({}, key("web"), header={"crit": ["b64"], "b64": False}))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "e30=.e30.AA",
        "e3+.e30.AA",
        "e3/.e30.AA",
        "ü.e30.AA",
        " e30.e30.AA",
        "e30.e30.A",
        "e30\n.e30.AA",
        part(b"[]") + ".e30.AA",
        part(b"[" * 3_000) + ".e30.AA",
        part(b"\xff") + ".e30.AA",
    ],
)
def test_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        parse_token(token)


@pytest.mark.parametrize("text", ["[1]", "null", "3", '{"a":NaN}', '{"a":Infinity}', "{", '{"a":' + "9" * 5_000 + "}"])
def test_signed_claims_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(Unauthenticated, match="malformed"):
        parse_token(forge(None, key("web"), claims_text=text))


def test_token_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Unauthenticated, match="too long"):
        parse_token("a" * 8_193)


@pytest.mark.parametrize("value", [None, True, "1", [], 1e12, -1, 10**400], ids=lambda value: str(value)[:10])
def test_time_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(Unauthenticated, match="time"):
        parse_token(forge({"iat": value}, key("web"))).time_ms("iat")


def test_infinite_time_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="out of range"):
        parse_token(forge(None, key("web"), claims_text='{"iat":1e999}')).time_ms("iat")


@pytest.mark.parametrize("value", [None, True, "1", -1, 1.5])
def test_count_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(Unauthenticated, match="not a count"):
        parse_token(forge({"n": value}, key("web"))).count("n")


def test_digest_is_sha256_in_base64url() -> None:
    assert digest(b"") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


def test_stranger_s_text_becomes_printable_ascii_of_bounded_length() -> None:
    assert printable("a\ud800\n") == "a\\ud800\n"
    assert len(printable("\U0001f600" * 1_000)) == 100


@given(st.text() | st.text(alphabet="eyJ0.-_=+/ \n").map(lambda text: f"Bearer {text}"))
@example("Bearer eyJ.eyJ.eyJ")
@example("Bearer ")
@example("bearer x")
def test_no_text_gets_more_than_a_refusal(text: str) -> None:
    assert isinstance(outcome(text), MeshError)


@given(
    claims=st.dictionaries(CLAIM, JSON),
    header=st.dictionaries(st.sampled_from(["typ", "crit", "jwk", "jku", "x5c"]), JSON),
    is_signed=st.booleans(),
)
def test_no_claims_and_headers_get_more_than_an_answer(
    claims: dict[str, Any], header: dict[str, Any], *, is_signed: bool
) -> None:
    clock = StillClock()
    now_s = clock.wall_ms() // 1000
    full = {"iss": "app:web", "aud": "n2", "iat": now_s, "exp": now_s + 30, "jti": "j"} | claims
    token = forge(full, key("web"), header=header)
    if not is_signed:
        token = token[: token.rindex(".") + 1] + part(b"x" * 256)
    answer = outcome(f"Bearer {token}")
    if isinstance(answer, MeshError):
        assert str(answer).isascii()
    else:
        assert is_signed
        assert answer == full["iss"]
