"""Judges a run by what its clients saw, and by what the replicas say was committed. Pure: no clock, no files.

registers    every reference: reads, pushes and updates have some order that explains every answer (the checker of
             `tests/sim/linearizability.py`); what was refused is not in the order, what is open may be
positions    a verified answer is not older than any answer given before it was asked for; one generation shows
             the same references to everyone
rounds       every acknowledged change was committed, once a sending; a refused one never; an atomic write in one round;
             each read shows what had been committed at its generation
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from tests.chaos.history import Change, Ending, History, Level, Read, Write, describe_read, describe_write
from tests.chaos.rounds import Chain
from tests.chaos.workload import refs_alive
from tests.sim.linearizability import Call, Kind, Verdict, check_register

Register = tuple[str, str]
"""Repository and reference."""
Mark = tuple[str, str]
"""`Change.mark`."""
_STORY_MAX: Final = 60


@dataclass
class Judgement:
    """What is wrong with a run, and what was looked at."""

    violations: list[str] = field(default_factory=list)
    stories: dict[str, list[str]] = field(default_factory=dict)
    """By violation: what happened around it."""
    lost: int = 0
    """Acknowledged changes that were not committed, or that no order of events explains away."""
    registers: int = 0
    given_up: int = 0
    calls: int = 0


def judge(history: History, chains: Mapping[str, Chain]) -> Judgement:
    """Check everything; `chains` may be empty where no disk could be read."""
    judgement = Judgement(violations=list(history.alarms))
    _check_registers(history, judgement)
    judgement.violations += _position_violations(history)
    for repository, chain in chains.items():
        judgement.violations += [f"{repository}: {dispute}" for dispute in chain.disputes]
        if not chain.is_whole():
            judgement.violations.append(f"{repository}: rounds are missing on all disks, nothing can be looked up")
            continue
        _check_rounds(repository, history, chain, judgement)
    return judgement


# ---------------------------------------------------------------- registers


def registers_of(history: History) -> dict[Register, list[Call]]:
    """What was seen of every reference, as the checker takes it."""
    registers: dict[Register, list[Call]] = {}
    for write in history.writes:
        for change in write.changes:
            if change.ending is not Ending.REFUSED:
                calls = registers.setdefault((write.repository, change.ref), [])
                calls.append(_call_of(write, change))
                calls += [replace(calls[-1], answered_at=inf)] * (write.sendings - 1)
    for read in history.reads:
        if read.level is Level.VERIFIED:
            for ref in covered(read):
                call = Call(
                    kind=Kind.READ,
                    called_at=read.called_at,
                    answered_at=read.answered_at,
                    value=read.refs.get(ref),
                    label=describe_read(read, ref),
                )
                registers.setdefault((read.repository, ref), []).append(call)
    return registers


def covered(read: Read) -> Sequence[str]:
    """The references that a read says something about: those in use then, and any other that it shows."""
    if read.only:
        return [read.only]
    if read.client == FINAL:
        return sorted(read.refs)
    return refs_alive(read.called_at)


FINAL: Final = "final"
"""Client name of the reads that are made when everything is healed: they list every reference there ever was."""


def _call_of(write: Write, change: Change) -> Call:
    return Call(
        kind=Kind.WRITE if change.is_forced else Kind.SWAP,
        called_at=write.called_at,
        answered_at=write.answered_at if change.ending is Ending.DONE else inf,
        expected=change.expected,
        value=change.value,
        label=describe_write(write),
    )


def _check_registers(history: History, judgement: Judgement) -> None:
    registers = registers_of(history)
    finals = [read for read in history.reads if read.client == FINAL]
    for (repository, ref), calls in registers.items():
        for read in finals:
            if read.repository == repository and ref not in read.refs:
                label = describe_read(read, ref)
                calls.append(Call(kind=Kind.READ, called_at=read.called_at, answered_at=read.answered_at, label=label))
        judgement.registers += 1
        judgement.calls += len(calls)
        verdict = check_register(calls)
        if verdict is Verdict.GIVEN_UP:
            judgement.given_up += 1
        if verdict is Verdict.IMPOSSIBLE:
            judgement.lost += 1
            violation = f"not linearizable: {ref} of {repository}"
            judgement.violations.append(violation)
            judgement.stories[violation] = tell(history, (repository, ref), calls, first_impossible(calls))


def first_impossible(calls: Sequence[Call]) -> float:
    """The earliest answer with which the calls before it have no explanation any more."""
    moments = sorted({call.answered_at for call in calls if not call.is_open})
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if check_register(_until(calls, moments[middle])) is Verdict.IMPOSSIBLE:
            high = middle
        else:
            low = middle + 1
    return moments[low]


def _until(calls: Sequence[Call], moment: float) -> list[Call]:
    """What was known at a moment: later answers are still to come, reads without one say nothing."""
    known = []
    for call in calls:
        if call.answered_at <= moment:
            known.append(call)
        elif call.called_at <= moment and call.kind is not Kind.READ:
            known.append(Call(kind=call.kind, called_at=call.called_at, expected=call.expected, value=call.value))
    return known


def tell(history: History, register: Register, calls: Sequence[Call], moment: float) -> list[str]:
    """Calls, refused ones too, and faults up to a moment, in the order in which they began."""
    lines = [(call.called_at, call.label) for call in calls if call.called_at <= moment]
    lines += [
        (write.called_at, describe_write(write))
        for write in history.writes
        for change in write.changes
        if (write.repository, change.ref) == register and change.ending is Ending.REFUSED
    ]
    since = min([at for at, _ in sorted(lines) if at <= moment][-_STORY_MAX:], default=0.0)
    for fault in history.faults:
        lines.append((fault.begun_at, f"*** {fault}"))
        if fault.ended_at <= moment:
            lines.append((fault.ended_at, f"*** over: {fault}"))
    told = [f"{at:9.3f}  {line}" for at, line in sorted(lines) if since <= at <= moment]
    return [*told, f"{moment:9.3f}  !!! here it has no explanation any more"]


# ---------------------------------------------------------------- positions


def _position_violations(history: History) -> Iterator[str]:
    by_repository: dict[str, list[Read]] = {}
    for read in history.reads:
        by_repository.setdefault(read.repository, []).append(read)
    for repository, reads in by_repository.items():
        yield from _different_views(repository, reads)
        writes = [write for write in history.writes if write.repository == repository and write.generation]
        yield from _backward_reads(repository, reads, writes)


def _different_views(repository: str, reads: Sequence[Read]) -> Iterator[str]:
    views: dict[int, Read] = {}
    for read in reads:
        if not read.generation or read.only:
            continue
        if read.generation < read.at_least:
            yield f"{repository}: at least {read.at_least} was asked for, {read.node} answered {read.generation}"
        first = views.setdefault(read.generation, read)
        if first.refs != read.refs:
            yield f"{repository}: generation {read.generation} is not the same at {first.node} and {read.node}"


def _backward_reads(repository: str, reads: Sequence[Read], writes: Sequence[Write]) -> Iterator[str]:
    """Verified reads, held against everything that was answered before they were asked."""
    answers = [(read.answered_at, read.generation) for read in reads if read.generation]
    answers += [(write.answered_at, write.generation) for write in writes if write.is_acknowledged]
    answers.sort()
    newest, position = 0, 0
    for read in sorted(reads, key=lambda one: one.called_at):
        while position < len(answers) and answers[position][0] < read.called_at:
            newest = max(newest, answers[position][1])
            position += 1
        if read.level is Level.VERIFIED and read.generation and read.generation < newest:
            yield (
                f"{repository}: a verified read at {read.node} called at {read.called_at:.3f} shows generation "
                f"{read.generation}; {newest} had been answered before"
            )


# ---------------------------------------------------------------- rounds


def _check_rounds(repository: str, history: History, chain: Chain, judgement: Judgement) -> None:
    committed: dict[Mark, list[int]] = {}
    for edit in chain.edits():
        committed.setdefault(edit.mark, []).append(edit.generation)
    writes = [write for write in history.writes if write.repository == repository]
    claimed = {change.mark for write in writes for change in write.changes if change.ending is not Ending.REFUSED}
    for write in writes:
        for violation in _write_violations(write, committed, claimed):
            judgement.violations.append(f"{repository}: {violation}: {describe_write(write)}")
        judgement.lost += sum(change.ending is Ending.DONE and change.mark not in committed for change in write.changes)
    states = chain.states()
    for read in history.reads:
        if read.repository != repository or not read.generation or read.only:
            continue
        if states.get(read.generation) != read.refs:
            judgement.violations.append(
                f"{repository}: {read.node} showed at {read.answered_at:.3f} as generation {read.generation} "
                f"what never was ({read.level.value}, {read.way})"
            )


def _write_violations(
    write: Write, committed: Mapping[Mark, Sequence[int]], claimed: AbstractSet[Mark]
) -> Iterator[str]:
    """`claimed` are the marks of all changes that were not refused: two clients may delete the same value."""
    for change in write.changes:
        found = committed.get(change.mark, ())
        if change.ending is Ending.DONE and not found:
            yield f"acknowledged and not committed, {change.ref}"
        if change.ending is Ending.REFUSED and found and change.mark not in claimed:
            yield f"refused and committed at generation {found[0]}, {change.ref}"
        if len(found) > write.sendings:
            yield f"committed {len(found)} times, {change.ref}"
    own = {tuple(committed.get(change.mark, ())) for change in write.changes if change.value}
    if write.is_atomic and len(own) > 1:
        yield "atomic, and not committed as one"
