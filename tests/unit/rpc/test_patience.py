"""A member is asked again for a moment before it counts as away."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Forbidden, MeshError, PeerUnavailable
from meshnode.rpc.patience import PAUSE_MS, ask_patiently
from tests.sim.virtual_time import run_virtual


class Member:
    """Answers what it is told to, one answer a question; the last one again and again."""

    def __init__(self, *answers: MeshError | str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, MeshError):
            raise answer
        return answer


def run(member: Member, patience_ms: int) -> str:
    return run_virtual(ask_patiently(member.ask, patience_ms))


def test_member_that_comes_back_within_the_patience_gives_its_answer() -> None:
    member = Member(PeerUnavailable("node did not answer"), PeerUnavailable("node did not answer"), "here")
    assert run(member, patience_ms=3 * PAUSE_MS) == "here"
    assert member.asked == 3


def test_member_that_stays_away_is_asked_as_often_as_the_patience_allows() -> None:
    member = Member(PeerUnavailable("node did not answer"))
    with pytest.raises(PeerUnavailable):
        run(member, patience_ms=3 * PAUSE_MS)
    assert member.asked == 4


def test_without_patience_a_member_is_asked_once() -> None:
    member = Member(PeerUnavailable("node did not answer"), "here")
    with pytest.raises(PeerUnavailable):
        run(member, patience_ms=0)
    assert member.asked == 1


def test_refusal_is_an_answer_and_not_asked_for_again() -> None:
    member = Member(Forbidden("no"), "here")
    with pytest.raises(Forbidden):
        run(member, patience_ms=3 * PAUSE_MS)
    assert member.asked == 1
