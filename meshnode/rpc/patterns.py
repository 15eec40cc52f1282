"""Decides which reference names a pattern of `git for-each-ref` means.

A pattern matches a name that it equals, that it is a leading path of (`refs/heads`, `refs/heads/`), or that it
matches as a glob in which `*` and `?` stop at `/` and `**` between slashes does not.

Globs become regular expressions that cannot be made slow: text between two stars of one path segment is matched at
its leftmost place and never tried again, and `**`, which may have to be tried again, is allowed twice.
Source: match_name_as_path in git's ref-filter.c, wildmatch.c with WM_PATHNAME.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import RefName

PATTERNS_MAX: Final = 100
PATTERN_CHARS_MAX: Final = 1_024
DEEP_STARS_MAX: Final = 2

_SPECIAL: Final = re.compile(r"[*?\[\\]")
_POSIX: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_STAR: Final = "[^/]*"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern, ready to match."""

    prefix: str
    """What every matching name starts with."""
    glob: re.Pattern[str] | None
    """None where nothing can match beyond a leading path or the whole name."""

    def span(self, names: Sequence[RefName]) -> tuple[int, int]:
        """The part of the sorted `names` where matches can be: first index, end index."""
        first = bisect_left(names, self.prefix)
        end = bisect_left(names, self.prefix + "\U0010ffff")
        return first, end

    def matcher(self, text: str) -> Callable[[str], bool]:
        """What tells whether a name of the span matches; `text` is the pattern as given."""
        path = text if text.endswith("/") else text + "/"
        glob = self.glob
        if glob is None:
            return lambda name: name == text or name.startswith(path)
        return lambda name: name == text or name.startswith(path) or glob.match(name) is not None


def parse_pattern(text: str) -> Pattern:
    """Check and prepare a pattern.

    Raises:
        InvalidRequest: empty, over 1,024 characters, or with more than two `**`.
    """
    if not 1 <= len(text) <= PATTERN_CHARS_MAX:
        raise InvalidRequest("a pattern has 1 to 1,024 characters", chars=len(text))
    special = _SPECIAL.search(text)
    if special is None:
        return Pattern(text, None)
    expression = _translate(text)
    return Pattern(text[: special.start()], None if expression is None else re.compile(expression, re.DOTALL))


def select(names: Sequence[RefName], patterns: Sequence[str]) -> Sequence[int]:
    """Indices of the sorted `names` that at least one pattern matches, ascending; no pattern: all of them.

    Raises:
        InvalidRequest: more than 100 patterns, or a malformed one.
    """
    if not patterns:
        return range(len(names))
    if len(patterns) > PATTERNS_MAX:
        raise InvalidRequest("too many patterns", patterns=len(patterns), patterns_max=PATTERNS_MAX)
    found: list[Sequence[int]] = []
    for text in patterns:
        pattern = parse_pattern(text)
        first, end = pattern.span(names)
        if pattern.prefix == text and text.endswith("/"):
            found.append(range(first, end))
            continue
        matches = pattern.matcher(text)
        found.append([index for index in range(first, end) if matches(names[index])])
    if len(found) == 1:
        return found[0]
    return sorted({index for indices in found for index in indices})


def _translate(text: str) -> str | None:
    """The glob as a regular expression; None for one that git's wildmatch never matches (an open bracket)."""
    pieces: list[str] = []
    """Alternately literal parts and stars."""
    deep_stars = 0
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "*":
            end = at
            while end < len(text) and text[end] == "*":
                end += 1
            is_deep = end - at > 1 and (at == 0 or text[at - 1] == "/") and _ends_segment(text, end)
            deep_stars += is_deep
            if is_deep and text[end : end + 1] == "/":
                pieces.append("(?:.*/)?")
                end += 1
            else:
                pieces.append(".*" if is_deep else _STAR)
            at = end
        elif letter == "?":
            pieces.append("[^/]")
            at += 1
        elif letter == "[":
            bracket = _bracket(text, at)
            if bracket is None:
                return None
            expression, at = bracket
            pieces.append(expression)
        elif letter == "\\":
            if at + 1 == len(text):
                return None
            pieces.append(re.escape(text[at + 1]))
            at += 2
        else:
            pieces.append(re.escape(letter))
            at += 1
    if deep_stars > DEEP_STARS_MAX:
        raise InvalidRequest("a pattern has at most two '**'", pattern=text[:100])
    return _without_retries(pieces)


def _ends_segment(text: str, at: int) -> bool:
    return at == len(text) or text[at] == "/" or text[at : at + 2] == "\\/"


def _without_retries(pieces: list[str]) -> str:
    """Join the pieces, each star and the text up to the next star as one step that is never taken back."""
    expression = ""
    at = 0
    while at < len(pieces):
        if pieces[at] != _STAR:
            expression += pieces[at]
            at += 1
            continue
        end = at + 1
        while end < len(pieces) and pieces[end] not in {_STAR, ".*", "(?:.*/)?"}:
            end += 1
        text = "".join(pieces[at + 1 : end])
        expression += f"(?>{_STAR}?{text})" if end < len(pieces) else f"{_STAR}{text}"
        at = end
    return expression + r"\Z"


def _bracket(text: str, start: int) -> tuple[str, int] | None:
    """A bracket expression and where it ends; None where it does not end or names an unknown class."""
    at = start + 1
    negated = text[at : at + 1] in {"!", "^"} and at < len(text)
    at += negated
    members = ""
    is_first = True
    while True:
        if at >= len(text):
            return None
        letter = text[at]
        if letter == "]" and not is_first:
            break
        is_first = False
        if text.startswith("[:", at):
            end = text.find(":]", at + 2)
            if end < 0 or text[at + 2 : end] not in _POSIX:
                return None
            members += _POSIX[text[at + 2 : end]]
            at = end + 2
            continue
        low, at = _member(text, at)
        if low is None:
            return None
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in {"", "]"}:
            high, at = _member(text, at + 1)
            if high is None:
                return None
            members += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
        else:
            members += re.escape(low)
    return (f"(?!/)[^{members}]" if negated and members else _positive(members, negated=negated)), at + 1


def _positive(members: str, *, negated: bool) -> str:
    if negated:
        return "[^/]"
    return f"(?!/)[{members}]" if members else "(?!)"


def _member(text: str, at: int) -> tuple[str | None, int]:
    if text[at] == "\\":
        return (text[at + 1], at + 2) if at + 1 < len(text) else (None, at)
    return text[at], at + 1
