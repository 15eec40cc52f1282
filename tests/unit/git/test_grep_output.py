"""What `git grep` writes is taken apart by its fields, however it is cut, whatever paths and lines hold."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.grep_output import LINE_BYTES_MAX, GrepOutput
from meshnode.ports import ContentMatch

TREE = ObjectId("a" * 40)

PATHS = st.binary(min_size=1, max_size=30).filter(lambda path: b"\0" not in path)
TEXTS = st.binary(max_size=40).filter(lambda text: b"\n" not in text and b"\0" not in text)
MATCHES = st.builds(ContentMatch, PATHS, st.integers(1, 1 << 20), st.integers(0, 1 << 20), TEXTS, is_cut=st.just(False))


def written(match: ContentMatch) -> bytes:
    column = b"%d\0" % match.column if match.column else b""
    return b"%s:%s\0%d\0%s%s\n" % (TREE.encode(), match.path, match.line_number, column, match.line)


def parsed(chunks: list[bytes]) -> list[ContentMatch]:
    output = GrepOutput(TREE)
    found = [match for chunk in chunks for match in output.feed(chunk)]
    output.end()
    return found


@given(st.lists(MATCHES, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_any_cut_gives_the_same_matches(matches: list[ContentMatch], cuts: list[int]) -> None:
    data = b"--\n".join(map(written, matches))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]
    assert parsed(chunks) == matches


@pytest.mark.parametrize("size", [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 3_000_000])
@pytest.mark.parametrize("step", [1_000, 10_000_000])
def test_of_a_long_line_the_beginning_is_kept(size: int, step: int) -> None:
    data = written(ContentMatch(b"a", 1, 1, b"x" * size)) + written(ContentMatch(b"b", 2, 1, b"y"))
    first, second = parsed([data[start : start + step] for start in range(0, len(data), step)])
    assert first.line == b"x" * min(size, LINE_BYTES_MAX)
    assert first.is_cut == (size > LINE_BYTES_MAX)
    assert second.line == b"y"


@pytest.mark.parametrize("data", [b"something else entirely, longer than an object id is\n", b"x" * 20_000])
def test_what_git_grep_does_not_write_is_damage(data: bytes) -> None:
    with pytest.raises(Corrupt):
        parsed([data])


def test_output_that_ends_inside_a_line_is_damage() -> None:
    with pytest.raises(Corrupt):
        parsed([written(ContentMatch(b"a", 1, 1, b"x"))[:-1]])


def test_record_without_an_end_is_damage_and_not_kept() -> None:
    with pytest.raises(Corrupt):
        parsed([TREE.encode() + b":" + b"p" * 20_000])
