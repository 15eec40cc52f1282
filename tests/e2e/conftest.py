"""One cluster for the tests that leave it as they found it, and histories to push."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, running_cluster
from tests.e2e.history import SMALL, Shape, make_repository

_NUMBERS = itertools.count(1)

BULKY = Shape(commits=300, branches=4, tags=4, files=40, noise_bytes=100_000)
"""About 30 MB that cannot be compressed: more than sockets and pipes hold, so a stalled transfer stays one."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that stay up; a test uses repositories of its own."""
    with running_cluster(tmp_path_factory.mktemp("cluster") / "mesh") as running:
        yield running


@pytest.fixture
def name() -> str:
    """A repository name that no other test uses."""
    return f"team/repo-{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bare repository; tests push from it and never change it."""
    return make_repository(tmp_path_factory.mktemp("source") / "small.git", SMALL)


@pytest.fixture(scope="session")
def bulky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with large packs."""
    return make_repository(tmp_path_factory.mktemp("source") / "bulky.git", BULKY)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with a working tree and one commit on `main`."""
    path = tmp_path / "work"
    git("init", "--quiet", "--initial-branch=main", str(path))
    (path / "file.txt").write_text("one\n")
    git("add", ".", cwd=path)
    git("commit", "--quiet", "-m", "one", cwd=path)
    return path
