r"""Reads paths as git prints them where no `-z` is to be had: as they are, or in quotes with C's escapes.

Source: git's quote.c, unquote_c_style.
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.base.errors import Corrupt

_ESCAPE: Final = re.compile(rb'\\([abfnrtv"\\]|[0-3][0-7]{2})|\\')
_LETTERS: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b'"': b'"',
    b"\\": b"\\",
}


def unquoted(text: bytes) -> bytes:
    """The path that git printed as `text`. Raises Corrupt where it is not what git would print."""
    if not text.startswith(b'"'):
        return text
    if len(text) < 2 or not text.endswith(b'"'):
        raise Corrupt("git printed a path without its end", path=repr(text[:200]))
    return _ESCAPE.sub(_escaped, text[1:-1])


def _escaped(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if code is None:
        raise Corrupt("git printed a path with an unknown escape", path=repr(match.string[:200]))
    return _LETTERS.get(code) or bytes([int(code, 8)])
