"""The one call that a machine makes before anybody knows it: asks to join, and checks whose answer it is.

The server is not known by a key, so a refusal is only what somebody said; an answer counts when its proof shows that
who made it knows the invitation, which no one but the cluster and the secret's holder does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from meshnode.auth.channel import channel_options
from meshnode.auth.invitations import CatalogAccess, InvitationSecret, is_same_proof, prove_answer, sign_claim
from meshnode.auth.keys import PrivateKey
from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import parse_node_id
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.target import parse_server, require_credentials
from meshnode.core.joining import JoinClaim
from meshnode.core.nodes import Node, NodeState
from meshnode.ports import Joined
from meshnode.v1 import cluster_join_pb2
from meshnode.wire.joining import access_of, claim_message, members_of

METHOD: Final = "/mesh.v1.ClusterService/JoinCluster"
CALL_S: Final = 15.0
ROUNDS: Final = 3
"""Times that all servers are asked: the same join may be asked again, it is answered as done."""
PAUSE_S: Final = 1.0
CONNECT_MS: Final = 2_000

_FINAL: Final = {
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.UNIMPLEMENTED: ExitCode.REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.UNREACHABLE,
}
"""What another attempt, or another node, would answer too; too many refusals pass by themselves, later."""


@dataclass(frozen=True, slots=True)
class JoinServer:
    """A node that may be asked."""

    address: str
    credentials: grpc.ChannelCredentials | None


def server_of(url: str, credentials: grpc.ChannelCredentials | None) -> JoinServer:
    """The node at a `--server` URL. Fails with a usage error."""
    address, is_tls = parse_server(url)
    return JoinServer(address, require_credentials(credentials) if is_tls else None)


def ask_to_join(
    servers: list[JoinServer], secret: InvitationSecret, key: PrivateKey, claim: JoinClaim
) -> tuple[Joined, CatalogAccess]:
    """Ask the servers in turn until one of the cluster lets the machine in.

    Raises:
        CommandError: refused, nobody answered, or the answer is not the cluster's.
    """
    request = claim_message(claim, secret.sign(claim), sign_claim(key, claim))
    answer = asyncio.run(_ask(servers, request.SerializeToString()))
    try:
        message = cluster_join_pb2.JoinClusterResponse.FromString(answer)
        joined = _joined_of(message, claim, secret)
    except (DecodeError, InvalidRequest) as error:
        raise _not_the_cluster() from error
    access = access_of(message)
    if not is_same_proof(prove_answer(joined, claim, access), message.proof):
        raise _not_the_cluster()
    return joined, access


def _joined_of(message: cluster_join_pb2.JoinClusterResponse, claim: JoinClaim, secret: InvitationSecret) -> Joined:
    node = Node(
        node=parse_node_id(message.node),
        grpc_url=claim.grpc_url,
        http_url=claim.http_url,
        zone=message.zone,
        weight=message.weight,
        state=NodeState.AVAILABLE,
        public_keys=(claim.public_key,),
    )
    return Joined(
        cluster_id=message.cluster_id,
        node=node,
        members=tuple(members_of(message)),
        answer_key=secret.answer_key,
        is_repetition=False,
    )


async def _ask(servers: list[JoinServer], request: bytes) -> bytes:
    failures: list[str] = []
    for turn in range(ROUNDS):
        if turn:
            await asyncio.sleep(PAUSE_S)
        failures.clear()
        for server in servers:
            try:
                return await _ask_one(server, request)
            except grpc.aio.AioRpcError as error:
                detail = (error.details() or "")[:300]
                if error.code() in _FINAL:
                    raise CommandError(
                        f"{server.address} refuses: {detail or error.code().name}",
                        advice="nothing was stored in the cluster; correct what it says, or ask for another invitation",
                        exit_code=_FINAL[error.code()],
                    ) from error
                failures.append(f"{server.address}: {error.code().name} {detail}")
    raise CommandError(
        "no node of the cluster answered",
        detail="; ".join(failures)[:600],
        advice="check the URLs and that the nodes run; the same command may be run again, with the same secret",
        exit_code=ExitCode.UNREACHABLE,
    )


async def _ask_one(server: JoinServer, request: bytes) -> bytes:
    options = channel_options(CONNECT_MS)
    channel = (
        grpc.aio.insecure_channel(server.address, options=options)
        if server.credentials is None
        else grpc.aio.secure_channel(server.address, server.credentials, options=options)
    )
    async with channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        return await call(request, timeout=CALL_S)


def _not_the_cluster() -> CommandError:
    return CommandError(
        "the answer does not come from the cluster that made this invitation; nothing was written",
        advice="check the URL and what is between here and there; if the machine is listed (`meshnode node list`),"
        " remove it and ask for another invitation",
        exit_code=ExitCode.REFUSED,
    )
