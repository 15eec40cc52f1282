"""Invitations, and whether a machine that shows one becomes a node. Pure.

    open --a machine joins--> used --the same machine again--> answered as done
      |--revoked                             (also when the answer to the first was lost)
      `--its time is over--> expired

Rule: an invitation lets in one machine once. What uses it up and the node's entry are written in one transaction that
compares both, so of two machines with one secret one comes in, and nothing is half done. What the catalog keeps of a
secret (`verify_key`, `answer_key`) lets its reader check and answer a join, not make one.
Source: docs/adr/0014-joining.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Final

from meshnode.base.errors import Forbidden, InvalidRequest, Unauthenticated
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import FORMAT_VERSION, INVITATIONS, encode_json
from meshnode.core.nodes import Node, NodeState

EXPIRES_S_DEFAULT: Final = 3_600
EXPIRES_S_MIN: Final = 60
EXPIRES_S_MAX: Final = 7 * 86_400
"""A secret that lies about for longer than a week has been forgotten by those who should guard it."""
OPEN_MAX: Final = 100
"""Invitations open at once; each is for one machine."""
ENDED_MAX: Final = 100
"""Ended invitations that are remembered, the newest: they tell a late machine why it is refused."""
REMEMBERED_MS: Final = 7 * 86_400_000

WEIGHT_DEFAULT: Final = 100
WEIGHT_MAX: Final = 10_000
ZONE_DEFAULT: Final = "default"


class InvitationState(Enum):
    """What became of an invitation, its time aside."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """An invitation as the catalog keeps it."""

    invitation: str
    """16 hex digits."""
    verify_key: str
    """Hex of the Ed25519 public key that belongs to the secret."""
    answer_key: str
    """Hex of the key that the cluster's answer is authenticated with, made of the secret one way."""
    node: NodeId | None
    """None: the machine chooses."""
    zone: str
    """"": the machine chooses."""
    weight: int
    """0: the machine chooses."""
    created_at_ms: int
    expires_at_ms: int
    created_by: str
    state: InvitationState = InvitationState.OPEN
    used_by: NodeId | None = None
    used_key: str = ""
    """PEM of the key that came in by it."""

    def is_open(self, now_ms: int) -> bool:
        """Whether it lets anybody in."""
        return self.state is InvitationState.OPEN and now_ms < self.expires_at_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinClaim:
    """What a machine wants to be, as it signed it."""

    invitation: str
    node: str
    """"": the invitation's."""
    grpc_url: str
    http_url: str
    zone: str
    weight: int
    public_key: str
    made_at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinPlan:
    """What a join does to the catalog."""

    node: Node
    used: Invitation | None
    """The invitation to write together with the node; None: both were written before."""


def invitation_key(invitation: str) -> str:
    """Key of an invitation."""
    return INVITATIONS + invitation


def check_clock(claim: JoinClaim, now_ms: int, skew_ms: int) -> None:
    """Check that the machine's clock could live with the cluster's. Raises Forbidden."""
    ahead_ms = claim.made_at_ms - now_ms
    if abs(ahead_ms) > skew_ms:
        raise Forbidden(
            "the machine's clock is too far from the cluster's; set it and join again",
            reason="clock",
            ahead_ms=ahead_ms,
            skew_ms=skew_ms,
        )


def plan_join(invitation: Invitation | None, entry: Node | None, claim: JoinClaim, now_ms: int) -> JoinPlan:
    """What to write so that the machine is a node; `entry` is of the id that `node_of` gives.

    Raises:
        Unauthenticated: no such invitation. Forbidden: used by another machine, revoked, expired, not for this node
            or zone, or the id is another machine's; field `reason`. InvalidRequest: no id was named anywhere.
    """
    if invitation is None:
        raise Unauthenticated("the invitation is not known; compare the secret, or ask for another", reason="unknown")
    node = node_of(invitation, claim)
    if invitation.state is InvitationState.USED:
        return _repeated(invitation, entry, claim, node)
    if invitation.state is InvitationState.REVOKED:
        raise Forbidden("the invitation was revoked; ask for another", reason="revoked")
    if now_ms >= invitation.expires_at_ms:
        raise Forbidden(
            "the invitation has expired; ask for another",
            reason="expired",
            expired_ms=now_ms - invitation.expires_at_ms,
        )
    for what, allowed, wanted in (
        ("node", invitation.node or "", claim.node),
        ("zone", invitation.zone, claim.zone),
        ("weight", invitation.weight, claim.weight),
    ):
        if allowed and wanted and allowed != wanted:
            raise Forbidden(f"the invitation is for another {what}", reason=what, invited=allowed, wanted=wanted)
    if entry is not None:
        raise Forbidden(
            "the cluster has a node of this id already; choose another, or remove that one first",
            reason="taken",
            node=node,
        )
    joined = Node(
        node=node,
        grpc_url=claim.grpc_url,
        http_url=claim.http_url,
        zone=invitation.zone or claim.zone or ZONE_DEFAULT,
        weight=invitation.weight or claim.weight or WEIGHT_DEFAULT,
        state=NodeState.AVAILABLE,
        public_keys=(claim.public_key,),
    )
    used = replace(invitation, state=InvitationState.USED, used_by=node, used_key=claim.public_key)
    return JoinPlan(node=joined, used=used)


def node_of(invitation: Invitation, claim: JoinClaim) -> NodeId:
    """The id that the machine gets if it comes in. Raises InvalidRequest: neither side names one."""
    if not claim.node and invitation.node is None:
        raise InvalidRequest("the invitation leaves the node's id open; choose one (--id)", reason="node")
    return parse_node_id(claim.node or str(invitation.node))


def check_unique(claim: JoinClaim, node: NodeId, others: Sequence[Node]) -> None:
    """Check that no other node has the machine's address or key: a copied directory, a mistyped port.

    Advice, by what is known just now: nothing breaks where two come at once. Raises Forbidden.
    """
    for other in others:
        if other.node == node:
            continue
        if claim.public_key in other.public_keys:
            raise Forbidden(
                "another node has this key; each machine makes its own (an empty --data)", reason="key", node=other.node
            )
        if other.grpc_url == claim.grpc_url:
            raise Forbidden("another node has this gRPC address", reason="address", node=other.node)


def plan_forgetting(invitations: Sequence[Invitation], now_ms: int) -> list[str]:
    """Ids of invitations that need not be remembered any more."""
    ended = [one for one in invitations if not one.is_open(now_ms)]
    ended.sort(key=lambda one: one.expires_at_ms, reverse=True)
    return [
        one.invitation
        for place, one in enumerate(ended)
        if place >= ENDED_MAX or now_ms >= one.expires_at_ms + REMEMBERED_MS
    ]


def check_expiry(expires_s: int) -> int:
    """The life of an invitation in seconds, 0 being the default. Raises InvalidRequest."""
    if expires_s and not EXPIRES_S_MIN <= expires_s <= EXPIRES_S_MAX:
        raise InvalidRequest(
            "an invitation lives a minute to seven days",
            expires_s=expires_s,
            expires_s_min=EXPIRES_S_MIN,
            expires_s_max=EXPIRES_S_MAX,
        )
    return expires_s or EXPIRES_S_DEFAULT


def encode_invitation(invitation: Invitation) -> bytes:
    """The invitation as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "invitation": invitation.invitation,
            "verify_key": invitation.verify_key,
            "answer_key": invitation.answer_key,
            "node": invitation.node,
            "zone": invitation.zone,
            "weight": invitation.weight,
            "created_at_ms": invitation.created_at_ms,
            "expires_at_ms": invitation.expires_at_ms,
            "created_by": invitation.created_by,
            "state": invitation.state.value,
            "used_by": invitation.used_by,
            "used_key": invitation.used_key,
        }
    )


def decode_invitation(value: bytes) -> Invitation:
    """The invitation of its JSON. Raises Corrupt."""
    return decode(value, "invitation", FORMAT_VERSION, _invitation)


def _invitation(fields: Fields) -> Invitation:
    return Invitation(
        invitation=fields.parsed("invitation", partial(_hex, digits=16)),
        verify_key=fields.parsed("verify_key", partial(_hex, digits=64)),
        answer_key=fields.parsed("answer_key", partial(_hex, digits=64)),
        node=fields.optional("node", parse_node_id),
        zone=fields.text("zone"),
        weight=fields.number("weight"),
        created_at_ms=fields.number("created_at_ms"),
        expires_at_ms=fields.number("expires_at_ms"),
        created_by=fields.text("created_by"),
        state=InvitationState(fields.text("state")),
        used_by=fields.optional("used_by", parse_node_id),
        used_key=fields.text("used_key"),
    )


def _hex(text: str, *, digits: int) -> str:
    if len(text) != digits or set(text) - set("0123456789abcdef"):
        raise ValueError(f"not {digits} hex digits")
    return text


def _repeated(invitation: Invitation, entry: Node | None, claim: JoinClaim, node: NodeId) -> JoinPlan:
    """A used invitation shown again: by the machine it let in, or by somebody else."""
    if (node, claim.public_key) != (invitation.used_by, invitation.used_key):
        raise Forbidden("the invitation was used by another machine; ask for another", reason="used")
    if entry is None:
        raise Forbidden("this machine came in by the invitation and was removed since", reason="removed", node=node)
    if claim.public_key not in entry.public_keys:
        raise Forbidden("this machine came in by the invitation and has another key since", reason="used", node=node)
    return JoinPlan(node=entry, used=None)
