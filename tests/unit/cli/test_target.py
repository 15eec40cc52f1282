"""Finding a cluster over TLS, and settings that decide how its nodes are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from meshnode.auth.keys import PrivateKey, load_private_key
from meshnode.auth.tls import server_credentials
from meshnode.base.errors import InvalidRequest
from meshnode.cli.blueprint import make_cluster_files, plan_local_cluster
from meshnode.cli.layout import ClusterFile, ClusterNode, Layout, write_cluster_file
from meshnode.cli.target import split_keys
from meshnode.core.applications import Application, Role
from meshnode.v1 import repository_pb2
from tests.unit.auth.authority import Authority, Files
from tests.unit.cli.conftest import KeyShelf, node, run_cli
from tests.unit.cli.signed_server import ScriptedCluster, ScriptedNode

METHOD = "/mesh.v1.RepositoryService/List"


@pytest.fixture
def operator(tmp_path: Path, keys: KeyShelf) -> Path:
    path = tmp_path / "operator.pem"
    keys.copy("operator", path)
    return path


@pytest.fixture
def served(tmp_path: Path, keys: KeyShelf) -> ScriptedNode:
    keys.copy("1", tmp_path / "n1.pem")
    key: PrivateKey = load_private_key(tmp_path / "n1.pem")
    (tmp_path / "n1.pub").write_text(key.public_pem)
    return ScriptedNode(node("n1"), key, answers={METHOD: lambda _: repository_pb2.ListResponse(names=["demo/a"])})


def cluster_of(served: ScriptedNode, operator: Path, authority: Authority) -> ScriptedCluster:
    pem = load_private_key(operator).public_pem
    application = Application(application="operator", role=Role.ADMINISTRATOR, public_keys=(pem,))
    return ScriptedCluster([served], [application], "c" * 32, server_credentials(authority.issue("n1")))


def list_over_tls(served: ScriptedNode, operator: Path, tls: Files) -> Result:
    return run_cli(
        "repo", "list",
        "--server", f"https://{served.address}", "--server-key", f"n1={operator.parent / 'n1.pub'}",
        "--key", operator, "--ca-file", tls.ca_file, "--cert-file", tls.cert_file, "--cert-key-file", tls.key_file,
    )  # fmt: skip


def test_a_server_is_called_over_mutual_tls(served: ScriptedNode, operator: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    with cluster_of(served, operator, authority):
        result = list_over_tls(served, operator, authority.issue("operator"))
    assert (result.exit_code, result.stdout) == (0, "demo/a\n"), result.output


def directory_of(served: ScriptedNode, operator: Path) -> Layout:
    """What an operator has of a cluster on other machines: no node's settings or keys."""
    layout = Layout(operator.parent)
    entry = ClusterNode(
        node=node("n1"), grpc=served.address, http="http://127.0.0.1:1", public_key=served.key.public_pem
    )
    cluster = ClusterFile(
        cluster_id="c" * 32,
        catalog_url="etcd://127.0.0.1:1",
        partition_count=256,
        replication_factor=3,
        nodes=(entry,),
        base_port=None,
    )
    write_cluster_file(layout, cluster)
    return layout


def test_directory_without_nodes_calls_by_the_certificate_it_is_given_or_holds(
    served: ScriptedNode, operator: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    tls = authority.issue("operator")
    with cluster_of(served, operator, authority):
        layout = directory_of(served, operator)
        bare = run_cli("repo", "list", "--data", layout.data)
        given = run_cli(
            "repo", "list", "--data", layout.data,
            "--ca-file", tls.ca_file, "--cert-file", tls.cert_file, "--cert-key-file", tls.key_file,
        )  # fmt: skip
        for source, name in ((tls.cert_file, "operator.crt"), (tls.key_file, "operator.key"), (tls.ca_file, "ca.crt")):
            shutil.copy(source, layout.data / name)
        held = run_cli("repo", "list", "--data", layout.data)
        (layout.data / "operator.key").chmod(0o644)
        open_key = run_cli("repo", "list", "--data", layout.data)
    assert bare.exit_code == 4, "plaintext reaches nobody"
    assert (given.exit_code, given.stdout) == (0, "demo/a\n"), given.output
    assert (held.exit_code, held.stdout) == (0, "demo/a\n"), held.output
    assert open_key.exit_code == 2
    assert "0600" in open_key.stderr


def test_a_server_of_another_authority_is_not_spoken_to(served: ScriptedNode, operator: Path, tmp_path: Path) -> None:
    with cluster_of(served, operator, Authority(tmp_path / "ca")):
        result = list_over_tls(served, operator, Authority(tmp_path / "other").issue("operator"))
    assert result.exit_code == 4, result.output
    assert served.calls == []


def test_a_tls_key_that_others_can_read_is_refused(served: ScriptedNode, operator: Path, tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca").issue("operator")
    Path(tls.key_file).chmod(0o644)
    served.address = "127.0.0.1:1"
    result = list_over_tls(served, operator, tls)
    assert result.exit_code == 2
    assert "0600" in result.stderr


def test_plaintext_beyond_this_machine_is_warned_about(served: ScriptedNode, operator: Path) -> None:
    del served
    result = run_cli(
        "token", "create", "--server", "http://mesh.invalid:7777", "--server-key", f"n1={operator.parent / 'n1.pub'}",
        "--key", operator,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "is not encrypted and leaves this machine" in result.stderr
    assert "any method of n1" in result.stderr


def test_the_environment_decides_the_directory_and_broken_settings_are_told(
    layout: Layout, base_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite://{layout.sqlite_file}"
    blueprint = plan_local_cluster(layout, node_count=3, base_port=base_port, catalog_url=url)
    make_cluster_files(layout, blueprint, None)
    monkeypatch.setenv("MESHNODE_DATA", str(layout.data))
    assert run_cli("token", "create").exit_code == 0
    config = layout.config_file(node("n2"))
    config.write_text(config.read_text() + "\n[nonsense]\n")
    result = run_cli("token", "create")
    assert result.exit_code == 2
    assert "[nonsense] is not a section" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_file_with_two_keys_pins_both(keys: KeyShelf, tmp_path: Path) -> None:
    pems = []
    for number in ("1", "2"):
        keys.copy(number, tmp_path / f"{number}.pem")
        pems.append(load_private_key(tmp_path / f"{number}.pem").public_pem)
    assert split_keys("".join(pems)) == tuple(pems)
    assert split_keys(pems[0]) == (pems[0],)
    assert split_keys("\n\n".join(pems) + "\n\n") == tuple(pems)


@pytest.mark.parametrize("text", ["", "no key", "-----END PUBLIC KEY-----"])
def test_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        split_keys(text)


def test_file_with_more_keys_than_a_node_has_is_refused(keys: KeyShelf, tmp_path: Path) -> None:
    keys.copy("1", tmp_path / "1.pem")
    with pytest.raises(InvalidRequest, match="more public keys"):
        split_keys(load_private_key(tmp_path / "1.pem").public_pem * 3)
