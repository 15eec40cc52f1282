"""Turns invitations and joins between proto and core; what a stranger sends is checked for size and shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from meshnode.auth.invitations import CatalogAccess
from meshnode.auth.keys import PEM_BYTES_MAX
from meshnode.base.errors import InvalidRequest, Unauthenticated
from meshnode.base.ids import parse_node_id
from meshnode.config.checks import parse_address
from meshnode.core.joining import WEIGHT_MAX, Invitation, InvitationState, JoinClaim
from meshnode.core.nodes import Node, NodeState
from meshnode.ports import InvitationOrder, Joined
from meshnode.v1 import cluster_join_pb2

URL_CHARACTERS_MAX: Final = 300
ZONE_CHARACTERS_MAX: Final = 63
_TIME_MS_MAX: Final = 1 << 62

_STATES: Final = {
    InvitationState.OPEN: cluster_join_pb2.INVITATION_STATE_OPEN,
    InvitationState.USED: cluster_join_pb2.INVITATION_STATE_USED,
    InvitationState.REVOKED: cluster_join_pb2.INVITATION_STATE_REVOKED,
}


def order_of(request: cluster_join_pb2.InviteNodeRequest) -> InvitationOrder:
    """What an operator wants to allow. Raises InvalidRequest."""
    return InvitationOrder(
        node=parse_node_id(request.node) if request.node else None,
        zone=check_zone(request.zone),
        weight=check_weight(request.weight),
        expires_s=request.expires_s,
    )


def claim_of(request: cluster_join_pb2.JoinClusterRequest) -> JoinClaim:
    """What a machine wants to be; nothing of it is believed yet.

    Raises:
        Unauthenticated: it proves nothing. InvalidRequest: an id, address, zone, weight or key that cannot be.
    """
    if not request.invitation_signature or not request.key_signature:
        raise Unauthenticated("the request proves no invitation", method="JoinCluster")
    if len(request.public_key) > PEM_BYTES_MAX:
        raise InvalidRequest("public key is too long", bytes_max=PEM_BYTES_MAX)
    if request.made_at_ms > _TIME_MS_MAX:
        raise InvalidRequest("time is out of range")
    if len(request.grpc_url) > URL_CHARACTERS_MAX:
        raise InvalidRequest("address is too long", characters_max=URL_CHARACTERS_MAX)
    parse_address(request.grpc_url)
    return JoinClaim(
        invitation=request.invitation[:32],
        node=parse_node_id(request.node) if request.node else "",
        grpc_url=request.grpc_url,
        http_url=check_http_url(request.http_url),
        zone=check_zone(request.zone),
        weight=check_weight(request.weight),
        public_key=request.public_key,
        made_at_ms=request.made_at_ms,
    )


def claim_message(
    claim: JoinClaim, invitation_signature: bytes, key_signature: bytes
) -> cluster_join_pb2.JoinClusterRequest:
    """The claim as it is sent."""
    return cluster_join_pb2.JoinClusterRequest(
        invitation=claim.invitation,
        node=claim.node,
        grpc_url=claim.grpc_url,
        http_url=claim.http_url,
        zone=claim.zone,
        weight=claim.weight,
        public_key=claim.public_key,
        made_at_ms=claim.made_at_ms,
        invitation_signature=invitation_signature,
        key_signature=key_signature,
    )


def invitation_message(invitation: Invitation, now_ms: int) -> cluster_join_pb2.Invitation:
    """An invitation as operators see it: nothing of its secret."""
    is_expired = invitation.state is InvitationState.OPEN and not invitation.is_open(now_ms)
    return cluster_join_pb2.Invitation(
        id=invitation.invitation,
        node=invitation.node or "",
        zone=invitation.zone,
        weight=invitation.weight,
        created_at_ms=invitation.created_at_ms,
        expires_at_ms=invitation.expires_at_ms,
        created_by=invitation.created_by,
        state=cluster_join_pb2.INVITATION_STATE_EXPIRED if is_expired else _STATES[invitation.state],
        used_by=invitation.used_by or "",
    )


def joined_message(joined: Joined, access: CatalogAccess, proof: bytes) -> cluster_join_pb2.JoinClusterResponse:
    """The answer to a machine that is a node now."""
    return cluster_join_pb2.JoinClusterResponse(
        cluster_id=joined.cluster_id,
        node=joined.node.node,
        zone=joined.node.zone,
        weight=joined.node.weight,
        catalog_url=access.url,
        catalog_prefix=access.prefix,
        catalog_tls=access.is_tls,
        catalog_username=access.username,
        members=[
            cluster_join_pb2.ClusterMember(
                node=one.node, grpc_url=one.grpc_url, http_url=one.http_url, public_keys=one.public_keys
            )
            for one in joined.members
        ],
        proof=proof,
    )


def access_of(answer: cluster_join_pb2.JoinClusterResponse) -> CatalogAccess:
    """How the catalog is reached, as an answer says; to be believed once its proof holds."""
    return CatalogAccess(
        url=answer.catalog_url,
        prefix=answer.catalog_prefix,
        is_tls=answer.catalog_tls,
        username=answer.catalog_username,
    )


def members_of(answer: cluster_join_pb2.JoinClusterResponse) -> Sequence[Node]:
    """The nodes that an answer names, with their keys; to be believed once its proof holds. Raises InvalidRequest."""
    return [
        Node(
            node=parse_node_id(one.node),
            grpc_url=one.grpc_url,
            http_url=one.http_url,
            zone="",
            weight=0,
            state=NodeState.AVAILABLE,
            public_keys=tuple(one.public_keys),
        )
        for one in answer.members
    ]


def check_zone(zone: str) -> str:
    """A zone's name, or "". Raises InvalidRequest."""
    if len(zone) > ZONE_CHARACTERS_MAX or not zone.isprintable():
        raise InvalidRequest("a zone is a name of at most 63 characters", zone=zone[:100])
    return zone


def check_weight(weight: int) -> int:
    """A weight, or 0. Raises InvalidRequest."""
    if weight > WEIGHT_MAX:
        raise InvalidRequest("a weight is 1 to 10000", weight=weight)
    return weight


def check_http_url(text: str) -> str:
    """A node's HTTP address. Raises InvalidRequest."""
    try:
        url = urlsplit(text)
        is_good = url.scheme in {"http", "https"} and bool(url.hostname) and not url.query and not url.fragment
        is_good = is_good and (url.port is None or url.port > 0)
    except ValueError:
        is_good = False
    if not is_good or len(text) > URL_CHARACTERS_MAX or not text.isprintable():
        raise InvalidRequest("an HTTP address is http://host:port or https://host:port", url=text[:100])
    return text
