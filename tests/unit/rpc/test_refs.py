from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshnode.auth.answers import CallFailed
from meshnode.base.errors import Fenced, InvalidRequest, ReplicaBehind
from meshnode.base.ids import HEAD, Generation, ObjectId, RefName, RefValue
from meshnode.core.refs import RefEdit, refs_after
from meshnode.ports import Consistency, ConsistencyLevel, RefChange, RefsSnapshot
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token
from meshnode.rpc.ref_pages import PAGE_BYTES_MAX, RefPages, encode_element
from meshnode.v1 import common_pb2, ref_pb2
from meshnode.wire.refs import reference_message
from meshnode.wire.status import error_from_call
from tests.unit.rpc.fakes import FakeReads, FakeWrites
from tests.unit.rpc.harness import Caller, Site
from tests.unit.wire.samples import KEY, N1, branch, oid, some_snapshot, value


def _snapshot(names: Sequence[str], generation: int = 42) -> RefsSnapshot:
    refs = {RefName(name): value(number + 1) for number, name in enumerate(names)}
    return RefsSnapshot(
        generation=Generation(generation),
        refs={HEAD: RefValue("ref:refs/heads/main"), **refs},
        peeled={},
        names=tuple(sorted(refs)),
    )


async def _list(caller: Caller, **wishes: object) -> ref_pb2.ListRefsResponse:
    request = ref_pb2.ListRefsRequest(repository="project/repo", **wishes)  # type: ignore[arg-type]
    return await caller.call("RefService/ListRefs", request, ref_pb2.ListRefsResponse)


async def test_listing_gives_every_reference_in_byte_order_page_by_page() -> None:
    snapshot = some_snapshot(2_500)
    async with Site(reads=FakeReads(snapshot=snapshot)).calling("reader") as caller:
        found: list[common_pb2.Reference] = []
        token = ""
        pages = 0
        while pages == 0 or token:
            page = await _list(caller, page_token=token, include_head=True)
            found += page.refs
            token = page.next_page_token
            pages += 1
            assert page.position.generation == 42
    assert pages == 3
    assert found == [reference_message(snapshot, name) for name in (HEAD, *snapshot.names)]


async def test_patterns_choose_and_pages_go_on_within_the_choice() -> None:
    names = [f"refs/heads/b{number:03d}" for number in range(20)] + ["refs/tags/v1"]
    async with Site(reads=FakeReads(snapshot=_snapshot(names))).calling("reader") as caller:
        first = await _list(caller, patterns=["refs/heads/*5", "refs/tags/"], page_size=2)
        second = await _list(
            caller, patterns=["refs/heads/*5", "refs/tags/"], page_size=2, page_token=first.next_page_token
        )
        nothing = await _list(caller, patterns=["refs/nothing/"])
    assert [ref.name for ref in first.refs] == ["refs/heads/b005", "refs/heads/b015"]
    assert [ref.name for ref in second.refs] == ["refs/tags/v1"]
    assert second.next_page_token == ""
    assert list(nothing.refs) == []


async def test_page_of_an_earlier_generation_asks_to_start_again() -> None:
    site = Site(reads=FakeReads(snapshot=some_snapshot(20)))
    async with site.calling("reader") as caller:
        page = await _list(caller, page_size=5)
        site.reads.snapshot = replace(site.reads.snapshot, generation=Generation(43))
        with pytest.raises(CallFailed) as failed:
            await _list(caller, page_size=5, page_token=page.next_page_token)
    error = error_from_call(failed.value, N1)
    assert type(error) is Fenced
    assert error.fields == {"generation": 43, "page_generation": 42}


@pytest.mark.parametrize(
    "token", ["x", "é", "====", "bm8=", "LTE6YQ==", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6YQ==", "a" * 3_000]
)
async def test_page_token_that_was_never_given_is_refused(token: str) -> None:
    async with Site().calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await _list(caller, page_token=token)
    assert type(error_from_call(failed.value, N1)) is InvalidRequest


def test_page_token_comes_back_equal() -> None:
    token = PageToken(Generation(7), "refs/heads/é:x")
    assert parse_page_token(format_page_token(token)) == token
    assert parse_page_token("") is None


async def test_page_larger_than_allowed_is_refused() -> None:
    async with Site().calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await _list(caller, page_size=50_001)
    assert type(error_from_call(failed.value, N1)) is InvalidRequest


async def test_page_of_very_long_names_is_cut_below_the_message_limit() -> None:
    names = ["refs/heads/" + "n" * 1_000 + f"{number:05d}" for number in range(6_000)]
    async with Site(reads=FakeReads(snapshot=_snapshot(names))).calling("reader") as caller:
        first = await _list(caller, page_size=50_000)
        second = await _list(caller, page_size=50_000, page_token=first.next_page_token)
    assert first.ByteSize() < PAGE_BYTES_MAX + 10_000
    assert [ref.name for ref in [*first.refs, *second.refs]] == names


@pytest.mark.parametrize(
    "name", ["refs/heads/a", "refs/heads/" + "x" * 60, "refs/heads/" + "é" * 50, "refs/heads/" + "x" * 900]
)
@pytest.mark.parametrize("content", ["1" * 40, "2" * 64, "ref:refs/heads/main"])
@pytest.mark.parametrize("peeled", ["", "3" * 40, "4" * 64])
def test_encoded_reference_is_what_protobuf_would_make_of_it(name: str, content: str, peeled: str) -> None:
    ref = RefName(name)
    snapshot = RefsSnapshot(
        generation=Generation(1), refs={ref: RefValue(content)}, peeled={ref: ObjectId(peeled)} if peeled else {}
    )
    expected = ref_pb2.ListRefsResponse(refs=[reference_message(snapshot, ref)])
    assert ref_pb2.ListRefsResponse.FromString(encode_element(ref, snapshot)) == expected


async def test_encoding_of_the_next_generation_takes_over_what_did_not_change() -> None:
    before = some_snapshot(5_000)
    edits = [
        RefEdit(branch(1), None, value(7_777)),
        RefEdit(branch(2), value(3), None),
        RefEdit(RefName("refs/heads/new"), None, value(8)),
    ]
    refs = refs_after(before.refs, edits)
    after = replace(
        before,
        generation=Generation(43),
        refs=refs,
        peeled={RefName("refs/tags/v1"): oid(5)},
        names=tuple(sorted(name for name in refs if name != HEAD)),
    )
    pages = RefPages()
    old = await pages.of(KEY, before)
    new = await pages.of(KEY, after)
    fresh = await RefPages().of(KEY, after)
    assert new.elements == fresh.elements
    assert new.elements[0] is old.elements[0]
    assert await pages.of(KEY, after) is new


async def test_encoded_references_are_kept_up_to_a_bound() -> None:
    pages = RefPages(refs_kept_max=100)
    snapshot = some_snapshot(500)
    first = await pages.of(KEY, snapshot)
    assert await pages.of(KEY, snapshot) is not first


async def test_snapshots_asked_for_at_once_are_encoded_once() -> None:
    pages = RefPages()
    snapshot = some_snapshot(5_000)
    one, other = await asyncio.gather(pages.of(KEY, snapshot), pages.of(KEY, snapshot))
    assert one is other


async def test_references_are_found_by_what_they_hold_and_lead_to() -> None:
    async with Site(reads=FakeReads(snapshot=some_snapshot(3))).calling("reader") as caller:
        found = await caller.call(
            "RefService/FindRefsByOid",
            ref_pb2.FindRefsByOidRequest(repository="project/repo", oid=oid(1)),
            ref_pb2.FindRefsByOidResponse,
        )
        limited = await caller.call(
            "RefService/FindRefsByOid",
            ref_pb2.FindRefsByOidRequest(repository="project/repo", oid=oid(1), limit=1),
            ref_pb2.FindRefsByOidResponse,
        )
    assert [ref.name for ref in found.refs] == [branch(0), "refs/tags/v1"]
    assert len(limited.refs) == 1


@pytest.mark.parametrize(("names", "exists"), [(["refs/heads/main"], True), ([], False)])
async def test_default_branch_may_be_unborn(names: list[str], exists: bool) -> None:
    async with Site(reads=FakeReads(snapshot=_snapshot(names))).calling("reader") as caller:
        answer = await caller.call(
            "RefService/GetDefaultBranch",
            ref_pb2.GetDefaultBranchRequest(repository="project/repo"),
            ref_pb2.GetDefaultBranchResponse,
        )
    assert (answer.name, answer.exists) == ("refs/heads/main", exists)


async def test_writes_carry_changes_key_and_caller() -> None:
    site = Site(writes=FakeWrites())
    async with site.calling("writer") as caller:
        updated = await caller.call(
            "RefService/UpdateRefs",
            ref_pb2.UpdateRefsRequest(
                repository="project/repo.git",
                updates=[ref_pb2.RefUpdate(name="refs/heads/a", expected_oid="0" * 40, new_oid=oid(1))],
                request_key="once",
            ),
            ref_pb2.UpdateRefsResponse,
        )
        await caller.call(
            "RefService/SetDefaultBranch",
            ref_pb2.SetDefaultBranchRequest(repository="project/repo", name="refs/heads/a"),
            ref_pb2.SetDefaultBranchResponse,
        )
    first, second = site.writes.calls
    change = RefChange(name=RefName("refs/heads/a"), expected="", new=value(1))
    assert first == ("update_refs", ("project/repo", change), "once", "app:writer")
    assert second[1][1] == RefChange(name=HEAD, expected=None, new=RefValue("ref:refs/heads/a"))
    assert len(second[2]) == 32
    assert (updated.round_id, updated.position.generation) == ("b" * 32, 42)


async def test_consistency_reaches_the_replica_and_its_refusal_the_caller() -> None:
    site = Site(reads=FakeReads(error=ReplicaBehind("replica is behind", generation=5)))
    demand = common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_AT_LEAST, generation=9)
    async with site.calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await _list(caller, consistency=demand)
    assert site.reads.asked == [Consistency(ConsistencyLevel.AT_LEAST, Generation(9))]
    assert error_from_call(failed.value, N1).fields == {"generation": 5}
