from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from meshnode.base.errors import PeerUnavailable, ReplicaBehind
from meshnode.base.ids import Generation
from meshnode.peer.memory import Links, MemoryPeers
from meshnode.ports import StageChunk, StageMessage, StageOpen, StagePrepare
from tests.unit.rpc.fakes import FakeReplication
from tests.unit.wire.samples import KEY, N1, N2, ROUND_ID, oid, some_round


@pytest.fixture
def links() -> Links:
    """The links of a cluster."""
    return Links()


@pytest.fixture
def replication() -> FakeReplication:
    """The participant behind n2."""
    return FakeReplication(node=N2)


@pytest.fixture
def peers(links: Links, replication: FakeReplication) -> MemoryPeers:
    """What n1 calls others with."""
    return MemoryPeers({N2: replication}, N1, links)


async def test_request_over_a_cut_link_has_no_effect(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    links.cut(N1, N2)
    with pytest.raises(PeerUnavailable):
        await peers.commit(N2, KEY, ROUND_ID, Generation(1))
    assert replication.calls == []
    links.mend(N1, N2)
    assert await peers.commit(N2, KEY, ROUND_ID, Generation(1)) == 1


async def test_request_takes_effect_where_only_the_way_back_is_cut(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    links.cut(N2, N1)
    with pytest.raises(PeerUnavailable) as lost:
        await peers.commit(N2, KEY, ROUND_ID, Generation(1))
    assert "is_untouched" not in lost.value.fields
    assert len(replication.calls) == 1


async def test_error_is_lost_like_any_other_answer(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    replication.error = ReplicaBehind("behind")
    links.cut(N2, N1)
    with pytest.raises(PeerUnavailable):
        await peers.commit(N2, KEY, ROUND_ID, Generation(1))


async def test_as_many_answers_are_lost_as_were_asked_for(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    links.lose_answers(N1, N2, 2)
    for _ in range(2):
        with pytest.raises(PeerUnavailable):
            await peers.abort(N2, KEY, ROUND_ID)
    await peers.abort(N2, KEY, ROUND_ID)
    assert len(replication.calls) == 3


async def test_link_cut_in_the_middle_of_a_prepare_breaks_the_stream_off(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    opening = StageOpen(key=KEY, round_id=ROUND_ID, object_format="sha1", coordinator=N1)

    async def stages() -> AsyncIterator[StageMessage]:
        yield StageChunk(b"pack")
        links.cut_both(N1, N2)
        yield StagePrepare(some_round())

    with pytest.raises(PeerUnavailable):
        await peers.prepare(N2, opening, stages())
    assert replication.stages == [StageChunk(b"pack")]
    assert replication.ended.is_set()


async def test_link_cut_in_the_middle_of_a_pack_breaks_it_off(
    peers: MemoryPeers, links: Links, replication: FakeReplication
) -> None:
    received = []
    pack = peers.fetch_objects(N2, KEY, [oid(1)], [])
    received.append(await anext(pack))
    links.cut(N2, N1)
    with pytest.raises(PeerUnavailable):
        await anext(pack)
    assert received == [b"one"]
    assert replication.ended.is_set()


async def test_everything_works_again_when_all_is_mended(peers: MemoryPeers, links: Links) -> None:
    links.cut_both(N1, N2)
    links.lose_answers(N1, N2)
    links.mend_all()
    assert await peers.commit(N2, KEY, ROUND_ID, Generation(1)) == 1


async def test_other_nodes_links_are_their_own(links: Links, replication: FakeReplication) -> None:
    links.cut_both(N1, N2)
    outsider = MemoryPeers({N2: replication}, links=links)
    assert await outsider.commit(N2, KEY, ROUND_ID, Generation(1)) == 1
