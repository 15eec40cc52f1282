"""The image and `deploy/compose.yaml`: three nodes over three etcd members, one node killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import git, list_refs
from tests.e2e.containers import Compose, running_compose
from tests.e2e.history import SMALL, make_repository
from tests.e2e.raw import send
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    with running_compose(tmp_path_factory.mktemp("compose")) as running:
        for node in (1, 2, 3):
            wait_ready(running, node)
        yield running


def test_three_nodes_in_containers_take_pushes_while_one_is_dead(project: Compose, tmp_path: Path) -> None:
    token = project.operator(
        "token", "create-user", "--user", "dev", "--scope", "write", "--repository", "team/*", "--ttl", "1h"
    ).split()[-1]
    header = (f"http.extraHeader=Authorization: Bearer {token}",)
    source = make_repository(tmp_path / "source", SMALL)

    git("push", "--quiet", "--mirror", project.url(1, "team/app"), cwd=source, config=header)
    refs = list_refs(source)
    for node in (1, 2, 3):
        assert without_head(list_refs(project.url(node, "team/app"), config=header)) == without_head(refs)

    project.kill("node3")
    git("push", "--quiet", project.url(1, "team/app"), "main:refs/heads/after-kill", cwd=source, config=header)
    git("clone", "--quiet", project.url(2, "team/app"), str(tmp_path / "clone"), config=header)
    assert "refs/heads/after-kill" in list_refs(project.url(2, "team/app"), config=header)

    project.compose("up", "--detach", "--no-deps", "node3")
    wait_ready(project, 3)
    wait_until(
        lambda: (
            list_refs(project.url(3, "team/app"), config=header) == list_refs(project.url(1, "team/app"), config=header)
        ),
        deadline_s=60,
        what="node3 has what it missed",
    )
    shown = project.operator("repo", "verify", "team/app", "--json")
    assert '"ok": true' in shown


def test_a_push_without_a_token_is_refused(project: Compose, tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source", SMALL)
    refused = git("push", project.url(1, "team/other"), "main", cwd=source, check=False)
    assert refused.returncode != 0


def test_a_stopped_container_ends_before_its_grace_period(project: Compose) -> None:
    project.compose("stop", "--timeout", "40", "node2")
    state = project.podman("inspect", "--format", "{{.State.ExitCode}}", project.container("node2")).strip()
    assert state == "0"
    project.compose("up", "--detach", "--no-deps", "node2")
    wait_ready(project, 2)


def wait_ready(project: Compose, node: int) -> None:
    def is_ready() -> bool:
        return send(project.http_port(node), "GET", "/readyz", timeout_s=5).status == 200

    wait_until(is_ready, deadline_s=120, what=f"node{node} is ready")


def without_head(refs: dict[str, str]) -> dict[str, str]:
    return {name: oid for name, oid in refs.items() if name != "HEAD"}
