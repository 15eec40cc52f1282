"""A drained node and clients that do not ask first: it hands on what comes soon, and then takes nothing."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.raw import EMPTY_PACK, RECEIVE, ZERO, Answer, push_commands, send
from tests.e2e.waiting import wait_until

GRACE_MS = 3_000


@pytest.fixture
def draining(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster whose nodes let things go on for three seconds; n3 is back in service at the end."""
    cluster.meshnode("cluster", "settings", "set", f"limits.drain_ms={GRACE_MS}")
    try:
        yield cluster
    finally:
        cluster.meshnode("node", "enable", "n3")
        cluster.meshnode("cluster", "settings", "unset", "limits.drain_ms")
        cluster.wait_ready(3)


def test_node_gets_rid_of_clients_that_push_without_asking_first(draining: Cluster, name: str, work: Path) -> None:
    cluster = draining
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    tip = git("rev-parse", "main", cwd=work).stdout.strip()
    numbers, is_over = itertools.count(1), threading.Event()
    answers: Counter[int] = Counter()
    pushed: list[str] = []
    last: list[Answer] = []

    def push_blindly() -> None:
        while not is_over.wait(0.02):
            ref = f"refs/heads/light-{next(numbers)}"
            body = push_commands((ZERO, tip, ref)) + EMPTY_PACK
            answer = send(cluster.http_port(3), "POST", f"/{name}.git/git-receive-pack", body=body, headers=RECEIVE)
            answers[answer.status] += 1
            if answer.status == 200:
                assert f"ok {ref}".encode() in answer.body
                pushed.append(ref)
            last[:] = [answer]

    clients = [threading.Thread(target=push_blindly) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: answers[200] > 3, what="n3 takes pushes")
        cluster.meshnode("node", "drain", "n3")
        before = answers[200]
        wait_until(lambda: answers[503] > 10, deadline_s=30, what="n3 refuses")
        assert answers[200] > before, "what comes soon after the order is handed on"
        done = cluster.meshnode("node", "drain", "n3", "--wait", "20")
        assert "no work left" in done.stdout, "although clients go on asking"
        after = answers[200]
        wait_until(lambda: answers[503] > 20, what="n3 goes on refusing")
        assert answers[200] == after
    finally:
        is_over.set()
        for client in clients:
            client.join(timeout=60)
    (answer,) = last
    assert answer.body == b"this node is out of service; ask another one\n"
    assert answer.headers["retry-after"] == "1"
    assert set(answers) == {200, 503}
    assert set(pushed) <= set(list_refs(cluster.url(1, name))), "what was acknowledged is there"
