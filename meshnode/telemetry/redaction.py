"""Takes secrets out of text before it reaches a log line.

Rule: the code does not log tokens or passwords in the first place; this is the second line of defence, for text
that came from elsewhere (a library's error, a header, a URL). Better a line too poor than a secret in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET_NAMES: Final = frozenset(
    {"authorization", "proxy_authorization", "password", "secret", "token", "cookie", "set_cookie", "private_key"}
)

_PATTERNS: Final = (
    # A private key, whole or cut off at its end.
    re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)", re.DOTALL),
    # A JSON Web Token, also one whose signature was cut off: base64url of '{"' is "eyJ".
    re.compile(r"\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,2}"),
    # What follows an authentication scheme.
    re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}"),
    # name=value, name: value, "name": "value".
    re.compile(
        r"(?i)\b(?:authorization|password|passwd|secret|token|cookie)\b[\"']?\s*[:=]\s*(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&\"']+)"
    ),
    # scheme://user:password@host
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)"),
)


_PLAIN: Final = re.compile(r"(?:(?:app|node|at_least):)?[A-Za-z0-9._/-]*\Z")
"""Text in which no secret can be named or introduced: all but a bare JSON Web Token need a space, a colon or `=`. Most
fields are such texts, and one match costs a sixth of all patterns."""


def redact(text: str, *, name: str = "") -> str:
    """`text` without secrets; all of it goes where the field's `name` says that it is one."""
    if name and _is_secret(name):
        return REDACTED
    if _PLAIN.match(text) and "eyJ" not in text:
        return text
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    return text


@lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    return name.lower().replace("-", "_") in _SECRET_NAMES
