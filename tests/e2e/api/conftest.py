"""The cluster of the end-to-end tests with two histories in it, and a caller of its RPCs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode.v1 import repository_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.oddities import make_oddities
from tests.e2e.api.workbench import Clone, Pair
from tests.e2e.cluster import Cluster, git
from tests.e2e.history import Shape, make_repository

ODDITIES = "api/oddities"
ODDITIES_SHA256 = "api/oddities-sha256"
HISTORY = "api/history"
PLAIN = Shape(commits=400, branches=12, tags=12, files=60)


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """Calls the session's cluster."""
    with Api(cluster) as caller:
        yield caller


@pytest.fixture(scope="session")
def oddities(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare repository that `ODDITIES` was pushed from; tests never change either."""
    path = make_oddities(tmp_path_factory.mktemp("api") / "oddities.git")
    git("push", "--quiet", "--mirror", cluster.url(1, ODDITIES), cwd=path)
    return path


@pytest.fixture(scope="session")
def oddities_sha256(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the other object format, pushed to `ODDITIES_SHA256`."""
    path = make_oddities(tmp_path_factory.mktemp("api") / "oddities-sha256.git", object_format="sha256")
    cluster.meshnode("repo", "create", ODDITIES_SHA256, "--object-format", "sha256")
    git("push", "--quiet", "--mirror", cluster.url(1, ODDITIES_SHA256), cwd=path)
    return path


@pytest.fixture(scope="session")
def history(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare repository that `HISTORY` was pushed from; tests never change either."""
    path = make_repository(tmp_path_factory.mktemp("api") / "history.git", PLAIN)
    git("push", "--quiet", "--mirror", cluster.url(1, HISTORY), cwd=path)
    return path


@pytest.fixture
def odd(api: Api, name: str, oddities: Path) -> str:
    """A fork of the oddities for one test to write to."""
    request = repository_pb2.ForkRequest(source_name=ODDITIES, name=name)
    assert oddities.exists()
    api.call("RepositoryService/Fork", request, repository_pb2.ForkResponse)
    return name


@pytest.fixture
def clone(oddities: Path, tmp_path: Path) -> Clone:
    """The oddities with a working tree, for stock git to work in."""
    return Clone.of(oddities, tmp_path / "clone")


@pytest.fixture
def pair(cluster: Cluster, api: Api, odd: str, clone: Clone) -> Pair:
    """A fork of the oddities on the cluster, and a clone of them."""
    return Pair(cluster, api, odd, clone)
