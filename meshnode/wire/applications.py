"""Turns applications between proto and core."""

from __future__ import annotations

from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.core.applications import Application, Role
from meshnode.v1 import cluster_applications_pb2
from meshnode.wire.records import key_id_of

_ROLES: Final = {
    Role.READER: cluster_applications_pb2.APPLICATION_ROLE_READER,
    Role.WRITER: cluster_applications_pb2.APPLICATION_ROLE_WRITER,
    Role.ADMINISTRATOR: cluster_applications_pb2.APPLICATION_ROLE_ADMINISTRATOR,
}
_ROLE_OF: Final[dict[int, Role]] = {number: role for role, number in _ROLES.items()}


def application_message(application: Application) -> cluster_applications_pb2.Application:
    """An application as operators see it."""
    ends = {drop.public_key: drop.at_ms for drop in application.drops}
    return cluster_applications_pb2.Application(
        application=application.application,
        role=_ROLES[application.role],
        keys=[
            cluster_applications_pb2.ApplicationKey(key_id=key_id_of(pem), public_key=pem, drop_at_ms=ends.get(pem, 0))
            for pem in application.public_keys
        ],
    )


def role_of(number: int) -> Role:
    """Check a wanted role. Raises InvalidRequest."""
    role = _ROLE_OF.get(number)
    if role is None:
        raise InvalidRequest("an application is reader, writer or administrator", role=number)
    return role
