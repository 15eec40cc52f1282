"""Read replicas in the core: who has them, what they may not do, and by what they are believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest

from meshnode.base.errors import InvalidRequest, InvariantViolated
from meshnode.base.ids import Generation, NodeId
from meshnode.core.losses import record_after_loss
from meshnode.core.moves import Join, partition_after
from meshnode.core.nodes import Node, NodeState
from meshnode.core.participant import Position
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.quorum import quorum_size
from meshnode.core.read_replicas import (
    check_read_replicas,
    partition_with_read_replicas,
    plan_read_replicas,
    read_replicas_held,
)
from meshnode.core.record import RepositoryState, consistent_nodes, is_on_line, learner_nodes, record_after
from meshnode.core.refs import EMPTY_DIGEST
from meshnode.core.repair import RepairPlan, RepairStep, plan_repair
from meshnode.core.scrub import Account, Verdict, judge_replica
from meshnode.core.write import (
    Finish,
    GraceElapsed,
    Publish,
    StartGrace,
    TellCommit,
    VoteGranted,
    VoteMissing,
    WriteRound,
)
from tests.unit.core.builders import N1, N2, N3, N4, N5, a_partition, a_record, a_round, round_id

N6 = NodeId("n6")
ZONES = {N1: "a", N2: "b", N3: "c", N4: "a", N5: "b", N6: "d"}
NODES = {
    node: Node(node=node, grpc_url="", http_url="", zone=zone, weight=1, state=NodeState.AVAILABLE, public_keys=())
    for node, zone in ZONES.items()
}


def with_readers(*nodes: NodeId, **changes: Any) -> Partition:
    return replace(a_partition(), read_replicas=nodes, read_replicas_wanted=len(nodes), **changes)


def in_state(node: NodeId, state: NodeState) -> dict[NodeId, Node]:
    return {**NODES, node: replace(NODES[node], state=state)}


# ---------------------------------------------------------------- what counts


def test_a_read_replica_is_a_member_that_gets_writes_and_that_no_record_accounts_for() -> None:
    partition = with_readers(N4, joining=(N5,))
    record = a_record(inconsistent=frozenset({N2, N5}))
    assert partition.accountable == (N1, N2, N3, N5)
    assert partition.members == (N1, N2, N3, N5, N4)
    assert consistent_nodes(record, partition) == (N1, N3)
    assert learner_nodes(record, partition) == (N2, N5, N4)


@pytest.mark.parametrize("voters", [3, 4, 5])
def test_no_answer_of_read_replicas_makes_or_breaks_a_quorum_or_reaches_the_record(voters: int) -> None:
    replicas = tuple(NodeId(f"v{number}") for number in range(voters))
    readers = (NodeId("r0"), NodeId("r1"))
    partition = replace(a_partition(*replicas), read_replicas=readers)
    for count in range(voters + 1):
        for acknowledged in combinations(replicas, count):
            for heard in ((), readers[:1], readers):
                if count < quorum_size(voters):
                    with pytest.raises(InvariantViolated):
                        record_after(a_record(), partition, a_round(), {*acknowledged, *heard})
                else:
                    after = record_after(a_record(), partition, a_round(), {*acknowledged, *heard})
                    assert after.inconsistent == set(replicas) - set(acknowledged)


def test_every_mix_of_answers_ends_a_round_as_if_the_read_replicas_were_not_there() -> None:
    """Voters n1 to n3 and read replicas n4, n5; each grants, refuses or stays silent, read replicas first."""
    for own, second, third, left, right in product("gm", "gm-", "gm-", "gm-", "gm-"):
        ends = []
        for readers in ((N4, N5), ()):
            partition = with_readers(*readers)
            machine = WriteRound(
                round=a_round(), own=N1, base=a_record(), partition=partition, invited=frozenset(partition.members)
            )
            answers = {N4: left, N5: right, N1: own, N2: second, N3: third}
            effects = []
            for node, answer in answers.items():
                if node in partition.members and answer != "-":
                    effects += machine.on(VoteGranted(node) if answer == "g" else VoteMissing(node, "no"))
            effects += machine.on(GraceElapsed())
            ends.append(([type(one) for one in effects], [one for one in effects if isinstance(one, Publish)]))
        assert ends[0] == ends[1]


def test_a_round_with_all_votes_waits_for_no_read_replica_and_tells_it_the_end() -> None:
    partition = with_readers(N4)
    machine = WriteRound(
        round=a_round(), own=N1, base=a_record(), partition=partition, invited=frozenset(partition.members)
    )
    assert machine.on(VoteGranted(N1)) == []
    assert machine.on(VoteGranted(N2)) == [StartGrace()], "n3 may still come"
    (publish,) = machine.on(VoteGranted(N3))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == frozenset()
    told, finish = machine._published(publish.record)
    assert told == TellCommit((N1, N2, N3, N4))
    assert isinstance(finish, Finish)


def test_what_a_read_replica_acknowledged_is_not_believed_when_it_joins_before_the_publish() -> None:
    """It may have dropped its copy in between."""
    partition = with_readers(N4)
    machine = WriteRound(
        round=a_round(), own=N1, base=a_record(), partition=partition, invited=frozenset(partition.members)
    )
    for node in (N4, N1, N2):
        machine.on(VoteGranted(node))
    joined = partition_after(replace(partition, target=(N1, N2, N4)), Join(N4))
    assert joined.read_replicas == ()
    (publish,) = machine._republish(a_record(), joined)
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N3, N4}


def test_accepted_losses_list_those_who_count() -> None:
    record = record_after_loss(
        a_record(), with_readers(N4), generation=Generation(9), round_id=round_id(9), refs_digest=EMPTY_DIGEST
    )
    assert record.inconsistent == {N1, N2, N3}


# ---------------------------------------------------------------- what is believed


def test_a_position_is_published_where_the_record_names_its_round() -> None:
    record = a_record(20)  # remembers 5 to 20
    for generation in range(1, 23):
        is_named = 5 <= generation <= 20
        assert is_on_line(record, Generation(generation), round_id(generation)) is is_named
        assert not is_on_line(record, Generation(generation), round_id(99)), "another line"
    assert not is_on_line(record, Generation(20), None)
    assert not is_on_line(a_record(1), Generation(0), None)


def plan(generation: int | None, *listed: NodeId, own: NodeId = N4, **changes: Any) -> RepairPlan:
    return plan_repair(
        own=own,
        position=None if generation is None else Position(Generation(generation), round_id(generation)),
        digest=None if generation is None else EMPTY_DIGEST,
        record=a_record(inconsistent=frozenset(listed), **changes),
        partition=with_readers(N4),
        online=(N1, N2, N3, N4),
    )


def test_repair_fills_a_read_replica_and_writes_nothing_about_it() -> None:
    assert plan(5).step is RepairStep.NOTHING
    assert plan(5, N4).step is RepairStep.NOTHING, "listed when it was a replica: nobody reads that"
    assert plan(4) == RepairPlan(RepairStep.FETCH, (N1, N2, N3), "at generation 4 of 5")
    assert plan(None, N2) == RepairPlan(RepairStep.FETCH, (N1, N3), "no replica")
    assert plan(None, N1, N2, N3).step is RepairStep.WAIT
    assert plan(None, N1, own=N1).sources == (N2, N3), "it is no source"
    assert plan(4, state=RepositoryState.DELETED).step is RepairStep.FETCH


@pytest.mark.parametrize(("generation", "verdict"), [(5, Verdict.SOUND), (4, Verdict.UNFINISHED), (6, Verdict.SOUND)])
def test_a_read_replica_that_is_late_is_not_damaged(generation: int, verdict: Verdict) -> None:
    account = Account(position=Position(Generation(generation), round_id(generation)), refs_digest=EMPTY_DIGEST)
    finding = judge_replica(
        own=N4, applied=account, on_disk=account, digest_on_disk=EMPTY_DIGEST, has_prepared=False,
        record=a_record(), partition=with_readers(N4),
    )  # fmt: skip
    assert finding.verdict is verdict


def test_a_read_replica_whose_files_are_not_what_it_applied_is_damaged() -> None:
    there = Account(position=Position(Generation(5), round_id(5)), refs_digest=EMPTY_DIGEST)
    before = Account(position=Position(Generation(4), round_id(4)), refs_digest=EMPTY_DIGEST)
    finding = judge_replica(
        own=N4, applied=there, on_disk=before, digest_on_disk=EMPTY_DIGEST, has_prepared=False,
        record=a_record(), partition=with_readers(N4),
    )  # fmt: skip
    assert finding.verdict is Verdict.DAMAGED


# ---------------------------------------------------------------- where they are


def test_they_come_to_zones_with_fewest_copies_and_nodes_with_fewest_of_them() -> None:
    assert plan_read_replicas(a_partition(), NODES, {}, wanted=1) == (N6,), "a zone without a copy"
    assert set(plan_read_replicas(a_partition(), NODES, {N4: 2}, wanted=2)) == {N5, N6}
    assert set(plan_read_replicas(a_partition(), NODES, {}, wanted=9)) == {N4, N5, N6}, "as many as there are nodes"
    assert plan_read_replicas(a_partition(), NODES, {}, wanted=0) == ()


def test_they_stay_where_they_are_and_those_at_rest_go_first() -> None:
    partition = with_readers(N4, N5)
    assert plan_read_replicas(partition, NODES, {}, wanted=2) == (N4, N5)
    assert plan_read_replicas(partition, NODES, {}, wanted=1) == (N4,)
    assert plan_read_replicas(partition, in_state(N4, NodeState.DRAINING), {}, wanted=2) == (N4, N5), "it comes back"
    assert plan_read_replicas(partition, in_state(N4, NodeState.DRAINING), {}, wanted=1) == (N5,)


def test_a_node_that_goes_for_good_or_becomes_a_replica_is_replaced() -> None:
    partition = with_readers(N4, N5)
    assert plan_read_replicas(partition, in_state(N5, NodeState.DELETING), {}, wanted=2) == (N4, N6)
    without = {node: entry for node, entry in NODES.items() if node != N4}
    assert plan_read_replicas(partition, without, {}, wanted=2) == (N5, N6)
    assert plan_read_replicas(replace(partition, target=(N1, N2, N4)), NODES, {}, wanted=2) == (N5, N6)
    few = {node: entry for node, entry in in_state(N5, NodeState.DELETING).items() if node != N6}
    assert plan_read_replicas(partition, few, {}, wanted=2) == (N4,), "fewer where nodes are lacking"


def test_who_stops_being_one_drops_its_copy_and_who_comes_back_keeps_it() -> None:
    fewer = partition_with_read_replicas(with_readers(N4, N5), (N4,), wanted=1, known=NODES)
    assert (fewer.read_replicas, fewer.leaving, fewer.read_replicas_wanted) == ((N4,), (N5,), 1)
    again = partition_with_read_replicas(fewer, (N4, N5), wanted=2, known=NODES)
    assert again.leaving == ()
    gone = partition_with_read_replicas(with_readers(N4), (), wanted=0, known={})
    assert gone.leaving == (), "a node that is none any more has nothing to drop"


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ((N4, N4), "named twice"),
        ((N1,), "is a replica of this partition already"),
        ((NodeId("n9"),), "no such node"),
        ((N5,), "is to take nothing new"),
        (tuple(NodeId(f"m{number}") for number in range(17)), "0 to 16 read replicas"),
    ],
)
def test_nodes_that_cannot_have_one_are_refused(nodes: tuple[NodeId, ...], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        check_read_replicas(a_partition(), in_state(N5, NodeState.DRAINING), nodes)


def test_one_at_a_node_that_rests_may_stay() -> None:
    check_read_replicas(with_readers(N5), in_state(N5, NodeState.DRAINING), (N5, N4))
    with pytest.raises(InvalidRequest, match="is being removed"):
        check_read_replicas(with_readers(N5), in_state(N5, NodeState.DELETING), (N5,))


def test_entries_keep_them_and_older_entries_have_none() -> None:
    partition = with_readers(N4, N5)
    assert decode_partition(encode_partition(partition)) == partition
    older = encode_partition(a_partition())
    for part in (b',"read_replicas":[]', b',"read_replicas_wanted":0'):
        assert part in older
        older = older.replace(part, b"")
    assert decode_partition(older) == a_partition()
    assert read_replicas_held([partition, with_readers(N5)]) == {N4: 1, N5: 2}
