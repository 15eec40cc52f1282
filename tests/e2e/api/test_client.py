"""The client library over a real cluster: the page about it, and what it does when nodes die under it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, PeerUnavailable, RepositoryNotFound
from meshnode.client import Follow, MeshClient, NodeAddress, ReadLevel, load_private_key, read_cluster_file
from meshnode.v1 import common_pb2, event_pb2, ref_pb2, repository_pb2
from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

PAGE = Path(__file__).parents[3] / "docs" / "CLIENT.md"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of these tests' own: its nodes are killed."""
    with running_cluster(tmp_path_factory.mktemp("client") / "mesh") as running:
        yield running


def connect(cluster: Cluster, reads: ReadLevel = ReadLevel.VERIFIED) -> MeshClient:
    return MeshClient(
        read_cluster_file(cluster.data / "cluster.json"),
        key=load_private_key(cluster.data / "operator.pem"),
        application="operator",
        reads=reads,
    )


def test_examples_of_the_page_run(own: Cluster) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    code = code.replace('Path(".mesh")', f"Path({str(own.data)!r})")
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, str(PAGE), "exec"), names)
    stories = re.findall(r"^async def (\w+)", code, re.MULTILINE)
    assert len(stories) == 4
    for story in stories:
        asyncio.run(names[story]())


async def create(mesh: MeshClient, name: str) -> None:
    await mesh.repository.create(repository_pb2.CreateRequest(name=name))


async def set_default(mesh: MeshClient, name: str, branch: str) -> None:
    await mesh.ref.set_default_branch(ref_pb2.SetDefaultBranchRequest(repository=name, name=f"refs/heads/{branch}"))


async def default_of(mesh: MeshClient, name: str) -> str:
    answer = await mesh.ref.get_default_branch(ref_pb2.GetDefaultBranchRequest(repository=name))
    return answer.name.removeprefix("refs/heads/")


@pytest.mark.parametrize("reads", list(ReadLevel))
def test_reads_and_writes_go_on_while_a_node_is_killed(own: Cluster, name: str, reads: ReadLevel) -> None:
    async def story() -> None:
        async with connect(own, reads) as mesh:
            await create(mesh, name)
            for number in range(30):
                if number == 5:
                    own.kill(2)
                await set_default(mesh, name, f"b{number}")
                assert await default_of(mesh, name) == f"b{number}"
            assert mesh.last_seen(name) == 31

    try:
        asyncio.run(story())
    finally:
        own.start(2)


def test_name_that_was_given_to_another_repository_is_read_all_the_same(own: Cluster, name: str) -> None:
    async def story() -> None:
        async with connect(own, ReadLevel.OWN_WRITES) as mesh:
            await create(mesh, name)
            for number in range(5):
                await set_default(mesh, name, f"b{number}")
            async with connect(own) as other:
                await other.repository.delete(repository_pb2.DeleteRequest(name=name))
                await create(other, name)
            assert await default_of(mesh, name) == "main"

    asyncio.run(story())


def test_same_request_key_is_one_write(own: Cluster, name: str) -> None:
    async def story() -> None:
        async with connect(own) as mesh:
            await create(mesh, name)
            request = ref_pb2.SetDefaultBranchRequest(repository=name, name="refs/heads/x", request_key="once")
            first = await mesh.ref.set_default_branch(request)
            again = await mesh.ref.set_default_branch(request)
            assert first.position.generation == again.position.generation == 2

    asyncio.run(story())


def is_whole(cluster: Cluster, name: str) -> bool:
    """Whether all replicas are consistent: one of them may then go."""
    return cluster.meshnode("repo", "verify", name, check=False).returncode == 0


def push_when_taken(cluster: Cluster, name: str, refspec: str, work: Path) -> None:
    """Push through node 2; while other nodes come back there may be no quorum, and the push is refused."""

    def is_taken() -> bool:
        return git("push", "--quiet", cluster.url(2, name), refspec, cwd=work, check=False).returncode == 0

    wait_until(is_taken, deadline_s=60, what=f"{refspec} is pushed")


def test_following_survives_the_node_it_follows_at(own: Cluster, name: str, work: Path) -> None:
    async def story() -> None:
        seen: list[tuple[int, list[str]]] = []
        async with connect(own) as mesh:
            await create(mesh, name)
            following = mesh.watch(Follow(repository=name, points={}))
            async for event in following:
                assert isinstance(event, event_pb2.Change)
                seen.append((event.generation, [one.name for one in event.references]))
                if event.generation == 4:
                    break
                number = event.generation
                if number == 2:
                    await asyncio.to_thread(
                        wait_until, lambda: is_whole(own, name), deadline_s=60, what="replicas agree"
                    )
                    await asyncio.to_thread(own.kill, 1)
                await asyncio.to_thread(push_when_taken, own, name, f"main:refs/heads/b{number}", work)
                if number == 2:
                    await asyncio.to_thread(own.kill, 3)
                    await asyncio.to_thread(own.start, 1)
                    await asyncio.to_thread(own.start, 3)
        assert [generation for generation, _ in dict(seen).items()] == [1, 2, 3, 4]
        assert seen[-1] == (4, ["refs/heads/b3"])

    asyncio.run(story())
    assert "refs/heads/b3" in list_refs(own.url(1, name))


def test_unknown_repository_is_an_error_at_once(own: Cluster, name: str) -> None:
    async def story() -> None:
        async with connect(own) as mesh:
            with pytest.raises(RepositoryNotFound):
                await default_of(mesh, name)

    asyncio.run(story())


def test_consistency_that_the_caller_names_is_kept(own: Cluster, name: str) -> None:
    async def story() -> None:
        async with connect(own, ReadLevel.OWN_WRITES) as mesh:
            await create(mesh, name)
            far = common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_AT_LEAST, generation=99)
            with pytest.raises(MeshError) as raised:
                await mesh.ref.get_default_branch(
                    ref_pb2.GetDefaultBranchRequest(repository=name, consistency=far), timeout_ms=3_000
                )
            assert raised.value.code in {"FAILED_PRECONDITION", "DEADLINE_EXCEEDED"}

    asyncio.run(story())


def test_nodes_that_are_not_there_and_addresses_that_are_none(own: Cluster) -> None:
    key = load_private_key(own.data / "operator.pem")
    known = read_cluster_file(own.data / "cluster.json")[0]

    async def story() -> None:
        gone = NodeAddress(node=known.node, url="http://127.0.0.1:9", public_key=known.public_key)
        async with MeshClient([gone], key=key, application="operator") as mesh:
            with pytest.raises(PeerUnavailable):
                await default_of(mesh, "a/b")
        for nodes in (
            [],
            [NodeAddress(node="n1", url="localhost", public_key=known.public_key)],
            [NodeAddress(node="n1", url="https://localhost:1", public_key=known.public_key)],
            [NodeAddress(node="N 1", url=known.url, public_key=known.public_key)],
            [NodeAddress(node="n1", url=known.url, public_key="no key")],
        ):
            with pytest.raises((InvalidRequest, MeshError)):
                MeshClient(nodes, key=key, application="operator")

    asyncio.run(story())
    with pytest.raises(InvalidRequest):
        read_cluster_file(own.data / "operator.pem")
