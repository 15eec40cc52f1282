"""Tokens for other programs and for people: believed by the verifiers that the nodes use."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from meshnode.auth.keys import load_private_key
from meshnode.auth.registry import KeyRegistry
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tokens import BEARER, RequestVerifier
from meshnode.auth.users import UserVerifier
from meshnode.base.errors import Unauthenticated
from meshnode.cli.blueprint import make_cluster_files, operator_of, plan_local_cluster
from meshnode.cli.layout import Layout
from meshnode.config import AuthSettings
from meshnode.core.applications import Role
from meshnode.engine.system import SystemClock
from tests.unit.cli.conftest import run_cli

METHOD = "/mesh.v1.RefService/ListRefs"


@dataclass
class Scene:
    layout: Layout
    cluster_id: str
    registry: KeyRegistry

    def verifier(self, audience: str) -> RequestVerifier:
        replay = ReplayCache(window_ms=300_000, entries_max=10)
        return RequestVerifier(self.registry, frozenset({audience}), SystemClock(), replay, AuthSettings())


@pytest.fixture
def scene(layout: Layout, base_port: int) -> Scene:
    url = f"sqlite://{layout.sqlite_file}"
    blueprint = plan_local_cluster(layout, node_count=3, base_port=base_port, catalog_url=url)
    cluster = make_cluster_files(layout, blueprint, None)
    registry = KeyRegistry()
    registry.replace([], [operator_of(layout)])
    return Scene(layout, cluster.cluster_id, registry)


@pytest.mark.parametrize("spelling", [METHOD, METHOD.removeprefix("/")])
def test_a_token_for_one_method_is_believed_for_it_alone(scene: Scene, spelling: str) -> None:
    result = run_cli("token", "create", "--method", spelling, "--data", scene.layout.data)
    assert result.exit_code == 0, result.output
    verifier = scene.verifier(scene.cluster_id)
    authorization = BEARER + result.stdout.splitlines()[-1]
    verified = verifier.verify(authorization, method=METHOD, body=b"any", is_replay_refused=True)
    assert (verified.caller.name, verified.caller.role) == ("operator", Role.ADMINISTRATOR)
    with pytest.raises(Unauthenticated, match="another method"):
        verifier.verify(authorization, method="/mesh.v1.RefService/UpdateRefs", body=b"", is_replay_refused=True)


def test_a_token_without_a_method_is_good_for_any(scene: Scene) -> None:
    result = run_cli("token", "create", "--data", scene.layout.data, "--audience", "n2")
    assert len(result.stdout.splitlines()) == 1
    assert "any method of n2" in result.stderr
    scene.verifier("n2").verify(BEARER + result.stdout.strip(), method=METHOD, body=None, is_replay_refused=False)
    with pytest.raises(Unauthenticated, match="another audience"):
        scene.verifier("n1").verify(BEARER + result.stdout.strip(), method=METHOD, body=None, is_replay_refused=False)


@pytest.mark.parametrize(("scope", "may_write"), [("read", False), ("write", True)])
def test_a_users_token_is_believed_for_its_scope_and_repositories(scene: Scene, scope: str, may_write: bool) -> None:
    result = run_cli(
        "token", "create-user", "--user", "ann", "--scope", scope, "--repository", "team/*", "--ttl", "12h",
        "--data", scene.layout.data,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    user = UserVerifier(scene.registry, frozenset({scene.cluster_id}), SystemClock()).verify(result.stdout.strip())
    assert user.name == "ann"
    assert user.allows("team/a", "read")
    assert user.allows("team/a", "write") is may_write
    assert not user.allows("other/a", "read")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "--method", "ListRefs"], "is not package.Service/Method"),
        (["create-user", "--user", "a", "--ttl", "soon"], "is not a number of seconds"),
        (["create-user", "--user", "a", "--ttl", "400d"], "--ttl must be"),
        (["create-user", "--user", "a", "--ttl", "0"], "--ttl must be"),
        (["create-user"], "--user"),
    ],
)
def test_wrong_values_are_usage_errors(scene: Scene, arguments: list[str], message: str) -> None:
    result = run_cli("token", *arguments, "--data", scene.layout.data)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_user_token_for_a_server_elsewhere_needs_the_clusters_id(scene: Scene) -> None:
    pinned = scene.layout.data / "n1.pub"
    pinned.write_text(load_private_key(scene.layout.operator_key).public_pem)
    arguments = [
        "token", "create-user", "--user", "a", "--server", "http://127.0.0.1:1", "--server-key", f"n1={pinned}",
        "--key", str(scene.layout.operator_key),
    ]  # fmt: skip
    result = run_cli(*arguments)
    assert result.exit_code == 2
    assert "--audience" in result.stderr
    assert run_cli(*arguments, "--audience", scene.cluster_id).exit_code == 0
