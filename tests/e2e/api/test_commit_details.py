"""Change counts are those of `git show --shortstat`; signatures come with exactly what they sign."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import oid_of, output, rev_list
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git

SIGNED = "api/signed"
SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\n\nabc\n\n=xyz\n-----END PGP SIGNATURE-----\n"


@pytest.fixture(scope="module")
def signed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed commit and a large one beside a plain one, pushed to `SIGNED`."""
    path = tmp_path_factory.mktemp("signed") / "signed.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip().encode()
    start = b"tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n" % tree
    header = b"gpgsig " + SIGNATURE[:-1].replace(b"\n", b"\n ") + b"\n"
    large = b"\n" + b"x" * 99 * 3_000 + b"\n"
    for name, data in {"plain": b"\nm\n", "signed": header + b"\nm\n", "large": header + large}.items():
        oid = raw_git(path, "hash-object", "-t", "commit", "-w", "--stdin", stdin=start + data).decode().strip()
        git("update-ref", f"refs/heads/{name}", oid, cwd=path)
    git("push", "--quiet", "--mirror", cluster.url(1, SIGNED), cwd=path)
    return path


def signatures(api: Api, repository: str, revisions: list[str]) -> list[commit_pb2.CommitSignature]:
    request = commit_pb2.GetCommitSignaturesRequest(repository=repository, revisions=revisions)
    messages = api.stream("CommitService/GetCommitSignatures", request, commit_pb2.GetCommitSignaturesResponse)
    assert messages[0].position.generation >= 1
    assert all(message.ByteSize() < 4 << 20 for message in messages)
    return [one for message in messages for one in message.signatures]


def test_signatures_come_with_what_they_sign(api: Api, signed: Path) -> None:
    found = {one.revision: one for one in signatures(api, SIGNED, ["plain", "signed", "nobody", "large"])}
    assert list(found) == ["plain", "signed", "nobody", "large"]
    raw = output(signed, "cat-file", "commit", "signed")
    assert found["signed"].signature == SIGNATURE
    assert found["signed"].payload + b"" == raw[: raw.index(b"gpgsig")] + raw[raw.index(b"\n\nm") + 1 :]
    assert found["signed"].signature_kind == commit_pb2.SIGNATURE_KIND_PGP
    assert found["signed"].commit_oid == oid_of(signed, "signed")
    assert found["plain"] == commit_pb2.CommitSignature(revision="plain", commit_oid=oid_of(signed, "plain"))
    assert found["nobody"] == commit_pb2.CommitSignature(revision="nobody")
    assert len(found["large"].payload) > 99 * 3_000


def test_many_signatures_come_in_several_messages(api: Api, signed: Path) -> None:
    names = ["large", "signed"] * 25
    found = signatures(api, SIGNED, names)
    assert [one.revision for one in found] == names
    assert {one.commit_oid for one in found} == {oid_of(signed, "large"), oid_of(signed, "signed")}


def test_a_commit_says_that_it_is_signed(api: Api, signed: Path) -> None:
    for name, kind in (("plain", 0), ("signed", commit_pb2.SIGNATURE_KIND_PGP)):
        request = commit_pb2.GetCommitRequest(repository=SIGNED, revision=name)
        answer = api.call("CommitService/GetCommit", request, commit_pb2.GetCommitResponse)
        assert answer.commit.signature == kind
        assert answer.commit.oid == oid_of(signed, name)


def stats_of_git(path: Path, oid: str) -> tuple[int, int, int]:
    shown = output(path, "show", "--shortstat", "--diff-merges=first-parent", "--format=", oid).decode()
    numbers = {word[:4]: int(count) for count, word in re.findall(r"(\d+) (file|insertion|deletion)", shown)}
    return numbers.get("inse", 0), numbers.get("dele", 0), numbers.get("file", 0)


@pytest.mark.parametrize("name", [ODDITIES, HISTORY, ODDITIES_SHA256])
def test_counts_are_git_s(api: Api, oddities: Path, history: Path, oddities_sha256: Path, name: str) -> None:
    path = {ODDITIES: oddities, HISTORY: history, ODDITIES_SHA256: oddities_sha256}[name]
    oids = rev_list(path, "--all", "--max-count=60")
    request = commit_pb2.GetCommitStatsRequest(repository=name, revisions=[*oids, oids[0]])
    answer = api.call("CommitService/GetCommitStats", request, commit_pb2.GetCommitStatsResponse)
    assert [one.commit_oid for one in answer.stats] == [*oids, oids[0]]
    assert [(one.additions, one.deletions, one.files) for one in answer.stats][:-1] == [
        stats_of_git(path, oid) for oid in oids
    ]
    assert answer.position.generation >= 1


@pytest.mark.parametrize(
    ("revisions", "kind"),
    [([], InvalidRequest), (["main"] * 501, InvalidRequest), (["nobody"], NotFound), (["a..b"], InvalidRequest)],
)
def test_counts_of_what_is_no_commit_are_refused(
    api: Api, oddities: Path, revisions: list[str], kind: type[MeshError]
) -> None:
    assert oddities.exists()
    request = commit_pb2.GetCommitStatsRequest(repository=ODDITIES, revisions=revisions)
    assert isinstance(api.error("CommitService/GetCommitStats", request), kind)


@pytest.mark.parametrize("revisions", [[], ["main"] * 501, ["a..b"]])
def test_signatures_out_of_bounds_are_refused(api: Api, oddities: Path, revisions: list[str]) -> None:
    assert oddities.exists()
    with pytest.raises(InvalidRequest):
        signatures(api, ODDITIES, revisions)
