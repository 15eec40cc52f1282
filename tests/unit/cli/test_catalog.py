"""`meshnode catalog` at its edges: nodes not heard, exports that are none, an empty catalog under full disks."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from meshnode.base.ids import Generation, PartitionId, RefsDigest, RepositoryId, RepositoryName, RoundId
from meshnode.catalog.open import open_catalog
from meshnode.cli.blueprint import make_cluster_files, plan_local_cluster
from meshnode.cli.layout import Layout, local_node_id
from meshnode.cli.outcome import ExitCode
from meshnode.config import CatalogSettings
from meshnode.core.keys import SETTINGS
from meshnode.core.refs import EMPTY_DIGEST
from meshnode.core.round import ReplicaKey
from meshnode.core.shared_settings import SharedSettings, decode_shared_settings, encode_shared_settings
from meshnode.git.layout import write_skeleton
from meshnode.git.settings_note import write_settings_note
from meshnode.git.state import encode_state
from meshnode.ports import ReplicaState
from tests.unit.cli.conftest import run_cli

REPOSITORY = RepositoryId("a" * 32)


@pytest.fixture
def stopped(layout: Layout) -> Layout:
    """A cluster of three nodes that have run once, with an empty replica on the first two; no catalog."""
    url = f"sqlite://{quote(str(layout.sqlite_file))}"
    make_cluster_files(layout, plan_local_cluster(layout, node_count=3, base_port=20_000, catalog_url=url), None)
    for number in (1, 2, 3):
        data = layout.node_directory(local_node_id(number))
        (data / "repositories").mkdir()
        if number < 3:
            put_replica(data)
    return layout


def put_replica(data: Path, *, digest: RefsDigest = EMPTY_DIGEST) -> None:
    """A replica without references at generation 4."""
    place = data / "repositories" / "5" / REPOSITORY
    write_skeleton(place, "sha1")
    (place / "mesh" / "journal").mkdir(parents=True)
    state = ReplicaState(
        key=ReplicaKey(PartitionId(5), REPOSITORY),
        name=RepositoryName("demo/one"),
        generation=Generation(4),
        round_id=RoundId("b" * 32),
        refs_digest=digest,
        object_format="sha1",
        is_deleted=False,
    )
    (place / "mesh" / "state.json").write_bytes(encode_state(state))


def test_a_rebuild_is_told_in_words_and_then_done(stopped: Layout) -> None:
    dry = run_cli("catalog", "rebuild", "--data", stopped.data, "--dry-run")
    assert dry.exit_code == ExitCode.OK, dry.output
    assert "demo/one" in dry.output
    assert "nothing was written" in dry.output
    done = run_cli("catalog", "rebuild", "--data", stopped.data)
    assert done.exit_code == ExitCode.OK
    assert "1 repositories are in the catalog" in done.output
    again = run_cli("catalog", "rebuild", "--data", stopped.data)
    assert again.exit_code == ExitCode.REFUSED
    assert "not empty" in again.output


def note_settings(layout: Layout, number: int, version: int) -> None:
    shared = SharedSettings(version=version, values={"scrub.slots": version})
    write_settings_note(layout.node_directory(local_node_id(number)), encode_shared_settings(shared))


def test_what_no_disk_has_is_told_with_what_to_do(stopped: Layout) -> None:
    told = run_cli("catalog", "rebuild", "--data", stopped.data, "--dry-run")
    for what in ("settings of the cluster", "configurations", "applications", "replication factors", "states of nodes"):
        assert f"not restored: {what}" in told.stderr
    for advice in ("repo config NAME set", "application add", "cluster settings set", "cluster factor"):
        assert f"meshnode {advice}" in told.stderr
    answer = json.loads(run_cli("catalog", "rebuild", "--data", stopped.data, "--dry-run", "--json").stdout)
    assert answer["settings"] is None
    assert len(answer["not_restored"]) == 7
    assert all(one["what"] and one["advice"] for one in answer["not_restored"])


def test_newest_settings_that_a_node_has_noted_are_written(stopped: Layout) -> None:
    note_settings(stopped, 1, 3)
    note_settings(stopped, 2, 5)
    (stopped.node_directory(local_node_id(3)) / "cluster-settings.json").write_text("half a no")
    done = run_cli("catalog", "rebuild", "--data", stopped.data)
    assert done.exit_code == ExitCode.OK, done.output
    assert "settings of the cluster: version 5" in done.stderr
    assert "not restored: settings" not in done.stderr
    assert "n3" in next(line for line in done.stderr.splitlines() if "cannot be read" in line)

    async def read() -> SharedSettings:
        catalog = await open_catalog(CatalogSettings(url=f"sqlite://{stopped.sqlite_file}"))
        try:
            (entry,) = await catalog.get([SETTINGS])
        finally:
            await catalog.close()
        assert entry is not None
        return decode_shared_settings(entry.value)

    assert asyncio.run(read()) == SharedSettings(version=5, values={"scrub.slots": 5})


def test_doubts_are_told_with_what_each_replica_has(stopped: Layout) -> None:
    data = stopped.node_directory(local_node_id(1))
    shutil.rmtree(data / "repositories" / "5")
    put_replica(data, digest=RefsDigest("e" * 64))
    shutil.rmtree(stopped.node_directory(local_node_id(2)) / "repositories" / "5")
    dry = run_cli("catalog", "rebuild", "--data", stopped.data, "--dry-run")
    assert "doubt: demo/one: no sound replica" in dry.output
    assert "references on disk are others" in dry.output


def test_a_node_that_was_not_heard_stops_the_rebuild(stopped: Layout) -> None:
    (stopped.node_directory(local_node_id(2)) / "repositories").rename(stopped.data / "elsewhere")
    refused = run_cli("catalog", "rebuild", "--data", stopped.data)
    assert refused.exit_code == ExitCode.REFUSED
    assert "missing=n2" in refused.output
    assert run_cli("catalog", "rebuild", "--data", stopped.data, "--without", "n2").exit_code == ExitCode.OK


def test_an_export_stands_for_a_disk_and_brings_its_node_along(stopped: Layout, tmp_path: Path) -> None:
    exported = run_cli("catalog", "export", "--data", stopped.node_directory(local_node_id(2)))
    assert exported.exit_code == ExitCode.OK
    raw = json.loads(exported.output)
    raw["node"] = "n9"
    file = tmp_path / "n9.json"
    file.write_text(json.dumps(raw))
    done = run_cli("catalog", "rebuild", "--data", stopped.data, "--export", file, "--json")
    assert done.exit_code == ExitCode.OK, done.output
    answer = json.loads(done.output[done.output.index("{") :])
    assert answer["nodes"] == ["n1", "n2", "n3", "n9"]
    assert "n9" in answer["repositories"][0]["replicas"]


@pytest.mark.parametrize("text", ["", "{}", '{"v": 7}'])
def test_an_export_that_is_none_is_refused(stopped: Layout, tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    refused = run_cli("catalog", "rebuild", "--data", stopped.data, "--export", file)
    assert refused.exit_code == ExitCode.CHECK_FAILED
    assert "account" in refused.output


def test_one_node_cannot_be_exported_twice(stopped: Layout, tmp_path: Path) -> None:
    file = tmp_path / "n2.json"
    file.write_text(run_cli("catalog", "export", "--data", stopped.node_directory(local_node_id(2))).output)
    refused = run_cli("catalog", "rebuild", "--data", stopped.data, "--export", file, "--export", file)
    assert refused.exit_code == ExitCode.USAGE
    assert "two exports" in refused.output


def test_a_directory_without_a_cluster_is_not_found(tmp_path: Path) -> None:
    assert run_cli("catalog", "rebuild", "--data", tmp_path).exit_code == ExitCode.NOT_FOUND


def test_up_puts_no_empty_catalog_under_nodes_with_repositories(stopped: Layout) -> None:
    refused = run_cli("up", "--data", stopped.data, "--detach")
    assert refused.exit_code == ExitCode.REFUSED
    assert "catalog rebuild" in refused.output
