"""The journal after damage: a record read back is one that was written, to the letter, or it is Corrupt."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import RoundId, parse_object_id
from meshnode.core.round import Round, encode_round
from meshnode.git.journal import JournalRecord, read_journal, read_record, write_record
from tests.fuzz.fuzz_catalog_values import CHANGES, changed, check_ids_in
from tests.fuzz.inputs import Draw, damaged, directory
from tests.fuzz.values import ROUNDS
from tests.unit.wire.samples import create_round, some_round

ID = RoundId("b" * 32)
WRITTEN = (
    JournalRecord(some_round(), "a" * 40),
    JournalRecord(create_round(), ""),
    JournalRecord(some_round(6), "0" * 64),
)


def _as_id(round_: Round, change: tuple[int, object, int]) -> bytes:
    return changed(json.loads(encode_round(round_)) | {"round_id": ID}, change)


EXAMPLES = st.one_of(
    st.builds(lambda pack, text: b"\0" + pack + b" " + text, st.sampled_from([b"-", b"a" * 40, b"x", b"\xff"]),
              st.builds(_as_id, ROUNDS, CHANGES)),
    st.binary(max_size=12).map(lambda data: b"\1" + data),
    st.binary(max_size=40).map(lambda data: b"\2" + data),
)  # fmt: skip


def check_journal(data: bytes) -> None:
    draw = Draw(data)
    match draw.number(3):
        case 0:
            _check_behind_a_good_checksum(draw.rest())
        case 1:
            _check_damage(draw)
        case _:
            assert not isinstance(_read(draw.rest()), JournalRecord)


def _check_behind_a_good_checksum(body: bytes) -> None:
    record = _read(hashlib.sha256(body).hexdigest().encode() + b" " + body + b"\n")
    if record is None:
        return
    check_ids_in(json.loads(encode_round(record.round)))
    assert record.pack_id == "" or parse_object_id(record.pack_id)
    write_record(directory("journal"), record)
    assert read_record(directory("journal"), ID) == record


def _check_damage(draw: Draw) -> None:
    record = draw.pick(WRITTEN)
    good = _written(record)
    bad = damaged(good, draw)
    found = _read(bad)
    assert found is None or (found == record and bad in {good, good[:-1]})


def _read(data: bytes) -> JournalRecord | None:
    """The record of a file that holds `data`; None for one that is Corrupt."""
    (directory("journal") / f"{ID}.json").write_bytes(data)
    try:
        record = read_record(directory("journal"), ID)
    except Corrupt:
        return None
    assert record is not None
    assert read_journal(directory("journal")) == [record]
    return record


@cache
def _written(record: JournalRecord) -> bytes:
    write_record(directory("journal"), record)
    return (directory("journal") / f"{ID}.json").read_bytes()
