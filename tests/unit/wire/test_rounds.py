from __future__ import annotations

from collections.abc import Callable

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.core.round import Round
from meshnode.v1 import replication_pb2
from meshnode.wire.rounds import EDITS_PER_MESSAGE, RoundAssembler, round_messages
from tests.unit.wire.samples import create_round, some_round


def _assemble(round_: Round) -> tuple[Round | None, int]:
    assembler = RoundAssembler()
    pieces = list(round_messages(round_))
    result = None
    for message, is_complete in pieces:
        assert result is None
        copy = replication_pb2.Round.FromString(message.SerializeToString())
        result = assembler.add(copy, is_complete=is_complete)
    assert assembler.is_empty
    return result, len(pieces)


@pytest.mark.parametrize("edits", [0, 1, EDITS_PER_MESSAGE, EDITS_PER_MESSAGE + 1, 3 * EDITS_PER_MESSAGE])
def test_round_of_any_length_comes_back_equal(edits: int) -> None:
    round_ = some_round(edits)
    result, pieces = _assemble(round_)
    assert result == round_
    assert pieces == max(1, -(-edits // EDITS_PER_MESSAGE))


def test_create_of_a_fork_comes_back_equal() -> None:
    assert _assemble(create_round())[0] == create_round()


def test_pieces_of_two_rounds_are_refused() -> None:
    assembler = RoundAssembler()
    first, _ = next(iter(round_messages(some_round(EDITS_PER_MESSAGE + 1))))
    assert assembler.add(first, is_complete=False) is None
    with pytest.raises(InvalidRequest, match="mixed"):
        assembler.add(replication_pb2.Round(round_id="9" * 32), is_complete=True)


def test_edits_beyond_the_bound_are_refused() -> None:
    assembler = RoundAssembler(edits_max=3)
    message, _ = next(iter(round_messages(some_round(4))))
    with pytest.raises(InvalidRequest, match="too many edits"):
        assembler.add(message, is_complete=True)


def _set(field: str, value: object) -> Callable[[replication_pb2.Round], None]:
    return lambda message: setattr(message, field, value)


def _twice(message: replication_pb2.Round) -> None:
    message.edits.append(message.edits[0])


def _key(message: replication_pb2.Round) -> None:
    message.key.repository_id = "../../etc"


def _partition(message: replication_pb2.Round) -> None:
    message.key.partition = 70_000


def _edit_name(message: replication_pb2.Round) -> None:
    message.edits[0].name = "refs/heads/../../x"


def _edit_value(message: replication_pb2.Round) -> None:
    message.edits[0].new = "--upload-pack=x"


@pytest.mark.parametrize(
    "spoil",
    [
        _set("round_id", "zz"),
        _set("kind", "explode"),
        _set("base_generation", 1 << 63),
        _set("base_round_id", "x"),
        _set("refs_digest", "12"),
        _set("name", "../repo"),
        _set("object_format", "md5"),
        _set("coordinator", "N 1"),
        _set("request_key", "k" * 129),
        _set("actor", "a\nb"),
        _set("fork_root", ""),
        _set("fork_parent", "x"),
        _twice,
        _key,
        _partition,
        _edit_name,
        _edit_value,
    ],
)
def test_round_with_a_hostile_value_is_refused(spoil: Callable[[replication_pb2.Round], None]) -> None:
    message, _ = next(iter(round_messages(some_round())))
    spoil(message)
    with pytest.raises(InvalidRequest):
        RoundAssembler().add(message, is_complete=True)
