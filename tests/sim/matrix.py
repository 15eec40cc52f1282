"""Counts which faults meet which operations in the plans of many seeds: `python -m tests.sim.matrix [RUNS]`.

An operation meets a fault where it is to begin while the fault lasts or in the second after it, a mishap of the weather
where its run has it. Every run is held to every promise, so a cell says how often that was tried.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from tests.sim.plan import CALM, CONFIGURE, OWN_FACTOR, Operation, Plan, make_plan

AFTERWARDS_MS: Final = 1_000
"""What a fault leaves behind is met too: a node starts, a lease runs out, a move goes on."""
GROUPS: Final = {
    "push": ("push", "push_two", "churn_push"),
    "atomic": ("push_atomic",),
    "deletion": ("push_delete",),
    "API write": ("update", "force"),
    "read": ("read", "read_at_least", "read_any"),
    "create": ("create",),
    "fork": ("fork",),
    "rename": ("rename",),
    "delete": ("delete",),
    "configure": (CONFIGURE,),
    "own factor": (OWN_FACTOR,),
}
"""Columns, and the kinds of operations that they count."""
_GROUP_OF: Final = {kind: group for group, kinds in GROUPS.items() for kind in kinds}

Cells = Counter[tuple[str, str]]


def count_meetings(plans: Iterable[Plan]) -> Cells:
    """How often each fault, or mishap, meets each group of operations."""
    cells: Cells = Counter()
    for plan in plans:
        mishaps = [
            one.name for one in fields(plan.weather) if getattr(plan.weather, one.name) > getattr(CALM, one.name)
        ]
        for operation in plan.operations:
            for what in [*mishaps, *_faults_at(plan, operation)]:
                cells[what, _GROUP_OF[operation.kind]] += 1
    return cells


def _faults_at(plan: Plan, operation: Operation) -> set[str]:
    return {
        fault.kind
        for fault in plan.faults
        if fault.at_ms <= operation.at_ms < fault.at_ms + fault.duration_ms + AFTERWARDS_MS
    }


def format_matrix(cells: Cells) -> str:
    """A Markdown table, a line for each fault."""
    lines = ["| | " + " | ".join(GROUPS) + " |", "|---" * (len(GROUPS) + 1) + "|"]
    for what in sorted({what for what, _ in cells}):
        name = what.replace("_ms_max", "").replace("_", " ")
        lines.append(f"| {name} | " + " | ".join(f"{cells[what, group]:,}" for group in GROUPS) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    print(format_matrix(count_meetings(map(make_plan, range(runs)))))
