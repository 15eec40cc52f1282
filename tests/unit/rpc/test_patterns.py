from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import RefName
from meshnode.rpc.patterns import parse_pattern, select

NAMES = sorted(
    RefName("refs/" + name)
    for name in (
        "heads/main",
        "heads/feature/one",
        "heads/feature/two",
        "heads/feature/deep/er",
        "heads/features",
        "heads/a-b",
        "heads/x]y",
        "heads/A1",
        "heads/émile",
        "tags/v1",
        "tags/v1.0",
        "tags/v1.1-rc",
        "tags/v10",
        "tags/v2/a",
        "notes/commits",
        "remotes/origin/main",
        "a/b/c/d/e",
        "a/c",
        "aaa/aab",
    )
)

PATTERNS = [
    "refs/heads",
    "refs/heads/",
    "refs/head",
    "refs",
    "refs/heads/main",
    "refs/heads/main/",
    "refs/heads/*",
    "refs/heads/**",
    "refs/heads/f*",
    "refs/*/main",
    "refs/**/main",
    "**/main",
    "**",
    "*",
    "***",
    "refs/**",
    "refs/**/",
    "refs/heads/feature/**",
    "refs/heads**",
    "refs/a/**/e",
    "refs/**/c/**/e",
    "refs/a/*/c",
    "refs/a/b*/c",
    "refs/*/*/*",
    "refs/tags/v1?",
    "refs/tags/v1.?",
    "refs/tags/v1.[0-9]",
    "refs/tags/v[!1]*",
    "refs/tags/v[^1]*/a",
    "refs/tags/v[12]*",
    "refs/tags/v[[:digit:]]",
    "refs/tags/v[[:digit:]][[:digit:]]",
    "refs/heads/[[:upper:]]*",
    "refs/heads/[[:nonsense:]]*",
    "refs/heads/[a-z]-?",
    "refs/heads/x[]]y",
    "refs/heads/x[!a]y",
    "refs/heads/x\\]y",
    "refs/heads/[",
    "refs/heads/[a",
    "refs/heads/[/",
    "refs/heads\\/main",
    "refs/heads/main\\",
    "refs/heads[/]main",
    "refs/heads?main",
    "refs/heads/[z-a]*",
    "refs/heads/a[+--]b",
    "refs/heads/a[-]b",
    "refs/**\\/main",
    "refs/a**",
    "refs/aaa/*aab",
    "refs/aaa/*a*b",
    "/refs/heads",
    "main",
    "heads/main",
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with NAMES, all at one commit."""
    path = tmp_path_factory.mktemp("patterns") / "repo.git"
    _git(path.parent, "init", "--quiet", "--bare", str(path))
    tree = _git(path, "mktree", stdin="").strip()
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    commit = _git(path, *identity, "commit-tree", "-m", "x", tree).strip()
    lines = "".join(f"create {name} {commit}\n" for name in NAMES)
    _git(path, "update-ref", "--stdin", stdin=lines)
    return path


def _git(path: Path, *args: str, stdin: str = "") -> str:
    done = subprocess.run(["git", *args], cwd=path, input=stdin, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def _listed_by_git(repository: Path, *patterns: str) -> list[str]:
    return _git(repository, "for-each-ref", "--format=%(refname)", *patterns).splitlines()


def _selected(*patterns: str) -> list[str]:
    return [NAMES[index] for index in select(NAMES, patterns)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_selects_what_git_for_each_ref_does(repository: Path, pattern: str) -> None:
    assert _selected(pattern) == _listed_by_git(repository, pattern)


def test_several_patterns_select_their_union_once(repository: Path) -> None:
    patterns = ["refs/tags", "refs/heads/f*", "refs/**/main", "refs/tags/v1"]
    assert _selected(*patterns) == _listed_by_git(repository, *patterns)


def test_no_pattern_selects_everything() -> None:
    assert _selected() == NAMES


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab*?/[]!-\\", min_size=1, max_size=8))
def test_any_glob_selects_what_git_does(repository: Path, tail: str) -> None:
    pattern = "refs/a" + tail
    try:
        selected = _selected(pattern)
    except InvalidRequest:
        assert pattern.count("**") > 2
        return
    assert selected == _listed_by_git(repository, pattern)


@pytest.mark.parametrize("pattern", ["", "x" * 1_025, "**/a/**/b/**/c"])
def test_pattern_beyond_the_bounds_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_pattern(pattern)


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        select(NAMES, ["refs/heads"] * 101)


def test_many_stars_are_matched_without_trying_every_combination() -> None:
    name = RefName("refs/heads/" + "a" * 900)
    pattern = "refs/heads/" + "*a" * 400 + "b"
    assert list(select([name], [pattern])) == []
