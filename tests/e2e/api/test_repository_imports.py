"""Repositories made of bundles and archives: everything or nothing, on every replica, and nothing else of an archive."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, RepositoryExists
from meshnode.v1 import repository_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.oddities import make_oddities
from tests.e2e.cluster import Cluster, git, list_refs

PIECE = 1 << 19


def bundle_messages(header: pb.ImportHeader, data: bytes) -> Iterator[pb.CreateFromBundleRequest]:
    yield pb.CreateFromBundleRequest(header=header)
    for start in range(0, len(data), PIECE):
        yield pb.CreateFromBundleRequest(data=data[start : start + PIECE])


def archive_messages(header: pb.ImportHeader, data: bytes) -> Iterator[pb.CreateFromArchiveRequest]:
    yield pb.CreateFromArchiveRequest(header=header)
    for start in range(0, len(data), PIECE):
        yield pb.CreateFromArchiveRequest(data=data[start : start + PIECE])


def from_bundle(api: Api, data: bytes, *, node: int = 0, **header: str) -> pb.CreateResponse:
    messages = bundle_messages(pb.ImportHeader(**header), data)
    (answer,) = api.stream("RepositoryService/CreateFromBundle", messages, pb.CreateResponse, node=node)
    return answer


def from_archive(api: Api, data: bytes, *, node: int = 0, **header: str) -> pb.CreateResponse:
    messages = archive_messages(pb.ImportHeader(**header), data)
    (answer,) = api.stream("RepositoryService/CreateFromArchive", messages, pb.CreateResponse, node=node)
    return answer


def bundle_of(path: Path) -> bytes:
    return subprocess.run(
        ["git", "bundle", "create", "--quiet", "-", "--all"], cwd=path, check=True, capture_output=True
    ).stdout


def archive_of(path: Path, mode: str = "w:gz", name: str = "project.git") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        tar.add(path, arcname=name)
    return packed.getvalue()


def exists(api: Api, name: str) -> bool:
    return api.call("RepositoryService/Exists", pb.ExistsRequest(name=name), pb.ExistsResponse).exists


def check_whole(cluster: Cluster, name: str, source: Path, place: Path) -> None:
    """Check that every node serves exactly what `source` has, and that the replicas agree."""
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, name)) == list_refs(source)
    git("clone", "--quiet", "--mirror", cluster.url(2, name), str(place))
    assert cluster.json("repo", "verify", name)["ok"]


def test_bundle_becomes_a_repository_in_one_write(
    api: Api, cluster: Cluster, name: str, history: Path, tmp_path: Path
) -> None:
    for node in cluster.numbers:
        answer = from_bundle(api, bundle_of(history), name=f"{name}/{node}", node=node)
        assert (answer.repository.name, answer.position.generation) == (f"{name}/{node}", 1)
    check_whole(cluster, f"{name}/3", history, tmp_path / "clone")


def test_oddities_of_both_formats_come_through(api: Api, cluster: Cluster, name: str, tmp_path: Path) -> None:
    source = make_oddities(tmp_path / "sha1.git")
    from_bundle(api, bundle_of(source), name=f"{name}/bundle")
    check_whole(cluster, f"{name}/bundle", source, tmp_path / "bundle")
    source = make_oddities(tmp_path / "sha256.git", object_format="sha256")
    from_archive(api, archive_of(source), name=f"{name}/archive")
    check_whole(cluster, f"{name}/archive", source, tmp_path / "archive")


def test_archive_becomes_a_repository(api: Api, cluster: Cluster, name: str, history: Path, tmp_path: Path) -> None:
    for mode, inside in (("w", "."), ("w:gz", "x.git"), ("w:bz2", "deep/down/x.git"), ("w:xz", "x")):
        from_archive(api, archive_of(history, mode, name=inside), name=f"{name}/{mode[2:] or 'tar'}")
    check_whole(cluster, f"{name}/bz2", history, tmp_path / "clone")


def test_default_branch_is_the_callers_then_the_sources(api: Api, cluster: Cluster, name: str, tmp_path: Path) -> None:
    source = make_oddities(tmp_path / "source.git")
    git("symbolic-ref", "HEAD", "refs/heads/octopus", cwd=source)
    from_archive(api, archive_of(source), name=f"{name}/a")
    from_archive(api, archive_of(source), name=f"{name}/b", default_branch="huge")
    from_bundle(api, bundle_of(source), name=f"{name}/c")
    for repository, branch in (("a", "octopus"), ("b", "huge"), ("c", "octopus")):
        head = git("ls-remote", "--symref", cluster.url(1, f"{name}/{repository}"), "HEAD").stdout
        assert head.startswith(f"ref: refs/heads/{branch}\t"), head


def test_repetition_is_one_repository_and_another_request_is_refused(api: Api, name: str, history: Path) -> None:
    data = bundle_of(history)
    first = from_bundle(api, data, name=name, request_key="once")
    again = from_bundle(api, data, name=name, request_key="once")
    assert (first.repository.id, first.position.generation) == (again.repository.id, again.position.generation)
    with pytest.raises(RepositoryExists):
        from_bundle(api, data, name=name)


def test_what_is_no_bundle_or_not_whole_makes_nothing(
    api: Api, cluster: Cluster, name: str, history: Path, tmp_path: Path
) -> None:
    whole = bundle_of(history)
    broken = bytearray(whole)
    broken[-5_000] ^= 0xFF
    partial = subprocess.run(
        ["git", "bundle", "create", "--quiet", "-", "main~5..main"], cwd=history, check=True, capture_output=True
    ).stdout
    lacking = whole.replace(b" refs/heads/main\n", b" refs/heads/main\n" + b"1" * 40 + b" refs/heads/lacking\n", 1)
    for data in (b"", b"junk" * 1_000, whole[:-5_000], bytes(broken), partial, lacking, archive_of(history)):
        with pytest.raises(InvalidRequest):
            from_bundle(api, data, name=name)
        assert not exists(api, name)
    cluster.wait_quiet()
    assert not (tmp_path / "clone").exists()


def test_what_is_no_repository_makes_nothing(api: Api, cluster: Cluster, name: str, tmp_path: Path, work: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    lacking = make_oddities(tmp_path / "lacking.git")
    for pack in (lacking / "objects" / "pack").iterdir():
        pack.unlink()
    for data in (b"", b"junk" * 10_000, archive_of(empty), archive_of(lacking), archive_of(work)[:-200]):
        with pytest.raises(InvalidRequest):
            from_archive(api, data, name=name)
        assert not exists(api, name)
    cluster.wait_quiet()


def test_nothing_of_a_hostile_archive_is_obeyed(
    api: Api, cluster: Cluster, name: str, tmp_path: Path, history: Path
) -> None:
    proof = tmp_path / "proof"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    hostile = tmp_path / "hostile.git"
    git("clone", "--quiet", "--mirror", str(history), str(hostile))
    (hostile / "hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        (hostile / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {proof}\n")
        (hostile / "hooks" / hook).chmod(0o755)
    with (hostile / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = touch {proof}\n\tsshCommand = touch {proof}\n\thooksPath = hooks\n")
        config.write(f"[uploadpack]\n\tpackObjectsHook = touch {proof}\n")
    (hostile / "objects" / "info").mkdir(exist_ok=True)
    (hostile / "objects" / "info" / "alternates").write_text(f"{history}/objects\n")
    (hostile / "refs" / "heads" / "link").symlink_to(secret)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(hostile, arcname="x.git")
        for escape in ("x.git/../../../escaped", "/tmp/escaped", "x.git/refs/heads/../../../../escaped"):
            member = tarfile.TarInfo(escape)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    from_archive(api, packed.getvalue(), name=name)
    assert not proof.exists()
    assert not list(cluster.data.rglob("escaped"))
    assert {ref: oid for ref, oid in list_refs(cluster.url(1, name)).items() if ref != "HEAD"} == {
        ref: oid for ref, oid in list_refs(history).items() if ref != "HEAD"
    }


def test_upload_without_a_header_is_refused(api: Api) -> None:
    with pytest.raises(MeshError):
        api.stream("RepositoryService/CreateFromBundle", [pb.CreateFromBundleRequest(data=b"x")], pb.CreateResponse)
