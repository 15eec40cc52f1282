"""A client that dies in the middle leaves no process, no quarantine and no lock, and changes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.proxy import Proxy, running_proxy

_ENOUGH = 3_000_000
"""Bytes after which a transfer stalls: well past the headers, far before the end of 30 MB."""


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """A git client in a process group of its own."""
    return subprocess.Popen(
        ["git", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_when_stalled(client: subprocess.Popen[bytes], proxy: Proxy) -> None:
    """`kill -9` the client once its transfer stands still."""
    try:
        assert proxy.stalled.wait(60), "the transfer never got that far"
        assert client.poll() is None
    finally:
        subprocess.run(["kill", "-9", "--", f"-{client.pid}"], check=False)
        client.wait(30)


def test_a_client_killed_while_it_pushes_leaves_nothing(cluster: Cluster, name: str, work: Path, bulky: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = list_refs(cluster.url(1, name)), cluster.generation(name)
    for node in cluster.numbers:
        with running_proxy(cluster.http_port(node), stall_up_after=_ENOUGH) as proxy:
            url = f"http://127.0.0.1:{proxy.port}/{name}.git"
            kill_when_stalled(start("push", url, "refs/heads/main:refs/heads/big", cwd=bulky), proxy)
    cluster.wait_quiet()
    assert (list_refs(cluster.url(1, name)), cluster.generation(name)) == before
    git("push", "--quiet", cluster.url(2, name), "refs/heads/main:refs/heads/big", cwd=bulky)


def test_a_first_push_that_dies_leaves_nothing_in_its_place(cluster: Cluster, name: str, bulky: Path) -> None:
    with running_proxy(cluster.http_port(1), stall_up_after=_ENOUGH) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/{name}.git"
        kill_when_stalled(start("push", url, "refs/heads/main", cwd=bulky), proxy)
    cluster.wait_quiet()
    git("push", "--quiet", cluster.url(2, name), "refs/heads/main", cwd=bulky)
    cluster.wait_consistent(name)


def test_a_client_killed_while_it_clones_leaves_no_process(
    cluster: Cluster, name: str, bulky: Path, tmp_path: Path
) -> None:
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=bulky)
    for node in cluster.numbers:
        with running_proxy(cluster.http_port(node), stall_down_after=_ENOUGH) as proxy:
            url = f"http://127.0.0.1:{proxy.port}/{name}.git"
            kill_when_stalled(start("clone", url, str(tmp_path / f"clone-{node}"), cwd=tmp_path), proxy)
    cluster.wait_quiet()
    git("clone", "--quiet", cluster.url(3, name), str(tmp_path / "whole"))
