"""The judge, held against histories with one planted lie each: every kind of lie must be called one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

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
from meshnode.core.refs import RefEdit
from meshnode.core.round import Round, WriteKind
from tests.chaos.history import Change, Ending, History, Level, Read, Write
from tests.chaos.rounds import Chain
from tests.chaos.verdict import FINAL, Judgement, judge
from tests.chaos.workload import refs_of

REPOSITORY = "chaos/one"
REF, OTHER = refs_of(0)[:2]


def oid(number: int) -> str:
    return f"{number:02x}" * 20


class Run:
    """A run in which nothing is wrong: a register is written ten times, read between, and one write is refused."""

    def __init__(self) -> None:
        self.history = History()
        self.chain = Chain()
        self.refs: dict[str, str] = {}
        for number in range(1, 11):
            old = self.refs.get(REF)
            self.write(10 * number, [Change(ref=REF, expected=old, value=oid(number), ending=Ending.DONE)])
            self.read(10 * number + 5)
        both = [Change(ref=ref, value=oid(20), is_forced=True, ending=Ending.DONE) for ref in (REF, OTHER)]
        self.write(120, both, is_atomic=True)
        self.write(130, [Change(ref=REF, expected=oid(3), value=oid(30), ending=Ending.REFUSED)])
        self.write(140, [Change(ref=OTHER, expected=oid(20), value=None, ending=Ending.DONE)])
        for node in ("n1", "n2", "n3"):
            self.read(150, client=FINAL, node=node)

    @property
    def generation(self) -> int:
        return len(self.chain.rounds)

    def write(self, at: float, changes: list[Change], *, is_atomic: bool = False) -> None:
        done = [change for change in changes if change.ending is Ending.DONE]
        if done:
            self.commit(done)
        self.history.writes.append(
            Write(
                number=len(self.history.writes),
                client="c",
                way="light",
                node="n1",
                repository=REPOSITORY,
                changes=changes,
                called_at=at / 100,
                answered_at=at / 100 + 0.01,
                generation=self.generation if done else 0,
                is_atomic=is_atomic,
            )
        )

    def commit(self, changes: list[Change]) -> None:
        edits = tuple(
            RefEdit(
                RefName(change.ref),
                RefValue(self.refs[change.ref]) if change.ref in self.refs else None,
                RefValue(change.value) if change.value else None,
            )
            for change in changes
        )
        self.chain.add([_round(self.generation, edits)], "n1")
        for change in changes:
            if change.value:
                self.refs[change.ref] = change.value
            else:
                self.refs.pop(change.ref, None)

    def read(self, at: float, *, client: str = "c", node: str = "n2") -> None:
        self.history.reads.append(
            Read(
                client=client,
                way="light",
                node=node,
                repository=REPOSITORY,
                level=Level.VERIFIED,
                called_at=at / 100,
                answered_at=at / 100 + 0.01,
                refs=dict(self.refs),
                generation=self.generation,
            )
        )

    def judge(self, *, is_told_rounds: bool = True) -> Judgement:
        return judge(self.history, {REPOSITORY: self.chain} if is_told_rounds else {})


def _round(base: int, edits: tuple[RefEdit, ...]) -> Round:
    return Round(
        round_id=RoundId(f"{base + 1:032x}"),
        repository=RepositoryId("a" * 32),
        home=PartitionId(1),
        kind=WriteKind.UPDATE,
        base_generation=Generation(base),
        base_round_id=None,
        edits=edits,
        refs_digest=RefsDigest("0" * 64),
        name=RepositoryName(REPOSITORY),
        object_format="sha1",
        coordinator=NodeId("n1"),
        request_key="",
        actor="",
        fork_root=RepositoryId("a" * 32),
    )


def lose_an_acknowledged_write(run: Run) -> None:
    late = Change(ref=REF, value=oid(40), is_forced=True, ending=Ending.DONE)
    run.history.writes.append(replace(run.history.writes[-1], changes=[late], called_at=1.45, answered_at=1.46))


def read_what_was_replaced_before(run: Run) -> None:
    run.history.reads.append(replace(run.history.reads[3], called_at=1.07, answered_at=1.08))


def refuse_what_takes_effect(run: Run) -> None:
    refused = Change(ref=REF, value=oid(50), is_forced=True, ending=Ending.REFUSED)
    run.commit([refused])
    run.history.writes.append(replace(run.history.writes[-1], changes=[refused], generation=0))
    run.read(160)


def refuse_what_takes_effect_and_is_replaced_unseen(run: Run) -> None:
    refused = Change(ref=REF, value=oid(50), is_forced=True, ending=Ending.REFUSED)
    run.commit([refused])
    run.history.writes.append(replace(run.history.writes[-1], changes=[refused], generation=0))
    run.write(155, [Change(ref=REF, value=oid(51), is_forced=True, ending=Ending.DONE)])
    run.read(160)


def take_effect_twice(run: Run) -> None:
    run.commit([Change(ref=REF, value=oid(20))])
    run.read(160)


def do_half_of_an_atomic_write(run: Run) -> None:
    changes = [Change(ref=ref, value=oid(60), is_forced=True) for ref in (REF, OTHER)]
    run.write(155, changes, is_atomic=True)
    run.commit(changes[:1])
    run.read(160)


def show_one_generation_in_two_ways(run: Run) -> None:
    last = run.history.reads[-1]
    run.history.reads.append(replace(last, level=Level.ANY, refs={**last.refs, OTHER: oid(20)}, node="n3"))


def answer_with_less_than_was_asked_for(run: Run) -> None:
    run.history.reads.append(replace(run.history.reads[0], level=Level.AT_LEAST, at_least=5))


def apply_another_round_than_the_peers(run: Run) -> None:
    edit = RefEdit(RefName(REF), None, RefValue(oid(70)))
    run.chain.add([replace(_round(3, (edit,)), round_id=RoundId("f" * 32))], "n2")


def forget_a_round_everywhere(run: Run) -> None:
    del run.chain.rounds[4]


LIES: dict[Callable[[Run], None], str] = {
    lose_an_acknowledged_write: "acknowledged and not committed",
    read_what_was_replaced_before: "a verified read at n2",
    refuse_what_takes_effect: "refused and committed",
    refuse_what_takes_effect_and_is_replaced_unseen: "refused and committed",
    take_effect_twice: "committed 2 times",
    do_half_of_an_atomic_write: "atomic, and not committed as one",
    show_one_generation_in_two_ways: "is not the same at",
    answer_with_less_than_was_asked_for: "at least 5 was asked for",
    apply_another_round_than_the_peers: "has another round at generation 4",
    forget_a_round_everywhere: "rounds are missing on all disks",
}


def test_an_honest_run_is_accepted() -> None:
    judgement = Run().judge()
    assert judgement.violations == []
    assert (judgement.lost, judgement.registers, judgement.given_up) == (0, 5, 0)


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_write_without_an_answer_may_have_taken_effect_or_not(*, is_committed: bool) -> None:
    run = Run()
    change = Change(ref=REF, expected=oid(20), value=oid(80))
    run.write(155, [change])
    run.history.writes[-1].answered_at = inf
    if is_committed:
        run.commit([change])
    run.read(160)
    assert run.judge().violations == []


@pytest.mark.parametrize("sendings", [1, 2])
def test_a_push_that_was_sent_twice_may_take_effect_again_after_it_was_undone(sendings: int) -> None:
    run = Run()
    run.write(152, [Change(ref=REF, expected=oid(20), value=None, ending=Ending.DONE)])
    push = Change(ref=REF, expected=None, value=oid(80), ending=Ending.DONE)
    run.write(155, [push])
    first = run.history.writes[-1]
    run.write(165, [Change(ref=REF, expected=oid(80), value=None, ending=Ending.DONE)])
    run.read(170)
    run.commit([push])
    first.sendings, first.answered_at, first.generation = sendings, 1.8, run.generation
    run.read(190)
    violations = run.judge().violations
    if sendings == 2:
        assert violations == []
    else:
        assert any("committed 2 times" in violation for violation in violations)
        assert any("not linearizable" in violation for violation in violations)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_every_lie_is_called_one(lie: Callable[[Run], None]) -> None:
    run = Run()
    lie(run)
    violations = run.judge().violations
    assert any(LIES[lie] in violation for violation in violations), violations


@pytest.mark.parametrize("lie", [lose_an_acknowledged_write, read_what_was_replaced_before, refuse_what_takes_effect])
def test_what_clients_saw_is_enough_to_call_a_lie(lie: Callable[[Run], None]) -> None:
    run = Run()
    lie(run)
    for read in run.history.reads:
        read.generation = 0
    if lie is lose_an_acknowledged_write:
        run.read(160)
    judgement = run.judge(is_told_rounds=False)
    assert judgement.lost == 1
    assert judgement.violations == [f"not linearizable: {REF} of {REPOSITORY}"]


def test_the_story_of_a_lie_ends_with_the_answer_that_cannot_be() -> None:
    run = Run()
    read_what_was_replaced_before(run)
    story = run.judge().stories[f"not linearizable: {REF} of {REPOSITORY}"]
    assert "until 1.080: 04040404" in story[-2]
    assert story[-1].strip().startswith("1.080  !!!")


def test_a_refused_deletion_is_no_lie_where_another_client_made_the_same_one() -> None:
    run = Run()
    deletion = Change(ref=OTHER, expected=oid(20), value=None, ending=Ending.REFUSED)
    run.history.writes.append(replace(run.history.writes[-1], changes=[deletion], generation=0))
    assert run.judge().violations == []
