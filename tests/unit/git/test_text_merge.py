"""Texts merged in memory: what is told, and what is left to git; beside git in `test_merges_beside_git.py`."""

from __future__ import annotations

import pytest

from meshnode.git.text_merge import TEXT_BYTES_MAX, merge_text


def text(lines: str) -> bytes:
    """A line of each word."""
    return b"".join(word.encode() + b"\n" for word in lines.split())


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("a b c", "A b c", "a b C", "A b C"),
        ("a b c", "b c", "a b", "b"),
        ("a b c", "x a b c", "a b c y", "x a b c y"),
        ("a b c", "a x b c", "a b y c", "a x b y c"),
        ("x a b u a b x", "x u a b x", "x a b u a a b x", "x u a a b x"),
        ("u x x x", "x u x x x", "u x x", "x u x x"),
        ("a b c d e", "1 2 3 b c d e", "a b c 4 5 6", "1 2 3 b c 4 5 6"),
    ],
)
def test_changes_on_two_sides_of_a_line_that_is_there_once(base: str, ours: str, theirs: str, merged: str) -> None:
    assert merge_text(text(base), text(ours), text(theirs)) == text(merged)
    assert merge_text(text(base), text(theirs), text(ours)) == text(merged)


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        pytest.param("a b c", "a B c", "a X c", id="the same line"),
        pytest.param("a b c", "A b c", "a B c", id="two lines that touch"),
        pytest.param("a b c d", "A b c D", "a B c d", id="one side above and below"),
        pytest.param("a x x b", "A x x b", "a x x B", id="the same line twice between them"),
        pytest.param("a x b", "A x b", "a x B x", id="a line between them that one side copied"),
        pytest.param("a b", "x a b", "y a b", id="two lines at one place"),
    ],
)
def test_changes_that_may_meet_are_left_to_git(base: str, ours: str, theirs: str) -> None:
    assert merge_text(text(base), text(ours), text(theirs)) is None
    assert merge_text(text(base), text(theirs), text(ours)) is None


@pytest.mark.parametrize("odd", [b"", b"a\nb\nC", b"a\0\nb\nc\n", b"a\nb\n" + b"c" * TEXT_BYTES_MAX + b"\n"])
def test_binary_long_and_unfinished_texts_are_left_to_git(odd: bytes) -> None:
    base, ours = text("a b c"), text("A b c")
    assert merge_text(base, ours, odd) is None
    assert merge_text(base, odd, ours) is None
    assert merge_text(odd, base, ours) is None
