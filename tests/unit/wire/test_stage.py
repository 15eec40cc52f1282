from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation
from meshnode.ports import (
    PackFix,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
    VoteKind,
)
from meshnode.v1.replication_pb2 import PrepareRequest, PrepareResponse
from meshnode.wire.message import parse
from meshnode.wire.stage import CHUNK_BYTES_MAX, StageReader, open_message, stage_messages, vote_message, vote_of
from tests.unit.wire.samples import KEY, N1, ROUND_ID, some_round

OPENING = StageOpen(key=KEY, round_id=ROUND_ID, object_format="sha256", coordinator=N1)
FIX = PackFix(pack_id="1" * 40, header=b"PACK" + bytes(8), body_end=40, tail=b"t" * 20, index_bytes=1_100)
CHUNK, FIXED, INDEX = StageChunk(b"pack"), StageFix(FIX), StageIndex(b"idx")
ROUND = StagePrepare(some_round())


def _message(body: bytes) -> PrepareRequest:
    return parse(PrepareRequest, body)


def _opened() -> StageReader:
    reader = StageReader()
    assert reader.read_open(_message(open_message(OPENING)), N1) == OPENING
    return reader


def _read(reader: StageReader, message: StageMessage) -> list[StageMessage]:
    return [found for body in stage_messages(message) if (found := reader.read(_message(body))) is not None]


def test_stream_with_a_pack_comes_back_equal_and_ends_with_its_round() -> None:
    reader = _opened()
    sent: list[StageMessage] = [CHUNK, CHUNK, FIXED, INDEX, StageIndex(b""), StagePrepare(some_round(4_500))]
    assert [found for message in sent for found in _read(reader, message)] == sent
    assert reader.is_complete


def test_round_without_objects_follows_the_opening_at_once() -> None:
    reader = _opened()
    assert _read(reader, ROUND) == [ROUND]
    assert reader.is_complete


def test_long_tail_of_a_thin_pack_travels_in_pieces() -> None:
    fix = StageFix(replace(FIX, tail=b"x" * (2 * CHUNK_BYTES_MAX + 5)))
    assert len(list(stage_messages(fix))) == 3
    assert _read(_opened(), fix) == [fix]


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([], INDEX),
        ([CHUNK], INDEX),
        ([FIXED], ROUND),
        ([FIXED], CHUNK),
        ([FIXED, INDEX], CHUNK),
        ([FIXED, INDEX], FIXED),
        ([ROUND], CHUNK),
        ([ROUND], ROUND),
    ],
)
def test_step_out_of_order_is_refused(before: list[StageMessage], wrong: StageMessage) -> None:
    reader = _opened()
    for message in before:
        _read(reader, message)
    with pytest.raises(InvalidRequest, match="out of order"):
        _read(reader, wrong)


def test_stream_that_does_not_begin_with_its_opening_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="begins"):
        StageReader().read_open(_message(next(iter(stage_messages(CHUNK)))), N1)


def test_second_opening_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="out of order"):
        _opened().read(_message(open_message(OPENING)))


def test_pack_message_that_calls_itself_complete_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="ends with its round"):
        _opened().read(PrepareRequest(pack=b"x", complete=True))


def test_chunk_above_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="too large"):
        _opened().read(PrepareRequest(pack=bytes(CHUNK_BYTES_MAX + 1)))


@pytest.mark.parametrize(
    "fix",
    [
        PrepareRequest.Fix(pack_id="../x", header=bytes(12), body_end=12),
        PrepareRequest.Fix(pack_id="1" * 40, header=bytes(11), body_end=12),
        PrepareRequest.Fix(pack_id="1" * 40, header=bytes(12), body_end=3),
        PrepareRequest.Fix(pack_id="1" * 40, header=bytes(12), body_end=1 << 63),
    ],
)
def test_hostile_fix_is_refused(fix: PrepareRequest.Fix) -> None:
    with pytest.raises(InvalidRequest):
        _opened().read(PrepareRequest(fix=fix, complete=True))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_invalid(body: bytes) -> None:
    reader = _opened()
    try:
        reader.read(_message(body))
    except InvalidRequest:
        return


@pytest.mark.parametrize("kind", list(VoteKind))
def test_vote_comes_back_equal(kind: VoteKind) -> None:
    vote = Vote(kind=kind, generation=Generation(5), reason="base is behind")
    assert vote_of(vote_message(vote)) == vote


def test_answer_without_a_vote_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="without a vote"):
        vote_of(PrepareResponse())
