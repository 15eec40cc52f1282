"""The API from outside, with grpcurl: reflection, tokens, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, find_program, git, list_refs
from tests.e2e.reflection import create_token, grpcurl_run, list_services


@pytest.fixture(scope="module")
def grpcurl() -> str:
    return find_program("grpcurl", package="grpcurl, by Go")


def call(
    grpcurl: str, cluster: Cluster, node: int, method: str, request: dict[str, Any], *, token: str = ""
) -> dict[str, Any]:
    """Call `mesh.v1.<method>` with a token of the operator's."""
    token = token or create_token(cluster, "--method", f"/mesh.v1.{method}")
    body = json.dumps(request)
    header = f"authorization: Bearer {token}"
    answer = grpcurl_run(
        grpcurl, "-plaintext", "-rpc-header", header, "-d", body, cluster.grpc(node), f"mesh.v1.{method}"
    )
    decoded: dict[str, Any] = json.loads(answer)
    return decoded


def test_reflection_lists_the_services(cluster: Cluster, grpcurl: str) -> None:
    assert grpcurl
    services = list_services(cluster.grpc(1))
    assert {"mesh.v1.RepositoryService", "mesh.v1.RefService", "mesh.v1.ClusterService"} <= set(services)


def test_a_repository_is_described_by_every_node(cluster: Cluster, grpcurl: str, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    for node in cluster.numbers:
        answer = call(grpcurl, cluster, node, "RepositoryService/Get", {"name": name})
        assert answer["repository"]["name"] == name
        assert len(answer["repository"]["replicas"]) == 3


def test_references_are_listed_over_rpc_as_git_lists_them(
    cluster: Cluster, grpcurl: str, name: str, source: Path
) -> None:
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    listed = call(grpcurl, cluster, 2, "RefService/ListRefs", {"repository": name, "page_size": 1000})
    wanted = {ref: oid for ref, oid in list_refs(source).items() if not ref.endswith("^{}") and ref != "HEAD"}
    assert {ref["name"]: ref["oid"] for ref in listed["refs"]} == wanted


def test_a_branch_is_made_over_rpc_and_seen_by_git(cluster: Cluster, grpcurl: str, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = list_refs(cluster.url(1, name))["refs/heads/main"]
    update = {"name": "refs/heads/by-rpc", "expected_oid": "0" * 40, "new_oid": tip}
    call(grpcurl, cluster, 3, "RefService/UpdateRefs", {"repository": name, "updates": [update]})
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, name))["refs/heads/by-rpc"] == tip
    with pytest.raises(AssertionError, match="Aborted"):
        call(grpcurl, cluster, 1, "RefService/UpdateRefs", {"repository": name, "updates": [update]})


def test_the_default_branch_is_changed_over_rpc(
    cluster: Cluster, grpcurl: str, name: str, work: Path, tmp_path: Path
) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", "main:refs/heads/trunk", cwd=work)
    call(grpcurl, cluster, 2, "RefService/SetDefaultBranch", {"repository": name, "name": "refs/heads/trunk"})
    git("clone", "--quiet", cluster.url(3, name), str(tmp_path / "clone"))
    assert git("branch", "--show-current", cwd=tmp_path / "clone").stdout.strip() == "trunk"


def test_a_call_without_a_token_is_refused(cluster: Cluster, grpcurl: str) -> None:
    with pytest.raises(AssertionError, match="Unauthenticated"):
        grpcurl_run(grpcurl, "-plaintext", "-d", "{}", cluster.grpc(1), "mesh.v1.ClusterService/GetStatus")


def test_a_token_for_another_method_is_refused(cluster: Cluster, grpcurl: str, name: str) -> None:
    token = create_token(cluster, "--method", "/mesh.v1.RepositoryService/Get")
    with pytest.raises(AssertionError, match=r"Unauthenticated|PermissionDenied"):
        call(grpcurl, cluster, 1, "RepositoryService/Delete", {"name": name}, token=token)


def test_a_writing_token_works_once(cluster: Cluster, grpcurl: str, name: str) -> None:
    token = create_token(cluster, "--method", "/mesh.v1.RepositoryService/Create")
    call(grpcurl, cluster, 1, "RepositoryService/Create", {"name": name}, token=token)
    with pytest.raises(AssertionError, match="Unauthenticated"):
        call(grpcurl, cluster, 1, "RepositoryService/Create", {"name": name + "-again"}, token=token)


def test_replication_is_closed_to_applications(cluster: Cluster, grpcurl: str) -> None:
    with pytest.raises(AssertionError, match=r"PermissionDenied|Unauthenticated"):
        call(grpcurl, cluster, 1, "ReplicationService/Commit", {})


def test_what_the_cli_makes_renames_and_deletes_git_sees(cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    cluster.meshnode("repo", "rename", name, f"{name}-new")
    assert "refs/heads/main" in list_refs(cluster.url(2, f"{name}-new"))
    assert git("ls-remote", cluster.url(3, name), check=False).returncode != 0
    cluster.meshnode("repo", "fork", f"{name}-new", f"{name}-fork")
    assert list_refs(cluster.url(1, f"{name}-fork")) == list_refs(cluster.url(1, f"{name}-new"))
    cluster.meshnode("repo", "delete", f"{name}-new", "--yes")
    assert git("ls-remote", cluster.url(1, f"{name}-new"), check=False).returncode != 0
    assert "refs/heads/main" in list_refs(cluster.url(2, f"{name}-fork"))
