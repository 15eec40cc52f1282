"""Page tokens: only what this server gives is taken, to the letter, and it comes back as what it was made of."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.rpc.page_token import TOKEN_CHARS_MAX, format_page_token, parse_page_token
from tests.fuzz.values import GENERATIONS, REF_NAMES

EXAMPLES = st.one_of(
    st.builds(lambda generation, name: f"{generation}:{name}", GENERATIONS, REF_NAMES).map(
        lambda text: urlsafe_b64encode(text.encode())
    ),
    st.sampled_from(["1", ":", "01:x", "-1:x", "99999999999999999999:x", "1:\xff"]).map(
        lambda text: urlsafe_b64encode(text.encode())
    ),
    st.binary(max_size=20).map(urlsafe_b64encode),
)


def check_page_token(data: bytes) -> None:
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
