from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from meshnode.auth.answers import CallFailed
from meshnode.base.errors import InvalidRequest, InvariantViolated
from meshnode.core.keys import record_key
from meshnode.core.record import RepositoryState, encode_record
from meshnode.ports import Entry
from meshnode.rpc import census
from meshnode.rpc.census import Census
from meshnode.rpc.method import methods_of, snake_case
from meshnode.rpc.observer import Observer
from meshnode.telemetry.access import AccessLog
from meshnode.telemetry.logs import JsonFormatter
from meshnode.telemetry.metrics import Metrics
from meshnode.v1 import ref_pb2
from tests.unit.rpc.fakes import FakeMembership, FakeWrites, SystemClock
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, some_record

UPDATE = ref_pb2.SetDefaultBranchRequest(repository="project/repo", name="refs/heads/main", request_key="k")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What the program logs meanwhile, as JSON lines."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    target = logging.getLogger("meshnode")
    level = target.level
    target.addHandler(handler)
    target.setLevel(logging.DEBUG)
    yield stream
    target.removeHandler(handler)
    target.setLevel(level)


async def test_servicer_that_lacks_a_method_is_found_at_start() -> None:
    class Broken(Site):
        def servicers(self) -> dict[str, object]:
            return {**super().servicers(), "mesh.v1.RefService": object()}

    with pytest.raises(InvariantViolated) as broken:
        async with Broken().serving():
            pass
    assert broken.value.fields["method"] == "/mesh.v1.RefService/ListRefs"


async def test_address_that_cannot_be_listened_on_is_a_clear_error() -> None:
    async with Site().serving() as site:
        for address in (f"127.0.0.1:{site.port}", "no such address"):
            with pytest.raises(InvalidRequest, match="cannot listen"):
                async with Site(address=address).serving():
                    pass


def test_method_without_kind_or_role_is_found_at_start() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="bare.proto", package="bare", syntax="proto3")
    file.message_type.add(name="Nothing")
    file.service.add(name="Bare").method.add(name="Do", input_type=".bare.Nothing", output_type=".bare.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    with pytest.raises(InvariantViolated, match="no kind or role"):
        methods_of(pool.FindServiceByName("bare.Bare"))


@pytest.mark.parametrize(
    ("name", "snake"),
    [("ListRefs", "list_refs"), ("Get", "get"), ("FindRefsByOid", "find_refs_by_oid")],
)
def test_methods_are_spelled_as_python_does(name: str, snake: str) -> None:
    assert snake_case(name) == snake


async def test_each_call_leaves_one_line_with_what_happened_and_no_secret(lines: StringIO) -> None:
    async with Site().calling("writer") as caller:
        await caller.call("RefService/SetDefaultBranch", UPDATE, ref_pb2.SetDefaultBranchResponse)
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines() if "request_served" in text]
    assert line["method"] == "/mesh.v1.RefService/SetDefaultBranch"
    assert (line["outcome"], line["caller"], line["actor"]) == ("OK", "app:writer", "app:writer")
    assert line["facts"]["round"] == "b" * 32
    assert line["repository"] == "project/repo"
    assert line["bytes_in"] == len(UPDATE.SerializeToString())
    assert "Bearer" not in lines.getvalue()
    assert "eyJ" not in lines.getvalue()


async def test_unexpected_exception_is_logged_with_its_traceback(lines: StringIO) -> None:
    async with Site(writes=FakeWrites(error=KeyError("a defect"))).calling("writer") as caller:
        with pytest.raises(CallFailed):
            await caller.call("RefService/SetDefaultBranch", UPDATE, ref_pb2.SetDefaultBranchResponse)
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines() if "unexpectedly" in text]
    assert line["level"] == "error"
    assert "a defect" in line["traceback"]


async def test_each_call_is_counted() -> None:
    metrics = Metrics(node="n1", version="0.1.0")
    site = Site(observer=Observer(N1, AccessLog(metrics)))
    async with site.calling("writer") as caller:
        await caller.call("RefService/SetDefaultBranch", UPDATE, ref_pb2.SetDefaultBranchResponse)
    text = metrics.render().decode()
    assert 'method="/mesh.v1.RefService/SetDefaultBranch"' in text
    assert 'status="OK"' in text


class Endless:
    """A catalog that has another thousand records whenever it is asked."""

    def __init__(self) -> None:
        self.reads = 0

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        assert prefix <= record_key(some_record().repository)
        assert bool(after) is (self.reads > 0)
        self.reads += 1
        record = replace(some_record(), state=RepositoryState.ACTIVE)
        return [Entry(record_key(record.repository), encode_record(record), 1)] * limit


async def test_counting_stops_at_a_bound_says_so_and_is_kept_for_a_while() -> None:
    catalog = Endless()
    counting = Census(catalog=catalog, membership=FakeMembership(), clock=SystemClock())  # type: ignore[arg-type]
    counts = await counting.counts()
    assert not counts.is_complete
    assert counts.repositories == census.REPOSITORIES_MAX
    assert await counting.counts() is counts
    assert catalog.reads == census.REPOSITORIES_MAX // census.RECORDS_PER_READ
