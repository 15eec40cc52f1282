"""Malformed and hostile requests are refused with a client error, change nothing, and the node goes on serving."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.raw import EMPTY_PACK, RECEIVE, UPLOAD, ZERO, pkt, push_commands, send, send_bytes

_TIP = "1" * 40


@pytest.fixture
def pushed(cluster: Cluster, name: str, work: Path) -> Iterator[str]:
    """A repository with one branch; what a test did must not have changed it or left anything."""
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = list_refs(cluster.url(1, name)), cluster.generation(name)
    yield name
    assert (list_refs(cluster.url(1, name)), cluster.generation(name)) == before
    assert all(cluster.is_ready(node) for node in cluster.numbers)
    cluster.wait_quiet()


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/team/../../etc.git/info/refs?service=git-upload-pack",
        "/team/%2e%2e/%2e%2e/x.git/info/refs?service=git-upload-pack",
        "/team/%252e%252e/x.git/info/refs?service=git-upload-pack",
        "/team/..%2f..%2fx.git/info/refs?service=git-upload-pack",
        "/team/a%00b.git/info/refs?service=git-upload-pack",
        "/team/a%0ab.git/info/refs?service=git-upload-pack",
        "/team\\x.git/info/refs?service=git-upload-pack",
        "//etc/passwd.git/info/refs?service=git-upload-pack",
        "/" + "a/" * 300 + "x.git/info/refs?service=git-upload-pack",
        "/team/" + "a" * 5000 + ".git/info/refs?service=git-upload-pack",
        "/team/-upload.git/info/refs?service=git-upload-pack",
        "/team/x.lock.git/info/refs?service=git-upload-pack",
        "/x.git/info/refs?service=git-upload-pack",
        "/team/x.git/info/refs?service=git-upload-archive",
        "/team/x.git/info/refs?service=../../bin/sh",
        "/team/x.git/info/refs",
        "/team/x.git/HEAD",
        "/team/x.git/objects/info/packs",
        "/team/x.git/config",
    ],
)
def test_a_hostile_path_is_refused(cluster: Cluster, path: str) -> None:
    answer = send_bytes(cluster.http_port(1), f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status = int(answer.split(b" ")[1])
    assert 400 <= status < 500, answer[:300]
    assert b"Traceback" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("garbage", b"this is not git"),
        ("an empty body", b""),
        ("a length that is not hex", b"zzzz"),
        ("a length below four", b"0003"),
        ("a length beyond the limit", b"ffff" + b"x" * 100),
        ("a line cut short", pkt(f"{ZERO} {_TIP} refs/heads/x\0 report-status")[:-10]),
        ("no flush", pkt(f"{ZERO} {_TIP} refs/heads/x\0 report-status")),
        ("object ids of another length", push_commands(("0" * 64, "1" * 64, "refs/heads/x"))),
        ("a command without a name", pkt(f"{ZERO} {_TIP}\0 report-status") + b"0000"),
        ("one name twice", push_commands((ZERO, _TIP, "refs/heads/x"), (ZERO, _TIP, "refs/heads/x")) + EMPTY_PACK),
        ("an unknown object format", push_commands((ZERO, _TIP, "refs/heads/x"), capabilities="object-format=md5")),
        ("a pack cut short", push_commands((ZERO, _TIP, "refs/heads/x")) + EMPTY_PACK[:10]),
        ("a pack that is none", push_commands((ZERO, _TIP, "refs/heads/x")) + b"KCAP" + b"\xff" * 200),
        ("a pack of a wrong checksum", push_commands((ZERO, _TIP, "refs/heads/x")) + EMPTY_PACK[:-1] + b"\0"),
        ("an object nobody has", push_commands((ZERO, _TIP, "refs/heads/x")) + EMPTY_PACK),
        ("a name with a parent in it", push_commands((ZERO, _TIP, "refs/heads/../../x")) + EMPTY_PACK),
        ("a name outside refs", push_commands((ZERO, _TIP, "config")) + EMPTY_PACK),
        ("HEAD", push_commands((ZERO, _TIP, "HEAD")) + EMPTY_PACK),
        ("an old value that is not so", push_commands((_TIP, ZERO, "refs/heads/main"))),
        ("the deletion of what is not there", push_commands((_TIP, ZERO, "refs/heads/absent"))),
    ],
)
def test_a_malformed_push_is_refused(cluster: Cluster, pushed: str, what: str, body: bytes) -> None:
    for node in (1, 2):
        answer = send(cluster.http_port(node), "POST", f"/{pushed}.git/git-receive-pack", body=body, headers=RECEIVE)
        refused = b"ng " in answer.body or b"unpack " in answer.body or b"ERR " in answer.body
        is_nothing = what == "an empty body" and answer.status == 200
        assert 400 <= answer.status < 500 or (answer.status == 200 and refused) or is_nothing, (answer, what)
        assert b"Traceback" not in answer.body
        assert b"\nok " not in answer.body


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("garbage", b"this is not git"),
        ("a length below four", b"0003"),
        ("an unknown command", pkt("command=delete-everything") + b"0000"),
        ("a want that is not an id", pkt("want ../../etc/passwd") + b"0000"),
        ("a want nobody has", pkt(f"want {_TIP} side-band-64k") + b"0000" + pkt("done\n")),
        ("a filter that runs a program", pkt(f"want {_TIP} filter") + pkt("filter --exec=/bin/sh") + b"0000"),
    ],
)
@pytest.mark.parametrize("protocol", ["version=0", "version=2", "version=9:--upload-pack=x"])
def test_a_malformed_fetch_is_refused(cluster: Cluster, pushed: str, protocol: str, what: str, body: bytes) -> None:
    headers = {**UPLOAD, "Git-Protocol": protocol}
    answer = send(cluster.http_port(1), "POST", f"/{pushed}.git/git-upload-pack", body=body, headers=headers)
    assert answer.status < 500, (answer, what)
    assert b"PACK" not in answer.body
    assert b"Traceback" not in answer.body


def test_a_body_of_the_wrong_type_is_refused(cluster: Cluster, pushed: str) -> None:
    for kind in ("text/plain", "application/x-git-upload-pack-request"):
        answer = send(
            cluster.http_port(1),
            "POST",
            f"/{pushed}.git/git-receive-pack",
            body=b"0000",
            headers={"Content-Type": kind},
        )
        assert answer.status in {400, 415}


def test_a_body_that_says_gzip_and_is_not_is_refused(cluster: Cluster, pushed: str) -> None:
    headers = {**UPLOAD, "Content-Encoding": "gzip"}
    answer = send(cluster.http_port(1), "POST", f"/{pushed}.git/git-upload-pack", body=b"\x00" * 50, headers=headers)
    assert 400 <= answer.status < 500


def test_a_small_body_that_unpacks_to_gigabytes_is_stopped(cluster: Cluster, pushed: str) -> None:
    bomb = gzip.compress(pkt("want " + _TIP) * 2_000_000, 9)
    headers = {**UPLOAD, "Content-Encoding": "gzip"}
    answer = send(cluster.http_port(1), "POST", f"/{pushed}.git/git-upload-pack", body=bomb, headers=headers)
    assert answer.status < 500
    assert b"PACK" not in answer.body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["tls", "version", "method", "long-line", "many-headers", "negative-length", "two-lengths"],
)
def test_bytes_that_are_not_http_get_no_success(cluster: Cluster, request_bytes: bytes) -> None:
    answer = send_bytes(cluster.http_port(2), request_bytes, is_half_closed=True)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert cluster.is_ready(2)


@pytest.mark.parametrize("level", ["at-least=-1", "at-least=x", "sometimes", "at-least=99999999999999999999999"])
def test_a_consistency_level_that_is_none_is_refused(cluster: Cluster, pushed: str, level: str) -> None:
    path = f"/{pushed}.git/info/refs?service=git-upload-pack"
    answer = send(cluster.http_port(1), "GET", path, headers={"Mesh-Consistency": level})
    assert answer.status == 400, answer


def test_a_position_in_the_future_is_refused(cluster: Cluster, pushed: str) -> None:
    path = f"/{pushed}.git/info/refs?service=git-upload-pack"
    answer = send(cluster.http_port(1), "GET", path, headers={"Mesh-Consistency": "at-least=100000"})
    assert 400 <= answer.status < 600
    assert answer.status != 500


def test_a_forged_token_is_refused(cluster: Cluster, pushed: str) -> None:
    path = f"/{pushed}.git/info/refs?service=git-upload-pack"
    for value in ("Bearer x.y.z", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.", "Basic !!!", "Basic Og=="):
        answer = send(cluster.http_port(1), "GET", path, headers={"Authorization": value})
        assert answer.status == 401, (value, answer)
