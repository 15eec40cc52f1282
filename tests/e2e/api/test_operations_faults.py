"""Operations among competing writers, dying clients and dying nodes, on a cluster of this file's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshnode.auth.channel import CallFailed, SignedChannel
from meshnode.base.errors import MeshError, OutcomeUnknown, Overloaded, QuorumLost, ReadOnly
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.workbench import (
    AUTHOR,
    COMMITTER,
    MAIN,
    WRITTEN,
    commit_files,
    messages,
    operate,
    put,
    refused,
)
from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

FILE_BYTES_MAX = 8 << 20
COMMITS_MAX = 4
SETTINGS = {
    "MESHNODE_OPERATIONS__FILE_BYTES_MAX": str(FILE_BYTES_MAX),
    "MESHNODE_OPERATIONS__BYTES_MAX": str(2 * FILE_BYTES_MAX),
    "MESHNODE_OPERATIONS__ACTIONS_MAX": "50",
    "MESHNODE_OPERATIONS__WORKSHOPS_MAX": "24",
    "MESHNODE_OPERATIONS__COMMITS_MAX": str(COMMITS_MAX),
}
WRITERS = 16


def leave(upload: asyncio.Task[None]) -> None:
    """Be a client that goes away."""
    upload.cancel()


async def endless_upload(
    channel: SignedChannel, cluster: Cluster, name: str, harm: Callable[[asyncio.Task[None]], None]
) -> None:
    """Send a file that has no end, and do harm once a node has a workshop for it."""

    async def sent() -> AsyncIterator[bytes]:
        for message in messages([put("a", *[os.urandom(1 << 20)] * 4)], repository=name):
            yield message.SerializeToString()
        await asyncio.Event().wait()

    async def upload() -> None:
        async with channel.stream("/mesh.v1.OperationService/CommitFiles", sent(), timeout_ms=60_000) as stream:
            async for _ in stream:
                raise AssertionError("an unfinished upload was answered")

    task = asyncio.create_task(upload())
    await asyncio.to_thread(wait_until, lambda: list(cluster.data.glob("n*/incoming/*.workshop.*")))
    harm(task)
    await task


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    data = tmp_path_factory.mktemp("operations") / "mesh"
    with running_cluster(data, environment=SETTINGS) as running:
        yield running


@pytest.fixture
def fragile(own_cluster: Cluster, name: str, work: Path) -> Iterator[Cluster]:
    """The cluster with every node up, before and after, and a repository with a branch."""
    git("push", "--quiet", own_cluster.url(1, name), "main", cwd=work)
    own_cluster.wait_consistent(name)
    yield own_cluster
    for node in own_cluster.numbers:
        if not own_cluster.pid(node):
            own_cluster.start(node)


@pytest.fixture
def own(fragile: Cluster) -> Iterator[Api]:
    with Api(fragile) as caller:
        yield caller


async def committed(channel: SignedChannel, *files: Any, **header: Any) -> pb.OperationResponse:
    async def sent() -> AsyncIterator[bytes]:
        for message in messages(files, **header):
            yield message.SerializeToString()

    async with channel.stream("/mesh.v1.OperationService/CommitFiles", sent(), timeout_ms=60_000) as stream:
        (answer,) = [pb.OperationResponse.FromString(message) async for message in stream]
    return answer


def test_competing_commits_on_one_branch_all_land(fragile: Cluster, own: Api, name: str) -> None:
    before = fragile.generation(name)

    async def compete(channel: SignedChannel) -> list[pb.OperationResponse]:
        return await asyncio.gather(
            *(committed(channel, put(f"file-{number}", b"%d" % number), repository=name) for number in range(WRITERS))
        )

    answers = own.run(compete)
    fragile.wait_consistent(name)
    path = fragile.replica_path(2, name)
    log = git("log", "--format=%H", MAIN, cwd=path).stdout.split()
    assert {answer.oid for answer in answers} == set(log[:WRITERS])
    files = git("ls-tree", "--name-only", MAIN, cwd=path).stdout.split()
    assert {f"file-{number}" for number in range(WRITERS)} <= set(files)
    assert fragile.generation(name) == before + WRITERS
    fragile.wait_quiet()


def test_commits_that_compete_with_pushes_land_or_are_refused(
    fragile: Cluster, own: Api, name: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git("clone", "--quiet", fragile.url(1, name), str(other))

    def push(number: int) -> str:
        git("commit", "--quiet", "--allow-empty", "-m", f"push {number}", cwd=other)
        tip = git("rev-parse", "HEAD", cwd=other).stdout.strip()
        done = git("push", "--quiet", fragile.url(2, name), "HEAD:main", cwd=other, check=False)
        return tip if done.returncode == 0 else ""

    async def compete(channel: SignedChannel) -> tuple[list[pb.OperationResponse | BaseException], list[str]]:
        pushes = asyncio.create_task(asyncio.to_thread(lambda: [push(number) for number in range(4)]))
        commits = await asyncio.gather(
            *(committed(channel, put(f"file-{number}", b"x"), repository=name) for number in range(8)),
            return_exceptions=True,
        )
        return commits, await pushes

    commits, pushed = own.run(compete)
    fragile.wait_consistent(name)
    log = set(git("log", "--format=%H", MAIN, cwd=fragile.replica_path(1, name)).stdout.split())
    landed = [answer for answer in commits if isinstance(answer, pb.OperationResponse)]
    assert landed
    assert {answer.oid for answer in landed} <= log
    for refusal in commits:
        if not isinstance(refusal, pb.OperationResponse):
            assert isinstance(refusal, CallFailed)
            assert refusal.code.name in {"ABORTED", "RESOURCE_EXHAUSTED"}
    assert {tip for tip in pushed if tip} <= log


def test_a_client_that_goes_away_while_it_uploads_leaves_nothing(fragile: Cluster, own: Api, name: str) -> None:
    before = list_refs(fragile.url(1, name)), fragile.generation(name)

    for node in fragile.numbers:
        with pytest.raises(asyncio.CancelledError):
            own.run(lambda channel: endless_upload(channel, fragile, name, leave), node)
    fragile.wait_quiet()
    assert (list_refs(fragile.url(1, name)), fragile.generation(name)) == before


def test_limits_are_named_and_nothing_is_left(fragile: Cluster, own: Api, name: str) -> None:
    before = fragile.generation(name)
    piece = b"x" * (1 << 20)
    large = refused(own, name, put("a", *[piece] * 9))
    assert isinstance(large, Overloaded)
    assert large.fields["bytes_max"] == FILE_BYTES_MAX
    much = refused(own, name, *(put(f"f{number}", *[piece] * 7) for number in range(3)))
    assert isinstance(much, Overloaded)
    assert much.fields["bytes_max"] == 2 * FILE_BYTES_MAX
    many = refused(own, name, *(put(f"f{number}", b"x") for number in range(51)))
    assert isinstance(many, Overloaded)
    assert many.fields["actions_max"] == 50
    fragile.wait_quiet()
    assert fragile.generation(name) == before


def test_without_a_quorum_a_commit_is_refused_and_changes_nothing(fragile: Cluster, own: Api, name: str) -> None:
    before = list_refs(fragile.url(1, name))
    generation = fragile.generation(name)
    paths = [fragile.replica_path(node, name) for node in fragile.numbers]
    fragile.kill(2)
    fragile.kill(3)
    error = refused(own, name, put("a", b"a"), node=1, request_key="patient")
    assert isinstance(error, (QuorumLost, ReadOnly)), error
    for path in paths:
        assert list_refs(path)[MAIN] == before[MAIN]
    fragile.start(2)
    fragile.start(3)
    landed = commit_files(own, name, put("a", b"a"), node=1, request_key="patient")
    assert not landed.repetition
    fragile.wait_consistent(name, generation=generation + 1)
    assert list_refs(fragile.url(3, name))[MAIN] == landed.oid
    fragile.wait_quiet()


@pytest.mark.parametrize("pause_s", [0.0, 0.01, 0.03, 0.06, 0.1])
def test_a_killed_coordinator_and_a_repetition_land_exactly_once(
    fragile: Cluster, own: Api, name: str, pause_s: float
) -> None:
    generation = fragile.generation(name)
    started = commit_files(own, name, put("a", b"a"))
    leader = next(node for node in fragile.numbers if f"n{node}" == started.position.node)

    async def sabotage(channel: SignedChannel) -> object:
        work = asyncio.ensure_future(committed(channel, put("b", b"b"), repository=name, request_key="once"))
        await asyncio.sleep(pause_s)  # not a wait: where in the operation the node dies
        os.kill(fragile.pid(leader), signal.SIGKILL)
        (outcome,) = await asyncio.gather(work, return_exceptions=True)
        return outcome

    other = leader % 3 + 1
    first = own.run(sabotage, leader if pause_s else other)

    def again() -> pb.OperationResponse | None:
        try:
            return commit_files(own, name, put("b", b"b"), request_key="once", node=other)
        except (OutcomeUnknown, QuorumLost, ReadOnly, MeshError):
            return None

    answer = wait_until(again, deadline_s=60, what="the repetition is answered")
    assert answer is not None
    fragile.start(leader)
    fragile.wait_consistent(name, generation=generation + 2)
    assert fragile.generation(name) == generation + 2
    log = git("log", "--format=%H", MAIN, cwd=fragile.replica_path(leader, name)).stdout.split()
    assert log[:2] == [answer.oid, started.oid]
    if isinstance(first, pb.OperationResponse):
        assert first.oid == answer.oid
    fragile.wait_quiet()


def test_a_node_killed_in_the_midst_of_an_upload_sweeps_its_workshop(fragile: Cluster, own: Api, name: str) -> None:
    leader = int(commit_files(own, name, put("a", b"a")).position.node[1:])

    def kill(_: asyncio.Task[None]) -> None:
        os.kill(fragile.pid(leader), signal.SIGKILL)

    with pytest.raises(MeshError):
        own.run(lambda channel: endless_upload(channel, fragile, name, kill), leader)
    fragile.start(leader)
    assert not list((fragile.node_path(leader) / "incoming").iterdir())
    fragile.wait_quiet()


@contextlib.contextmanager
def full_disks(cluster: Cluster) -> Iterator[list[Path]]:
    """Every node has a megabyte for what is on its way; afterwards as much as before."""
    with contextlib.ExitStack() as stack:
        places = [cluster.node_path(node) / "incoming" for node in cluster.numbers]
        for place in places:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "meshnode-test", str(place)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
        yield places


def test_a_full_disk_refuses_operations_and_harms_nothing(fragile: Cluster, own: Api, name: str) -> None:
    started = commit_files(own, name, put("a", b"a"))
    fragile.wait_consistent(name)
    mailbox = [
        pb.ApplyPatchesRequest(header=pb.ApplyPatchesHeader(repository=name, branch=MAIN, committer=COMMITTER)),
        *[pb.ApplyPatchesRequest(content=b"From 0\n" + b"x" * (1 << 20))] * 3,
    ]
    merge = pb.MergeRequest(repository=name, branch=MAIN, revision="main~1", author=AUTHOR, message="m")
    with full_disks(fragile) as places:
        for large in (put("large", *[os.urandom(1 << 20)] * 3), put("small", os.urandom(1 << 20))):
            error = refused(own, name, large, request_key="full")
            assert isinstance(error, Overloaded), error
            assert error.message == "no space left on device"
        with pytest.raises(Overloaded, match="no space left"):
            own.stream("OperationService/ApplyPatches", mailbox, pb.OperationResponse)
        for place in places:
            with contextlib.suppress(OSError), (place / "balloon").open("wb", buffering=0) as balloon:
                while balloon.write(bytes(4_096)):
                    pass
        with pytest.raises(Overloaded, match="no space left"):
            own.call("OperationService/Merge", merge, pb.OperationResponse)
        for place in places:
            (place / "balloon").unlink()
        fragile.wait_quiet()
    assert fragile.is_consistent(name)
    assert list_refs(fragile.url(1, name))[MAIN] == started.oid
    assert commit_files(own, name, put("small", b"b"), request_key="full").oid
    assert not [kept for node in fragile.numbers for kept in (fragile.node_path(node) / "damaged").iterdir()]


def test_more_commits_than_one_operation_takes_are_refused(fragile: Cluster, own: Api, name: str, work: Path) -> None:
    base = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    git("switch", "--quiet", "-c", "long", cwd=work)
    for number in range(COMMITS_MAX + 1):
        (work / f"long-{number}").write_text("long\n")
        git("add", ".", cwd=work)
        git("commit", "--quiet", "-m", f"long {number}", cwd=work)
    git("push", "--quiet", fragile.url(1, name), "long", cwd=work)
    commit_files(own, name, put("a", b"a"))
    fragile.wait_consistent(name)
    before = fragile.generation(name)
    picks = git("rev-list", "--reverse", f"{base}..long", cwd=work).stdout.split()
    pick = pb.CherryPickRequest(repository=name, branch=MAIN, revisions=picks, committer=COMMITTER)
    rebase = pb.RebaseRequest(repository=name, branch="refs/heads/long", onto="main", committer=COMMITTER)
    mails = git("format-patch", "--stdout", f"{base}..long", cwd=work).stdout.encode()
    mailbox = [
        pb.ApplyPatchesRequest(header=pb.ApplyPatchesHeader(repository=name, branch=MAIN, committer=COMMITTER)),
        pb.ApplyPatchesRequest(content=mails),
    ]
    for method, request in (("CherryPick", pick), ("Rebase", rebase)):
        with pytest.raises(Overloaded, match="too many commits") as refusal:
            operate(own, method, request)
        assert refusal.value.fields["commits_max"] == COMMITS_MAX
        assert refusal.value.fields["commits"] == COMMITS_MAX + 1
    with pytest.raises(Overloaded, match="too many patches") as refusal:
        own.stream("OperationService/ApplyPatches", mailbox, pb.OperationResponse)
    assert refusal.value.fields["patches_max"] == COMMITS_MAX
    assert fragile.generation(name) == before
    assert (
        operate(
            own,
            "CherryPick",
            pb.CherryPickRequest(repository=name, branch=MAIN, revisions=picks[:COMMITS_MAX], committer=COMMITTER),
        ).outcome
        == WRITTEN
    )
    fragile.wait_quiet()


def test_damage_that_an_operation_meets_takes_its_replica_out(
    fragile: Cluster, own: Api, name: str, work: Path
) -> None:
    started = commit_files(own, name, put("dir/a", b"a"), put("dir/b", b"b"))
    fragile.wait_consistent(name)
    leader = int(started.position.node[1:])
    replica = fragile.replica_path(leader, name)
    for pack in (replica / "objects" / "pack").glob("*.pack"):
        moved = pack.rename(work / pack.name)
        pack.with_suffix(".idx").unlink()
        with moved.open("rb") as stream:
            subprocess.run(["git", "unpack-objects", "-q"], cwd=replica, stdin=stream, check=True)
    tree = git("rev-parse", f"{started.oid}:dir", cwd=replica).stdout.strip()
    (replica / "objects" / tree[:2] / tree[2:]).unlink()
    fragile.stop(leader)  # what it holds in memory and in processes is sound
    fragile.start(leader)

    with pytest.raises(MeshError):
        commit_files(own, name, put("dir/c", b"c"), node=leader)
    wait_until(lambda: list((fragile.node_path(leader) / "damaged").iterdir()), what="the replica is set aside")
    fragile.wait_consistent(name)
    landed = commit_files(own, name, put("dir/c", b"c"), node=leader)
    assert git(
        "ls-tree", "--name-only", f"{landed.oid}:dir", cwd=fragile.replica_path(leader, name)
    ).stdout.split() == [
        "a",
        "b",
        "c",
    ]
