"""A cluster on several machines with TLS on every link: a fourth machine joins over TLS, and strangers do not.

What an operator does by docs/OPERATIONS.md: etcd with TLS, `init-cluster --tls-path`, `serve` on each machine, an operator's
directory with `cluster.json`, the operator's key and certificate and nothing of any node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from meshnode.catalog.open import open_catalog
from meshnode.config import CatalogSettings
from meshnode.core.joining import decode_invitation, encode_invitation, invitation_key
from meshnode.ports import Compare, Put
from tests.contract.etcd_cluster import ClusterTls, EtcdCluster
from tests.e2e.cluster import Cluster, find_base_port, git, list_refs
from tests.e2e.raw import send
from tests.e2e.waiting import wait_until
from tests.unit.auth.authority import Authority, Files

pytestmark = pytest.mark.timeout(300)

REFUSED, UNREACHABLE, USAGE = 5, 4, 2
"""Exit codes (`meshnode --help`)."""
_ROOT = Path(__file__).resolve().parents[2]
_FAST = {"MESHNODE_REBALANCE__INTERVAL_MS": "100", "MESHNODE_REBALANCE__PARTITIONS_AT_ONCE": "32"}


@dataclass
class Machines:
    """Nodes that are served as on machines of their own, and what their operator has."""

    directory: Path
    base_port: int
    authority: Authority
    etcd: EtcdCluster
    operator: Cluster
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def catalog_files(self) -> Files:
        """What a node shows to etcd."""
        assert self.etcd.tls is not None
        tls = self.etcd.tls
        return Files(str(tls.client_cert_file), str(tls.client_key_file), str(tls.ca_file))

    @property
    def catalog_environment(self) -> dict[str, str]:
        files = self.catalog_files
        return {
            "MESHNODE_CATALOG__CA_FILE": files.ca_file,
            "MESHNODE_CATALOG__CERT_FILE": files.cert_file,
            "MESHNODE_CATALOG__KEY_FILE": files.key_file,
        }

    def serve(self, config: Path, number: int) -> None:
        """Start a node and wait until it is ready."""
        environment = {
            **os.environ, **_FAST, **self.catalog_environment, "MESHNODE_AUTH__ANONYMOUS_HTTP": "write",
            "MESHNODE_LISTEN__GRPC": self.operator.grpc(number),
            "MESHNODE_LISTEN__HTTP": f"127.0.0.1:{self.operator.http_port(number)}",
        }  # fmt: skip
        with (config.parent / "node.log").open("ab") as log:
            self.processes[f"n{number}"] = subprocess.Popen(
                [sys.executable, "-m", "meshnode", "serve", "--config", str(config)],
                cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self, number: int) -> None:
        """Wait until a node answers that it is ready."""

        def is_ready() -> bool:
            with contextlib.suppress(OSError):
                return send(self.operator.http_port(number), "GET", "/readyz", timeout_s=5).status == 200
            return False

        wait_until(is_ready, deadline_s=60, what=f"n{number} is ready")

    def close(self) -> None:
        """Kill every node and etcd."""
        for process in self.processes.values():
            process.kill()
            process.wait(timeout=20)
        self.etcd.close()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    directory = tmp_path_factory.mktemp("machines")
    authority = Authority(directory / "authority")
    server, client = authority.issue("etcd"), authority.issue("etcd-client")
    tls = ClusterTls(
        ca_file=authority.ca_file,
        cert_file=Path(server.cert_file),
        key_file=Path(server.key_file),
        client_cert_file=Path(client.cert_file),
        client_key_file=Path(client.key_file),
    )
    base_port = find_base_port(5)
    operator = Cluster(directory / "operator", base_port=base_port)
    found = Machines(directory, base_port, authority, EtcdCluster(directory / "etcd", 1, tls), operator)
    try:
        found.etcd.start()
        asyncio.run(found.etcd.leader())
        prepare(found)
        for number in (1, 2, 3):
            found.serve(directory / "made" / f"n{number}" / "meshnode.toml", number)
        for number in (1, 2, 3):
            found.wait_ready(number)
        yield found
    finally:
        found.close()


def prepare(machines: Machines) -> None:
    """`init-cluster`, certificates where the nodes look for them, and the operator's directory."""
    made, operator = machines.directory / "made", machines.operator.data
    certificates = machines.directory / "tls"
    certificates.mkdir()
    place(machines.authority.issue("node"), certificates, "node")
    nodes = [
        f"--node=n{number}={machines.operator.grpc(number)},{machines.operator.http(number)}" for number in (1, 2, 3)
    ]
    initial = replace(machines.operator, environment=machines.catalog_environment)
    initial.meshnode(
        "init-cluster", "--output", str(made), "--catalog", machines.etcd.url, *nodes,
        "--tls-path", str(certificates), "--create-on-push", data=False,
    )  # fmt: skip
    operator.mkdir()
    shutil.copy(made / "cluster.json", operator)
    shutil.copy(made / "operator.pem", operator)
    place(machines.authority.issue("operator"), operator, "operator")


def place(files: Files, directory: Path, name: str) -> None:
    """Copy a party's files to where its program looks for them."""
    shutil.copy(files.cert_file, directory / f"{name}.crt")
    shutil.copy(files.key_file, directory / f"{name}.key")
    (directory / f"{name}.key").chmod(0o600)
    shutil.copy(files.ca_file, directory / "ca.crt")


def join(
    machines: Machines, home: Path, number: int, secret: str, *more: str, tls: Files, scheme: str = "https"
) -> subprocess.CompletedProcess[str]:
    """`meshnode node join` as on a machine of its own."""
    files = machines.catalog_files
    cluster = machines.operator
    return cluster.meshnode(
        "node", "join", "--server", f"{scheme}://{cluster.grpc(1)}", "--secret", secret, "--data", str(home),
        "--grpc", cluster.grpc(number), "--http", f"127.0.0.1:{cluster.http_port(number)}",
        "--ca-file", tls.ca_file, "--cert-file", tls.cert_file, "--cert-key-file", tls.key_file,
        "--catalog-ca-file", files.ca_file, "--catalog-cert-file", files.cert_file,
        "--catalog-key-file", files.key_file, *more, "--json", data=False, check=False,
    )  # fmt: skip


def nodes(machines: Machines) -> set[str]:
    return {one["node"] for one in machines.operator.json("node", "list")}


def test_machine_joins_over_tls_serves_and_gets_replicas(
    machines: Machines, tmp_path: Path, work: Path, name: str
) -> None:
    cluster = machines.operator
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = git("rev-parse", "main", cwd=work).stdout.strip()
    home, tls = tmp_path / "n4", machines.authority.issue("n4")
    secret = cluster.json("node", "invite", "--id", "n4", "--expires", "10m")["secret"]
    asked = join(machines, home, 4, secret, tls=tls)
    assert asked.returncode == 0, asked.stderr
    told: dict[str, Any] = json.loads(asked.stdout)
    assert {one["node"] for one in told["members"]} == {"n1", "n2", "n3", "n4"}
    assert json.loads(join(machines, home, 4, secret, tls=tls).stdout) == told, "a repeated join is answered as done"

    machines.serve(home / "meshnode.toml", 4)
    machines.wait_ready(4)
    assert list_refs(cluster.url(4, name))["refs/heads/main"] == tip
    cluster.meshnode("repo", "create", f"{name}-wide", "--replication-factor", "4")

    def has_replica() -> bool:
        return any(one["node"] == "n4" and one["consistent"] for one in cluster.repository(f"{name}-wide")["replicas"])

    wait_until(has_replica, deadline_s=120, what="n4 has a replica")
    git("push", "--quiet", cluster.url(4, f"{name}-wide"), "main", cwd=work)
    (replica,) = (home / "repositories").glob(f"*/{cluster.repository(f'{name}-wide')['id']}")
    wait_until(lambda: list_refs(replica).get("refs/heads/main") == tip, what="the push is on n4's disk")
    for number in (1, 2, 3, 4):
        assert list_refs(cluster.url(number, f"{name}-wide"))["refs/heads/main"] == tip

    shown = cluster.json("node", "show", "n4")
    assert shown["online"]
    assert shown["activity"]["ready"], "asked itself over TLS, by the key that others vouch for"
    assert cluster.meshnode("doctor").returncode == 0

    before = cluster.json("node", "keys", "n4")["keys"]
    assert len(cluster.json("node", "rotate-key", "n4", "--announce", "10m")["keys"]) == 2, "found without its address"
    rotated = json.loads(cluster.meshnode("node", "rotate-key", "n4", "--finish", "--json", timeout_s=120).stdout)
    assert [key["key_id"] for key in rotated["keys"]] != [key["key_id"] for key in before]
    assert len(rotated["keys"]) == 1
    assert "no work left" in cluster.meshnode("node", "drain", "n4", "--wait", "60").stdout
    cluster.meshnode("node", "enable", "n4")

    assert cluster.json("cluster", "refresh")["added"] == ["n4"]
    listed = json.loads((cluster.data / "cluster.json").read_text())["nodes"]
    assert [(one["node"], one["public_key"]) for one in listed][3:] == [("n4", rotated["keys"][0]["public_key"])]
    alone = replace(cluster, data=tmp_path / "alone")
    shutil.copytree(cluster.data, alone.data)
    (alone.data / "cluster.json").write_text(
        json.dumps({**json.loads((cluster.data / "cluster.json").read_text()), "nodes": listed[3:]})
    )
    assert {one["node"] for one in alone.json("node", "list")} == {"n1", "n2", "n3", "n4"}


def test_secrets_that_must_not_work_do_not_over_tls_either(machines: Machines, tmp_path: Path) -> None:
    cluster, tls = machines.operator, machines.authority.issue("n7")
    before = nodes(machines)

    def refused(secret: str, home: str) -> str:
        done = join(machines, tmp_path / home, 5, secret, "--id", "n7", tls=tls)
        assert done.returncode == REFUSED, done.stdout + done.stderr
        assert not (tmp_path / home / "meshnode.toml").exists()
        return done.stderr

    assert "not known" in refused("mesh-join-" + "A" * 43, "wrong")
    used = cluster.json("node", "invite", "--id", "n8")["secret"]
    first = join(machines, tmp_path / "n8", 5, used, tls=tls)
    assert first.returncode == 0, first.stderr
    again = join(machines, tmp_path / "other", 5, used, tls=tls)
    assert again.returncode == REFUSED
    assert "used by another machine" in again.stderr
    cluster.meshnode("node", "remove", "n8")
    wait_until(lambda: nodes(machines) == before, deadline_s=60, what="n8 is forgotten")

    expired = cluster.json("node", "invite", "--id", "n7")
    asyncio.run(age_invitation(machines, expired["invitation"]))
    assert "expired" in refused(expired["secret"], "late")
    assert nodes(machines) == before


def test_machine_without_the_authoritys_certificate_is_not_spoken_to(machines: Machines, tmp_path: Path) -> None:
    cluster, before = machines.operator, nodes(machines)
    invited = cluster.json("node", "invite", "--id", "n7")
    stranger = Authority(tmp_path / "another").issue("n7")
    ours = machines.authority.issue("n7-plain")
    for what, tls, scheme in (
        ("a certificate of another authority", stranger, "https"),
        ("authorities that do not know the server", replace(ours, ca_file=stranger.ca_file), "https"),
        ("no certificate that the cluster knows", replace(stranger, ca_file=ours.ca_file), "https"),
        ("plaintext", ours, "http"),
    ):
        done = join(machines, tmp_path / "n7", 5, invited["secret"], tls=tls, scheme=scheme)
        assert done.returncode == UNREACHABLE, f"{what}: {done.stdout}{done.stderr}"
        assert not (tmp_path / "n7" / "meshnode.toml").exists()
    without = cluster.meshnode(
        "node", "join", "--server", f"https://{cluster.grpc(1)}", "--secret", invited["secret"],
        "--data", str(tmp_path / "n7"), data=False, check=False,
    )  # fmt: skip
    assert without.returncode == USAGE
    assert "TLS is mutual" in without.stderr
    states = {one["invitation"]: one["state"] for one in cluster.json("node", "invitations")}
    assert states[invited["invitation"]] == "open", "a secret that met the wrong certificate still works"
    assert nodes(machines) == before


def test_operator_without_a_certificate_is_told_so(machines: Machines, tmp_path: Path) -> None:
    bare = replace(machines.operator, data=tmp_path / "bare")
    bare.data.mkdir()
    for file in ("cluster.json", "operator.pem"):
        shutil.copy(machines.operator.data / file, bare.data)
    assert bare.meshnode("node", "list", check=False).returncode == UNREACHABLE
    files = machines.authority.issue("second-operator")
    shown = bare.meshnode(
        "node", "list", "--json",
        "--ca-file", files.ca_file, "--cert-file", files.cert_file, "--cert-key-file", files.key_file,
    )  # fmt: skip
    assert {one["node"] for one in json.loads(shown.stdout)} >= {"n1", "n2", "n3"}


async def age_invitation(machines: Machines, invitation: str) -> None:
    """Let an invitation's time be over, by the catalog's own means."""
    files = machines.catalog_files
    catalog = await open_catalog(
        CatalogSettings(
            url=machines.etcd.url, ca_file=files.ca_file, cert_file=files.cert_file, key_file=files.key_file
        )
    )
    try:
        (entry,) = await catalog.get([invitation_key(invitation)])
        assert entry is not None
        found = decode_invitation(entry.value)
        old = replace(found, created_at_ms=1, expires_at_ms=found.created_at_ms)
        assert await catalog.transact([Compare(entry.key, entry.revision)], [Put(entry.key, encode_invitation(old))])
    finally:
        await catalog.close()
