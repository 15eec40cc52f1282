"""Every administrative act goes through the audit log, because the pipeline does it and not the servicer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import CatalogUnavailable
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.audit import AuditEntry, decode_entry
from meshnode.core.keys import AUDIT_ENTRIES
from meshnode.rpc.acts import request_facts
from meshnode.rpc.call import peer_of
from meshnode.rpc.method import CallerRole, Kind, methods_of
from meshnode.rpc.server import SERVICES
from meshnode.telemetry.logs import close_logging, configure_logging
from meshnode.v1 import cluster_audit_pb2, cluster_pb2, cluster_settings_pb2, ref_pb2, repository_pb2
from tests.unit.rpc.harness import Site, key_of

PAUSE = cluster_pb2.PauseMovesRequest(paused=False)


@pytest.fixture
def lines() -> Iterator[StringIO]:
    stream = StringIO()
    configure_logging("info", stream=stream)
    yield stream
    close_logging()


def logged(lines: StringIO, event: str) -> list[dict[str, Any]]:
    return [line for text in lines.getvalue().splitlines() if (line := json.loads(text))["event"] == event]


async def entries_of(catalog: MemoryCatalog) -> list[AuditEntry]:
    catalog.hook = None
    return [decode_entry(entry.value) for entry in await catalog.range(AUDIT_ENTRIES)]


def test_what_is_an_administrative_act_follows_from_the_protos() -> None:
    audited = {method.path for service in SERVICES.values() for method in methods_of(service) if method.is_audited}
    for service in SERVICES.values():
        for method in methods_of(service):
            is_act = method.kind is Kind.MAINTENANCE or method.role is CallerRole.ADMINISTRATOR
            others = {CallerRole.NODE, CallerRole.INVITED}
            if is_act and method.kind is not Kind.ACCESSOR and method.role not in others:
                assert method.path in audited
    assert {f"/mesh.v1.RepositoryService/{name}" for name in ("Delete", "Rename")} <= audited
    assert {f"/mesh.v1.ClusterService/{name}" for name in ("SetNodeState", "RemoveNode", "PauseMoves")} <= audited
    assert not {
        path
        for path in audited
        if "ReplicationService" in path or path.endswith(("/ListAudit", "/Create", "/JoinCluster"))
    }


async def test_an_act_is_recorded_with_who_what_and_how_it_ended(lines: StringIO) -> None:
    site = Site()
    async with site.calling("operator") as caller:
        await caller.call("ClusterService/PauseMoves", PAUSE, cluster_pb2.PauseMovesResponse)
    (entry,) = await entries_of(site.catalog)
    assert (entry.sequence, entry.node, entry.method) == (1, "n1", "/mesh.v1.ClusterService/PauseMoves")
    assert (entry.who, entry.actor, entry.peer) == ("app:operator", "app:operator", "127.0.0.1")
    assert entry.key_id == key_of("operator").key_id
    assert (entry.request, entry.outcome, entry.facts) == ({"paused": "false"}, "OK", {"paused": "0"})
    assert abs(entry.at_ms - site.clock.wall_ms()) < 60_000
    (began,), (ended,) = logged(lines, "administrative_act_began"), logged(lines, "administrative_act_ended")
    assert (began["who"], began["request"], ended["outcome"]) == ("app:operator", {"paused": "false"}, "OK")
    assert began["request_id"] == ended["request_id"] == entry.request_id


async def test_an_act_that_cannot_be_recorded_does_not_begin() -> None:
    site = Site()

    async def away(call: CatalogCall) -> None:
        if call.moment is Moment.BEFORE:
            raise CatalogUnavailable("the catalog is away")

    site.catalog.hook = away
    async with site.calling("operator") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.call("ClusterService/PauseMoves", PAUSE, cluster_pb2.PauseMovesResponse)
    assert failed.value.code.name == "UNAVAILABLE"
    assert "not begun" in failed.value.detail
    assert site.moves.orders == []
    assert await entries_of(site.catalog) == []


async def test_a_failed_act_is_recorded_with_its_reason(lines: StringIO) -> None:
    site = Site()
    async with site.calling("operator") as caller:
        with pytest.raises(CallFailed):
            await caller.call(
                "ClusterService/RemoveNode", cluster_pb2.RemoveNodeRequest(node="n9"), cluster_pb2.RemoveNodeResponse
            )
    (entry,) = await entries_of(site.catalog)
    assert (entry.outcome, entry.request) == ("NOT_FOUND", {"node": "n9"})
    assert "no such node" in entry.detail
    assert [line["level"] for line in logged(lines, "administrative_act_ended")] == ["warning"]


async def test_who_may_not_act_cannot_fill_the_log_but_is_seen_in_the_nodes_own(lines: StringIO) -> None:
    site = Site()
    async with site.calling("writer") as caller:
        with pytest.raises(CallFailed):
            await caller.call("ClusterService/PauseMoves", PAUSE, cluster_pb2.PauseMovesResponse)
    assert await entries_of(site.catalog) == []
    (line,) = logged(lines, "administrative_act_refused")
    assert (line["who"], line["outcome"], line["peer"]) == ("app:writer", "PERMISSION_DENIED", "127.0.0.1")


async def test_a_call_that_a_node_handed_on_is_on_record_where_it_came_in(lines: StringIO) -> None:
    site = Site()
    async with site.calling("n2") as caller:
        await caller.call(
            "ClusterService/PauseMoves",
            PAUSE,
            cluster_pb2.PauseMovesResponse,
            metadata=(("mesh-forwarded", "1"), ("mesh-actor", "app:operator")),
        )
        assert await entries_of(site.catalog) == []
        await caller.call("ClusterService/PauseMoves", PAUSE, cluster_pb2.PauseMovesResponse)
    (entry,) = await entries_of(site.catalog)
    assert entry.who == "node:n2"
    assert logged(lines, "administrative_act_refused") == []


async def test_deleting_and_renaming_are_recorded_and_other_writes_are_not() -> None:
    site = Site()
    async with site.calling("writer") as caller:
        await caller.call(
            "RepositoryService/Rename",
            repository_pb2.RenameRequest(name="project/repo", new_name="project/other"),
            repository_pb2.RenameResponse,
        )
        await caller.call(
            "RefService/SetDefaultBranch",
            ref_pb2.SetDefaultBranchRequest(repository="project/repo", name="refs/heads/main"),
            ref_pb2.SetDefaultBranchResponse,
        )
    (entry,) = await entries_of(site.catalog)
    assert entry.method == "/mesh.v1.RepositoryService/Rename"
    assert (entry.request["name"], entry.request["new_name"]) == ("project/repo", "project/other")


async def test_the_log_is_listed_in_pages_for_administrators_only() -> None:
    site = Site()
    async with site.serving():
        async with site.connected("operator") as caller:
            for paused in (True, False, True):
                await caller.call(
                    "ClusterService/PauseMoves",
                    cluster_pb2.PauseMovesRequest(paused=paused),
                    cluster_pb2.PauseMovesResponse,
                )
            listed: list[int] = []
            token = ""
            for _ in range(3):
                page = await caller.call(
                    "ClusterService/ListAudit",
                    cluster_audit_pb2.ListAuditRequest(page_size=1, page_token=token),
                    cluster_audit_pb2.ListAuditResponse,
                )
                listed += [entry.sequence for entry in page.entries]
                token = page.next_page_token
            assert (listed, token) == ([3, 2, 1], "")
            late = await caller.call(
                "ClusterService/ListAudit",
                cluster_audit_pb2.ListAuditRequest(since_ms=site.clock.wall_ms() + 3_600_000),
                cluster_audit_pb2.ListAuditResponse,
            )
            assert (list(late.entries), late.next_page_token) == ([], "")
            for bad in (
                cluster_audit_pb2.ListAuditRequest(page_token="x"),
                cluster_audit_pb2.ListAuditRequest(page_size=1_001),
                cluster_audit_pb2.ListAuditRequest(since_ms=-1),
            ):
                with pytest.raises(CallFailed) as failed:
                    await caller.call("ClusterService/ListAudit", bad, cluster_audit_pb2.ListAuditResponse)
                assert failed.value.code.name == "INVALID_ARGUMENT"
        async with site.connected("writer") as caller:
            with pytest.raises(CallFailed) as failed:
                await caller.call(
                    "ClusterService/ListAudit",
                    cluster_audit_pb2.ListAuditRequest(),
                    cluster_audit_pb2.ListAuditResponse,
                )
            assert failed.value.code.name == "PERMISSION_DENIED"


def test_facts_of_a_request_hold_no_secret_and_stay_small() -> None:
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2ln"
    facts = request_facts(repository_pb2.RenameRequest(name="a/" + "b" * 5_000, new_name=f"token={jwt}"))
    assert len(facts["name"]) == 200
    assert jwt not in str(facts)
    assert request_facts(cluster_audit_pb2.ListAuditRequest(page_token="hidden"))["page_token"] == "[redacted]"
    factor = cluster_pb2.SetReplicationFactorRequest(factor=0)
    assert request_facts(factor) == {"factor": "0"}
    factor.partition = 0
    assert request_facts(factor) == {"factor": "0", "partition": "0"}
    state = cluster_pb2.SetNodeStateRequest(node="n1", state=cluster_pb2.NODE_STATE_DRAINING)
    assert request_facts(state) == {"node": "n1", "state": "NODE_STATE_DRAINING"}
    settings = cluster_settings_pb2.UpdateSettingsRequest(set={"b": "2", "a": "1"}, unset=["c"])
    assert request_facts(settings) == {"set": "a=1, b=2", "unset": "c"}
    settings = cluster_settings_pb2.UpdateSettingsRequest(set={"scrub.slots": "2", "some.password": "hidden"})
    assert request_facts(settings)["set"] == "scrub.slots=2, some.[redacted]"
    nested = cluster_audit_pb2.ListAuditResponse(
        entries=[cluster_audit_pb2.AuditEntry(who=f"app:{number}") for number in range(20)]
    )
    assert request_facts(nested)["entries"].startswith('who: "app:0"')


@pytest.mark.parametrize(
    ("address", "host"),
    [("ipv4:127.0.0.1:4711", "127.0.0.1"), ("ipv6:%5B::1%5D:4711", "[::1]"), ("unix:/run/x", "unix:/run/x")],
)
def test_the_peer_is_the_host_without_its_port(address: str, host: str) -> None:
    assert peer_of(address) == host
