"""What git prints about blame is read whole or refused, and a blame that nobody reads any more leaves nothing running."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, TooLarge
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.blame import LINE_BYTES_MAX, GitBlames, PorcelainParser
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.queries import Queries
from meshnode.git.quoting import unquoted
from meshnode.ports import BlameHunk, BlameOptions
from tests.unit.git.processes import children
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
A, B = ObjectId("a" * 40), ObjectId("b" * 40)


def parse(output: bytes) -> list[BlameHunk]:
    parser = PorcelainParser()
    hunks = [parser.take(line) for line in output.split(b"\n")[:-1]]
    return [hunk for hunk in [*hunks, parser.finish()] if hunk is not None]


def test_paths_are_remembered_where_git_does_not_repeat_them() -> None:
    output = b"""%(a)s 1 1 1
author A
previous %(b)s "q\\"\\303\\251"
filename a b
\tone
%(b)s 5 2 2
filename other
\t\ttwo
%(b)s 6 3
\tthree
%(a)s 9 4 1
\tfour
%(b)s 7 5 1
previous %(a)s x
filename elsewhere
\tfive
""" % {b"a": A.encode(), b"b": B.encode()}
    assert parse(output) == [
        BlameHunk(A, b"a b", 1, 1, [b"one"], (B, b'q"\xc3\xa9')),
        BlameHunk(B, b"other", 2, 5, [b"\ttwo", b"three"], None),
        BlameHunk(A, b"a b", 4, 9, [b"four"], (B, b'q"\xc3\xa9')),
        BlameHunk(B, b"elsewhere", 5, 7, [b"five"], (A, b"x")),
    ]


@pytest.mark.parametrize(
    "output", [b"\tcontent\n", b"nonsense\n", A.encode() + b" 1 1 1\n", A.encode() + b" 1 x 1\n\tone\n", b"\n"]
)
def test_other_output_is_damage(output: bytes) -> None:
    with pytest.raises(Corrupt):
        parse(output)


@given(st.binary(max_size=200))
def test_no_output_breaks_the_parser_otherwise(output: bytes) -> None:
    for candidate in (output, A.encode() + b" 1 1 1\n" + output + b"\n\tx\n"):
        try:
            parse(candidate + b"\n")
        except Corrupt:
            continue


@given(st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & set(b"\0/")))
def test_quoted_paths_are_read_back(name: bytes) -> None:
    quoted = b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
    assert unquoted(quoted) == name
    assert unquoted(b"plain") == b"plain"


@pytest.mark.parametrize("text", [b'"', b'"a', b'"\\8"', b'"a\\"'])
def test_broken_quotes_are_damage(text: bytes) -> None:
    with pytest.raises(Corrupt):
        unquoted(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = Layout(tmp_path).repository(KEY)
    path.parent.mkdir(parents=True)
    git("init", "--quiet", "--bare", str(path), path=path.parent)
    files = {b"many": b"line\n" * 400_000, b"long": b"x" * (LINE_BYTES_MAX + 1), b"odd\nname\\": b"one\n"}
    stream = b"commit refs/heads/main\ncommitter A <a> 1 +0000\ndata 1\nm"
    for name, data in files.items():
        quoted = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        stream += b'M 100644 inline "%s"\ndata %d\n%s\n' % (quoted, len(data), data)
    git("fast-import", "--quiet", path=path, stdin=stream)
    return path


def blames(tmp_path: Path) -> GitBlames:
    return GitBlames(Queries(GitCommands(), Layout(tmp_path)))


def head(path: Path) -> ObjectId:
    return ObjectId(git("rev-parse", "main", path=path).decode().strip())


async def blamed(tmp_path: Path, path: Path, name: bytes) -> list[BlameHunk]:
    async with blames(tmp_path).blame(KEY, head(path), TreePath(name), BlameOptions()) as hunks:
        return [hunk async for hunk in hunks]


async def test_a_blame_that_is_left_leaves_no_process(tmp_path: Path, path: Path) -> None:
    async with blames(tmp_path).blame(KEY, head(path), TreePath(b"many"), BlameOptions()) as hunks:
        assert len(children()) == 1
        async for hunk in hunks:
            assert hunk.start == 1
            break
        assert len(children()) == 1
    assert children() == []


async def test_a_long_run_comes_in_several_hunks(tmp_path: Path, path: Path) -> None:
    hunks = await blamed(tmp_path, path, b"many")
    assert len(hunks) > 5
    assert sum(len(hunk.lines) for hunk in hunks) == 400_000
    for before, after in itertools.pairwise(hunks):
        assert after.start == after.original_start == before.start + len(before.lines)
    assert children() == []


async def test_a_line_that_is_too_long_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(TooLarge):
        await blamed(tmp_path, path, b"long")
    assert children() == []


async def test_paths_of_any_bytes_come_back_as_they_are(tmp_path: Path, path: Path) -> None:
    (hunk,) = await blamed(tmp_path, path, b"odd\nname\\")
    assert (hunk.path, hunk.lines) == (b"odd\nname\\", [b"one"])
