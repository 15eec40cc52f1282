"""How the etcd catalog deals with failures that a real cluster shows only by chance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from meshnode.base.errors import CatalogUnavailable, Forbidden, OutcomeUnknown
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb
from meshnode.config import CatalogSettings
from meshnode.ports import Put, WatchEvent
from tests.unit.catalog.fake_etcd import (
    BAD_TOKEN,
    DONE,
    NO_LEADER,
    TIMED_OUT,
    FakeEtcd,
    answer,
    fail,
    stay_silent,
)

TXN = "/etcdserverpb.KV/Txn"
GRANT = "/etcdserverpb.Lease/LeaseGrant"
KEEP = "/etcdserverpb.Lease/LeaseKeepAlive"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
WRITE = [Put("a", b"1")]
READ = answer(pb.TxnResponse(responses=[pb.ResponseOp(response_range=pb.RangeResponse())]))


@asynccontextmanager
async def connected(
    *members: FakeEtcd, deadline_ms: int = 2_000, password: Path | None = None
) -> AsyncIterator[EtcdCatalog]:
    settings = CatalogSettings(
        url="etcd://" + ",".join(member.endpoint for member in members),
        deadline_ms=deadline_ms,
        username="mesh" if password else "",
        password_file=str(password or ""),
    )
    catalog = await EtcdCatalog.open(settings, shuffle=lambda _: None)
    try:
        async with asyncio.timeout(10):
            yield catalog
    finally:
        await catalog.close()


async def both_connected(catalog: EtcdCatalog) -> None:
    """Return when every member can be asked, so that the first one is."""
    async with asyncio.timeout(5):
        while not all([member.is_connected() for member in catalog._members._members]):  # noqa: ASYNC110, C419
            await asyncio.sleep(0.005)


async def test_a_write_refused_for_want_of_a_leader_is_sent_to_another_member() -> None:
    async with FakeEtcd({TXN: [NO_LEADER]}) as first, FakeEtcd({TXN: [DONE]}) as second:
        async with connected(first, second) as catalog:
            await both_connected(catalog)
            assert await catalog.transact([], WRITE) == 7
        assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_a_write_that_timed_out_in_etcd_is_unknown_and_never_sent_again() -> None:
    async with FakeEtcd({TXN: [TIMED_OUT, DONE]}) as first, FakeEtcd({TXN: [DONE]}) as second:
        async with connected(first, second) as catalog:
            await both_connected(catalog)
            with pytest.raises(OutcomeUnknown) as unknown:
                await catalog.transact([], WRITE)
            assert unknown.value.fields["detail"] == "etcdserver: request timed out"
        assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_a_write_that_is_not_answered_is_unknown_after_half_the_deadline() -> None:
    async with FakeEtcd({TXN: [stay_silent]}) as member, connected(member, deadline_ms=600) as catalog:
        began_s = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await catalog.transact([], WRITE)
        assert 0.25 < time.monotonic() - began_s < 10
        assert len(member.requests) == 1


async def test_a_write_whose_connection_breaks_is_unknown() -> None:
    async with FakeEtcd({TXN: [stay_silent]}) as member, connected(member) as catalog:
        writing = asyncio.ensure_future(catalog.transact([], WRITE))
        async with asyncio.timeout(5):
            while not member.requests:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)
        await member.stop()
        with pytest.raises(OutcomeUnknown):
            await writing


async def test_a_write_with_little_time_left_is_not_sent() -> None:
    async with FakeEtcd({TXN: [NO_LEADER]}) as member, connected(member, deadline_ms=400) as catalog:
        with pytest.raises(CatalogUnavailable):
            await catalog.transact([], WRITE)


async def test_a_cancelled_write_leaves_the_catalog_usable() -> None:
    async with FakeEtcd({TXN: [stay_silent, DONE]}) as member, connected(member) as catalog:
        writing = asyncio.ensure_future(catalog.transact([], WRITE))
        async with asyncio.timeout(5):
            while not member.requests:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await catalog.transact([], WRITE) == 7


async def test_a_read_goes_on_to_other_members_until_one_answers() -> None:
    corrupt = fail(grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster")
    async with (
        FakeEtcd({TXN: [TIMED_OUT]}) as first,
        FakeEtcd({TXN: [corrupt]}) as second,
        FakeEtcd({TXN: [READ]}) as third,
    ):
        async with connected(first, second, third) as catalog:
            await both_connected(catalog)
            assert await catalog.get(["a"]) == [None]
        assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_every_request_asks_for_a_member_with_a_leader() -> None:
    async with FakeEtcd({TXN: [READ]}) as member, connected(member) as catalog:
        await catalog.get(["a"])
        assert member.metadata[0]["hasleader"] == "true"


async def test_a_lease_granted_by_a_lost_attempt_is_the_same_lease() -> None:
    exists = fail(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: lease already exists")
    async with FakeEtcd({GRANT: [TIMED_OUT, exists]}) as member, connected(member) as catalog:
        lease = await catalog.open_lease(1_500)
        assert [(request.id, request.ttl_s) for request in member.requests] == [(lease, 2), (lease, 2)]


async def test_a_lease_that_etcd_does_not_know_has_ended() -> None:
    scripts = {KEEP: [answer(pb.LeaseKeepAliveResponse(ttl_s=0)), answer(pb.LeaseKeepAliveResponse(ttl_s=3))]}
    async with FakeEtcd(scripts) as member, connected(member) as catalog:
        assert await catalog.keep_lease(5) is False
        assert await catalog.keep_lease(5) is True


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    file.chmod(0o600)
    return file


async def test_readers_at_once_log_in_once(password: Path) -> None:
    scripts = {AUTHENTICATE: [TIMED_OUT, answer(pb.AuthenticateResponse(token="t1"))], TXN: [READ]}
    async with FakeEtcd(scripts) as member, connected(member, password=password) as catalog:
        await asyncio.gather(*(catalog.get(["a"]) for _ in range(10)))
        assert member.paths() == ["AuthenticateRequest"] * 2 + ["TxnRequest"] * 10
        assert {metadata.get("token") for metadata in member.metadata[2:]} == {"t1"}


async def test_a_write_refused_for_its_token_is_sent_again_with_a_new_one(password: Path) -> None:
    tokens = [answer(pb.AuthenticateResponse(token=token)) for token in ("old", "new")]
    async with FakeEtcd({AUTHENTICATE: tokens, TXN: [BAD_TOKEN, DONE]}) as member:
        async with connected(member, password=password) as catalog:
            assert await catalog.transact([], WRITE) == 7
        assert [metadata.get("token") for metadata in member.metadata] == [None, "old", None, "new"]


async def test_an_etcd_that_does_not_log_anyone_in_is_unavailable_within_the_deadline(password: Path) -> None:
    async with FakeEtcd({AUTHENTICATE: [stay_silent]}) as member:
        async with connected(member, password=password, deadline_ms=400) as catalog:
            began_s = time.monotonic()
            outcomes = await asyncio.gather(
                catalog.get(["a"]), catalog.transact([], WRITE), catalog.get(["b"]), return_exceptions=True
            )
            assert time.monotonic() - began_s < 10
            assert [type(outcome) for outcome in outcomes] == [CatalogUnavailable] * 3


# ---------------------------------------------------------------- watches


def created(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(created=True, header=pb.ResponseHeader(revision=revision))


def changed(*changes: tuple[str, int]) -> pb.WatchResponse:
    events = [pb.Event(kv=pb.KeyValue(key=b"/meshnode/" + key.encode(), mod_revision=at)) for key, at in changes]
    return pb.WatchResponse(header=pb.ResponseHeader(revision=99), events=events)


async def test_a_watch_goes_on_behind_the_last_revision_it_delivered() -> None:
    streams: list[list[pb.WatchResponse | None]] = [
        [created(10), changed(("a/1", 11), ("a/2", 12)), None],
        [created(90), None],
        [created(5)],
        [created(90), changed(("a/3", 14))],
    ]
    async with FakeEtcd({}, streams) as member, connected(member) as catalog:
        hints = catalog.watch("a/")
        seen = [await anext(hints) for _ in range(4)]
        assert seen == [WatchEvent("", 10), WatchEvent("a/1", 11), WatchEvent("a/2", 12), WatchEvent("a/3", 14)]
        assert [watch.create_request.start_revision for watch in member.watches] == [0, 13, 13, 13]
        assert {watch.create_request.key for watch in member.watches} == {b"/meshnode/a/"}


async def test_a_watch_that_was_compacted_away_starts_anew_with_anything_may_have_changed() -> None:
    streams: list[list[pb.WatchResponse | None]] = [
        [created(10), None],
        [created(40), pb.WatchResponse(canceled=True, compact_revision=30)],
        [created(41)],
    ]
    async with FakeEtcd({}, streams) as member, connected(member) as catalog:
        hints = catalog.watch("a/")
        assert [await anext(hints), await anext(hints)] == [WatchEvent("", 10), WatchEvent("", 41)]
        assert [watch.create_request.start_revision for watch in member.watches] == [0, 11, 0]


async def test_a_watch_on_a_cluster_that_was_restored_from_a_backup_starts_anew() -> None:
    streams: list[list[pb.WatchResponse | None]] = [[created(100), None]]
    streams += [[created(60)] for _ in range(7)]
    async with FakeEtcd({}, streams) as member, connected(member) as catalog:
        hints = catalog.watch("a/")
        assert [await anext(hints), await anext(hints)] == [WatchEvent("", 100), WatchEvent("", 60)]
        assert [watch.create_request.start_revision for watch in member.watches] == [0, *[101] * 6, 0]


async def test_a_watch_that_is_not_allowed_says_so() -> None:
    reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    async with FakeEtcd({}, [[pb.WatchResponse(created=True, canceled=True, cancel_reason=reason)]]) as member:
        async with connected(member) as catalog:
            with pytest.raises(Forbidden):
                await anext(aiter(catalog.watch("a/")))
