"""ClusterService's part in applications, over real calls, and who may use it."""

from __future__ import annotations

import grpc
import pytest

from meshnode.auth.channel import CallFailed
from meshnode.core.applications import Role, decode_application
from meshnode.core.audit import decode_entry
from meshnode.core.keys import APPLICATIONS, AUDIT_ENTRIES
from meshnode.rpc.method import CallerRole, Kind, methods_of
from meshnode.rpc.server import SERVICES
from meshnode.v1 import cluster_applications_pb2 as pb
from tests.unit.rpc.harness import Caller, Site, key_of

ADMINISTRATION = ("mesh.v1.ClusterService", "mesh.v1.MaintenanceService")
FOR_ANYONE = {
    f"/mesh.v1.ClusterService/{name}"
    for name in ("GetStatus", "ListNodes", "GetNodeKeys", "GetSettings", "ListPartitions", "GetNodeActivity")
}
"""What applications need to find their way, and what tells no secrets."""


async def add(caller: Caller, name: str, role: pb.ApplicationRole, key: str) -> pb.Application:
    request = pb.AddApplicationRequest(application=name, role=role, public_key=key_of(key).public_pem)
    return (await caller.call("ClusterService/AddApplication", request, pb.AddApplicationResponse)).application


async def test_application_is_added_changed_and_removed_and_all_of_it_is_on_record() -> None:
    site = Site()
    async with site.calling("operator") as caller:
        await add(caller, "boss", pb.APPLICATION_ROLE_ADMINISTRATOR, "boss")
        added = await add(caller, "ci", pb.APPLICATION_ROLE_READER, "ci")
        assert (added.application, added.role) == ("ci", pb.APPLICATION_ROLE_READER)
        assert [key.key_id for key in added.keys] == [key_of("ci").key_id]
        changed = await caller.call(
            "ClusterService/SetApplicationRole",
            pb.SetApplicationRoleRequest(application="ci", role=pb.APPLICATION_ROLE_WRITER),
            pb.SetApplicationRoleResponse,
        )
        assert changed.application.role == pb.APPLICATION_ROLE_WRITER
        both = await caller.call(
            "ClusterService/AddApplicationKey",
            pb.AddApplicationKeyRequest(
                application="ci", public_key=key_of("ci next").public_pem, drop_other_after_s=3_600
            ),
            pb.AddApplicationKeyResponse,
        )
        assert [key.drop_at_ms > 0 for key in both.application.keys] == [True, False]
        one = await caller.call(
            "ClusterService/DropApplicationKey",
            pb.DropApplicationKeyRequest(application="ci", key_id=key_of("ci").key_id),
            pb.DropApplicationKeyResponse,
        )
        assert [key.key_id for key in one.application.keys] == [key_of("ci next").key_id]
        listed = await caller.call(
            "ClusterService/ListApplications", pb.ListApplicationsRequest(), pb.ListApplicationsResponse
        )
        assert [entry.application for entry in listed.applications] == ["boss", "ci"]
        gone = await caller.call(
            "ClusterService/RemoveApplication",
            pb.RemoveApplicationRequest(application="ci"),
            pb.RemoveApplicationResponse,
        )
        assert gone.application == one.application
        with pytest.raises(CallFailed, match="last administrator") as failed:
            await caller.call(
                "ClusterService/RemoveApplication",
                pb.RemoveApplicationRequest(application="boss"),
                pb.RemoveApplicationResponse,
            )
        assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT
    (left,) = [decode_application(entry.value) for entry in await site.catalog.range(APPLICATIONS)]
    assert (left.application, left.role) == ("boss", Role.ADMINISTRATOR)
    acts = [decode_entry(entry.value) for entry in await site.catalog.range(AUDIT_ENTRIES)]
    assert [(act.method.rpartition("/")[2], act.request["application"], act.outcome) for act in acts] == [
        ("AddApplication", "boss", "OK"),
        ("AddApplication", "ci", "OK"),
        ("SetApplicationRole", "ci", "OK"),
        ("AddApplicationKey", "ci", "OK"),
        ("DropApplicationKey", "ci", "OK"),
        ("RemoveApplication", "ci", "OK"),
        ("RemoveApplication", "boss", "INVALID_ARGUMENT"),
    ]
    assert acts[4].facts["keys"] == key_of("ci next").key_id


@pytest.mark.parametrize("role", [0, 9])
async def test_role_that_there_is_not_is_refused(role: int) -> None:
    async with Site().calling("operator") as caller:
        with pytest.raises(CallFailed, match="reader, writer or administrator"):
            await add(caller, "ci", role, "ci")  # type: ignore[arg-type]


def test_what_acts_on_the_cluster_is_for_administrators() -> None:
    """Who may look is named here, one by one; whatever else there is, or will be, is for administrators."""
    for name in ADMINISTRATION:
        for method in methods_of(SERVICES[name]):
            if method.path == "/mesh.v1.ClusterService/JoinCluster":
                assert method.role is CallerRole.INVITED
            elif method.path in FOR_ANYONE:
                assert (method.role, method.kind) == (CallerRole.READER, Kind.ACCESSOR)
            else:
                assert method.role is CallerRole.ADMINISTRATOR, method.path


@pytest.mark.parametrize("caller_name", ["reader", "writer"])
async def test_nobody_but_administrators_gets_past_the_door_of_administration(caller_name: str) -> None:
    """An empty request would do for most of these: what is refused must not have reached a servicer, or the record."""
    site = Site()
    before = await site.catalog.range("")
    refused = []
    async with site.calling(caller_name) as caller:
        for name in ADMINISTRATION:
            for method in methods_of(SERVICES[name]):
                if method.role is not CallerRole.ADMINISTRATOR:
                    continue
                with pytest.raises(CallFailed) as failed:
                    await caller.stream(method.path, b"")
                assert failed.value.code is grpc.StatusCode.PERMISSION_DENIED, method.path
                assert failed.value.was_answered
                refused.append(method.path)
    assert len(refused) > 20
    assert (site.moves.orders, site.rotations.orders, site.read_replicas.orders, site.factors.orders) == (
        [],
        [],
        [],
        [],
    )
    assert await site.catalog.range("") == before
