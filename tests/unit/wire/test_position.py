"""The position of a serialised answer, found without parsing the rest, whatever the bytes are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.v1 import common_pb2, ref_pb2
from meshnode.wire.position import FIELDS_MAX, generation_in


def answer(refs: int) -> bytes:
    return ref_pb2.ListRefsResponse(
        refs=[common_pb2.Reference(name=f"refs/heads/{number}") for number in range(refs)],
        next_page_token="more",
        position=common_pb2.Position(generation=300, node="n2"),
    ).SerializeToString()


def test_the_generation_is_found_behind_other_fields() -> None:
    assert generation_in(answer(0), 3) == 300
    assert generation_in(answer(5), 3) == 300
    assert generation_in(b"\x09" + b"\0" * 8 + b"\x15" + b"\0" * 4 + b"\x20\x96\x01" + answer(1), 3) == 300


def test_a_search_that_would_cost_too_much_is_given_up() -> None:
    assert generation_in(answer(FIELDS_MAX + 1), 3) is None
    assert generation_in(b"", 3) is None
    assert generation_in(answer(1), 9) is None


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_no_position(body: bytes) -> None:
    assert generation_in(body, 3) is None or isinstance(generation_in(body, 3), int)
