"""That the plans bring together what the documentation says they do."""

from __future__ import annotations

from dataclasses import fields, replace

from tests.sim.matrix import AFTERWARDS_MS, GROUPS, count_meetings, format_matrix
from tests.sim.plan import CONFIGURE, FAULT_KINDS, OPERATION_KINDS, OWN_FACTOR, READ_REPLICAS, Weather, make_plan


def test_every_fault_and_mishap_meets_every_operation_in_a_thousand_runs() -> None:
    cells = count_meetings(map(make_plan, range(1_000)))
    faults = {*FAULT_KINDS, READ_REPLICAS, *(one.name for one in fields(Weather))}
    assert {what for what, _ in cells} == faults
    assert [(what, group) for what in faults for group in GROUPS if not cells[what, group]] == []


def test_every_operation_is_in_one_column() -> None:
    columns = [kind for kinds in GROUPS.values() for kind in kinds]
    assert sorted(columns) == sorted([CONFIGURE, OWN_FACTOR, *(kind for kind, _ in OPERATION_KINDS)])


def test_an_operation_meets_what_lasts_when_it_begins_or_was_over_a_moment_before() -> None:
    plan = make_plan(0)
    fault = replace(plan.faults[0], kind="crash", at_ms=2_000, duration_ms=500)
    end = 2_500 + AFTERWARDS_MS
    operations = [replace(plan.operations[0], kind="fork", at_ms=at) for at in (1_999, 2_000, end - 1, end)]
    cells = count_meetings([replace(plan, faults=(fault, fault), operations=tuple(operations))])
    assert cells["crash", "fork"] == 2
    assert "| crash | 0 | 0 | 0 | 0 | 0 | 0 | 2 | 0 | 0 | 0 | 0 |" in format_matrix(cells)
