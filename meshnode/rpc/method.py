"""Reads what the protos say of each method: its kind, who may call it, its messages. Nothing else decides these.

A method without a kind or a role is a defect found at start-up, never a method that anyone may call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meshnode.base.errors import InvariantViolated
from meshnode.v1 import annotations_pb2

_OF_REPOSITORIES: Final = frozenset({"RepositoryService", "MaintenanceService", "TransportService"})
"""Services in whose requests `name` is a repository's; elsewhere it is a reference's."""
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Kind(Enum):
    """What a method does (annotations.proto)."""

    ACCESSOR = annotations_pb2.METHOD_KIND_ACCESSOR
    MUTATOR = annotations_pb2.METHOD_KIND_MUTATOR
    MAINTENANCE = annotations_pb2.METHOD_KIND_MAINTENANCE


class CallerRole(Enum):
    """Who may call a method (annotations.proto)."""

    READER = annotations_pb2.CALLER_ROLE_READER
    WRITER = annotations_pb2.CALLER_ROLE_WRITER
    ADMINISTRATOR = annotations_pb2.CALLER_ROLE_ADMINISTRATOR
    NODE = annotations_pb2.CALLER_ROLE_NODE
    INVITED = annotations_pb2.CALLER_ROLE_INVITED


@dataclass(frozen=True, kw_only=True)
class Method:
    """One RPC method."""

    path: str
    """As on the wire and in tokens: `/mesh.v1.RefService/ListRefs`."""
    name: str
    """As the servicer spells it: `list_refs`."""
    kind: Kind
    role: CallerRole
    input: type[Message]
    is_streaming: bool
    """Whether messages stream in at least one direction."""
    is_answer_streaming: bool
    is_request_streaming: bool
    is_introspection: bool = False
    """Health or reflection: may be open to callers without a token, and answers while the node drains."""
    is_audited: bool = False
    """An administrative act: it is on record before it begins (`rpc/acts.py`)."""
    has_header: bool = False
    """The request's `header` says what is asked for, in its first message."""
    name_field: str = ""
    """Where the request, or its header, names the repository; "" where it names none."""
    has_consistency: bool = False
    position_number: int = 0
    """Field of the answer that says where it stands; 0 where none does."""

    @property
    def is_open(self) -> bool:
        """Whether a call needs no token: its request proves by itself who sent it (joining)."""
        return self.role is CallerRole.INVITED

    @property
    def is_replay_refused(self) -> bool:
        """Whether a token of this method is good only once."""
        return self.kind is not Kind.ACCESSOR


def methods_of(service: ServiceDescriptor) -> list[Method]:
    """The methods of a `mesh.v1` service.

    Raises:
        InvariantViolated: a method says nothing of its kind or role.
    """
    return [_annotated(method) for method in service.methods]


def introspection_methods_of(service: ServiceDescriptor, *, alias: str = "") -> list[Method]:
    """The methods of a health or reflection service; `alias` is another full name to serve it under."""
    return [
        Method(
            path=f"/{alias or service.full_name}/{method.name}",
            name=snake_case(method.name),
            kind=Kind.ACCESSOR,
            role=CallerRole.READER,
            input=GetMessageClass(method.input_type),
            is_streaming=_streams(method, "client_streaming") or _streams(method, "server_streaming"),
            is_answer_streaming=_streams(method, "server_streaming"),
            is_request_streaming=_streams(method, "client_streaming"),
            is_introspection=True,
        )
        for method in service.methods
    ]


def snake_case(name: str) -> str:
    """`ListRefs` -> `list_refs`."""
    return _WORDS.sub("_", name).lower()


def _annotated(method: MethodDescriptor) -> Method:
    options: Any = method.GetOptions()
    kind: int = options.Extensions[annotations_pb2.kind]
    role: int = options.Extensions[annotations_pb2.role]
    if not kind or not role:
        raise InvariantViolated("a method has no kind or role", method=method.full_name)
    header = method.input_type.fields_by_name.get("header")
    asked: Any = method.input_type if header is None else header.message_type
    position = method.output_type.fields_by_name.get("position")
    return Method(
        path=f"/{method.containing_service.full_name}/{method.name}",
        name=snake_case(method.name),
        kind=Kind(kind),
        role=CallerRole(role),
        input=GetMessageClass(method.input_type),
        is_streaming=_streams(method, "client_streaming") or _streams(method, "server_streaming"),
        is_answer_streaming=_streams(method, "server_streaming"),
        is_request_streaming=_streams(method, "client_streaming"),
        is_audited=_is_audited(Kind(kind), CallerRole(role), is_said=options.Extensions[annotations_pb2.audited]),
        has_header="header" in method.input_type.fields_by_name,
        name_field=_name_field(asked, method),
        has_consistency="consistency" in asked.fields_by_name,
        position_number=0 if position is None else position.number,
    )


def _name_field(asked: Descriptor, method: MethodDescriptor) -> str:
    """Where a repository is named: by `repository`, or by `name` where the service is about repositories."""
    if "repository" in asked.fields_by_name:
        return "repository"
    if method.containing_service.name not in _OF_REPOSITORIES:
        return ""
    return next((name for name in ("name", "source_name") if name in asked.fields_by_name), "")


def _is_audited(kind: Kind, role: CallerRole, *, is_said: bool) -> bool:
    """Whether a method is an administrative act. What only reads is none; what nodes do among themselves neither.

    Nor is a join: strangers could fill the record with it. The act was the invitation, which tells who came in by it.
    """
    if kind is Kind.ACCESSOR or role in {CallerRole.NODE, CallerRole.INVITED}:
        return False
    return is_said or kind is Kind.MAINTENANCE or role is CallerRole.ADMINISTRATOR


def _streams(method: MethodDescriptor, side: str) -> bool:
    return bool(getattr(method, side))
