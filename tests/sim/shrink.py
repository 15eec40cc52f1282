"""Makes a failing plan smaller: leaves out faults, operations, nodes and weather as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Final

from tests.sim.plan import CALM, Fault, Operation, Plan, Weather
from tests.sim.runs import RunResult, run_plan
from tests.sim.world import Plant, no_bug

TRIES_MAX: Final = 150
"""Runs spent on making a failure smaller: about ten seconds."""
REPLICAS_MIN: Final = 3


def shrink(plan: Plan, *, plant: Plant = no_bug, tries_max: int = TRIES_MAX) -> RunResult:
    """Leave out what is not needed for the failure, the largest parts first; the smallest run found, told in full."""
    best = run_plan(plan, plant=plant)
    kind = _kind(best)
    tries = 0
    is_smaller = True
    while is_smaller and tries < tries_max:
        is_smaller = False
        for candidate in _smaller(best.plan):
            tries += 1
            result = run_plan(candidate, plant=plant)
            if result.violations and _kind(result) == kind:
                best, is_smaller = result, True
                break
            if tries >= tries_max:
                break
    return run_plan(best.plan, plant=plant, is_verbose=True)


def _kind(result: RunResult) -> str:
    """What is wrong, without who and where."""
    return re.sub(r"[0-9a-f]{6,}|\bn[0-9]\b|[0-9]+|\[.*", "", result.violations[0]) if result.violations else ""


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with a part left out, the largest parts first."""
    parts: list[Fault | Operation] = [*plan.faults, *plan.operations]
    size = max(1, len(parts) // 2)
    while parts and size:
        if size == 1:
            yield from _simpler(plan)
        for first in range(0, len(parts), size):
            kept = parts[:first] + parts[first + size :]
            yield plan.with_parts(
                tuple(one for one in kept if isinstance(one, Fault)),
                tuple(one for one in kept if isinstance(one, Operation)),
            )
        size //= 2


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Plans in a calmer world: fewer nodes, one repository, one kind of weather less."""
    if plan.weather != Weather(delay_ms_max=plan.weather.delay_ms_max):
        yield replace(plan, weather=Weather(delay_ms_max=plan.weather.delay_ms_max))
    for name, calm in asdict(CALM).items():
        if getattr(plan.weather, name) != calm:
            yield replace(plan, weather=Weather(**asdict(plan.weather) | {name: calm}))
    if len(plan.nodes) > max(REPLICAS_MIN, plan.factor):
        yield without_node(plan, plan.nodes[-1])
    if plan.factor > REPLICAS_MIN:
        yield replace(plan, factor=REPLICAS_MIN)
    if len(plan.repositories) > 1:
        yield replace(plan, repositories=plan.repositories[:1])


def without_node(plan: Plan, node: str) -> Plan:
    """The plan without a node; faults that need it go with it."""
    faults = tuple(
        replace(fault, nodes=kept)
        for fault in plan.faults
        if (kept := tuple(name for name in fault.nodes if name != node))
        and (len(kept) == len(fault.nodes) or fault.kind == "split")
    )
    return replace(plan, nodes=tuple(name for name in plan.nodes if name != node), faults=faults)


def format_failure(result: RunResult) -> str:
    """The story of a failed run, and what is wrong with it."""
    plan = result.plan
    head = f"seed {plan.seed}: {len(plan.nodes)} nodes, factor {plan.factor}, {plan.weather}"
    return "\n".join([head, *result.story, *(f"VIOLATED {what}" for what in result.violations)])
