"""Invites machines and lets them in. Implements `ports.Joins`.

    invite: secret made --> what it can be checked by into the catalog --> secret to the operator, forgotten here
    join:   not too many refusals lately --> invitation --> both proofs --> clock --> {node's entry, invitation used}

Rule: a machine that is refused leaves nothing behind but a log line and a count. What lets it in is one transaction
over the invitation and the node's entry; where its outcome is unknown, reading both again tells it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from meshnode.auth.invitations import InvitationSecret, check_claim
from meshnode.base.errors import (
    Fenced,
    Forbidden,
    InvalidRequest,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Unauthenticated,
)
from meshnode.core.joining import (
    OPEN_MAX,
    Invitation,
    InvitationState,
    JoinClaim,
    JoinPlan,
    check_clock,
    check_expiry,
    check_unique,
    decode_invitation,
    encode_invitation,
    invitation_key,
    node_of,
    plan_forgetting,
    plan_join,
)
from meshnode.core.keys import INVITATIONS, node_key
from meshnode.core.nodes import decode_node, encode_node
from meshnode.ports import Catalog, Clock, Compare, Delete, Entry, InvitationOrder, Joined, Membership, Put

log = logging.getLogger("meshnode.engine")

REFUSALS_MAX: Final = 20
REFUSALS_MS: Final = 60_000
"""Twenty refused joins a minute at each node: an operator who mistypes never meets it, and who guesses among 2**256
secrets gets nowhere anyway; it bounds what strangers can have this node check and read."""
_ATTEMPTS_MAX: Final = 4
"""Times that a transaction is tried whose entries others change meanwhile."""
_FORGOTTEN_AT_ONCE: Final = 60
"""Writes of one transaction are 64 (port Catalog)."""
_PAGE: Final = 1_000


@dataclass(kw_only=True)
class Joining:
    """Implements `ports.Joins`."""

    catalog: Catalog
    membership: Membership
    clock: Clock
    skew_ms: int
    """Clock difference allowed (`auth.skew_ms`)."""
    count: Callable[[str], None] = lambda _outcome: None
    """Told how each join ended: "joined", "repeated", or why it was refused."""
    _refused_at_ms: deque[int] = field(default_factory=deque)

    async def invite(self, order: InvitationOrder, by: str) -> tuple[Invitation, str]:
        """Make an invitation; with the secret, which nobody can tell again."""
        now_ms = self.clock.wall_ms()
        life_ms = check_expiry(order.expires_s) * 1_000
        known = await self.invitations()
        if sum(one.is_open(now_ms) for one in known) >= OPEN_MAX:
            raise InvalidRequest("too many invitations are open; revoke some", open_max=OPEN_MAX)
        secret = InvitationSecret.make()
        invitation = Invitation(
            invitation=secret.invitation,
            verify_key=secret.verify_key,
            answer_key=secret.answer_key,
            node=order.node,
            zone=order.zone,
            weight=order.weight,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + life_ms,
            created_by=by,
        )
        key = invitation_key(invitation.invitation)
        forgotten = [Delete(invitation_key(one)) for one in plan_forgetting(known, now_ms)[:_FORGOTTEN_AT_ONCE]]
        if (
            await self.catalog.transact([Compare(key, 0)], [Put(key, encode_invitation(invitation)), *forgotten])
            is None
        ):
            raise Fenced("another invitation has this id; invite again")
        log.info("node_invited", extra={"invitation": invitation.invitation, "by": by, "node": order.node or ""})
        return invitation, secret.text()

    async def invitations(self) -> Sequence[Invitation]:
        """Invitations that are remembered, the oldest first."""
        entries = await self.catalog.range(INVITATIONS, limit=_PAGE)
        return sorted((decode_invitation(entry.value) for entry in entries), key=lambda one: one.created_at_ms)

    async def revoke(self, invitation: str) -> Invitation:
        """Make an open invitation worthless."""
        key = invitation_key(_checked_id(invitation))
        for _ in range(_ATTEMPTS_MAX):
            (entry,) = await self.catalog.get([key])
            found = None if entry is None else decode_invitation(entry.value)
            if entry is None or found is None or found.state is InvitationState.USED:
                raise NotFound("no open invitation of this id", invitation=invitation)
            if found.state is InvitationState.REVOKED:
                return found
            revoked = replace(found, state=InvitationState.REVOKED)
            if await self._write([entry], [Put(key, encode_invitation(revoked))]):
                log.info("invitation_revoked", extra={"invitation": invitation})
                return revoked
        raise Fenced("the invitation changed meanwhile; look at it again", invitation=invitation)

    async def join(self, claim: JoinClaim, invitation_signature: bytes, key_signature: bytes) -> Joined:
        """Let a machine in, or say again that it is in."""
        self._check_refusals()
        try:
            joined = await self._join(claim, invitation_signature, key_signature)
        except (Unauthenticated, Forbidden, InvalidRequest) as error:
            self._refused_at_ms.append(self.clock.monotonic_ms())
            reason = str(error.fields.get("reason", "malformed"))
            self.count(reason)
            log.warning(
                "join_refused", extra={"reason": reason, "node": claim.node[:63], "address": claim.grpc_url[:100]}
            )
            raise
        self.count("repeated" if joined.is_repetition else "joined")
        if not joined.is_repetition:
            log.info("node_joined", extra={"node": joined.node.node, "invitation": claim.invitation})
        return joined

    async def _join(self, claim: JoinClaim, invitation_signature: bytes, key_signature: bytes) -> Joined:
        key = invitation_key(_checked_id(claim.invitation))
        for _ in range(_ATTEMPTS_MAX):
            (found,) = await self.catalog.get([key])
            if found is None:
                raise Unauthenticated(
                    "the invitation is not known; compare the secret, or ask for another", reason="unknown"
                )
            invitation = decode_invitation(found.value)
            check_claim(invitation, claim, invitation_signature, key_signature)
            now_ms = self.clock.wall_ms()
            check_clock(claim, now_ms, self.skew_ms)
            name = node_of(invitation, claim)
            found, entry = await self.catalog.get([key, node_key(name)])
            if found is None:
                continue
            invitation = decode_invitation(found.value)
            plan = plan_join(invitation, None if entry is None else decode_node(entry.value), claim, now_ms)
            if plan.used is None:
                return self._answer(plan, invitation, is_repetition=True)
            check_unique(claim, name, list(self.membership.nodes().values()))
            writes = [Put(key, encode_invitation(plan.used)), Put(node_key(name), encode_node(plan.node))]
            if await self._write([found], writes, absent=node_key(name)):
                await self._look_again()
                return self._answer(plan, invitation, is_repetition=False)
        raise Fenced("the invitation changed meanwhile; join again", reason="busy")

    def _answer(self, plan: JoinPlan, invitation: Invitation, *, is_repetition: bool) -> Joined:
        others = {node: entry for node, entry in self.membership.nodes().items() if node != plan.node.node}
        members = [entry for _, entry in sorted({**others, plan.node.node: plan.node}.items())]
        return Joined(
            cluster_id=self.membership.settings().cluster_id,
            node=plan.node,
            members=tuple(members),
            answer_key=invitation.answer_key,
            is_repetition=is_repetition,
        )

    async def _write(self, expected: Sequence[Entry], writes: Sequence[Put], *, absent: str = "") -> bool:
        """Write where nothing has changed; False where something has, or where that is not known: look again."""
        compares = [Compare(entry.key, entry.revision) for entry in expected]
        if absent:
            compares.append(Compare(absent, 0))
        try:
            return await self.catalog.transact(compares, writes) is not None
        except OutcomeUnknown:
            return False

    async def _look_again(self) -> None:
        """Let this node know the new one at once; others hear of it by their watches."""
        try:
            await self.membership.refresh()
        except MeshError as error:
            log.warning("membership_not_refreshed", extra={"error": str(error)})

    def _check_refusals(self) -> None:
        now_ms = self.clock.monotonic_ms()
        while self._refused_at_ms and self._refused_at_ms[0] <= now_ms - REFUSALS_MS:
            self._refused_at_ms.popleft()
        if len(self._refused_at_ms) >= REFUSALS_MAX:
            self.count("limited")
            raise Overloaded(
                "too many joins were refused lately",
                refusals_max=REFUSALS_MAX,
                retry_after_ms=self._refused_at_ms[0] + REFUSALS_MS - now_ms,
            )


def _checked_id(invitation: str) -> str:
    if len(invitation) != 16 or set(invitation) - set("0123456789abcdef"):
        raise Unauthenticated("an invitation's id is 16 hex digits", reason="unknown")
    return invitation
