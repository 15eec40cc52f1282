"""How machines come into the cluster: what operators order, and what a machine that nobody knows may ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import NodeId
from meshnode.core.joining import Invitation, JoinClaim
from meshnode.core.nodes import Node


@dataclass(frozen=True, kw_only=True, slots=True)
class InvitationOrder:
    """What an invitation is to allow."""

    node: NodeId | None
    zone: str
    weight: int
    expires_s: int
    """0: the default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A machine that is a node now."""

    cluster_id: str
    node: Node
    members: tuple[Node, ...]
    """All nodes, this one included."""
    answer_key: str
    """Hex; what the answer to the machine is authenticated with."""
    is_repetition: bool


class Joins(Protocol):
    """Invitations, and the machines that come in by them."""

    async def invite(self, order: InvitationOrder, by: str) -> tuple[Invitation, str]:
        """Make an invitation; with the secret, which nobody can tell again.

        Raises:
            InvalidRequest: too long or short a life, or too many are open. CatalogUnavailable.
        """
        ...

    async def invitations(self) -> Sequence[Invitation]:
        """Invitations that are remembered, the oldest first. Raises CatalogUnavailable."""
        ...

    async def revoke(self, invitation: str) -> Invitation:
        """Make an open invitation worthless. Raises NotFound: no open one of that id."""
        ...

    async def join(self, claim: JoinClaim, invitation_signature: bytes, key_signature: bytes) -> Joined:
        """Let a machine in, or say again that it is in.

        Raises:
            Unauthenticated, Forbidden, InvalidRequest: not let in, field `reason`; nothing was written.
            Overloaded: too many were refused lately. CatalogUnavailable, OutcomeUnknown: ask again.
        """
        ...
