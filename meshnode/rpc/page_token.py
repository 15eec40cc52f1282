"""Makes and reads page tokens: where a listing stands, and at which generation.

A token is opaque to clients, and checked like anything else they send: it selects what comes next, nothing more.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation
from meshnode.wire.reads import generation_of

TOKEN_CHARS_MAX: Final = 8_192
"""Room for the 50 object ids that a walk may start from and end at."""


@dataclass(frozen=True, slots=True)
class PageToken:
    """The last name a listing gave, and the generation it is made of (0 where it has none)."""

    generation: Generation
    last: str


def format_page_token(token: PageToken) -> str:
    """The token as clients see it."""
    return urlsafe_b64encode(f"{token.generation}:{token.last}".encode()).decode("ascii")


def parse_page_token(text: str) -> PageToken | None:
    """Read a token; "" is None: the first page. Raises InvalidRequest for anything this module did not make."""
    if not text:
        return None
    try:
        if len(text) > TOKEN_CHARS_MAX:
            raise ValueError("too long")
        number, colon, last = urlsafe_b64decode(text.encode("ascii")).decode().partition(":")
        if not colon or not number.isascii() or not number.isdigit() or len(number) > 19:
            raise ValueError("not a position")
        token = PageToken(generation_of(int(number)), last)
        if format_page_token(token) != text:  # the decoder passes over letters that are not base64
            raise ValueError("not written here")
        return token
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise InvalidRequest("page token is not one this server gave") from error
