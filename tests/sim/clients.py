"""Clients of a simulated cluster: they push, update, read, create, fork, rename and delete, and remember what they saw.

An operation ends as done, refused (nothing took effect: held against the truth when the run is over) or open (no
answer, or "unknown"). What was seen of references in repositories that keep their name becomes histories for
`linearizability.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from meshnode.base.errors import Corrupt, InvariantViolated, MeshError, RepositoryNotFound
from meshnode.base.ids import Generation, NodeId, RefName, RepositoryId, RepositoryName
from meshnode.core.round import Round, WriteKind
from meshnode.engine.node import NodeEngine
from meshnode.ports import Consistency, ConsistencyLevel, ReadView, RefChange
from tests.sim import plan
from tests.sim.linearizability import Call, Kind
from tests.sim.plan import CHURN_NAMES, REFS, Operation
from tests.sim.pushes import Command, in_pieces, push_bytes, request
from tests.sim.world import World

PATIENCE_S: Final = 25
TRIES: Final = 3
MAIN: Final = RefName("refs/heads/main")

Register = tuple[RepositoryId, str]


class Ending(Enum):
    """How an attempt ended for the client."""

    DONE = "done"
    REFUSED = "refused"
    OPEN = "open"


@dataclass(frozen=True)
class Answer:
    """One attempt's end; for a push also what was said of each reference."""

    ending: Ending
    reason: str = ""
    by_ref: dict[str, Ending] = field(default_factory=dict)
    generation: int = 0


@dataclass
class Change:
    """One reference that an operation wants changed; `expected` False: whatever is there."""

    ref: str
    expected: str | bool | None
    value: str | None
    called_at: float
    endings: list[Ending] = field(default_factory=list)
    answered_at: float = 0.0

    @property
    def ending(self) -> Ending:
        """The whole operation's end: done once said so; refused only where no attempt was left open."""
        if Ending.DONE in self.endings:
            return Ending.DONE
        return Ending.OPEN if Ending.OPEN in self.endings else Ending.REFUSED


Attempt = Callable[[NodeEngine], Awaitable[Answer]]


class Clients:
    """Everyone who uses the cluster, and what they saw together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ids: dict[str, RepositoryId] = {}
        """Repositories that keep their name."""
        self.histories: dict[Register, list[Call]] = {}
        self.counts: dict[str, int] = {}
        self.endings: dict[str, list[Ending]] = {}
        """By actor, of operations that are not about references."""
        self.changes: dict[str, list[Change]] = {}
        """By actor."""
        self._values: dict[str, list[str]] = {name: [] for name in world.plan.repositories}
        self._seen: dict[tuple[int, str, str], str | None] = {}
        self._positions: dict[tuple[int, RepositoryId], int] = {}

    async def prepare(self) -> None:
        """Create the repositories that keep their name, before any fault."""
        for process in self._world.processes.values():
            await process.served.wait()
        for number, name in enumerate(self._world.plan.repositories):
            node = self._world.plan.nodes[number % len(self._world.plan.nodes)]
            process = self._world.processes[NodeId(node)]
            assert process.engine is not None
            result = await process.spawn(
                process.engine.writes.create(
                    RepositoryName(name), object_format="sha1", default_branch=MAIN, request_key="", actor="setup"
                )
            )
            self.ids[name] = result.record.repository

    async def run(self, operations: Sequence[Operation]) -> None:
        """Let every client do its operations, one after another."""
        start = self._now()
        async with asyncio.TaskGroup() as group:
            for client in range(self._world.plan.clients):
                mine = [operation for operation in operations if operation.client == client]
                group.create_task(self._client(sorted(mine, key=lambda one: (one.at_ms, one.number)), start))

    async def _client(self, operations: Sequence[Operation], start: float) -> None:
        for operation in operations:
            await asyncio.sleep(max(0.0, start + operation.at_ms / 1000 - self._now()))
            await self.do(operation)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # ------------------------------------------------------------ one operation

    async def do(self, operation: Operation) -> None:
        """Do one operation to its end."""
        name = self._world.plan.repositories[operation.repository % len(self._world.plan.repositories)]
        ref = REFS[operation.ref]
        churn = CHURN_NAMES[operation.choice % len(CHURN_NAMES)]
        other = CHURN_NAMES[operation.choice // 7 % len(CHURN_NAMES)]
        match operation.kind:
            case "push" | "push_two" | "push_atomic" | "push_delete":
                await self._push(operation, name, ref)
            case "update":
                await self._update(operation, name, ref, is_forced=False)
            case "force":
                await self._update(operation, name, ref, is_forced=True)
            case "read":
                target = churn if operation.choice % 5 == 0 else name
                await self._read(operation, target, ConsistencyLevel.VERIFIED)
            case "read_at_least":
                await self._read(operation, name, ConsistencyLevel.AT_LEAST)
            case "read_any":
                target = churn if operation.choice % 5 == 0 else name
                await self._read(operation, target, ConsistencyLevel.ANY)
            case "create":
                await self._named(operation, lambda engine, key, actor: engine.writes.create(
                    RepositoryName(churn), object_format="sha1", default_branch=MAIN, request_key=key, actor=actor
                ), churn)  # fmt: skip
            case "fork":
                await self._named(operation, lambda engine, key, actor: engine.writes.fork(
                    RepositoryName(name), RepositoryName(churn), request_key=key, actor=actor
                ), name)  # fmt: skip
            case "rename":
                await self._named(operation, lambda engine, key, actor: engine.writes.rename(
                    RepositoryName(churn), RepositoryName(other), request_key=key, actor=actor
                ), churn)  # fmt: skip
            case "delete":
                await self._named(operation, lambda engine, key, actor: engine.writes.delete(
                    RepositoryName(churn), request_key=key, actor=actor
                ), churn)  # fmt: skip
            case plan.CONFIGURE:
                await self._configure(operation, name)
            case plan.OWN_FACTOR:
                await self._set_factor(operation, churn if operation.choice % 3 == 0 else name)
            case "churn_push":
                await self._push(operation, churn, ref)
            case kind:
                raise AssertionError(f"no such operation: {kind}")

    async def _push(self, operation: Operation, name: str, ref: str) -> None:
        refs = [ref]
        if operation.kind in {"push_two", "push_atomic"}:
            refs.append(REFS[(operation.ref + 1) % len(REFS)])
        if operation.choice % 3:
            await self._look(operation, name)
        value = f"{operation.number:040x}"
        commands: list[Command] = []
        for one in refs:
            old = self._seen.get((operation.client, name, one))
            if operation.kind == "push_delete" and old is None:
                continue
            commands.append((one, old or "", "" if operation.kind == "push_delete" else value))
        if not commands:
            return
        self._values.setdefault(name, []).append(value)
        body = push_bytes(commands, is_atomic=operation.kind == "push_atomic")
        actor = f"op{operation.number}"
        may_create = operation.kind == "churn_push" and operation.choice % 2 == 0

        async def attempt(engine: NodeEngine) -> Answer:
            reply = await engine.transport.receive_pack(
                request(name, may_create=may_create, actor=actor), in_pieces(body, 64)
            )
            report = b""
            async with aclosing(reply.body) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    report += chunk
            return _answer_of(report.decode(errors="replace"), [command[0] for command in commands])

        changes = [Change(one, old or None, new or None, self._now()) for one, old, new in commands]
        await self._attempts(operation, name, attempt, changes)

    async def _update(self, operation: Operation, name: str, ref: str, *, is_forced: bool) -> None:
        values = self._values[name]
        if not values:
            return
        value = values[operation.choice % len(values)]
        if not is_forced and operation.choice % 3:
            await self._look(operation, name)
        expected = None if is_forced else self._seen.get((operation.client, name, ref)) or ""
        actor = f"op{operation.number}"
        change = RefChange(name=RefName(ref), expected=expected, new=value)

        async def attempt(engine: NodeEngine) -> Answer:
            result = await engine.writes.update_refs(RepositoryName(name), [change], request_key=actor, actor=actor)
            return Answer(Ending.DONE, generation=result.generation)

        wanted = Change(ref, False if is_forced else expected or None, value, self._now())
        await self._attempts(operation, name, attempt, [wanted])

    async def _named(
        self, operation: Operation, work: Callable[[NodeEngine, str, str], Awaitable[object]], name: str
    ) -> None:
        actor = f"op{operation.number}"

        async def attempt(engine: NodeEngine) -> Answer:
            await work(engine, actor, actor)
            return Answer(Ending.DONE)

        await self._attempts(operation, name, attempt, [])

    async def _configure(self, operation: Operation, name: str) -> None:
        """Deny or allow deletions and rewinds; more often allow, or little would be written."""
        texts = {
            "receive.denyDeletes": "true" if operation.choice % 2 else "false",
            "receive.denyNonFastForwards": "true" if operation.choice % 3 == 0 else "false",
        }
        actor = f"op{operation.number}"

        async def attempt(engine: NodeEngine) -> Answer:
            configs = engine.configs
            await configs.update(RepositoryName(name), texts, (), expected_version=None, actor=actor)
            return Answer(Ending.DONE)

        await self._attempts(operation, name, attempt, [])

    async def _set_factor(self, operation: Operation, name: str) -> None:
        """Want another number of replicas for a repository and its forks."""
        wanted = plan.OWN_FACTORS[operation.choice // 3 % len(plan.OWN_FACTORS)]

        async def attempt(engine: NodeEngine) -> Answer:
            await engine.factors.set_factor(RepositoryName(name), wanted)
            return Answer(Ending.DONE)

        await self._attempts(operation, name, attempt, [])

    # ------------------------------------------------------------ attempts

    async def _attempts(self, operation: Operation, name: str, attempt: Attempt, changes: list[Change]) -> None:
        actor = f"op{operation.number}"
        if changes:
            self.changes[actor] = changes
        endings = self.endings.setdefault(actor, [])
        what = " ".join(f"{change.ref} {_short(change.expected)}->{_short(change.value)}" for change in changes)
        for number in range(TRIES if operation.is_repeated else 1):
            node = await self._pick(operation, name, number)
            self._tell(operation, f"{operation.kind} {name} {what} at {node}")
            answer = await self._ask(node, attempt)
            self._tell(operation, f"{answer.ending.value} {answer.reason}")
            self._count(f"{operation.kind}: {answer.ending.value}")
            endings.append(answer.ending)
            for change in changes:
                change.endings.append(answer.by_ref.get(change.ref, answer.ending))
                change.answered_at = self._now()
            if answer.ending is not Ending.OPEN:
                break
            await asyncio.sleep(0.3)
        self._check_done(actor, changes)
        if name in self.ids:
            if answer.generation:
                self._reach(operation.client, self.ids[name], answer.generation)
            for change in changes:
                self._remember(operation, name, change)

    async def _pick(self, operation: Operation, name: str, number: int) -> NodeId:
        nodes = list(self._world.disks)
        node = nodes[(operation.node + number) % len(nodes)]
        process = self._world.processes[node]
        if operation.node < len(nodes) or not process.is_serving:
            return node
        assert process.engine is not None
        work = process.spawn(process.engine.router.write_candidates(RepositoryName(name)))
        await asyncio.wait({work}, timeout=PATIENCE_S)
        if work.done() and not work.cancelled() and work.exception() is None:
            return work.result()[0]
        work.cancel()
        return node

    async def _ask(self, node: NodeId, attempt: Attempt) -> Answer:
        process = self._world.processes[node]
        if not process.is_serving:
            return Answer(Ending.REFUSED, "nobody listens")
        assert process.engine is not None
        engine = process.engine

        async def work() -> Answer:
            await process.gate()
            answer = await attempt(engine)
            await process.gate()
            return answer

        task = process.spawn(work())
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done():
            task.cancel()
            return Answer(Ending.OPEN, "waited too long")
        if task.cancelled():
            return Answer(Ending.OPEN, "the connection broke")
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, MeshError):
            self._world.auditor.violate(f"{node} answered with {type(error).__name__}: {error}")
            return Answer(Ending.OPEN, str(error))
        if isinstance(error, Corrupt | InvariantViolated):
            self._world.auditor.violate(f"{node} answered with {type(error).__name__}: {error}")
        return Answer(Ending.REFUSED if error.nothing_written else Ending.OPEN, f"{type(error).__name__}: {error}")

    def _check_done(self, actor: str, changes: list[Change]) -> None:
        """What was acknowledged is published by now."""
        rounds = self._world.auditor.rounds_of.get(actor, [])
        for change in changes:
            is_change = change.expected is not False and change.expected != change.value
            if change.ending is Ending.DONE and is_change and not _edits(rounds, change.ref):
                self._world.auditor.violate(f"I1: {actor} was told done, and no round of its is published")

    def _remember(self, operation: Operation, name: str, change: Change) -> None:
        if change.ending is Ending.REFUSED:
            return
        if change.ending is Ending.DONE:
            self._seen[operation.client, name, change.ref] = change.value
        is_forced = change.expected is False
        self.histories.setdefault((self.ids[name], change.ref), []).append(
            Call(
                kind=Kind.WRITE if is_forced else Kind.SWAP,
                called_at=change.called_at,
                answered_at=change.answered_at if change.ending is Ending.DONE else float("inf"),
                expected=None if isinstance(change.expected, bool) else change.expected,
                value=change.value,
                label=f"op{operation.number}",
            )
        )

    # ------------------------------------------------------------ reads

    async def _look(self, operation: Operation, name: str) -> None:
        await self._read(operation, name, ConsistencyLevel.VERIFIED)

    async def _read(self, operation: Operation, name: str, level: ConsistencyLevel) -> None:
        auditor = self._world.auditor
        node = list(self._world.disks)[operation.node % len(self._world.disks)]
        position = self._positions.get((operation.client, self.ids[name]), 0) if name in self.ids else 0
        consistency = Consistency(level, Generation(position if level is ConsistencyLevel.AT_LEAST else 0))
        called_at = self._now()
        before = {repository: truth.record.generation for repository, truth in auditor.truths.items()}
        led, changes = auditor.name_now(name)
        views: list[ReadView] = []

        async def attempt(engine: NodeEngine) -> Answer:
            try:
                views.append(await engine.reads.view(RepositoryName(name), consistency))
            except RepositoryNotFound:
                if level is ConsistencyLevel.VERIFIED and led and auditor.name_now(name) == (led, changes):
                    auditor.violate(f"{node} does not find {name}, which was there all the time")
                raise
            return Answer(Ending.DONE)

        answer = await self._ask(node, attempt)
        self._count(f"{operation.kind}: {answer.ending.value}")
        if not views or answer.ending is not Ending.DONE:
            self._tell(operation, f"{level.value} read of {name} at {node}: {answer.reason}")
            return
        view = views[0]
        repository = view.key.repository
        self._tell(operation, f"{level.value} read of {name} at {node} sees generation {view.generation}")
        at_least = before.get(repository, 0) if level is ConsistencyLevel.VERIFIED else consistency.generation
        auditor.check_read(repository, view.generation, view.snapshot.refs, at_least=at_least)
        self._reach(operation.client, repository, view.generation)
        if level is not ConsistencyLevel.VERIFIED:
            return
        auditor.check_reader(node, repository, called_at)
        if auditor.name_now(name) == (led, changes) and led != repository:
            auditor.violate(f"{node} reads {repository[:6]} as {name}, which is {led[:6]}")
        for ref in REFS:
            self._seen[operation.client, name, ref] = view.snapshot.refs.get(RefName(ref))
        if name not in self.ids:
            return
        for ref in REFS:
            self.histories.setdefault((repository, ref), []).append(
                Call(
                    kind=Kind.READ,
                    called_at=called_at,
                    answered_at=self._now(),
                    value=view.snapshot.refs.get(RefName(ref)),
                    label=f"op{operation.number} at {node}",
                )
            )

    def _reach(self, client: int, repository: RepositoryId, generation: int) -> None:
        reached = self._positions.get((client, repository), 0)
        self._positions[client, repository] = max(reached, generation)

    # ------------------------------------------------------------ afterwards

    def check_endings(self) -> None:
        """What was refused took no effect, and nothing took effect twice."""
        auditor = self._world.auditor
        for actor, changes in self.changes.items():
            for change in changes:
                edits = _edits(auditor.rounds_of.get(actor, []), change.ref)
                if change.ending is Ending.REFUSED and edits:
                    auditor.violate(f"{actor} was refused {change.ref}, and it took effect")
                if len(edits) > 1:
                    auditor.violate(f"{actor} took effect {len(edits)} times at {change.ref}")
        for actor, endings in self.endings.items():
            rounds = auditor.rounds_of.get(actor, [])
            if actor in self.changes:
                continue
            if rounds and all(ending is Ending.REFUSED for ending in endings):
                auditor.violate(f"{actor} was refused, and it took effect")
            if len(rounds) > 1:
                auditor.violate(f"{actor} took effect {len(rounds)} times")

    def _tell(self, operation: Operation, what: str) -> None:
        self._world.story.tell(f"c{operation.client}", f"op{operation.number} {what}")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def _answer_of(report: str, refs: Sequence[str]) -> Answer:
    """What a push report says of each reference; open where it does not say."""
    by_ref = {}
    for ref in refs:
        found = re.search(rf"(ok|ng) {re.escape(ref)}(?=[ \n])", report)
        by_ref[ref] = Ending.OPEN if found is None else Ending.DONE if found[1] == "ok" else Ending.REFUSED
    endings = set(by_ref.values())
    ending = Ending.OPEN if Ending.OPEN in endings else Ending.DONE if Ending.DONE in endings else Ending.REFUSED
    said = re.search(r"generation (\d+)", report)
    reason = "" if ending is Ending.DONE else " ".join(report.split())[:120]
    return Answer(ending, reason, by_ref, int(said[1]) if said and ending is Ending.DONE else 0)


def _edits(rounds: Sequence[Round], ref: str) -> list[Round]:
    return [one for one in rounds if one.kind is WriteKind.UPDATE and any(edit.name == ref for edit in one.edits)]


def _short(value: str | bool | None) -> str:
    return "*" if value is False else "-" if not value or value is True else value[-2:]
