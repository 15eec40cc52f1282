"""What must hold when everything is healed: replicas agree, git finds them clean, nothing is left over.

heal -> every node ready -> `repo verify` ok for every repository -> last writes and reads
-> nodes stopped gracefully -> no process left -> disks: leftovers, `git fsck`, references, committed rounds
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.cli.client import ClusterClient
from meshnode.v1 import repository_pb2
from tests.chaos.cluster import ChaosCluster
from tests.chaos.load import Load
from tests.chaos.network import CommandFailed
from tests.chaos.rounds import Chain, RoundCollector
from tests.chaos.workload import REPOSITORIES
from tests.e2e.cluster import git, leftovers_below

CONVERGE_S: Final = 180.0
"""The longest pause between two tries of a repair is ten seconds; the rest is for machines with other work to do."""
_PAUSE_S: Final = 0.5
_VERIFY_MS: Final = 60_000
_FSCK_S: Final = 300.0
_NEVER: Final = frozenset({"task_failed", "git_request_failed", "rpc_failed_unexpectedly"})
"""Events that no fault excuses: something ended that should run for ever, or an error was met that nobody expected."""


@dataclass
class Aftermath:
    """What was found."""

    failures: list[str] = field(default_factory=list)
    chains: dict[str, Chain] = field(default_factory=dict)
    heal_s: float = 0.0
    """From the end of the last fault until every replica agreed."""
    replicas: int = 0
    errors_logged: dict[str, int] = field(default_factory=dict)
    """Events that nodes logged as errors, counted."""


async def look(cluster: ChaosCluster, load: Load, rounds: RoundCollector) -> Aftermath:
    """Go through everything; the cluster has been healed, and is stopped afterwards."""
    found = Aftermath()
    begun = time.monotonic()
    try:
        for node in cluster.names:
            await cluster.wait_ready(node)
        for repository in REPOSITORIES:
            await _wait_agreed(cluster, repository, found)
        found.heal_s = time.monotonic() - begun
        found.failures += await load.finish()
        ids = [await _verified_id(cluster, repository, found) for repository in REPOSITORIES]
    except CommandFailed as error:
        found.failures.append(str(error))
        return found
    await _stop(cluster, found)
    await asyncio.to_thread(_look_at_disks, cluster, dict(zip(REPOSITORIES, ids, strict=True)), found)
    await asyncio.to_thread(rounds.collect)
    found.chains = {name: rounds.chain(identity) for name, identity in zip(REPOSITORIES, ids, strict=True)}
    _read_logs(cluster, found)
    return found


async def _wait_agreed(cluster: ChaosCluster, repository: str, found: Aftermath) -> None:
    """Wait until all replicas agree, asked through a client that stays: a command's start takes a busy machine long."""
    assert cluster.target is not None
    request = repository_pb2.VerifyRequest(name=repository)
    last = ""
    deadline = time.monotonic() + CONVERGE_S
    async with ClusterClient(cluster.target) as client:
        while time.monotonic() < deadline:
            try:
                answer = await client.call(
                    "/mesh.v1.RepositoryService/Verify", request, repository_pb2.VerifyResponse, timeout_ms=_VERIFY_MS
                )
                last = str(answer)
                are_consistent = [report.consistent for report in answer.replicas]
                if answer.ok and are_consistent == [True] * cluster.factor:
                    return
            except MeshError as error:
                last = str(error)
            await asyncio.sleep(_PAUSE_S)
    found.failures.append(f"{repository} does not converge within {CONVERGE_S:.0f} s: {last[:1_500]}")
    raise CommandFailed(f"{repository} does not converge")


async def _verified_id(cluster: ChaosCluster, repository: str, found: Aftermath) -> str:
    """The repository's id, once `meshnode repo verify` has said that its replicas agree."""
    await _wait_agreed(cluster, repository, found)
    answer = await cluster.verify(repository)
    if not answer["ok"]:
        found.failures.append(f"{repository}: repo verify differs from a moment ago: {json.dumps(answer)[:1_500]}")
    shown = json.loads(await cluster.meshnode("repo", "show", repository, "--json", "--data", str(cluster.data)))
    return str(shown["id"])


async def _stop(cluster: ChaosCluster, found: Aftermath) -> None:
    """Stop the nodes; they must end by themselves and leave no process behind."""
    machines = list(cluster.machines.values())
    for machine, code in zip(machines, await asyncio.gather(*(one.stop() for one in machines)), strict=True):
        if code != 0:
            found.failures.append(f"{machine.name} ended with exit code {code} when asked to stop")
    for machine in cluster.all_machines.values():
        found.failures += machine.ended_by_itself
    found.failures += [f"left running: {line}" for line in _processes_left()]


def _processes_left() -> list[str]:
    """Command lines of git and node processes; the run's own process namespace shows no others."""
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "meshnode serve" in line or line.startswith("git "):
                left.append(line[:200])
    return left


def _look_at_disks(cluster: ChaosCluster, ids: dict[str, str], found: Aftermath) -> None:
    for node in cluster.names:
        found.failures += [f"left on {node}: {path}" for path in leftovers_below(cluster.data / node)[:5]]
        damaged = sorted((cluster.data / node / "damaged").glob("*"))
        found.failures += [f"{node} has set a replica aside as damaged: {path.name}" for path in damaged]
    for repository, identity in ids.items():
        replicas = sorted(cluster.data.glob(f"n*/repositories/*/{identity}"))
        found.replicas += len(replicas)
        if len(replicas) != cluster.factor:
            found.failures.append(f"{repository} lies on {len(replicas)} disks, not {cluster.factor}")
        found.failures += [failure for replica in replicas if (failure := _fsck(replica))]
        listings = {git("for-each-ref", cwd=replica).stdout for replica in replicas}
        if len(listings) != 1:
            found.failures.append(f"{repository}: git lists different references in its replicas")


def _fsck(replica: Path) -> str:
    """What `git fsck` complains of; "" where the replica is clean."""
    done = subprocess.run(
        ["git", "-C", str(replica), "fsck", "--full", "--strict", "--no-dangling"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FSCK_S,
        check=False,
    )
    return "" if done.returncode == 0 else f"git fsck of {replica}: {(done.stdout + done.stderr)[:400]}"


def _read_logs(cluster: ChaosCluster, found: Aftermath) -> None:
    events: Counter[str] = Counter()
    for node in cluster.names:
        for line in (cluster.logs / f"{node}.log").read_text(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                events[f"not JSON: {line[:80]}"] += 1
                continue
            if row.get("level") == "error":
                events[str(row.get("event"))] += 1
    found.errors_logged = dict(events.most_common())
    found.failures += [
        f"the nodes logged {event}, {number} times" for event, number in events.items() if event in _NEVER
    ]
