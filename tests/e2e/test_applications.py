"""Applications that come, change keys and go in a cluster that runs: every node follows, by itself and at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

OK, USAGE, REFUSED = 0, 2, 5
FOLLOWS_S = 15
"""Nodes hear of a change at once, and read the list every five seconds besides."""


def make_key(cluster: Cluster, directory: Path, name: str) -> tuple[Path, Path]:
    """A private key and the file of its public half."""
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    public.write_text(cluster.meshnode("application", "make-key", str(private), data=False).stdout)
    return private, public


def pins(cluster: Cluster, directory: Path) -> list[Path]:
    """A file with each node's public key, as applications are given them."""
    listed = json.loads((cluster.data / "cluster.json").read_text())["nodes"]
    files = [directory / f"{one['node']}.pub" for one in listed]
    for file, one in zip(files, listed, strict=True):
        file.write_text(one["public_key"])
    return files


def call(cluster: Cluster, pinned: list[Path], node: int, key: Path, *arguments: str) -> int:
    """How a command ends that the application `ci` runs against one node, signing with `key`."""
    done = cluster.meshnode(
        *arguments, "--application", "ci", "--key", str(key), "--server", f"http://{cluster.grpc(node)}",
        "--server-key", f"n{node}={pinned[node - 1]}", data=False, check=False,
    )  # fmt: skip
    return done.returncode


def test_application_comes_changes_its_key_and_goes(cluster: Cluster, tmp_path: Path, work: Path, name: str) -> None:
    pinned = pins(cluster, tmp_path)
    old, old_public = make_key(cluster, tmp_path, "old")
    new, new_public = make_key(cluster, tmp_path, "new")
    assert call(cluster, pinned, 1, old, "repo", "list") == REFUSED, "nobody knows it"
    added = cluster.json("application", "add", "ci", "--role", "writer", "--public-key", str(old_public))
    (old_id,) = [key["key_id"] for key in added["keys"]]
    try:
        for node in cluster.numbers:
            assert call(cluster, pinned, node, old, "repo", "list") == OK, "known at every node as soon as it is added"
        assert call(cluster, pinned, 2, old, "repo", "create", name) == OK
        assert call(cluster, pinned, 2, old, "node", "drain", "n3") == REFUSED
        assert call(cluster, pinned, 2, old, "application", "list") == REFUSED

        both = cluster.json("application", "add-key", "ci", "--public-key", str(new_public))
        new_id = next(key["key_id"] for key in both["keys"] if key["key_id"] != old_id)
        for key in (old, new):
            assert call(cluster, pinned, 3, key, "repo", "show", name) == OK, "both are believed"
        token = user_token(cluster, old)
        bearer = (f"http.extraHeader=Authorization: Bearer {token}",)
        git("push", "--quiet", cluster.url(2, name), "main", cwd=work, config=bearer)

        cluster.meshnode("application", "drop-key", "ci", old_id, "--after", "1")
        for node in cluster.numbers:
            wait_until(
                lambda node=node: call(cluster, pinned, node, old, "repo", "list") == REFUSED,  # type: ignore[misc]
                deadline_s=FOLLOWS_S,
                what=f"n{node} believes the old key no longer",
            )
            assert call(cluster, pinned, node, new, "repo", "list") == OK
        refused = git("ls-remote", cluster.url(2, name), config=bearer, check=False)
        assert refused.returncode != 0, "a token of a person ends with the key that signed it"
        last = cluster.meshnode("application", "drop-key", "ci", new_id, check=False)
        assert last.returncode == USAGE
        assert "no key would stay" in last.stderr

        cluster.meshnode("application", "set-role", "ci", "reader")
        wait_until(
            lambda: call(cluster, pinned, 1, new, "repo", "create", f"{name}-x") == REFUSED,
            deadline_s=FOLLOWS_S,
            what="a reader writes nothing",
        )
    finally:
        cluster.meshnode("application", "remove", "ci")
    for node in cluster.numbers:
        wait_until(
            lambda node=node: call(cluster, pinned, node, new, "repo", "list") == REFUSED,  # type: ignore[misc]
            deadline_s=FOLLOWS_S,
            what=f"n{node} knows it no longer",
        )
    operator = cluster.meshnode("application", "remove", "operator", check=False)
    assert operator.returncode == USAGE
    assert "last administrator" in operator.stderr
    acts = [one["method"].rpartition("/")[2] for one in cluster.json("cluster", "audit", "--limit", "20")]
    assert {
        "AddApplication",
        "AddApplicationKey",
        "DropApplicationKey",
        "SetApplicationRole",
        "RemoveApplication",
    } <= set(acts)


def test_operators_own_key_is_replaced_by_the_commands_there_are(cluster: Cluster, tmp_path: Path) -> None:
    """What docs/OPERATIONS.md says, on the operator's own key; put back at the end, for others use this cluster."""
    key = cluster.data / "operator.pem"
    kept = key.read_bytes()
    new, new_public = make_key(cluster, tmp_path, "operator-new")
    added = cluster.json("application", "add-key", "operator", "--public-key", str(new_public))
    old_id, new_id = (one["key_id"] for one in added["keys"])
    try:
        key.write_bytes(new.read_bytes())
        assert cluster.meshnode("node", "list").returncode == OK
        cluster.meshnode("application", "drop-key", "operator", old_id, "--after", "1h")
        old_public = tmp_path / "operator-old.pub"
        old_public.write_text(added["keys"][0]["public_key"])
        kept_both = cluster.json("application", "add-key", "operator", "--public-key", str(old_public))
        assert [one["drop_at_ms"] for one in kept_both["keys"]] == [None, None], "added again, it stays"
    finally:
        key.write_bytes(kept)
        cluster.meshnode("application", "drop-key", "operator", new_id)
    assert [one["key_id"] for one in cluster.json("application", "list")[0]["keys"]] == [old_id]


def user_token(cluster: Cluster, key: Path) -> str:
    """A token of a person that the application `ci` vouches for."""
    done = cluster.meshnode(
        "token", "create-user", "--user", "ada", "--scope", "write", "--application", "ci", "--key", str(key)
    )
    return done.stdout.splitlines()[-1]
