"""A push that took effect and is sent again is answered as done, and is not done again."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.proxy import running_proxy
from tests.e2e.raw import send_bytes


def test_the_same_bytes_again_are_answered_ok_and_change_nothing(cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=work)
    with running_proxy(cluster.http_port(1)) as proxy:
        git("push", "--quiet", f"http://127.0.0.1:{proxy.port}/{name}.git", "main", cwd=work)
        request = proxy.posts()[-1]
    assert b"git-receive-pack" in request.partition(b"\r\n")[0]
    before = cluster.generation(name), list_refs(cluster.url(1, name))
    for node in cluster.numbers:
        answer = send_bytes(cluster.http_port(node), request)
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        assert b"ok refs/heads/main" in answer, answer[:500]
        assert b"ng refs/heads/main" not in answer
    assert (cluster.generation(name), list_refs(cluster.url(1, name))) == before


def test_a_repetition_after_another_push_does_not_turn_it_back(cluster: Cluster, name: str, work: Path) -> None:
    with running_proxy(cluster.http_port(1)) as proxy:
        git("push", "--quiet", f"http://127.0.0.1:{proxy.port}/{name}.git", "main", cwd=work)
        request = proxy.posts()[-1]
    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=work)
    git("push", "--quiet", cluster.url(2, name), "main", cwd=work)
    before = cluster.generation(name), list_refs(cluster.url(1, name))
    answer = send_bytes(cluster.http_port(1), request)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert (cluster.generation(name), list_refs(cluster.url(1, name))) == before


def test_a_push_whose_answer_was_lost_is_up_to_date_the_second_time(cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = cluster.generation(name)
    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=work)
    with running_proxy(cluster.http_port(1), is_answer_lost=True) as proxy:
        lost = git("push", f"http://127.0.0.1:{proxy.port}/{name}.git", "main", cwd=work, check=False)
        assert proxy.lost.is_set()
    assert lost.returncode != 0
    git("push", "--quiet", cluster.url(2, name), "main", cwd=work)
    assert cluster.generation(name) == before + 1
