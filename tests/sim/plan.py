"""What a seed stands for: the cluster, the weather, the faults and the operations of one run, all decided before it.

A plan is data, so that a failing run can be tried again with a part of its faults and operations left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

FAULTS_MS: Final = 8_000
"""Virtual time in which faults begin and clients begin operations; after it everything must heal."""
STABLE_REPOSITORIES_MAX: Final = 3
CHURN_NAMES: Final = ("churn/a", "churn/b", "churn/c")
CONFIGURATIONS_FROM: Final = 500
"""Number of the first operation that configures; there are never as many others."""
REFS: Final = ("refs/heads/main", "refs/heads/topic", "refs/tags/v1")

FAULT_KINDS: Final = (
    "crash",
    "crash_at_step",
    "pause",
    "cut",
    "isolate",
    "one_way_isolate",
    "split",
    "catalog_cut",
    "catalog_deaf",
    "catalog_storm",
    "full_disk",
    "clock_step",
    "slow_disk",
    "power_loss",
    "power_loss_everywhere",
    "lost_disk",
    "torn_record",
    "full_at_step",
    "drain",
    "stop",
    "move",
    "leave",
)

READ_REPLICAS: Final = "read_replicas"
"""An order about read replicas. Drawn apart from the others, so that seeds from before it keep their plans."""

CONFIGURE: Final = "configure"
"""An operation that configures a repository. Drawn apart, too."""

OWN_FACTOR: Final = "own factor"
"""An order about a repository's number of replicas. Drawn apart, too."""
OWN_FACTORS_FROM: Final = 600
OWN_FACTORS: Final = (3, 5, 5, 0)
"""Not 1: a run may lose a disk."""

LOSING: Final = {"lost_disk", "torn_record"}
"""Faults that take what a node has promised to keep. One node of a run meets them all: what a quorum holds is safe
only while fewer disks than that are lost."""

OPERATION_KINDS: Final = (
    ("push", 30),
    ("push_two", 8),
    ("push_atomic", 5),
    ("push_delete", 4),
    ("update", 8),
    ("force", 5),
    ("read", 26),
    ("read_at_least", 8),
    ("read_any", 5),
    ("create", 5),
    ("fork", 4),
    ("rename", 4),
    ("delete", 4),
    ("churn_push", 6),
)


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Chances of small mishaps during the whole time of faults; each is per message or per request."""

    delay_ms_max: int = 5
    straggler: float = 0.0
    """A message takes up to two seconds."""
    loss: float = 0.0
    duplicate: float = 0.0
    catalog_refused: float = 0.0
    catalog_lost: float = 0.0
    """Unknown, never landed."""
    catalog_hidden: float = 0.0
    """Unknown, landed."""
    catalog_late: float = 0.0
    """Unknown, lands later: after a while, or right after the next write to the record."""
    catalog_slow: float = 0.0
    watch_slow: float = 0.0
    """A hint takes up to eight seconds."""
    disk_slow: float = 0.0


CALM: Final = Weather()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that happens to nodes at a time and is over after a while."""

    at_ms: int
    kind: str
    nodes: tuple[str, ...]
    duration_ms: int
    detail: int = 0


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One wish of one client, at a time or as soon after it as the client is free."""

    number: int
    at_ms: int
    client: int
    kind: str
    repository: int
    ref: int
    node: int
    choice: int
    """Whatever else is to be decided: an old value, a second reference, a new name."""
    is_repeated: bool
    """Whether the client tries again where the first answer did not come."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run."""

    seed: int
    nodes: tuple[str, ...]
    factor: int
    repositories: tuple[str, ...]
    clients: int
    weather: Weather
    faults: tuple[Fault, ...]
    operations: tuple[Operation, ...]
    drained: str = ""
    """A node that stays drained when all faults have ended, "" for none."""

    def with_parts(self, faults: tuple[Fault, ...], operations: tuple[Operation, ...]) -> Plan:
        """The same run with other faults and operations."""
        return replace(self, faults=faults, operations=operations)


def make_plan(seed: int) -> Plan:
    """Draw a plan. The same seed gives the same plan, on every machine."""
    chance = Random(f"plan {seed}")
    count = chance.choice((3, 3, 4, 4, 5, 5, 7))
    nodes = tuple(f"n{number}" for number in range(1, count + 1))
    factor = 5 if count >= 5 and chance.random() < 0.5 else 3
    repositories = tuple(f"stable/r{number}" for number in range(chance.randint(1, STABLE_REPOSITORIES_MAX)))
    clients = chance.randint(2, 5)
    drained = chance.choice(nodes) if chance.random() < 0.1 else ""
    return Plan(
        drained=drained,
        seed=seed,
        nodes=nodes,
        factor=factor,
        repositories=repositories,
        clients=clients,
        weather=_weather(chance),
        faults=tuple(
            sorted(
                [*_faults(chance, nodes), *_read_replica_orders(Random(f"read replicas {seed}"), nodes)],
                key=lambda fault: fault.at_ms,
            )
        ),
        operations=(
            *_operations(chance, nodes, repositories, clients),
            *_configurations(Random(f"configurations {seed}"), nodes, repositories, clients),
            *_own_factors(Random(f"own factors {seed}"), nodes, repositories, clients),
        ),
    )


def _weather(chance: Random) -> Weather:
    def sometimes(*values: float) -> float:
        return chance.choice((0.0, 0.0, *values))

    return Weather(
        delay_ms_max=chance.choice((2, 5, 20, 60)),
        straggler=sometimes(0.01, 0.05),
        loss=sometimes(0.01, 0.05),
        duplicate=sometimes(0.05, 0.3),
        catalog_refused=sometimes(0.02, 0.1),
        catalog_lost=sometimes(0.03, 0.1),
        catalog_hidden=sometimes(0.03, 0.1),
        catalog_late=sometimes(0.05, 0.2),
        catalog_slow=sometimes(0.02, 0.1),
        watch_slow=sometimes(0.1, 0.5),
        disk_slow=sometimes(0.02, 0.1),
    )


def _faults(chance: Random, nodes: tuple[str, ...]) -> list[Fault]:
    kinds = chance.sample(FAULT_KINDS, k=chance.randint(1, 5))
    unlucky = chance.choice(nodes)
    faults = []
    for _ in range(chance.randint(1, 7)):
        kind = chance.choice(kinds)
        several = kind in {"cut", "split"}
        amount = chance.randint(1, len(nodes) - 1) if kind == "split" else 2 if several else 1
        faults.append(
            Fault(
                at_ms=chance.randint(0, FAULTS_MS),
                kind=kind,
                nodes=(unlucky,) if kind in LOSING else tuple(chance.sample(nodes, k=amount)),
                duration_ms=chance.choice((50, 300, 1_000, 3_000, 6_000)),
                detail=chance.randint(0, 40),
            )
        )
    return faults


def _read_replica_orders(chance: Random, nodes: tuple[str, ...]) -> list[Fault]:
    """Orders about read replicas, in half of the runs that have nodes to spare."""
    if len(nodes) < 4 or chance.random() < 0.5:
        return []
    return [
        Fault(
            at_ms=chance.randint(0, FAULTS_MS // 2),
            kind=READ_REPLICAS,
            nodes=(nodes[0],),
            duration_ms=0,
            detail=chance.randint(0, 40),
        )
        for _ in range(chance.randint(1, 4))
    ]


def _configurations(
    chance: Random, nodes: tuple[str, ...], repositories: tuple[str, ...], clients: int
) -> list[Operation]:
    """Changes of what writes to repositories may do, in a quarter of the runs."""
    if chance.random() < 0.75:
        return []
    return [
        Operation(
            number=CONFIGURATIONS_FROM + number,
            at_ms=chance.randint(0, FAULTS_MS),
            client=chance.randrange(clients),
            kind=CONFIGURE,
            repository=chance.randrange(len(repositories)),
            ref=0,
            node=chance.randrange(2 * len(nodes)),
            choice=chance.randrange(1 << 16),
            is_repeated=chance.random() < 0.4,
        )
        for number in range(chance.randint(4, 30))
    ]


def _own_factors(
    chance: Random, nodes: tuple[str, ...], repositories: tuple[str, ...], clients: int
) -> list[Operation]:
    """Orders about one repository's replicas, in a third of the runs."""
    if chance.random() < 0.67:
        return []
    return [
        Operation(
            number=OWN_FACTORS_FROM + number,
            at_ms=chance.randint(0, FAULTS_MS),
            client=chance.randrange(clients),
            kind=OWN_FACTOR,
            repository=chance.randrange(len(repositories)),
            ref=0,
            node=chance.randrange(2 * len(nodes)),
            choice=chance.randrange(1 << 16),
            is_repeated=chance.random() < 0.6,
        )
        for number in range(chance.randint(1, 5))
    ]


def _operations(chance: Random, nodes: tuple[str, ...], repositories: tuple[str, ...], clients: int) -> list[Operation]:
    kinds = [kind for kind, _ in OPERATION_KINDS]
    weights = [weight for _, weight in OPERATION_KINDS]
    hot = chance.random() < 0.5
    bursts = [chance.randint(0, FAULTS_MS - 500) for _ in range(chance.randint(1, 4))] if chance.random() < 0.6 else []
    return [
        Operation(
            number=number,
            at_ms=chance.choice(bursts) + chance.randint(0, 300) if bursts else chance.randint(0, FAULTS_MS),
            client=number % clients,
            kind=chance.choices(kinds, weights)[0],
            repository=0 if hot else chance.randrange(len(repositories)),
            ref=chance.choice((0, 0, 1, 2)),
            node=chance.randrange(2 * len(nodes)),
            choice=chance.randrange(1 << 16),
            is_repeated=chance.random() < 0.4,
        )
        for number in range(1, chance.randint(15, 45))
    ]
