"""Serves the part of ClusterService by which machines come in: invitations, and the join itself."""

from __future__ import annotations

from meshnode.auth.invitations import CatalogAccess, prove_answer
from meshnode.ports import Clock, Joins
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_join_pb2
from meshnode.wire.joining import claim_of, invitation_message, joined_message, order_of


class JoinServicer:
    """Methods of mesh.v1.ClusterService."""

    def __init__(self, *, joins: Joins, access: CatalogAccess, clock: Clock) -> None:
        self._joins = joins
        self._access = access
        self._clock = clock

    async def invite_node(self, request: cluster_join_pb2.InviteNodeRequest, call: Call) -> Answer:
        """Let one more machine in, once."""
        invitation, secret = await self._joins.invite(order_of(request), call.actor)
        call.facts["invitation"] = invitation.invitation
        return cluster_join_pb2.InviteNodeResponse(
            invitation=invitation_message(invitation, self._clock.wall_ms()), secret=secret
        )

    async def list_invitations(self, _: cluster_join_pb2.ListInvitationsRequest, __: Call) -> Answer:
        """Invitations that are open, and those that ended lately."""
        now_ms = self._clock.wall_ms()
        known = await self._joins.invitations()
        return cluster_join_pb2.ListInvitationsResponse(invitations=[invitation_message(one, now_ms) for one in known])

    async def revoke_invitation(self, request: cluster_join_pb2.RevokeInvitationRequest, call: Call) -> Answer:
        """Make an open invitation worthless."""
        invitation = await self._joins.revoke(request.id)
        call.facts["invitation"] = invitation.invitation
        return cluster_join_pb2.RevokeInvitationResponse(
            invitation=invitation_message(invitation, self._clock.wall_ms())
        )

    async def join_cluster(self, request: cluster_join_pb2.JoinClusterRequest, call: Call) -> Answer:
        """Let a machine in that holds an invitation; nobody else has called."""
        claim = claim_of(request)
        joined = await self._joins.join(claim, request.invitation_signature, request.key_signature)
        call.facts["joined"] = joined.node.node
        return joined_message(joined, self._access, prove_answer(joined, claim, self._access))
