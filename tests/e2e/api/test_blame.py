"""Blame is what `git blame --line-porcelain` says, line for line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, TooLarge
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, oid_of, output
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.api.oddities import ODD_PATHS
from tests.e2e.cluster import Cluster, git

BLAMED = "api/blamed"
MIB = 1 << 20
Line = tuple[str, int, bytes, bytes]
"""Commit, line there, path there, content."""


def numbered(first: int, last: int, *, step: str = "line") -> str:
    return "".join(f"{step} number {number} is long enough to be recognised\n" for number in range(first, last))


@pytest.fixture(scope="module")
def blamed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moves, copies, changes of whitespace, merges and large files; pushed to `BLAMED`."""
    path = tmp_path_factory.mktemp("blamed") / "work"
    git("init", "--quiet", "--initial-branch=main", str(path))

    def commit(files: dict[str, str], *, when: int) -> str:
        for name, text in files.items():
            (path / name).write_text(text, newline="")
            git("add", name, cwd=path)
        date = f"{1_600_000_000 + when} +0000"
        git("-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", f"c{when}",
            "--date", date, cwd=path)  # fmt: skip
        return git("rev-parse", "HEAD", cwd=path).stdout.strip()

    commit({"a.txt": numbered(0, 40), "other.txt": numbered(100, 140)}, when=1)
    commit({"a.txt": numbered(20, 40) + numbered(0, 20)}, when=2)
    moved = {"other.txt": numbered(100, 105) + numbered(130, 140)}
    commit({"b.txt": "own line\n" + numbered(105, 130) + numbered(5, 19), **moved}, when=3)
    commit({"a.txt": numbered(20, 40).replace("line", "    line") + numbered(0, 20)}, when=4)
    reformat = commit({"b.txt": ("own line\n" + numbered(105, 130) + numbered(5, 19)).upper()}, when=5)
    git("tag", "reformat", cwd=path)
    git("checkout", "--quiet", "-b", "side", "HEAD~2", cwd=path)
    commit({"side.txt": numbered(0, 10, step="side")}, when=6)
    git("checkout", "--quiet", "main", cwd=path)
    git("-c", "user.name=A", "-c", "user.email=a@b", "merge", "--quiet", "--no-edit", "side", cwd=path)
    commit(
        {
            ".git-blame-ignore-revs": f"# formatting\n\n{reformat}  # all of it\n{'1' * 40}\n",
            "malformed": "main\n",
            "too-many": f"{reformat}\n" * 1_001,
            "binary": "".join(map(chr, range(256))) * 20,
            "long-line": "x" * (MIB + 1) + "\n",
            "too-large": numbered(0, 400_000),
            "long": "y" * 99_999 + "\n" + ("z" * 9_999 + "\n") * 300,
        },
        when=7,
    )
    git("push", "--quiet", cluster.url(1, BLAMED), "main", "reformat", cwd=path)
    return path


def blame(api: Api, repository: str, revision: str, path: bytes, **fields: Any) -> Iterator[tuple[int, Line]]:
    """Every line, by its number; checks what holds for all answers."""
    request = commit_pb2.BlameRequest(repository=repository, revision=revision, path=path, **fields)
    messages = api.stream("CommitService/Blame", request, commit_pb2.BlameResponse)
    assert messages[0].position.generation >= 1
    assert messages[0].commit_oid
    assert messages[0].blob_oid
    assert all(message.ByteSize() < 4 * MIB for message in messages)
    known: list[str] = []
    for message in messages:
        known += [commit.oid for commit in message.commits]
        for hunk in message.hunks:
            assert hunk.commit_oid in known
            assert hunk.lines
            for number, content in enumerate(hunk.lines):
                yield hunk.start + number, (hunk.commit_oid, hunk.original_start + number, hunk.path, content)
    assert len(known) == len(set(known))


def blame_of_git(stock: Path, *arguments: str | bytes) -> Iterator[tuple[int, Line]]:
    filename = b""
    for line in output(stock, "blame", "--line-porcelain", "--root", *arguments).split(b"\n")[:-1]:
        fields = line.split(b" ")
        if len(fields[0]) >= 40 and not line.startswith(b"\t"):
            oid, original, final = fields[0].decode(), int(fields[1]), int(fields[2])
        elif line.startswith(b"filename "):
            filename = line.partition(b" ")[2]
            if filename.startswith(b'"'):
                filename = filename[1:-1].decode("unicode_escape").encode("latin-1")
        elif line.startswith(b"\t"):
            yield final, (oid, original, filename, line[1:])


def check(
    api: Api, repository: str, stock: Path, revision: str, path: bytes, *options: str, **fields: Any
) -> list[tuple[int, Line]]:
    wanted = list(blame_of_git(stock, *options, revision, "--", path))
    assert list(blame(api, repository, revision, path, **fields)) == wanted
    return wanted


@pytest.mark.parametrize(
    "path",
    [*ODD_PATHS, b"src/numbers.txt", b"src/copy.txt", b"src/crlf-moved.txt", b"bin/run.sh", b"data.bin",
     b"no-newline.txt", b"link", b"src/deep/er/file.py"],
)  # fmt: skip
def test_every_line_has_git_s_commit(api: Api, oddities: Path, path: bytes) -> None:
    assert check(api, ODDITIES, oddities, "main", path)


def test_an_empty_file_has_no_lines(api: Api, oddities: Path) -> None:
    assert oddities.exists()
    assert list(blame(api, ODDITIES, "main", b"empty.txt")) == []


def test_files_of_a_history_with_merges_are_blamed(api: Api, history: Path) -> None:
    for path in output(history, "ls-tree", "-r", "-z", "--name-only", "main").split(b"\0")[:6]:
        check(api, HISTORY, history, "main", path)


def test_a_sha256_repository_is_blamed(api: Api, oddities_sha256: Path) -> None:
    check(api, ODDITIES_SHA256, oddities_sha256, "main", b"src/numbers.txt")


def test_ranges_are_git_s(api: Api, oddities: Path) -> None:
    one = commit_pb2.LineRange(start=95, end=105)
    rest = commit_pb2.LineRange(start=190)
    overlapping = commit_pb2.LineRange(start=100, end=120)
    path = b"src/numbers.txt"
    check(api, ODDITIES, oddities, "main", path, "-L95,105", ranges=[one])
    check(api, ODDITIES, oddities, "main", path, "-L190,", ranges=[rest])
    check(api, ODDITIES, oddities, "main", path, "-L95,105", "-L190,", "-L100,120", ranges=[one, rest, overlapping])
    assert len(list(blame(api, ODDITIES, "main", path, ranges=[commit_pb2.LineRange(start=1, end=10_000)]))) == 199


@pytest.mark.parametrize(
    ("path", "options", "fields"),
    [
        (b"a.txt", ["-w"], {"ignore_whitespace": True}),
        (b"a.txt", ["-M"], {"detect_moves": True}),
        (b"a.txt", ["-w", "-M"], {"ignore_whitespace": True, "detect_moves": True}),
        (b"b.txt", ["-C"], {"detect_copies": 1}),
        (b"b.txt", ["-C", "-C"], {"detect_copies": 2}),
        (b"b.txt", ["-C", "-C", "-C"], {"detect_copies": 3}),
        (b"side.txt", ["--first-parent"], {"first_parent": True}),
        (b"b.txt", ["--ignore-rev=reformat"], {"ignored_revisions": ["reformat"]}),
        (b"b.txt", ["--ignore-rev=reformat", "-C", "-C"], {"ignored_revisions_path": b".git-blame-ignore-revs",
                                                       "detect_copies": 2}),
    ],
)  # fmt: skip
def test_options_are_git_s_and_make_a_difference(
    api: Api, blamed: Path, path: bytes, options: list[str], fields: dict[str, Any]
) -> None:
    revision = "reformat~1" if "-C" in options and len(fields) == 1 else "main"
    plain = check(api, BLAMED, blamed, revision, path)
    assert check(api, BLAMED, blamed, revision, path, *options, **fields) != plain


def test_a_file_from_git_s_own_list_of_ignored_revisions_is_read_as_git_reads_it(api: Api, blamed: Path) -> None:
    option = "--ignore-revs-file=.git-blame-ignore-revs"
    plain = check(api, BLAMED, blamed, "main", b"b.txt")
    ignored = check(api, BLAMED, blamed, "main", b"b.txt", option, ignored_revisions_path=b".git-blame-ignore-revs")
    assert ignored != plain


@pytest.mark.parametrize("path", [b"long", b"binary"])
def test_long_and_binary_content_comes_whole(api: Api, blamed: Path, path: bytes) -> None:
    check(api, BLAMED, blamed, "main", path)


def test_commits_are_named_once_and_whole(api: Api, oddities: Path) -> None:
    request = commit_pb2.BlameRequest(repository=ODDITIES, revision="main", path=b"src/numbers.txt")
    (message,) = api.stream("CommitService/Blame", request, commit_pb2.BlameResponse)
    assert len(message.commits) == 2
    for commit in message.commits:
        check_as_git_shows(oddities, commit)
    changed = next(hunk for hunk in message.hunks if hunk.previous_oid)
    assert changed.previous_oid == oid_of(oddities, f"{changed.commit_oid}^")
    assert changed.previous_path == b"src/numbers.txt"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"revision": "nobody"}, NotFound),
        ({"revision": "main^{tree}"}, InvalidRequest),
        ({"path": b"nothing"}, NotFound),
        ({"path": b""}, InvalidRequest),
        ({"path": b"../a.txt"}, InvalidRequest),
        ({"ranges": [commit_pb2.LineRange(start=0, end=5)]}, InvalidRequest),
        ({"ranges": [commit_pb2.LineRange(start=5, end=4)]}, InvalidRequest),
        ({"ranges": [commit_pb2.LineRange(start=1_000)]}, InvalidRequest),
        ({"ranges": [commit_pb2.LineRange(start=1)] * 101}, InvalidRequest),
        ({"detect_copies": 4}, InvalidRequest),
        ({"ignored_revisions": ["nobody"]}, NotFound),
        ({"ignored_revisions": ["main"] * 101}, InvalidRequest),
        ({"ignored_revisions_path": b"nothing"}, NotFound),
        ({"ignored_revisions_path": b"malformed"}, InvalidRequest),
        ({"ignored_revisions_path": b"too-many"}, InvalidRequest),
        ({"ignored_revisions_path": b"too-large"}, TooLarge),
        ({"path": b"long-line"}, TooLarge),
        ({"path": b"too-large"}, TooLarge),
    ],
)
def test_what_cannot_be_blamed_is_refused(
    api: Api, blamed: Path, fields: dict[str, Any], kind: type[MeshError]
) -> None:
    assert blamed.exists()
    request = commit_pb2.BlameRequest(repository=BLAMED, **{"path": b"a.txt", **fields})
    with pytest.raises(MeshError) as caught:
        api.stream("CommitService/Blame", request, commit_pb2.BlameResponse)
    assert caught.value.code == kind.code, caught.value


def test_directories_and_submodules_are_no_files(api: Api, oddities: Path) -> None:
    assert oddities.exists()
    for path in (b"src", b"vendor/module"):
        request = commit_pb2.BlameRequest(repository=ODDITIES, path=path)
        with pytest.raises(InvalidRequest):
            api.stream("CommitService/Blame", request, commit_pb2.BlameResponse)
