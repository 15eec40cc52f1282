"""Page tokens: only what this server gives is taken, to the letter, and it comes back as what it was made of."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.rpc.page_token import TOKEN_CHARS_MAX, format_page_token, parse_page_token
from meshnode.rpc.walk_token import parse_walk_token
from tests.fuzz.values import GENERATIONS, OIDS, REF_NAMES

_OIDS = st.lists(OIDS | st.just(""), max_size=2).map(",".join)
EXAMPLES = st.one_of(
    st.builds(lambda generation, name: f"{generation}:{name}", GENERATIONS, REF_NAMES).map(
        lambda text: urlsafe_b64encode(text.encode())
    ),
    st.sampled_from(["1", ":", "01:x", "-1:x", "99999999999999999999:x", "1:\xff"]).map(
        lambda text: urlsafe_b64encode(text.encode())
    ),
    st.builds(
        lambda skip, include, exclude: urlsafe_b64encode(f"7:{skip}.{'a' * 16}.{include}.{exclude}".encode()),
        st.sampled_from(["0", "12", "012", "9" * 13]), _OIDS, _OIDS,
    ),
    st.binary(max_size=20).map(urlsafe_b64encode),
)  # fmt: skip


def check_page_token(data: bytes) -> None:
    for text in (data.decode("utf-8", "surrogateescape"), urlsafe_b64encode(data).decode()):
        _check_walk(text)
    for text in (data.decode("utf-8", "surrogateescape"), urlsafe_b64encode(data).decode()):
        try:
            token = parse_page_token(text)
        except InvalidRequest:
            continue
        if token is None:
            assert not text
            continue
        assert len(text) <= TOKEN_CHARS_MAX
        assert 0 <= token.generation < 1 << 63
        assert format_page_token(token) == text


def _check_walk(text: str) -> None:
    try:
        token = parse_walk_token(text)
    except InvalidRequest:
        return
    assert (token is None) == (not text)
    if token is not None:
        assert token.skip >= 0
        assert token.format() == text
