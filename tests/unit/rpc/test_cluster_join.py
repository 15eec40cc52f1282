"""ClusterService's part in joining, over real calls: operators invite, and a machine without a token comes in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest

from meshnode.auth.invitations import InvitationSecret, is_same_proof, prove_answer, sign_claim
from meshnode.auth.responses import RESPONSE_METADATA
from meshnode.base.errors import InvalidRequest
from meshnode.core.joining import JoinClaim
from meshnode.core.keys import NODES
from meshnode.core.nodes import decode_node
from meshnode.ports import Joined
from meshnode.v1 import cluster_join_pb2
from meshnode.wire.joining import access_of, claim_message, claim_of, members_of
from tests.unit.rpc.harness import CATALOG_ACCESS, Site, key_of

JOIN = "/mesh.v1.ClusterService/JoinCluster"


def claim_for(site: Site, secret: InvitationSecret, **changes: Any) -> JoinClaim:
    claim = JoinClaim(
        invitation=secret.invitation,
        node="n4",
        grpc_url="m4:7777",
        http_url="http://m4:7780",
        zone="",
        weight=0,
        public_key=key_of("m4").public_pem,
        made_at_ms=site.clock.wall_ms(),
    )
    return replace(claim, **changes)


def signed(claim: JoinClaim, secret: InvitationSecret) -> cluster_join_pb2.JoinClusterRequest:
    return claim_message(claim, secret.sign(claim), sign_claim(key_of("m4"), claim))


async def invite(site: Site, request: cluster_join_pb2.InviteNodeRequest) -> InvitationSecret:
    async with site.connected("operator") as operator:
        answer = await operator.call("ClusterService/InviteNode", request, cluster_join_pb2.InviteNodeResponse)
    secret = InvitationSecret.parse(answer.secret)
    assert answer.invitation.id == secret.invitation
    assert answer.invitation.created_by == "app:operator"
    return secret


async def test_machine_without_a_token_joins_and_can_tell_whose_answer_it_is() -> None:
    site = Site()
    async with site.serving(), site.raw() as channel:
        secret = await invite(site, cluster_join_pb2.InviteNodeRequest(node="n4", zone="east", weight=7))
        claim = claim_for(site, secret, node="")
        body = await channel.unary_unary(JOIN)(signed(claim, secret).SerializeToString(), timeout=5)
        answer = cluster_join_pb2.JoinClusterResponse.FromString(body)
        assert (answer.node, answer.zone, answer.weight, answer.cluster_id) == ("n4", "east", 7, "c" * 32)
        assert access_of(answer) == CATALOG_ACCESS
        (entry,) = [decode_node(entry.value) for entry in await site.catalog.range(NODES)]
        joined = Joined(
            cluster_id=answer.cluster_id,
            node=entry,
            members=tuple(members_of(answer)),
            answer_key=secret.answer_key,
            is_repetition=False,
        )
        assert is_same_proof(prove_answer(joined, claim, CATALOG_ACCESS), answer.proof)
        assert not is_same_proof(prove_answer(joined, replace(claim, weight=1), CATALOG_ACCESS), answer.proof)
        async with site.connected("operator") as operator:
            listed = await operator.call(
                "ClusterService/ListInvitations",
                cluster_join_pb2.ListInvitationsRequest(),
                cluster_join_pb2.ListInvitationsResponse,
            )
        (one,) = listed.invitations
        assert (one.state, one.used_by) == (cluster_join_pb2.INVITATION_STATE_USED, "n4")
        assert secret.text() not in str(listed)
    assert site.joins == ["joined"]


async def test_states_of_invitations_are_told() -> None:
    site = Site()
    async with site.serving():
        secret = await invite(site, cluster_join_pb2.InviteNodeRequest())
        async with site.connected("operator") as operator:
            revoked = await operator.call(
                "ClusterService/RevokeInvitation",
                cluster_join_pb2.RevokeInvitationRequest(id=secret.invitation),
                cluster_join_pb2.RevokeInvitationResponse,
            )
    assert revoked.invitation.state == cluster_join_pb2.INVITATION_STATE_REVOKED


async def test_refusals_say_why_and_are_signed_only_for_callers_with_a_key() -> None:
    site = Site()
    async with site.serving(), site.raw() as channel:
        stranger = InvitationSecret.make()
        request = signed(claim_for(site, stranger), stranger).SerializeToString()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(JOIN)(request, timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "invitation is not known" in (caught.value.details() or "")
        assert RESPONSE_METADATA not in dict(caught.value.trailing_metadata() or ())
        assert await site.catalog.range(NODES) == []
        assert site.joins == ["unknown"]
        other_token = (("authorization", "Bearer a.b.c"),)
        with pytest.raises(grpc.aio.AioRpcError, match="invitation is not known"):
            await channel.unary_unary(JOIN)(request, metadata=other_token, timeout=5)


async def test_other_methods_stay_closed_to_who_holds_an_invitation() -> None:
    site = Site()
    async with site.serving(), site.raw() as channel:
        await invite(site, cluster_join_pb2.InviteNodeRequest())
        for method in ("InviteNode", "ListInvitations", "RevokeInvitation", "ListNodes", "SetNodeState"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/mesh.v1.ClusterService/{method}")(b"", timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "change",
    [
        {"node": "N 4"},
        {"grpc_url": ""},
        {"grpc_url": "m4"},
        {"grpc_url": "m" * 400 + ":1"},
        {"http_url": ""},
        {"http_url": "ftp://m4"},
        {"http_url": "http://m4:99999"},
        {"http_url": "http://m4/?x=1"},
        {"http_url": "http://m4/\n"},
        {"zone": "z" * 64},
        {"zone": "a\nb"},
        {"weight": 10_001},
        {"public_key": "k" * 20_000},
        {"made_at_ms": (1 << 64) - 1},
    ],
)
def test_claim_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    secret = InvitationSecret.make()
    claim = claim_for(Site(), secret)
    message = claim_message(claim, b"x", b"y")
    assert claim_of(message) == claim
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InvalidRequest):
        claim_of(message)


@pytest.mark.parametrize("request_", [{"node": "N"}, {"zone": "z" * 64}, {"weight": 10_001}, {"expires_s": 5}])
async def test_order_that_cannot_be_is_refused(request_: dict[str, Any]) -> None:
    site = Site()
    async with site.calling("operator") as operator:
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            await operator.call(
                "ClusterService/InviteNode",
                cluster_join_pb2.InviteNodeRequest(**request_),
                cluster_join_pb2.InviteNodeResponse,
            )
