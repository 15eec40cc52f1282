"""Every byte of a few good inputs, changed and cut: too many for examples, few enough to try them all."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import Generation
from meshnode.git.history import History
from meshnode.git.journal import read_record, write_record
from tests.fuzz.fuzz_history import COUNT, FIRST, written_history
from tests.fuzz.fuzz_journal import ID, WRITTEN
from tests.fuzz.fuzz_tokens import good_token, is_refused
from tests.fuzz.inputs import directory

BITS = [1 << bit for bit in range(8)]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.~ "


@pytest.mark.parametrize("kind", range(3))
def test_no_letter_of_a_token_can_be_another_one(kind: int) -> None:
    good = good_token(kind)
    assert not is_refused(kind, good)
    parts = [at for at, letter in enumerate(good) if letter == "."] + [len(good)]
    for at in range(len(good)):
        letters = LETTERS if at + 1 in parts else ("A", "z")
        for letter in letters:
            if letter != good[at]:
                assert is_refused(kind, good[:at] + letter + good[at + 1 :]), at
    for at in parts:
        for letter in LETTERS:
            assert is_refused(kind, good[:at] + letter + good[at:])
    assert all(is_refused(kind, good[:at]) for at in range(0, len(good), 7))


@pytest.mark.parametrize("place", range(len(WRITTEN)))
def test_no_bit_of_a_journal_record_can_be_another_one(place: int) -> None:
    journal = directory("every-byte")
    record = WRITTEN[place]
    write_record(journal, record)
    path = journal / f"{ID}.json"
    good = path.read_bytes()
    for at in range(len(good)):
        for bad in (*(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :] for bit in BITS), good[:at]):
            path.write_bytes(bad)
            if bad != good[:-1]:  # a line end that is missing changes nothing
                with pytest.raises(Corrupt):
                    read_record(journal, ID)


def test_a_history_with_a_changed_bit_is_cut_there_or_corrupt() -> None:
    good, rounds = written_history()
    path = directory("every-byte") / "history"
    history = History(path, 100)
    for at in range(len(good)):
        for bad in (good[:at] + bytes([good[at] ^ BITS[at % 8]]) + good[at + 1 :], good[:at]):
            path.write_bytes(bad)
            try:
                found = history.after(Generation(FIRST - 1), COUNT)
            except Corrupt:
                continue
            whole = good[:at].count(b"\n")
            assert found == list(rounds[: len(found)])
            assert whole <= len(found) < COUNT
