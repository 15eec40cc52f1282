"""The history after damage: what comes out was put in, in its place; a cut end gives fewer rounds, all else Corrupt."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import Generation, RoundId
from meshnode.core.round import Round
from meshnode.git.history import History
from tests.fuzz.inputs import Draw, damaged, directory
from tests.unit.wire.samples import some_round

FIRST = 7
COUNT = 5
EXAMPLES = st.binary(max_size=30)


def check_history(data: bytes) -> None:
    draw = Draw(data)
    good, rounds = written_history()
    bad = damaged(good, draw)
    if draw.is_true():
        bad = damaged(bad, draw)
    path = _path()
    path.write_bytes(bad)
    history = History(path, 100)
    by_generation = {round_.generation: round_ for round_ in rounds}
    after = Generation(FIRST - 2 + draw.number(COUNT + 2))
    try:
        last = history.last()
        assert last is None or last == by_generation[last.generation]
        found = history.after(after, 1 + draw.number(COUNT))
    except Corrupt:
        _check_append(history, rounds)
        return
    for place, round_ in enumerate(found):
        assert round_ == by_generation[Generation(after + 1 + place)]
    request = history.find_request(f"key-{FIRST + draw.number(COUNT)}") if not _is_corrupt(history) else None
    assert request is None or request == by_generation[request.generation]
    _check_append(history, rounds)


def _is_corrupt(history: History) -> bool:
    try:
        history.find_request("key-0")
        for number in range(COUNT):
            history.find_request(f"key-{FIRST + number}")
    except Corrupt:
        return True
    return False


def _check_append(history: History, rounds: tuple[Round, ...]) -> None:
    """Whatever the end looked like: a round that is appended is the last one, and nothing before it is changed."""
    try:
        before = history.last()
    except Corrupt:
        return
    following = _round(FIRST + COUNT if before is None else before.generation + 1)
    history.append(following)
    assert history.last() == following
    assert before is None or before in rounds


@cache
def written_history() -> tuple[bytes, tuple[Round, ...]]:
    history = History(_path(), 100)
    rounds = tuple(_round(generation) for generation in range(FIRST, FIRST + COUNT))
    history.rewrite(rounds)
    return _path().read_bytes(), rounds


def _round(generation: int) -> Round:
    return replace(
        some_round(generation % 3),
        round_id=RoundId(f"{generation:032x}"),
        base_generation=Generation(generation - 1),
        base_round_id=RoundId(f"{generation - 1:032x}"),
        request_key=f"key-{generation}",
    )


def _path() -> Path:
    return directory("history") / "history"
