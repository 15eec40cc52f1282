"""Serves the part of ClusterService that is about applications: who may call, as what, and under which keys."""

from __future__ import annotations

from meshnode.core.applications import Application
from meshnode.ports import Applications
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_applications_pb2 as pb
from meshnode.wire.applications import application_message, role_of


class ApplicationsServicer:
    """Methods of mesh.v1.ClusterService."""

    def __init__(self, applications: Applications) -> None:
        self._applications = applications

    async def list_applications(self, _: pb.ListApplicationsRequest, __: Call) -> Answer:
        """Every application."""
        return pb.ListApplicationsResponse(
            applications=[application_message(one) for one in await self._applications.all()]
        )

    async def add_application(self, request: pb.AddApplicationRequest, call: Call) -> Answer:
        """Let an application call."""
        role = role_of(request.role)
        return pb.AddApplicationResponse(
            application=_told(await self._applications.add(request.application, role, request.public_key), call)
        )

    async def remove_application(self, request: pb.RemoveApplicationRequest, call: Call) -> Answer:
        """Let it call no more."""
        return pb.RemoveApplicationResponse(
            application=_told(await self._applications.remove(request.application), call)
        )

    async def set_application_role(self, request: pb.SetApplicationRoleRequest, call: Call) -> Answer:
        """Let it call more or less."""
        role = role_of(request.role)
        return pb.SetApplicationRoleResponse(
            application=_told(await self._applications.set_role(request.application, role), call)
        )

    async def add_application_key(self, request: pb.AddApplicationKeyRequest, call: Call) -> Answer:
        """Believe it under one key more."""
        changed = await self._applications.add_key(request.application, request.public_key, request.drop_other_after_s)
        return pb.AddApplicationKeyResponse(application=_told(changed, call))

    async def drop_application_key(self, request: pb.DropApplicationKeyRequest, call: Call) -> Answer:
        """Believe it under a key no longer."""
        changed = await self._applications.drop_key(request.application, request.key_id, request.after_s)
        return pb.DropApplicationKeyResponse(application=_told(changed, call))


def _told(application: Application, call: Call) -> pb.Application:
    """The application as a message; what it is goes into the record of the act."""
    message = application_message(application)
    call.facts["application_role"] = application.role.value
    call.facts["keys"] = " ".join(key.key_id for key in message.keys)
    return message
