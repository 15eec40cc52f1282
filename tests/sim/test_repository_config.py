"""What is configured for a repository holds for every coordinator, from the moment the change is acknowledged."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Fenced, Forbidden, InvalidRequest, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import NodeId, ObjectId, RepositoryName
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core.keys import CONFIGS, RECORDS, config_key
from meshnode.core.repository_config import RepositoryConfig
from meshnode.engine import delivery
from meshnode.ports import Put
from tests.sim.memory_cluster import MAIN, MemoryCluster
from tests.sim.pushes import push
from tests.sim.test_cluster import play
from tests.sim.test_pushes import leftovers

A, B, C = "a" * 40, "b" * 40, "c" * 40
NAME = "demo/one"
TOPIC = "refs/heads/topic"
DENY_DELETES = {"receive.denyDeletes": "true"}
DENY_REWINDS = {"receive.denyNonFastForwards": "true"}


async def configure(
    cluster: MemoryCluster, at: str, changes: dict[str, str], *, expect: int | None = None, name: str = NAME
) -> RepositoryConfig:
    configs = cluster.engine(at).configs
    _, config = await configs.update(RepositoryName(name), changes, (), expected_version=expect, actor="t")
    return config


def relate(cluster: MemoryCluster, child: str, parent: str) -> None:
    """Say that one commit stands on another."""
    for node in cluster.nodes.values():
        node.disk.parents[ObjectId(child)] = ObjectId(parent)


def test_a_change_through_one_node_holds_at_once_for_writes_through_every_other() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.set_ref("n2", NAME, A, ref=TOPIC)
        assert (await configure(cluster, "n3", DENY_DELETES)).version == 1
        for node in ("n1", "n2", "n3"):
            with pytest.raises(Forbidden, match="deletion prohibited") as denied:
                await cluster.set_ref(node, NAME, "", ref=TOPIC)
            assert denied.value.fields["ref"] == TOPIC
        await cluster.set_ref("n1", NAME, B)
        _, config = await cluster.engine("n2").configs.read(RepositoryName(NAME))
        assert config.denies_deletes
        await configure(cluster, "n1", {"receive.denyDeletes": "false"})
        await cluster.set_ref("n3", NAME, "", ref=TOPIC)
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_branch_moves_only_forward_where_that_is_configured_and_tags_and_new_branches_are_free() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await configure(cluster, "n1", DENY_REWINDS)
        relate(cluster, B, A)
        await cluster.set_ref("n2", NAME, B)
        with pytest.raises(Forbidden, match="non-fast-forward"):
            await cluster.set_ref("n3", NAME, C)
        await cluster.set_ref("n3", NAME, C, ref=TOPIC)
        await cluster.set_ref("n3", NAME, A, ref="refs/tags/one")
        await cluster.set_ref("n3", NAME, C, ref="refs/tags/one")
        await cluster.set_ref("n3", NAME, "", ref=TOPIC)

    play(story)


def test_a_write_checked_before_a_change_is_not_published_after_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A, ref=TOPIC)
        changed = False

        async def hook(call: CatalogCall) -> None:
            nonlocal changed
            is_publish = call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys)
            if not changed and is_publish and call.moment is Moment.BEFORE:
                changed = True
                await configure(cluster, "n2", DENY_DELETES)

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        await cluster.wait_until_consistent(NAME)
        with pytest.raises(Forbidden, match="deletion prohibited"):  # tried again, and checked by what holds now
            await cluster.set_ref("n1", NAME, "", ref=TOPIC)
        assert changed
        assert await cluster.read("n3", NAME, TOPIC) == A
        assert (await cluster.wait_until_consistent(NAME)).generation == 2

    play(story)


def test_of_two_changes_at_once_one_is_refused_and_the_expected_version_counts() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        overtaken = False

        async def hook(call: CatalogCall) -> None:
            nonlocal overtaken
            is_change = call.operation == "transact" and any(key.startswith(CONFIGS) for key in call.keys)
            if not overtaken and is_change and call.moment is Moment.BEFORE:
                overtaken = True
                await configure(cluster, "n2", DENY_DELETES)

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        with pytest.raises(Fenced):
            await configure(cluster, "n1", DENY_REWINDS)
        with pytest.raises(Fenced):
            await configure(cluster, "n1", DENY_REWINDS, expect=0)
        assert (await configure(cluster, "n1", DENY_REWINDS, expect=1)).version == 2
        with pytest.raises(InvalidRequest, match=r"receive\.denyDeletes, receive\.denyNonFastForwards"):
            await configure(cluster, "n1", {"core.hooksPath": "/tmp"})

    play(story)


def test_the_configuration_goes_with_its_repository_stays_over_a_rename_and_is_no_forks() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.set_ref("n1", NAME, A, ref=TOPIC)
        await configure(cluster, "n1", DENY_DELETES)
        writes = cluster.engine("n2").writes
        renamed, fork = RepositoryName("demo/renamed"), RepositoryName("demo/fork")
        await writes.rename(RepositoryName(NAME), renamed, request_key="", actor="t")
        await writes.fork(renamed, fork, request_key="", actor="t")
        with pytest.raises(Forbidden):
            await cluster.set_ref("n3", renamed, "", ref=TOPIC)
        await cluster.set_ref("n3", fork, "", ref=TOPIC)
        record = await cluster.record(renamed)
        await writes.delete(renamed, request_key="", actor="t")
        assert await cluster.catalog.get([config_key(record.repository)]) == [None]
        with pytest.raises(RepositoryNotFound):
            await configure(cluster, "n1", DENY_DELETES, name=renamed)
        await cluster.create("n1", renamed)
        _, config = await cluster.engine("n3").configs.read(renamed)
        assert config == RepositoryConfig()

    play(story)


def test_a_change_that_meets_a_delete_leaves_nothing_behind() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        record = await cluster.record(NAME)
        deleted = False

        async def hook(call: CatalogCall) -> None:
            nonlocal deleted
            is_change = call.operation == "transact" and any(key.startswith(CONFIGS) for key in call.keys)
            if not deleted and is_change and call.moment is Moment.BEFORE:
                deleted = True
                await cluster.engine("n2").writes.delete(RepositoryName(NAME), request_key="", actor="t")

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        with pytest.raises(Fenced):
            await configure(cluster, "n1", DENY_DELETES)
        assert deleted
        assert await cluster.catalog.get([config_key(record.repository)]) == [None]

    play(story)


def test_nothing_is_written_past_a_configuration_that_this_version_does_not_know() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        record = await cluster.record(NAME)
        newer = b'{"v":1,"version":1,"values":{"receive.denyEverything":true}}'
        await cluster.catalog.transact([], [Put(config_key(record.repository), newer)])
        with pytest.raises(ReplicaBehind, match="does not know how the repository is configured"):
            await cluster.set_ref("n1", NAME, A)
        assert (await cluster.record(NAME)).generation == 1

    play(story)


def test_a_push_says_for_each_reference_what_the_repository_does_not_allow() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await push(cluster, "n1", NAME, [(MAIN, "", A), (TOPIC, "", A)])
        await configure(cluster, "n2", {**DENY_DELETES, **DENY_REWINDS})
        report = await push(cluster, "n3", NAME, [(TOPIC, A, ""), (MAIN, A, B), ("refs/heads/new", "", C)])
        assert f"ng {TOPIC} deletion prohibited (receive.denyDeletes)" in report
        assert f"ng {MAIN} non-fast-forward (receive.denyNonFastForwards)" in report
        assert "ok refs/heads/new" in report
        stale = await push(cluster, "n1", NAME, [(TOPIC, C, "")])
        assert f"ng {TOPIC} reference already at {A}; fetch first" in stale
        relate(cluster, B, A)
        assert f"ok {MAIN}" in await push(cluster, "n1", NAME, [(MAIN, A, B)])
        await cluster.wait_until_consistent(NAME)
        assert leftovers(cluster) == []

    play(story)


def test_a_repetition_of_a_push_that_was_allowed_is_answered_as_done_though_it_no_longer_is() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await push(cluster, "n1", NAME, [(MAIN, "", A), (TOPIC, "", A)])
        assert f"ok {TOPIC}" in await push(cluster, "n1", NAME, [(TOPIC, A, "")])
        await configure(cluster, "n2", DENY_DELETES)
        assert f"ok {TOPIC}" in await push(cluster, "n3", NAME, [(TOPIC, A, "")])

    play(story)


@pytest.mark.parametrize("look_bytes", [1 << 16, 1 << 30])
def test_a_pack_that_is_too_large_is_refused_while_it_comes_or_in_the_slot(
    look_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LOOK_BYTES", look_bytes)

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await configure(cluster, "n2", {"receive.maxInputSize": "200k"})
        report = await push(cluster, "n3", NAME, [(MAIN, "", A)], padding=3_000_000)
        assert f"ng {MAIN} pack exceeds maximum allowed size" in report
        assert leftovers(cluster) == []
        assert (await cluster.record(NAME)).generation == 1
        assert f"ok {MAIN}" in await push(cluster, "n3", NAME, [(MAIN, "", A)])
        await configure(cluster, "n1", {"receive.maxInputSize": "0"})
        assert f"ok {TOPIC}" in await push(cluster, "n2", NAME, [(TOPIC, "", B)], padding=3_000_000)

    play(story)
