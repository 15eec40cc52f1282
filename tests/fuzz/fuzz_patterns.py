"""Globs over reference names: never an error but InvalidRequest, never slow, and what a plain matcher selects."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import RefName
from meshnode.rpc.patterns import PATTERN_CHARS_MAX, parse_pattern, select

NAMES = [
    RefName(name)
    for name in sorted(
        ["refs/heads/a", "refs/heads/a/b", "refs/heads/ab", "refs/heads/a-b", "refs/heads/é", "refs/heads/aaaaaaaaaab",
         "refs/tags/v1.0", "refs/tags/v1]", "refs/x/a/b/a/c", "refs/heads/Z", "refs/heads/\\a", "refs/heads/" + "a" * 900]
    )
]  # fmt: skip

_PIECE = st.sampled_from(
    ["*", "**", "?", "/", "a", "b", "refs/", "heads/", "[", "]", "!", "^", "-", "\\", "[a-b]", "[!a]", "[[:alpha:]]",
     "**/", "/**", "[]-a]", "[a", "é", "[[:x:]]", "[\\]]", "v1", "."]
)  # fmt: skip
EXAMPLES = st.lists(_PIECE, max_size=10).map("".join).map(lambda text: text.encode())


def check_patterns(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        parse_pattern(text)
        found = [NAMES[index] for index in select(NAMES, [text])]
    except InvalidRequest:
        assert not 1 <= len(text) <= PATTERN_CHARS_MAX or text.count("**") > 2
        return
    assert found == sorted(set(found))
    path = text if text.endswith("/") else text + "/"
    if len(text) > 60:
        return  # the plain matcher is slow
    for name in NAMES[:-1] if "*" in text else NAMES:
        expected = name == text or name.startswith(path) or _matches(text, name)
        assert (name in found) == expected, (text, name)


def _matches(pattern: str, text: str) -> bool:
    """wildmatch with WM_PATHNAME, written down as it is explained: one rule a line, no cleverness."""

    @cache
    def match(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        letter = pattern[p]
        if letter == "*":
            end = p
            while end < len(pattern) and pattern[end] == "*":
                end += 1
            follows = pattern[end : end + 1] == "/" or pattern[end : end + 2] == "\\/" or end == len(pattern)
            if end - p > 1 and (p == 0 or pattern[p - 1] == "/") and follows:
                if pattern[end : end + 1] == "/" and match(end + 1, t):
                    return True
                return any(match(end, at) for at in range(t, len(text) + 1))
            stop = text.find("/", t)
            return any(match(end, at) for at in range(t, (len(text) if stop < 0 else stop) + 1))
        if t == len(text):
            return False
        if letter == "?":
            return text[t] != "/" and match(p + 1, t + 1)
        if letter == "[":
            found = _bracket(pattern, p, text[t])
            return found is not None and found[0] and text[t] != "/" and match(found[1], t + 1)
        if letter == "\\":
            return p + 1 < len(pattern) and pattern[p + 1] == text[t] and match(p + 2, t + 1)
        return letter == text[t] and match(p + 1, t + 1)

    return match(0, 0) and not _has_open_bracket(pattern)


def _has_open_bracket(pattern: str) -> bool:
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            if at + 1 == len(pattern):
                return True
            at += 2
        elif pattern[at] == "[":
            found = _bracket(pattern, at, "a")
            if found is None:
                return True
            at = found[1]
        else:
            at += 1
    return False


_CLASSES: dict[str, Callable[[str], bool]] = {
    "alnum": str.isalnum, "alpha": str.isalpha, "blank": " \t".__contains__, "digit": str.isdigit, "lower": str.islower,
    "upper": str.isupper, "space": str.isspace, "print": str.isprintable, "xdigit": "0123456789abcdefABCDEF".__contains__,
    "graph": lambda letter: "!" <= letter <= "~", "cntrl": lambda letter: letter < " " or letter == "\x7f",
    "punct": lambda letter: "!" <= letter <= "~" and not letter.isalnum(),
}  # fmt: skip


def _bracket(pattern: str, start: int, letter: str) -> tuple[bool, int] | None:
    """Whether a bracket expression holds `letter`, and where it ends; None where it does not end."""
    at = start + 1
    is_negated = pattern[at : at + 1] in {"!", "^"} and at < len(pattern)
    at += is_negated
    is_in, first, previous = False, at, ""
    while at < len(pattern):
        if pattern[at] == "]" and at > first:
            return is_in != is_negated, at + 1
        if pattern.startswith("[:", at):
            end = pattern.find(":]", at + 2)
            check = _CLASSES.get(pattern[at + 2 : end]) if end >= 0 else None
            if check is None:
                return None
            is_in |= letter.isascii() and check(letter)
            at, previous = end + 2, ""
        elif pattern[at] == "-" and previous and pattern[at + 1 : at + 2] not in {"", "]"}:
            at += 1 + (pattern[at + 1] == "\\")
            if at >= len(pattern):
                return None
            is_in |= previous <= letter <= pattern[at]
            at, previous = at + 1, ""
        else:
            at += pattern[at] == "\\"
            if at >= len(pattern):
                return None
            previous = pattern[at]
            is_in |= letter == previous
            at += 1
    return None
