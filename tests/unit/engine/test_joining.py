"""Machines that come in by invitations: who is let in, who is not, and what the catalog holds afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from meshnode.auth.invitations import InvitationSecret, prove_answer, sign_claim
from meshnode.auth.keys import PrivateKey
from meshnode.base.errors import (
    CatalogUnavailable,
    Forbidden,
    InvalidRequest,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Unauthenticated,
)
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.joining import (
    ENDED_MAX,
    OPEN_MAX,
    Invitation,
    InvitationState,
    JoinClaim,
    decode_invitation,
    encode_invitation,
    invitation_key,
    plan_forgetting,
)
from meshnode.core.keys import INVITATIONS, NODES, node_key
from meshnode.core.nodes import Node, decode_node, encode_node
from meshnode.engine.joining import REFUSALS_MAX, REFUSALS_MS, Joining
from meshnode.ports import Delete, InvitationOrder, Joined, Put
from tests.unit.auth.parties import StillClock, key
from tests.unit.rpc.fakes import FakeMembership, node_entry
from tests.unit.rpc.harness import CATALOG_ACCESS
from tests.unit.wire.samples import N1, N2

N4, N5 = NodeId("n4"), NodeId("n5")
ANY = InvitationOrder(node=None, zone="", weight=0, expires_s=0)


@dataclass
class Gate:
    """A cluster's door, and machines before it."""

    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    membership: FakeMembership = field(default_factory=FakeMembership)
    clock: StillClock = field(default_factory=StillClock)
    outcomes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.joining = Joining(
            catalog=self.catalog,
            membership=self.membership,
            clock=self.clock,
            skew_ms=120_000,
            count=self.outcomes.append,
        )

    async def invite(self, order: InvitationOrder = ANY) -> InvitationSecret:
        _, text = await self.joining.invite(order, "app:operator")
        return InvitationSecret.parse(text)

    def claim(self, secret: InvitationSecret, node: str = "n4", machine: str = "m4") -> JoinClaim:
        return JoinClaim(
            invitation=secret.invitation,
            node=node,
            grpc_url=f"{machine}:7777",
            http_url=f"http://{machine}:7780",
            zone="",
            weight=0,
            public_key=key(machine).public_pem,
            made_at_ms=self.clock.wall_ms(),
        )

    async def join(
        self, secret: InvitationSecret, claim: JoinClaim | None = None, signing: PrivateKey | None = None
    ) -> Joined:
        claim = claim or self.claim(secret)
        return await self.joining.join(claim, secret.sign(claim), sign_claim(signing or key("m4"), claim))

    async def refused(
        self, error: type[MeshError], reason: str, secret: InvitationSecret, claim: JoinClaim | None = None
    ) -> None:
        before = await self.everything()
        with pytest.raises(error) as caught:
            await self.join(secret, claim)
        assert caught.value.fields.get("reason") == reason
        assert self.outcomes[-1] == reason
        assert await self.everything() == before

    async def everything(self) -> list[tuple[str, bytes]]:
        return [(entry.key, entry.value) for entry in await self.catalog.range("")]

    async def node(self, node: NodeId) -> Node | None:
        (entry,) = await self.catalog.get([node_key(node)])
        return None if entry is None else decode_node(entry.value)

    async def change(self, secret: InvitationSecret, change: Callable[[Invitation], Invitation]) -> None:
        (entry,) = await self.catalog.get([invitation_key(secret.invitation)])
        assert entry is not None
        await self.catalog.transact([], [Put(entry.key, encode_invitation(change(decode_invitation(entry.value))))])


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_machine_with_an_invitation_becomes_a_node_in_one_transaction(gate: Gate) -> None:
    secret = await gate.invite()
    written: list[tuple[Put | Delete, ...]] = []

    async def watch(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            written.append(call.writes)

    catalog = gate.catalog.client(watch)
    gate.joining.catalog = catalog
    joined = await gate.join(secret)
    assert [sorted(write.key for write in writes) for writes in written] == [
        [invitation_key(secret.invitation), "nodes/n4"]
    ]
    entry = await gate.node(N4)
    assert entry == joined.node
    assert entry is not None
    assert (entry.grpc_url, entry.http_url, entry.zone, entry.weight) == (
        "m4:7777", "http://m4:7780", "default", 100,
    )  # fmt: skip
    assert entry.public_keys == (key("m4").public_pem,)
    assert {one.node for one in joined.members} == {N1, N2, NodeId("n3"), N4}
    assert gate.outcomes == ["joined"]


async def test_what_the_invitation_says_wins_and_what_it_leaves_open_the_machine_says(gate: Gate) -> None:
    secret = await gate.invite(InvitationOrder(node=N4, zone="east", weight=0, expires_s=0))
    claim = replace(gate.claim(secret), node="", weight=50)
    joined = await gate.join(secret, claim)
    assert (joined.node.node, joined.node.zone, joined.node.weight) == (N4, "east", 50)


async def test_catalog_keeps_nothing_that_lets_its_reader_in(gate: Gate) -> None:
    secret = await gate.invite()
    (entry,) = await gate.catalog.range(INVITATIONS)
    assert secret.text().removeprefix("mesh-join-").encode() not in entry.value
    assert secret._secret.hex().encode() not in entry.value


async def test_same_machine_again_is_answered_as_done_even_after_the_time_is_over(gate: Gate) -> None:
    secret = await gate.invite()
    first = await gate.join(secret)
    gate.clock.now_ms += 8 * 3_600_000
    again = await gate.join(secret)
    assert (again.node, again.is_repetition) == (first.node, True)
    assert gate.outcomes == ["joined", "repeated"]


@pytest.mark.parametrize("moment", list(Moment))
async def test_lost_outcome_is_looked_up(gate: Gate, moment: Moment) -> None:
    secret = await gate.invite()
    left = [1]

    async def lose(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is moment and left:
            left.pop()
            raise OutcomeUnknown("lost")

    gate.joining.catalog = gate.catalog.client(lose)
    joined = await gate.join(secret)
    assert joined.is_repetition is (moment is Moment.AFTER)
    assert await gate.node(N4) == joined.node


async def test_two_machines_with_one_secret_one_comes_in(gate: Gate) -> None:
    secret = await gate.invite()
    claims = {"m4": gate.claim(secret, "n4", "m4"), "m5": gate.claim(secret, "n5", "m5")}
    results = await asyncio.gather(
        *(gate.join(secret, claim, key(machine)) for machine, claim in claims.items()), return_exceptions=True
    )
    assert sum(isinstance(result, Joined) for result in results) == 1
    assert sum(isinstance(result, Forbidden) for result in results) == 1
    assert len(await gate.catalog.range(NODES)) == 1


async def test_wrong_secret_is_refused(gate: Gate) -> None:
    await gate.invite()
    await gate.refused(Unauthenticated, "unknown", InvitationSecret.make())


async def test_secret_of_another_invitation_proves_nothing(gate: Gate) -> None:
    secret, other = await gate.invite(), await gate.invite()
    await gate.refused(Unauthenticated, "proof", other, gate.claim(secret))


async def test_key_that_is_not_the_senders_is_refused(gate: Gate) -> None:
    secret = await gate.invite()
    claim = replace(gate.claim(secret), public_key=key("somebody").public_pem)
    await gate.refused(Unauthenticated, "proof", secret, claim)


@pytest.mark.parametrize(
    "change",
    [
        {"node": "n9"},
        {"grpc_url": "evil:1"},
        {"http_url": "http://evil:1"},
        {"zone": "evil"},
        {"weight": 9},
        {"made_at_ms": 1_800_000_000_001},
        {"public_key": "evil"},
    ],
)
async def test_nothing_of_a_claim_can_be_changed_on_the_way(gate: Gate, change: dict[str, str | int]) -> None:
    secret = await gate.invite()
    claim = gate.claim(secret)
    signatures = secret.sign(claim), sign_claim(key("m4"), claim)
    forged = replace(claim, **change)  # type: ignore[arg-type]
    with pytest.raises(Unauthenticated):
        await gate.joining.join(forged, *signatures)
    if "public_key" in change:
        evil = replace(claim, public_key=key("evil").public_pem)
        with pytest.raises(Unauthenticated):
            await gate.joining.join(evil, signatures[0], sign_claim(key("evil"), evil))
    assert await gate.catalog.range(NODES) == []


async def test_replayed_join_changes_nothing_and_works_for_nobody_else(gate: Gate) -> None:
    secret = await gate.invite()
    claim = gate.claim(secret)
    signatures = secret.sign(claim), sign_claim(key("m4"), claim)
    await gate.joining.join(claim, *signatures)
    before = await gate.everything()
    assert (await gate.joining.join(claim, *signatures)).is_repetition
    gate.clock.now_ms += 200_000
    with pytest.raises(Forbidden, match="clock"):
        await gate.joining.join(claim, *signatures)
    assert await gate.everything() == before


async def test_used_invitation_is_worth_nothing_to_another_machine(gate: Gate) -> None:
    secret = await gate.invite()
    await gate.join(secret)
    claim = gate.claim(secret, "n5", "m5")
    with pytest.raises(Forbidden) as caught:
        await gate.join(secret, claim, key("m5"))
    assert caught.value.fields["reason"] == "used"


async def test_machine_that_was_removed_does_not_come_back_by_its_old_invitation(gate: Gate) -> None:
    secret = await gate.invite()
    await gate.join(secret)
    await gate.catalog.transact([], [Delete(node_key(N4))])
    await gate.refused(Forbidden, "removed", secret)


async def test_machine_whose_key_was_rotated_out_is_not_told_that_it_is_in(gate: Gate) -> None:
    secret = await gate.invite()
    joined = await gate.join(secret)
    other = replace(joined.node, public_keys=(key("m5").public_pem,))
    await gate.catalog.transact([], [Put(node_key(N4), encode_node(other))])
    await gate.refused(Forbidden, "used", secret)


async def test_expired_and_revoked_invitations_are_refused(gate: Gate) -> None:
    revoked, expired = await gate.invite(), await gate.invite()
    assert (await gate.joining.revoke(revoked.invitation)).state is InvitationState.REVOKED
    assert (await gate.joining.revoke(revoked.invitation)).state is InvitationState.REVOKED
    await gate.refused(Forbidden, "revoked", revoked)
    gate.clock.now_ms += 3_600_000
    await gate.refused(Forbidden, "expired", expired)


async def test_id_that_exists_is_refused_and_the_invitation_stays_open(gate: Gate) -> None:
    secret = await gate.invite()
    await gate.catalog.transact([], [Put(node_key(N4), encode_node(node_entry(N4)))])
    await gate.refused(Forbidden, "taken", secret)
    assert (await gate.join(secret, gate.claim(secret, "n5"))).node.node == N5


@pytest.mark.parametrize(
    ("order", "change", "reason"),
    [
        ({"node": N5}, {}, "node"),
        ({"zone": "east"}, {"zone": "west"}, "zone"),
        ({"weight": 10}, {"weight": 11}, "weight"),
    ],
)
async def test_invitation_for_another_node_or_place_is_refused(
    gate: Gate, order: dict[str, object], change: dict[str, object], reason: str
) -> None:
    secret = await gate.invite(replace(ANY, **order))  # type: ignore[arg-type]
    await gate.refused(Forbidden, reason, secret, replace(gate.claim(secret), **change))  # type: ignore[arg-type]


async def test_address_or_key_of_another_node_is_refused(gate: Gate) -> None:
    secret = await gate.invite()
    gate.membership.entries[N2] = replace(node_entry(N2, keys=(key("m4").public_pem,)), grpc_url="m2:1")
    await gate.refused(Forbidden, "key", secret)
    gate.membership.entries[N2] = replace(node_entry(N2), grpc_url="m4:7777")
    await gate.refused(Forbidden, "address", secret)


@pytest.mark.parametrize("offset_ms", [-121_000, 121_000])
async def test_clock_too_far_off_is_refused(gate: Gate, offset_ms: int) -> None:
    secret = await gate.invite()
    claim = replace(gate.claim(secret), made_at_ms=gate.clock.wall_ms() + offset_ms)
    await gate.refused(Forbidden, "clock", secret, claim)


async def test_machine_without_an_id_is_asked_for_one(gate: Gate) -> None:
    secret = await gate.invite()
    await gate.refused(InvalidRequest, "node", secret, gate.claim(secret, ""))


async def test_refusals_are_bounded_in_time_and_then_possible_again(gate: Gate) -> None:
    good = await gate.invite()
    for _ in range(REFUSALS_MAX):
        await gate.refused(Unauthenticated, "unknown", InvitationSecret.make())
    with pytest.raises(Overloaded) as caught:
        await gate.join(good)
    assert caught.value.fields["retry_after_ms"] == REFUSALS_MS
    assert gate.outcomes[-1] == "limited"
    gate.clock.now_ms += REFUSALS_MS
    assert not (await gate.join(good)).is_repetition


async def test_catalog_that_is_away_is_no_refusal(gate: Gate) -> None:
    secret = await gate.invite()

    async def fail(call: CatalogCall) -> None:
        if call.moment is Moment.BEFORE:
            raise CatalogUnavailable("away")

    gate.joining.catalog = gate.catalog.client(fail)
    with pytest.raises(CatalogUnavailable):
        await gate.join(secret)
    assert gate.outcomes == []


async def test_revoking_what_is_used_or_unknown_is_an_error(gate: Gate) -> None:
    secret = await gate.invite()
    await gate.join(secret)
    for invitation in (secret.invitation, "0" * 16):
        with pytest.raises(NotFound):
            await gate.joining.revoke(invitation)
    with pytest.raises(Unauthenticated):
        await gate.joining.revoke("../nodes/n1")


@pytest.mark.parametrize("expires_s", [1, 59, 7 * 86_400 + 1])
async def test_life_of_an_invitation_has_bounds(gate: Gate, expires_s: int) -> None:
    with pytest.raises(InvalidRequest):
        await gate.invite(replace(ANY, expires_s=expires_s))


async def test_open_invitations_are_bounded_and_old_ones_forgotten(gate: Gate) -> None:
    for _ in range(OPEN_MAX):
        await gate.invite()
    with pytest.raises(InvalidRequest, match="too many"):
        await gate.invite()
    gate.clock.now_ms += 3_600_000
    await gate.invite()
    assert len(await gate.joining.invitations()) == OPEN_MAX + 1
    gate.clock.now_ms += 7 * 86_400_000
    for _ in range(2):  # a transaction takes only so many writes
        await gate.invite()
    assert len(await gate.joining.invitations()) == 3


async def test_ended_invitations_that_are_remembered_are_bounded(gate: Gate) -> None:
    secret = await gate.invite()
    (one,) = await gate.joining.invitations()
    ended = [
        replace(
            one, invitation=f"{number:016x}", state=InvitationState.REVOKED, expires_at_ms=one.expires_at_ms + number
        )
        for number in range(ENDED_MAX + 5)
    ]
    forgotten = plan_forgetting([one, *ended], gate.clock.wall_ms())
    assert sorted(forgotten) == [f"{number:016x}" for number in range(5)]
    assert secret.invitation not in forgotten


async def test_answer_is_the_clusters_only_as_it_was_given(gate: Gate) -> None:
    secret = await gate.invite()
    claim = gate.claim(secret)
    joined = await gate.join(secret, claim)
    proof = prove_answer(joined, claim, CATALOG_ACCESS)
    assert joined.answer_key == secret.answer_key
    for other in (
        prove_answer(replace(joined, cluster_id="e" * 32), claim, CATALOG_ACCESS),
        prove_answer(replace(joined, members=joined.members[1:]), claim, CATALOG_ACCESS),
        prove_answer(replace(joined, node=replace(joined.node, zone="x")), claim, CATALOG_ACCESS),
        prove_answer(replace(joined, answer_key="0" * 64), claim, CATALOG_ACCESS),
        prove_answer(joined, replace(claim, made_at_ms=1), CATALOG_ACCESS),
        prove_answer(joined, claim, replace(CATALOG_ACCESS, url="etcd://evil:1")),
    ):
        assert other != proof


@pytest.mark.parametrize(
    "text",
    ["", "mesh-join-", "mesh-join-" + "A" * 42, "mesh-join-" + "A" * 44, "A" * 43, "mesh-join-" + "!" * 43,
     "mesh-join-" + "A" * 42 + "B", "mesh-join-" + "é" * 43, "mesh-token-" + "A" * 42],
)  # fmt: skip
def test_text_that_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        InvitationSecret.parse(text)
    assert text == "" or text not in str(caught.value) or text == "mesh-join-"


def test_secret_comes_back_from_its_text() -> None:
    secret = InvitationSecret.make()
    again = InvitationSecret.parse(f"  {secret.text()}\n")
    assert (again.invitation, again.verify_key, again.answer_key) == (
        secret.invitation, secret.verify_key, secret.answer_key,
    )  # fmt: skip
