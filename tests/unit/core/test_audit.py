"""Numbers of the audit log, what it keeps, and how its entries are written."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Corrupt
from meshnode.core.audit import (
    FACTS_MAX,
    TEXT_CHARACTERS_MAX,
    TRIMMED_MAX,
    AuditEntry,
    AuditHead,
    bounded_facts,
    bounded_text,
    decode_entry,
    decode_head,
    encode_entry,
    encode_head,
    entry_key,
    plan_entry,
)

ENTRY = AuditEntry(
    sequence=7,
    act_id="a" * 32,
    at_ms=1_700_000_000_000,
    node="n1",
    who="app:operator",
    key_id="0123456789abcdef",
    actor="app:operator",
    peer="127.0.0.1",
    method="/mesh.v1.ClusterService/RemoveNode",
    request={"node": "n3"},
    request_id="b" * 32,
    outcome="OK",
    facts={"partitions": "12"},
    took_ms=9,
)


def test_an_entry_and_the_head_read_as_they_were_written() -> None:
    assert decode_entry(encode_entry(ENTRY)) == ENTRY
    assert decode_head(encode_head(AuditHead(next=9, oldest=2))) == AuditHead(next=9, oldest=2)


@pytest.mark.parametrize(
    "damaged",
    [
        encode_entry(ENTRY).replace(b'"n1"', b"1"),
        encode_entry(ENTRY).replace(b'[["node","n3"]]', b'[["node"]]'),
        encode_entry(ENTRY).replace(b'"v":1', b'"v":2'),
        encode_entry(ENTRY).replace(b'"sequence":7', b'"sequence":0'),
        b"[]",
    ],
)
def test_what_was_not_written_here_is_not_believed(damaged: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_entry(damaged)


def test_numbers_have_no_gap_and_the_row_never_grows_beyond_its_bound() -> None:
    head: AuditHead | None = None
    kept: set[str] = set()
    for number in range(1, 100):
        step = plan_entry(head, kept_max=10)
        assert step.sequence == number
        kept.add(entry_key(number))
        kept -= set(step.trimmed)
        head = step.head
        assert kept == {entry_key(one) for one in range(head.oldest, head.next)}
        assert len(kept) <= 10


def test_a_bound_that_was_lowered_is_met_in_bounded_steps() -> None:
    head = AuditHead(next=1_001, oldest=1)
    steps = 0
    while head.next - head.oldest > 10:
        step = plan_entry(head, kept_max=10)
        assert len(step.trimmed) <= TRIMMED_MAX
        head = step.head
        steps += 1
    assert steps <= 1_000 / (TRIMMED_MAX - 1) + 1


def test_facts_are_bounded_in_number_and_length() -> None:
    facts = bounded_facts({f"fact{number}": "x" * 10_000 for number in range(100)})
    assert len(facts) == FACTS_MAX + 1
    assert facts["..."] == f"{100 - FACTS_MAX} more"
    assert max(map(len, facts.values())) == TEXT_CHARACTERS_MAX
    assert bounded_text("half \ud800 a pair") == "half ? a pair"
    assert len(encode_entry(ENTRY)) < 1_000
