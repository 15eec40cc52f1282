"""Machines that are added to a cluster of real nodes, and nodes that are not who they say they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshnode.catalog.open import open_catalog
from meshnode.config import CatalogSettings
from meshnode.core.joining import decode_invitation, encode_invitation, invitation_key
from meshnode.ports import Compare, Put
from tests.e2e.cluster import Cluster, find_base_port, git, list_refs, running_cluster
from tests.e2e.raw import send
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

REFUSED = 5
"""Exit code of `meshnode serve` where the node is not whom the catalog lists (docs/OPERATIONS.md)."""
FAST = {
    "MESHNODE_REBALANCE__INTERVAL_MS": "100",
    "MESHNODE_REBALANCE__PARTITIONS_AT_ONCE": "32",
    "MESHNODE_REBALANCE__DROP_AFTER_MS": "1500",
}
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; the tests of this module stop what they add."""
    with running_cluster(
        tmp_path_factory.mktemp("join") / "mesh", environment=FAST, base_port=find_base_port(4)
    ) as running:
        yield running


def test_node_that_is_not_whom_the_catalog_lists_serves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.stop(3)
    try:
        home = cluster.node_path(3)
        stranger = tmp_path / "stranger.pem"
        shutil.copy(cluster.data / "operator.pem", stranger)
        stranger.chmod(0o600)
        config = home / "meshnode.toml"
        assert "another key" in refused(config, MESHNODE_AUTH__KEY_FILE=str(stranger))
        assert "not in the catalog" in refused(config, MESHNODE_NODE__ID="n9", MESHNODE_NODE__DATA=str(tmp_path))
        assert "another node" in refused(config, MESHNODE_NODE__ID="n2")

        identity = home / "identity.json"
        kept = identity.read_text()
        assert json.loads(kept)["node"] == "n3"
        identity.write_text(kept.replace(json.loads(kept)["cluster_id"], "0" * 32))
        assert "another cluster" in refused(config)
        identity.write_text(kept)
    finally:
        cluster.start(3)


def test_fourth_machine_joins_by_invitation_serves_and_gets_replicas(
    cluster: Cluster, tmp_path: Path, work: Path, name: str
) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = git("rev-parse", "main", cwd=work).stdout.strip()
    invited = cluster.json("node", "invite", "--id", "n4", "--zone", "default", "--expires", "10m")
    secret = tmp_path / "secret"
    secret.write_text(invited["secret"] + "\n")
    listed = cluster.meshnode("node", "invitations", "--json").stdout
    assert invited["invitation"] in listed
    assert invited["secret"] not in listed
    assert invited["secret"] not in database(cluster), "the catalog keeps no secret"

    port = find_base_port(1)
    home = tmp_path / "n4"
    asked = join(cluster, home, port, "--secret-file", str(secret))
    assert (asked["node"], asked["zone"]) == ("n4", "default")
    assert {one["node"] for one in asked["members"]} == {"n1", "n2", "n3", "n4"}
    again = join(cluster, home, port, "--secret-file", str(secret))
    assert again == asked, "a repeated join is answered as done"

    with serving(home) as process:
        wait_until(lambda: is_ready(port), deadline_s=60, what="n4 is ready")
        cluster.meshnode("cluster", "rebalance")
        wait_until(lambda: held(cluster)["n4"] >= 180 and is_at_rest(cluster), deadline_s=200, what="n4 has its share")
        assert list_refs(f"http://127.0.0.1:{port + 3}/{name}.git")["refs/heads/main"] == tip
        git("push", "--quiet", f"http://127.0.0.1:{port + 3}/{name}.git", "main:by-n4", cwd=work)
        assert list_refs(cluster.url(2, name))["refs/heads/by-n4"] == tip
        assert next(one for one in cluster.json("node", "list") if one["node"] == "n4")["online"]
        assert cluster.json("node", "show", "n4")["activity"]["ready"], "asked itself, by the key that others vouch for"

        used = refusal(cluster, tmp_path / "n5", "--secret-file", str(secret), "--id", "n5")
        assert "for another node" in used or "used by another machine" in used
        cluster.meshnode("node", "remove", "n4")
        wait_until(lambda: "n4" not in nodes(cluster), deadline_s=200, what="n4 is forgotten")
        assert process.poll() is None
    removed = refused(home / "meshnode.toml")
    assert "was removed" in removed
    assert "removed since" in refusal(cluster, home, "--secret-file", str(secret))


def test_wrong_used_expired_and_revoked_secrets_are_refused_and_store_nothing(cluster: Cluster, tmp_path: Path) -> None:
    before = nodes(cluster)
    wrong = "mesh-join-" + "A" * 43
    assert "not known" in refusal(cluster, tmp_path / "wrong", "--secret", wrong, "--id", "n7")

    revoked = cluster.json("node", "invite")
    cluster.meshnode("node", "invite", "--revoke", revoked["invitation"])
    assert "revoked" in refusal(cluster, tmp_path / "late", "--secret", revoked["secret"], "--id", "n7")

    taken = cluster.json("node", "invite")
    assert "of this id already" in refusal(cluster, tmp_path / "taken", "--secret", taken["secret"], "--id", "n2")
    assert "leaves the node's id open" in refusal(cluster, tmp_path / "none", "--secret", taken["secret"])

    expired = cluster.json("node", "invite", "--id", "n7")
    age_invitation(cluster, expired["invitation"])
    assert "expired" in refusal(cluster, tmp_path / "old", "--secret", expired["secret"])

    assert nodes(cluster) == before
    states = {one["invitation"]: one["state"] for one in cluster.json("node", "invitations")}
    assert states[revoked["invitation"]] == "revoked"
    assert states[expired["invitation"]] == "expired"
    assert states[taken["invitation"]] == "open"
    log = "".join((cluster.node_path(1) / "node.log").read_text())
    assert log.count('"join_refused"') >= 4
    assert wrong not in log
    assert taken["secret"] not in log
    metrics = send(cluster.http_port(1), "GET", "/metrics", timeout_s=10).body.decode()
    assert 'meshnode_joins_total{outcome="revoked"} 1.0' in metrics


def test_key_is_replaced_under_calls_without_a_refused_one(cluster: Cluster, work: Path, name: str) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = {node: keys_of(cluster, node) for node in ("n1", "n2")}
    log_offset = {node: len(log_of(cluster, node)) for node in cluster.numbers}
    failed: list[str] = []
    is_over = threading.Event()

    def push() -> None:
        number = 0
        while not is_over.wait(0.3):
            number += 1
            node = number % 3 + 1
            done = git("push", "--quiet", cluster.url(node, name), f"main:p{number}", cwd=work, check=False)
            if done.returncode:
                failed.append(done.stderr)

    def call() -> None:
        number = 0
        while not is_over.wait(0.3):
            number += 1
            for node in ("n2", "n1"):
                done = cluster.meshnode("node", "show", node, "--json", check=False)
                if done.returncode or not json.loads(done.stdout)["activity"]["reachable"]:
                    failed.append(done.stdout + done.stderr)

    threads = [threading.Thread(target=push), threading.Thread(target=call)]
    for thread in threads:
        thread.start()
    try:
        announced = cluster.json("node", "rotate-key", "n2", "--announce", "10m")
        assert [key["key_id"] for key in announced["keys"]][:1] == before["n2"]
        new = announced["keys"][1]["key_id"]
        assert cluster.json("node", "rotate-key", "n2") == announced, "a rotation under way is not begun again"
        cluster.kill(2)
        cluster.start(2)
        told = cluster.meshnode("node", "rotate-key", "n2", "--finish", "--json", timeout_s=200)
        done = json.loads(told.stdout)
        assert [key["key_id"] for key in done["keys"]] == [new]
    finally:
        is_over.set()
        for thread in threads:
            thread.join(timeout=120)
    # While n2 was down, calls to it failed; what must not be is a token that was not believed.
    for node in cluster.numbers:
        said = log_of(cluster, node)[log_offset[node] :]
        assert '"UNAUTHENTICATED"' not in said, said[-3_000:]
    assert not [line for line in failed if "UNAUTHENTICATED" in line or "believe" in line], failed[-1]
    assert keys_of(cluster, "n2") == [new]
    assert keys_of(cluster, "n1") == before["n1"]
    assert "key_in_use" in log_of(cluster, 2)
    cluster.stop(2)
    cluster.start(2)
    assert cluster.json("node", "show", "n2")["activity"]["reachable"]
    cluster.up()


def test_local_cluster_grows_by_up(cluster: Cluster, work: Path, name: str) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = [cluster.pid(node) for node in cluster.numbers]
    cluster.nodes = 4
    cluster.up()
    assert [cluster.pid(node) for node in (1, 2, 3)] == before, "what ran goes on"
    cluster.meshnode("cluster", "rebalance")
    wait_until(lambda: held(cluster)["n4"] >= 180 and is_at_rest(cluster), deadline_s=200, what="n4 has its share")
    assert list_refs(cluster.url(4, name)) == list_refs(cluster.url(1, name))


def keys_of(cluster: Cluster, node: str) -> list[str]:
    return [key["key_id"] for key in cluster.json("node", "keys", node)["keys"]]


def log_of(cluster: Cluster, node: int) -> str:
    return (cluster.node_path(node) / "node.log").read_text()


def join(cluster: Cluster, home: Path, port: int, *arguments: str) -> dict[str, Any]:
    """`meshnode node join` of a machine that listens at `port`."""
    done = cluster.meshnode(*join_arguments(cluster, home, port), *arguments, "--json", data=False)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refusal(cluster: Cluster, home: Path, *arguments: str) -> str:
    """What a join that must be refused says; a settings file must not come of it."""
    had_settings = (home / "meshnode.toml").exists()
    done = cluster.meshnode(*join_arguments(cluster, home, find_base_port(1)), *arguments, data=False, check=False)
    assert done.returncode in {2, REFUSED}, done.stdout + done.stderr
    assert (home / "meshnode.toml").exists() is had_settings
    return done.stderr


def join_arguments(cluster: Cluster, home: Path, port: int) -> list[str]:
    return [
        "node", "join", "--server", f"http://{cluster.grpc(1)}", "--data", str(home),
        "--grpc", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{port + 3}",
    ]  # fmt: skip


@contextlib.contextmanager
def serving(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node's process by `meshnode serve`, as an operator would start it; killed at the end."""
    with (home / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "meshnode", "serve", "--config", str(home / "meshnode.toml")],
            cwd=_ROOT, env={**os.environ, **FAST, "MESHNODE_AUTH__ANONYMOUS_HTTP": "write"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    except BaseException:
        print((home / "node.log").read_text()[-4_000:])
        raise
    finally:
        process.kill()
        process.wait(timeout=20)


def is_ready(port: int) -> bool:
    with contextlib.suppress(OSError):
        return send(port + 3, "GET", "/readyz", timeout_s=5).status == 200
    return False


def nodes(cluster: Cluster) -> set[str]:
    return {one["node"] for one in cluster.json("node", "list")}


def held(cluster: Cluster) -> Counter[str]:
    return Counter(node for one in cluster.json("cluster", "partitions") for node in one["replicas"])


def is_at_rest(cluster: Cluster) -> bool:
    moving = ("target", "joining", "leaving")
    return not any(one[key] for one in cluster.json("cluster", "partitions") for key in moving)


def database(cluster: Cluster) -> str:
    """Everything in the catalog's files, as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in cluster.data.glob("catalog.db*"))


def age_invitation(cluster: Cluster, invitation: str) -> None:
    """Let an invitation's time be over, by the catalog's own means."""

    async def write() -> None:
        catalog = await open_catalog(CatalogSettings(url=f"sqlite://{cluster.data / 'catalog.db'}"))
        try:
            (entry,) = await catalog.get([invitation_key(invitation)])
            assert entry is not None
            old = replace(decode_invitation(entry.value), created_at_ms=1, expires_at_ms=int(time.time() * 1000) - 1)
            assert await catalog.transact(
                [Compare(entry.key, entry.revision)], [Put(entry.key, encode_invitation(old))]
            )
        finally:
            await catalog.close()

    asyncio.run(write())


def refused(config: Path, **environment: str) -> str:
    """Start a node that must end by itself, never having listened; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "meshnode", "serve", "--config", str(config)],
        cwd=_ROOT,
        env={**os.environ, **FAST, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == REFUSED, done.stderr
    assert "node_refused" in done.stderr
    assert "node_ready" not in done.stderr
    return done.stderr
