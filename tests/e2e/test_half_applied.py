"""A node that was killed between a round's references and its position, and came back when the record had forgotten it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.ids import RoundId
from meshnode.core.round import Round, decode_round
from meshnode.git.journal import JournalRecord, write_record
from tests.e2e.cluster import Cluster, git, list_refs

VICTIM = 3
MORE_THAN_THE_RECORD_REMEMBERS = 18


def as_it_was(round_: Round) -> Round:
    return round_


def as_nobody_knows_it(round_: Round) -> Round:
    return replace(round_, round_id=RoundId("f" * 32))


@pytest.mark.parametrize(
    ("left_behind", "expected"),
    [(as_it_was, "catch_up"), (as_nobody_knows_it, "full_sync")],
    ids=["known to the peers", "unknown to the peers"],
)
def test_a_half_applied_round_is_ended_by_repair_and_is_no_damage(
    cluster: Cluster, name: str, work: Path, left_behind: Callable[[Round], Round], expected: str
) -> None:
    push(cluster, name, work, "one")
    cluster.wait_consistent(name)
    replica = cluster.replica_path(VICTIM, name)
    identity = cluster.repository(name)["id"]
    push_to_everyone(cluster, name, work, identity)
    cluster.stop(VICTIM)
    take_back_the_position(replica, left_behind)
    for number in range(MORE_THAN_THE_RECORD_REMEMBERS):
        tip = push(cluster, name, work, f"missed {number}")
    seen = log_of(cluster).stat().st_size
    cluster.start(VICTIM)
    cluster.wait_consistent(name)
    assert list_refs(cluster.url(VICTIM, name))["refs/heads/main"] == tip
    assert git("rev-parse", "main", cwd=replica).stdout.strip() == tip
    assert not list((cluster.node_path(VICTIM) / "damaged").glob(f"*{identity}*"))
    told = told_of(cluster, identity, seen)
    assert any(f'"{expected}"' in line for line in told), told
    cluster.wait_quiet()


def take_back_the_position(replica: Path, left_behind: Callable[[Round], Round]) -> None:
    """Make the files what they are when a kill comes after the references and before the history."""
    history = replica / "mesh" / "history"
    *earlier, last = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(earlier))
    applied = left_behind(decode_round(last.partition(b" ")[2].rstrip()))
    assert (replica / "mesh" / "journal").is_dir()
    write_record(replica / "mesh" / "journal", JournalRecord(applied, ""))


def push_to_everyone(cluster: Cluster, name: str, work: Path, identity: str) -> None:
    """Push until the victim took part in the last round: what a repair brought it does not stand in its history alone."""
    for number in range(10):
        seen = log_of(cluster).stat().st_size
        push(cluster, name, work, f"with everyone {number}")
        cluster.wait_consistent(name)
        if not any('"repair_step"' in line for line in told_of(cluster, identity, seen)):
            return
    raise AssertionError("the victim is repaired after each round")


def log_of(cluster: Cluster) -> Path:
    return cluster.node_path(VICTIM) / "node.log"


def told_of(cluster: Cluster, identity: str, seen: int) -> list[str]:
    """What the victim logged of a repository after the first `seen` bytes."""
    return [line for line in log_of(cluster).read_bytes()[seen:].decode().splitlines() if identity in line]


def push(cluster: Cluster, name: str, work: Path, text: str) -> str:
    """One more commit on main through n1; its id."""
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()
