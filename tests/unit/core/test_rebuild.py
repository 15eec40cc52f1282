"""What a rebuilt catalog decides from what disks say: the highest published generation, never a head count."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import (
    Generation,
    NodeId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.accounts import NodeAccount, ReplicaAccount, decode_node_account, encode_node_account
from meshnode.core.partition import Partition
from meshnode.core.rebuild import Decision, RebuildPlan, plan_rebuild
from meshnode.core.record import RepositoryState, consistent_nodes
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.core.shared_settings import SharedSettings

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))
PLANNED = [Partition(partition=PartitionId(number), replicas=(N1, N2, N3)) for number in range(2)]
KEY = ReplicaKey(PartitionId(1), RepositoryId("a" * 32))
NAME = RepositoryName("demo/one")


def round_id(number: int, mark: str = "0") -> RoundId:
    return RoundId(f"{number:031x}{mark}")


def digest(number: int, mark: str = "0") -> RefsDigest:
    return RefsDigest(f"{number:063x}{mark}")


def replica(generation: int, *, mark: str = "0", **fields: object) -> ReplicaAccount:
    """A sound replica at a generation; `mark` makes it another line of rounds."""
    account = ReplicaAccount(
        key=KEY,
        name=NAME,
        generation=Generation(generation),
        round_id=round_id(generation, mark) if generation else None,
        refs_digest=digest(generation, mark),
        digest_on_disk=digest(generation, mark),
        object_format="sha1",
        is_deleted=False,
        fork_root=KEY.repository,
        recent=tuple(round_id(number, mark) for number in range(max(1, generation - 15), generation + 1)),
    )
    return replace(account, **fields)  # type: ignore[arg-type]


def prepared(base: int, *, mark: str = "0", kind: WriteKind = WriteKind.UPDATE) -> Round:
    """A round on top of generation `base`."""
    return Round(
        round_id=round_id(base + 1, mark),
        repository=KEY.repository,
        home=KEY.home,
        kind=kind,
        base_generation=Generation(base),
        base_round_id=round_id(base) if base else None,
        edits=(RefEdit(RefName("refs/heads/main"), None, RefValue("b" * 40)),),
        refs_digest=digest(base + 1, mark),
        name=NAME,
        object_format="sha1",
        coordinator=N1,
        request_key="",
        actor="somebody",
        fork_root=KEY.repository,
    )


def node(name: NodeId, *replicas: ReplicaAccount, **fields: object) -> NodeAccount:
    account = NodeAccount(
        node=name, grpc_url="h:1", http_url="http://h:2", zone="z", weight=100, public_key="P", replicas=replicas
    )
    return replace(account, **fields)  # type: ignore[arg-type]


def plan(*accounts: NodeAccount) -> RebuildPlan:
    return plan_rebuild(accounts, PLANNED, factor=3)


def decide(*accounts: NodeAccount) -> Decision:
    (decision,) = plan(*accounts).decisions
    return decision


def test_replicas_that_agree_are_all_consistent() -> None:
    decision = decide(*(node(name, replica(7)) for name in (N1, N2, N3)))
    record = decision.record
    assert (record.generation, record.round_id, record.refs_digest) == (7, round_id(7), digest(7))
    assert record.recent == tuple(round_id(number) for number in range(1, 8))
    assert record.state is RepositoryState.ACTIVE
    assert not record.inconsistent
    assert not decision.doubts


def test_one_replica_at_a_higher_generation_outweighs_two_at_a_lower_one() -> None:
    for order in permutations([node(N1, replica(8)), node(N2, replica(8)), node(N3, replica(9))]):
        record = decide(*order).record
        assert record.generation == 9
        assert record.inconsistent == {N1, N2}


def test_a_round_that_was_only_prepared_is_left_out_and_named_as_a_doubt() -> None:
    voted = replica(7, prepared=(prepared(7),))
    decision = decide(node(N1, voted), node(N2, voted), node(N3, replica(7)))
    assert decision.record.generation == 7
    assert not decision.record.inconsistent
    (doubt,) = decision.doubts
    assert round_id(8) in doubt
    assert "somebody" in doubt
    assert "n1, n2" in doubt


def test_a_round_that_another_one_was_built_on_was_published_although_nobody_applied_it() -> None:
    voted = replica(7, prepared=(prepared(7), prepared(8)))
    decision = decide(node(N1, voted), node(N2, replica(7, prepared=(prepared(7),))), node(N3, replica(7)))
    record = decision.record
    assert (record.generation, record.round_id, record.refs_digest) == (8, round_id(8), digest(8))
    assert record.inconsistent == {N3}
    assert record.recent[-2:] == (round_id(7), round_id(8))
    assert round_id(9) in decision.doubts[0]


def test_a_round_that_was_being_applied_was_published() -> None:
    applying = replica(7, prepared=(prepared(7),), begun=round_id(8))
    voted = replica(7, prepared=(prepared(7),))
    decision = decide(node(N1, applying), node(N2, voted), node(N3, replica(7)))
    assert (decision.record.generation, decision.record.round_id) == (8, round_id(8))
    assert decision.record.inconsistent == {N3}
    assert not decision.doubts


def test_a_generation_that_is_proven_but_that_nobody_has_leaves_nobody_to_believe() -> None:
    voted = replica(7, prepared=(prepared(8),))
    decision = decide(*(node(name, voted) for name in (N1, N2, N3)))
    assert decision.record.generation == 8
    assert decision.record.round_id == round_id(8)
    assert decision.record.inconsistent == {N1, N2, N3}
    assert any("accept-data-loss" in doubt for doubt in decision.doubts)


def test_a_replica_whose_references_were_edited_proves_its_generation_and_is_not_believed() -> None:
    edited = replica(9, digest_on_disk=digest(9, "f"))
    decision = decide(node(N1, replica(9)), node(N2, edited), node(N3, replica(8)))
    assert decision.record.generation == 9
    assert decision.record.inconsistent == {N2, N3}
    alone = decide(node(N1, replica(8)), node(N2, edited), node(N3, replica(8)))
    assert alone.record.generation == 9
    assert alone.record.inconsistent == {N1, N2, N3}


def test_two_rounds_at_one_generation_leave_nobody_to_believe() -> None:
    decision = decide(node(N1, replica(5)), node(N2, replica(5)), node(N3, replica(5, mark="e")))
    assert decision.record.inconsistent == {N1, N2, N3}
    assert "2 different states claim generation 5" in decision.doubts[0]


def test_of_one_round_the_references_of_a_sound_replica_count_whoever_comes_first() -> None:
    wrong = replica(5, refs_digest=digest(5, "f"))
    for order in permutations([node(N1, wrong), node(N2, replica(5)), node(N3, wrong)]):
        record = decide(*order).record
        assert record.refs_digest == digest(5)
        assert record.inconsistent == {N1, N3}


def test_two_sound_replicas_that_differ_at_one_round_leave_nobody_to_believe() -> None:
    other = replica(5, refs_digest=digest(5, "f"), digest_on_disk=digest(5, "f"))
    decision = decide(node(N1, replica(5)), node(N2, other), node(N3, replica(5)))
    assert decision.record.inconsistent == {N1, N2, N3}
    assert decision.doubts


def test_a_damaged_replica_is_listed_with_its_trouble() -> None:
    decision = decide(
        node(N1, replica(5)), node(N2, replica(5)), node(N3, replica(5, digest_on_disk=None, trouble="no HEAD"))
    )
    assert decision.record.inconsistent == {N3}
    assert dict(decision.standings)[N3] == "cannot be believed: no HEAD"


def test_a_deleted_repository_stays_deleted_although_a_node_slept_through_it() -> None:
    tombstone = replica(6, is_deleted=True, digest_on_disk=None, recent=())
    decision = decide(node(N1, tombstone), node(N2), node(N3, replica(5)))
    assert decision.record.state is RepositoryState.DELETED
    assert decision.record.generation == 6
    assert decision.record.inconsistent == {N3}
    assert not decision.doubts


def test_a_delete_in_the_journal_that_was_built_on_by_nothing_is_not_done() -> None:
    voted = replica(5, prepared=(prepared(5, kind=WriteKind.DELETE),))
    decision = decide(*(node(name, voted) for name in (N1, N2, N3)))
    assert decision.record.state is RepositoryState.ACTIVE
    assert decision.doubts


def test_what_was_never_published_is_left_out() -> None:
    creating = replica(0, prepared=(prepared(0, kind=WriteKind.CREATE),))
    found = plan(node(N1, creating), node(N2, creating), node(N3))
    assert not found.decisions
    assert "never published" in found.doubts[0]


def test_a_replica_that_was_being_filled_is_listed() -> None:
    decision = decide(node(N1, replica(5)), node(N2, replica(5)), node(N3, replica(0)))
    assert decision.record.inconsistent == {N3}
    assert dict(decision.standings)[N3] == "being filled"


def test_a_lone_holder_is_believed_and_pointed_out() -> None:
    decision = decide(node(N1, replica(5)), node(N2), node(N3))
    assert consistent_nodes(decision.record, PLANNED[1]) == (N1,)
    assert "only n1 holds it" in decision.doubts[0]


def test_a_name_goes_to_the_repository_with_a_quorum_and_the_other_one_is_kept_beside_it() -> None:
    other = ReplicaKey(PartitionId(0), RepositoryId("0" * 32))
    stale = replica(9, key=other, fork_root=other.repository)
    found = plan(node(N1, replica(3)), node(N2, replica(3)), node(N3, replica(3), stale))
    names = {decision.record.repository: decision.record.name for decision in found.decisions}
    assert names == {KEY.repository: NAME, other.repository: f"recovered/{other.repository}"}
    loser = next(decision for decision in found.decisions if decision.record.repository == other.repository)
    assert any("belongs to repository" in doubt for doubt in loser.doubts)


def test_a_deleted_repository_does_not_hold_its_name() -> None:
    other = ReplicaKey(PartitionId(0), RepositoryId("0" * 32))
    tombstone = replica(9, key=other, is_deleted=True)
    found = plan(*(node(name, replica(3), tombstone) for name in (N1, N2, N3)))
    assert {decision.record.name for decision in found.decisions} == {NAME}
    assert not any(decision.doubts for decision in found.decisions)


def test_a_partition_is_where_its_replicas_are() -> None:
    found = plan(node(N1), node(N2, replica(5)), node(N3, replica(5)), node(N4, replica(5)))
    assert found.partitions[0].replicas == (N1, N2, N3)
    assert found.partitions[1].replicas == (N2, N3, N4)
    assert not found.decisions[0].record.inconsistent
    assert "placement plans n1, n2, n3" in found.doubts[0]


READS_1 = (PartitionId(1),)


def test_a_read_replica_is_taken_for_no_replica_and_stays_what_it_is() -> None:
    reader = node(N1, replica(5), read_replica_of=READS_1)
    found = plan(reader, *(node(name, replica(5)) for name in (N2, N3, N4)))
    assert found.partitions[1].replicas == (N2, N3, N4), "n1 is planned, and has everything, but never voted"
    assert (found.partitions[1].read_replicas, found.partitions[1].read_replicas_wanted) == ((N1,), 1)
    assert found.decisions[0].record.inconsistent == frozenset()
    reader = node(N4, replica(5), read_replica_of=READS_1)
    found = plan(reader, *(node(name, replica(5)) for name in (N1, N2, N3)))
    assert (found.partitions[1].replicas, found.partitions[1].read_replicas) == ((N1, N2, N3), (N4,))
    assert found.doubts == ()
    found = plan(node(N4, replica(4), read_replica_of=READS_1), *(node(name, replica(5)) for name in (N1, N2, N3)))
    assert found.partitions[1].read_replicas == (), "one that lags is set up again by hand"


def test_a_read_replica_that_alone_has_the_highest_generation_becomes_a_replica() -> None:
    found = plan(node(N4, replica(6), read_replica_of=READS_1), *(node(name, replica(5)) for name in (N1, N2, N3)))
    assert N4 in found.partitions[1].replicas
    assert found.partitions[1].read_replicas == ()
    record = found.decisions[0].record
    assert record.generation == 6
    assert consistent_nodes(record, found.partitions[1]) == (N4,)
    assert "n4 had a read replica and becomes a replica" in found.doubts[0]


N5 = NodeId("n5")
FORK = ReplicaKey(PartitionId(1), RepositoryId("c" * 32))
OWN = PartitionId(2)


def family(name: NodeId, generation: int = 5, **fields: object) -> NodeAccount:
    """A node with a repository, its fork, and what it noted of where they live."""
    held = (replica(generation), replica(2, key=FORK, name="demo/fork", fork_parent=KEY.repository, fork_root=None))
    return node(name, *held, **{"families": {KEY.repository: OWN}, **fields})


def test_a_family_lives_in_the_partition_it_had_for_itself_on_the_nodes_that_have_it() -> None:
    neighbour = replica(
        3, key=ReplicaKey(PartitionId(1), RepositoryId("e" * 32)), name="demo/neighbour", fork_root=None
    )
    accounts = [family(name) for name in (N1, N2, N3, N4, N5)]
    accounts[:3] = [replace(one, replicas=(*one.replicas, neighbour)) for one in accounts[:3]]
    found = plan(*accounts)
    own = found.partition(OWN)
    assert (own.family, own.factor, own.replicas) == (KEY.repository, 5, (N1, N2, N3, N4, N5))
    placed = {decision.record.name: decision.record for decision in found.decisions}
    assert {name: record.partition for name, record in placed.items()} == {NAME: 2, "demo/fork": 2, "demo/neighbour": 1}
    assert all(record.home == 1 and not record.inconsistent for record in placed.values())
    assert found.partition(PartitionId(1)).replicas == (N1, N2, N3)
    assert any("its own factor is not known" in doubt for doubt in found.doubts)


def test_one_node_that_noted_the_move_is_enough_and_the_newest_note_counts() -> None:
    found = plan(family(N1, families={}), family(N2), family(N3, families={KEY.repository: PartitionId(3)}))
    assert {decision.record.partition for decision in found.decisions} == {3}
    assert [partition.partition for partition in found.partitions] == [0, 1, 3]
    assert found.partition(PartitionId(3)).factor == 3
    nobody = plan(*(family(name, families={}) for name in (N1, N2, N3)))
    assert {decision.record.partition for decision in nobody.decisions} == {1}, "at home, where all of it lies"


def test_a_laggard_of_a_family_is_listed_there() -> None:
    found = plan(*(family(name) for name in (N1, N2)), family(N3, 4))
    record = next(decision.record for decision in found.decisions if decision.record.name == NAME)
    assert (record.partition, record.inconsistent) == (OWN, frozenset({N3}))


def test_an_account_keeps_what_its_node_noted_of_families() -> None:
    account = node(N1, families={KEY.repository: OWN})
    assert decode_node_account(encode_node_account(account)) == account
    with pytest.raises(Corrupt):
        decode_node_account(encode_node_account(account).replace(f'"{KEY.repository}"', '"x"'))


def test_an_account_keeps_the_settings_that_its_node_had_heard_of() -> None:
    shared = SharedSettings(version=3, values={"scrub.slots": 2, "push.fsck_ignore": ("a", "b")}, changed_at_ms=7)
    account = node(N1, settings=shared)
    assert decode_node_account(encode_node_account(account)) == account
    older = encode_node_account(node(N1)).replace(' "settings": null,\n', "")
    assert "settings" not in older
    assert decode_node_account(older) == node(N1)
    with pytest.raises(Corrupt):
        decode_node_account(encode_node_account(account).replace('"version": 3', '"version": "3"'))


def test_an_account_keeps_of_what_its_node_had_read_replicas() -> None:
    account = node(N1, read_replica_of=(PartitionId(1), PartitionId(0)))
    assert decode_node_account(encode_node_account(account)) == account
    older = encode_node_account(node(N1)).replace(' "read_replica_of": [],\n', "")
    assert "read_replica_of" not in older
    assert decode_node_account(older) == node(N1)
    with pytest.raises(Corrupt):
        decode_node_account(
            encode_node_account(account).replace('"read_replica_of": [\n  1', '"read_replica_of": [\n  "1"')
        )


def test_a_leftover_outside_the_partition_changes_nothing() -> None:
    found = plan(*(node(name, replica(5)) for name in (N1, N2, N3)), node(N4, replica(4)))
    assert found.partitions[1].replicas == (N1, N2, N3)
    assert found.decisions[0].record.inconsistent == frozenset()


def test_a_fork_keeps_its_root_although_only_the_parents_tell_of_it() -> None:
    fork = ReplicaKey(PartitionId(1), RepositoryId("c" * 32))
    grandchild = ReplicaKey(PartitionId(1), RepositoryId("d" * 32))
    held = (
        replica(5),
        replica(2, key=fork, name="demo/fork", fork_parent=KEY.repository, fork_root=None),
        replica(2, key=grandchild, name="demo/grandchild", fork_parent=fork.repository, fork_root=None),
    )
    found = plan(*(node(name, *held) for name in (N1, N2, N3)))
    assert {decision.record.fork_root for decision in found.decisions} == {KEY.repository}
    assert found.decisions[1].record.fork_parent == KEY.repository


def test_accounts_that_cannot_be_of_this_cluster_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="of one node"):
        plan(node(N1), node(N1))
    strange = replica(1, key=ReplicaKey(PartitionId(2), KEY.repository))
    with pytest.raises(InvalidRequest, match="partition"):
        plan(node(N1, strange))


def test_directories_that_cannot_be_read_are_told() -> None:
    assert plan(node(N1, unreadable=("/x: bad",))).doubts == ("cannot be read at all: n1: /x: bad",)


def test_an_account_reads_back_as_it_was_written() -> None:
    account = node(
        N1, replica(7, prepared=(prepared(7),), begun=round_id(8)), replica(0, digest_on_disk=None, trouble="t")
    )
    assert decode_node_account(encode_node_account(account)) == account


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"v": 2}',
        encode_node_account(node(N1)).replace('"n1"', '"N 1"'),
        encode_node_account(node(N1, replica(1))).replace('"sha1"', '"sha9"'),
        encode_node_account(node(N1, replica(1))).replace('"demo/one"', '"../one"'),
        encode_node_account(node(N1, replica(1))).replace('"generation": 1', '"generation": "x"'),
    ],
)
def test_an_account_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        decode_node_account(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=3), st.booleans()), min_size=3, max_size=3
    )
)
def test_no_published_generation_is_ever_undercut_and_no_replica_believed_that_lacks_it(
    disks: list[tuple[int, list[int], bool]],
) -> None:
    accounts = []
    for name, (generation, journal, is_edited) in zip((N1, N2, N3), disks, strict=True):
        rounds = tuple(prepared(base) for base in sorted(set(journal)) if base >= generation)
        edited = {"digest_on_disk": digest(generation, "f")} if is_edited else {}
        accounts.append(node(name, replica(generation, prepared=rounds, **edited)))
    proven = max(
        [held for held, _, _ in disks] + [base for held, journal, _ in disks for base in journal if base >= held]
    )
    found = plan(*accounts)
    if not proven:
        assert not found.decisions
        return
    (decision,) = found.decisions
    record = decision.record
    assert record.generation == proven
    for name in consistent_nodes(record, PLANNED[1]):
        generation, journal, is_edited = disks[(N1, N2, N3).index(name)]
        assert not is_edited
        assert set(range(generation, proven)) <= set(journal)
