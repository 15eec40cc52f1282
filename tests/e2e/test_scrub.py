"""Damage on a real disk, one kind a test: noticed, out of the record, the damaged copy kept, filled again, verified."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

VICTIM = 2


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that scrubs on demand only."""
    off = {"MESHNODE_SCRUB__INTERVAL_MS": "0", "MESHNODE_SCRUB__QUICK_INTERVAL_MS": "0"}
    with running_cluster(tmp_path_factory.mktemp("scrub") / "mesh", environment=off) as running:
        yield running


@pytest.fixture(scope="module")
def watchful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that looks twice a second."""
    often = {"MESHNODE_SCRUB__INTERVAL_MS": "500", "MESHNODE_SCRUB__QUICK_INTERVAL_MS": "500"}
    with running_cluster(tmp_path_factory.mktemp("watchful") / "mesh", environment=often) as running:
        yield running


def push(cluster: Cluster, name: str, work: Path, text: str) -> str:
    """One more commit on main; its id."""
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    cluster.wait_consistent(name)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def scrub(cluster: Cluster, name: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the reports by node."""
    done = cluster.meshnode("repo", "scrub", name, "--json", check=False, timeout_s=120)
    answer = json.loads(done.stdout)
    return done.returncode, {replica["node"]: replica for replica in answer["replicas"]}


def flip_a_byte_in_a_pack(replica: Path, _work: Path) -> None:
    pack = max((replica / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_size)
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 0xFF
    pack.write_bytes(data)


def flip_a_byte_in_an_index(replica: Path, _work: Path) -> None:
    index = next((replica / "objects" / "pack").glob("*.idx"))
    index.chmod(0o644)
    data = bytearray(index.read_bytes())
    data[-30] ^= 0xFF
    index.write_bytes(data)


def delete_a_loose_object(replica: Path, work: Path) -> None:
    for pack in (replica / "objects" / "pack").glob("*.pack"):
        kept = work / pack.name
        shutil.move(pack, kept)
        pack.with_suffix(".idx").unlink()
        with kept.open("rb") as stream:
            subprocess.run(["git", "unpack-objects", "-q"], cwd=replica, stdin=stream, check=True)
    tree = git("rev-parse", "refs/heads/main^{tree}", cwd=replica).stdout.strip()
    (replica / "objects" / tree[:2] / tree[2:]).unlink()


def flip_a_byte_in_a_loose_object(replica: Path, _work: Path) -> None:
    blob = git("hash-object", "-w", "--stdin", cwd=replica, stdin="loose").stdout.strip()
    path = replica / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)


def edit_a_reference(replica: Path, _work: Path) -> None:
    first = git("rev-list", "--max-parents=0", "refs/heads/main", cwd=replica).stdout.strip()
    git("update-ref", "refs/heads/main", first, cwd=replica)


def invent_a_reference(replica: Path, _work: Path) -> None:
    git("update-ref", "refs/heads/ghost", "refs/heads/main", cwd=replica)


def move_head(replica: Path, _work: Path) -> None:
    git("symbolic-ref", "HEAD", "refs/heads/elsewhere", cwd=replica)


def damage_the_history(replica: Path, _work: Path) -> None:
    history = replica / "mesh" / "history"
    data = bytearray(history.read_bytes())
    data[-40] ^= 0x01
    history.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        flip_a_byte_in_a_pack,
        flip_a_byte_in_an_index,
        delete_a_loose_object,
        flip_a_byte_in_a_loose_object,
        edit_a_reference,
        invent_a_reference,
        move_head,
        damage_the_history,
    ],
)
def test_damage_is_noticed_set_aside_and_repaired(
    asked: Cluster, work: Path, harm: Callable[[Path, Path], None]
) -> None:
    name = f"scrub/{harm.__name__}"
    push(asked, name, work, "two")
    tip = push(asked, name, work, "three")
    assert scrub(asked, name)[0] == 0
    replica = asked.replica_path(VICTIM, name)
    harm(replica, work)

    code, reports = scrub(asked, name)
    assert code == 1
    report = reports[f"n{VICTIM}"]
    assert report["verdict"] == "damaged", reports
    assert report["findings"]
    assert Path(report["kept"]).parent == asked.node_path(VICTIM) / "damaged"
    assert (Path(report["kept"]) / "mesh" / "set-aside").read_text().strip()
    assert {reports[node]["verdict"] for node in ("n1", "n3")} == {"sound"}

    asked.wait_consistent(name)
    code, reports = scrub(asked, name)
    assert code == 0, reports
    assert asked.meshnode("repo", "verify", name, check=False).returncode == 0
    assert list_refs(asked.url(VICTIM, name))["refs/heads/main"] == tip
    assert git("fsck", "--full", cwd=asked.replica_path(VICTIM, name)).returncode == 0


def copy_of(replica: Path, place: Path) -> Path:
    """An older copy, as a backup would have it."""
    shutil.copytree(replica, place, symlinks=True)
    return place


def roll_back(replica: Path, copy: Path) -> None:
    """Put an older copy in a replica's place, as a snapshot of the disk would."""
    shutil.rmtree(replica)
    copy.rename(replica)


def test_a_directory_rolled_back_under_a_running_node_is_noticed(asked: Cluster, work: Path) -> None:
    name = "scrub/rolled-back"
    push(asked, name, work, "two")
    replica = asked.replica_path(VICTIM, name)
    copy = copy_of(replica, asked.node_path(VICTIM) / "copy")
    tip = push(asked, name, work, "three")
    roll_back(replica, copy)
    code, reports = scrub(asked, name)
    assert code == 1
    assert "rolled back" in reports[f"n{VICTIM}"]["findings"][0]
    asked.wait_consistent(name)
    assert scrub(asked, name)[0] == 0
    assert list_refs(asked.url(VICTIM, name))["refs/heads/main"] == tip
    assert asked.meshnode("repo", "verify", name, check=False).returncode == 0


def test_a_directory_rolled_back_while_its_node_was_down_is_set_aside_before_it_serves(
    asked: Cluster, work: Path
) -> None:
    name = "scrub/rolled-back-down"
    push(asked, name, work, "two")
    replica = asked.replica_path(VICTIM, name)
    copy = copy_of(replica, asked.node_path(VICTIM) / "copy")
    tip = push(asked, name, work, "three")
    damaged = asked.node_path(VICTIM) / "damaged"
    before = set(damaged.iterdir())
    asked.kill(VICTIM)
    roll_back(replica, copy)
    asked.start(VICTIM)
    assert list_refs(asked.url(VICTIM, name))["refs/heads/main"] == tip
    (kept,) = set(damaged.iterdir()) - before
    assert "journal end at" in (kept / "mesh" / "set-aside").read_text()
    asked.wait_consistent(name)
    assert asked.meshnode("repo", "verify", name, check=False).returncode == 0


def test_a_damaged_fork_and_a_damaged_parent_are_told_apart(asked: Cluster, work: Path) -> None:
    parent, fork = "scrub/parent", "scrub/fork"
    push(asked, parent, work, "two")
    asked.meshnode("repo", "fork", parent, fork)
    asked.wait_consistent(fork)
    flip_a_byte_in_a_pack(asked.replica_path(VICTIM, parent), work)
    assert scrub(asked, parent)[1][f"n{VICTIM}"]["verdict"] == "damaged"
    asked.wait_consistent(parent)
    for again in itertools.count():
        code, reports = scrub(asked, fork)
        asked.wait_consistent(fork)
        if code == 0:
            break
        assert again < 2, reports
    assert scrub(asked, parent)[0] == 0
    clone = work / "clone-of-fork"
    git("clone", "--quiet", asked.url(VICTIM, fork), str(clone))
    assert git("fsck", cwd=clone).returncode == 0


@pytest.mark.parametrize("harm", [edit_a_reference, flip_a_byte_in_a_pack])
def test_the_background_finds_damage_that_nobody_asked_for(
    watchful: Cluster, work: Path, harm: Callable[[Path, Path], None]
) -> None:
    name = f"scrub/background-{harm.__name__}"
    push(watchful, name, work, "two")
    tip = push(watchful, name, work, "three")
    damaged = watchful.node_path(VICTIM) / "damaged"
    before = set(damaged.iterdir())
    harm(watchful.replica_path(VICTIM, name), work)
    wait_until(lambda: set(damaged.iterdir()) - before, deadline_s=30, what="the damaged copy is set aside")
    watchful.wait_consistent(name)
    assert list_refs(watchful.url(VICTIM, name))["refs/heads/main"] == tip
    assert watchful.meshnode("repo", "verify", name, check=False).returncode == 0


def test_a_scrub_says_which_replica_could_not_be_asked(asked: Cluster, work: Path) -> None:
    name = "scrub/silent"
    push(asked, name, work, "two")
    asked.kill(3)
    try:
        code, reports = scrub(asked, name)
        assert code == 1
        assert reports["n3"]["verdict"] == "unknown"
        assert "no answer" in reports["n3"]["findings"][0]
        assert reports["n1"]["verdict"] == "sound"
    finally:
        asked.start(3)
