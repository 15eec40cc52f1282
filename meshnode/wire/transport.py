"""Turns a git transport request's header between proto and core.

Only a node may say that a request was forwarded, who acts, or that a push may create: for any other caller these
fields are an error, not a wish.
"""

from __future__ import annotations

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import parse_repository_name
from meshnode.ports import GitService, TransportRequest
from meshnode.v1 import transport_pb2
from meshnode.wire.reads import actor_of, consistency_message, consistency_of

CHUNK_BYTES_MAX = 1 << 20
"""Bytes of one message; larger pieces are cut. 256 KiB to 1 MiB is where gRPC is fastest (measured)."""
PROTOCOL_VERSION_MAX = 2
CONTINUE_KEY = "mesh-continue"
"""Initial metadata: the node wants the rest of the request. Until then a caller keeps the body to itself, so that
the same request can go to another node."""


def request_of(header: transport_pb2.TransportHeader, *, caller: str, is_from_node: bool) -> TransportRequest:
    """Check a header; `caller` acts unless a node names someone else.

    Raises:
        InvalidRequest: bad name, version or consistency, or a field that only nodes may set.
    """
    if not is_from_node and (header.forwarded or header.actor or header.may_create):
        raise InvalidRequest("only nodes may set forwarded, actor and may_create")
    if header.protocol_version > PROTOCOL_VERSION_MAX:
        raise InvalidRequest("unknown protocol version", version=header.protocol_version)
    return TransportRequest(
        name=parse_repository_name(header.repository),
        actor=actor_of(header.actor) or caller,
        version=header.protocol_version,
        consistency=consistency_of(header.consistency),
        is_forwarded=header.forwarded,
        may_create=header.may_create,
    )


def header_message(request: TransportRequest) -> transport_pb2.TransportHeader:
    """The header with which this node hands `request` to another one."""
    return transport_pb2.TransportHeader(
        repository=request.name,
        consistency=consistency_message(request.consistency),
        protocol_version=request.version,
        forwarded=True,
        actor=request.actor,
        may_create=request.may_create,
    )


def service_of(text: str) -> GitService:
    """`git-upload-pack` or `git-receive-pack`. Raises InvalidRequest."""
    try:
        return GitService(text)
    except ValueError as error:
        raise InvalidRequest("unknown git service", service=text[:40]) from error
