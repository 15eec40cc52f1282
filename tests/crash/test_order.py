"""What scenarios do to the disk, without any death: nothing passes the points by, and syncs come in time."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshnode.git.durable import Change, Observer
from meshnode.git.stores import Step
from tests.contract.replica_fixtures import make_source
from tests.crash.ledger import Ledger
from tests.crash.ordering import check_order
from tests.crash.points import Point
from tests.crash.scenarios import SCENARIOS
from tests.crash.site import Site
from tests.crash.survey import Survey, survey

NOT_NEEDED = re.compile(
    r"[\w-]+ (incoming/.*"  # a directory is synced as a whole before it gets its place: empty ones too, and files twice
    r"|repositories/7"  # a replica's directory went: the next start takes it away again
    r"|repositories/7/\w+/mesh/filling(\.tmp)?"  # an empty file
    r"|repositories/7/\w+/mesh(/journal)?"  # synced as a whole, then again; an old history that went
    r"|repositories/7/\w+(/refs/heads)?"  # synced for references, then for HEAD; for a rewritten packed-refs, or not
    r")|combine repositories/7/\w+/objects/pack"  # packs went that were combined: the next start takes them away again
)
"""Syncs that can be left out where the scenario's other ones do the same."""


async def surveyed(name: str, place: Path, hidden: str = "") -> Survey:
    """A scenario's points, without those of kind `hidden`."""
    scenario = SCENARIOS[name]()
    source = make_source(place / "source.git", scenario.object_format)
    data, ledger = place / "data", Ledger()
    await scenario.prepare(Site(data, source, ledger))
    gc.collect()  # lets go of the directory's lock

    def open_site(step: Step) -> Site:
        return Site(data, source, ledger, step=step)

    def through(observer: Observer) -> Observer:
        @contextmanager
        def see(change: Change) -> Iterator[None]:
            if change.kind == hidden:
                yield
                return
            with observer(change):
                yield

        return see

    return await survey(scenario, data, open_site, through=through)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_every_change_is_a_point_and_is_synced_in_time(name: str, tmp_path: Path) -> None:
    found = await surveyed(name, tmp_path)
    assert found.changes
    assert found.unseen == []
    assert check_order(found.points) == []


@pytest.mark.parametrize("name", SCENARIOS)
async def test_no_sync_can_be_left_out_unnoticed(name: str, tmp_path: Path) -> None:
    points = (await surveyed(name, tmp_path)).points
    unnoticed = [
        f"{number} {point}"
        for number, point in enumerate(points, start=1)
        if point.kind == "sync" and not NOT_NEEDED.fullmatch(f"{name} {point.path}")
        if not check_order(points[: number - 1] + points[number:])
    ]
    assert unnoticed == []


async def test_a_change_that_is_no_point_is_found_on_disk(tmp_path: Path) -> None:
    by_hand = [("push", kind) for kind in ("create", "write", "rename", "unlink", "remove_directory")]
    for scenario, kind in (*by_hand, ("references", "update-ref")):
        place = tmp_path / kind
        place.mkdir()
        assert (await surveyed(scenario, place, hidden=kind)).unseen, kind


def test_a_rename_of_bytes_that_were_not_synced_is_a_fault() -> None:
    name = "repositories/7/a/mesh/state.json"
    points = [Point("create", f"{name}.tmp"), Point("write", f"{name}.tmp"), Point("rename", f"{name}.tmp", name)]
    (complaint,) = check_order(points)
    assert "state.json.tmp is not synced" in complaint
    assert check_order([*points[:2], Point("sync", f"{name}.tmp"), *points[2:]]) == []


def test_a_name_that_was_not_synced_is_a_fault_only_when_a_step_is_called_done() -> None:
    points = [Point("rename", "incoming/x.pack", "repositories/7/a/mesh/journal/x.pack")]
    assert check_order(points) == []
    assert check_order([*points, Point("mark", "prepare.objects")]) == []
    (complaint,) = check_order([*points, Point("mark", "prepare.journal")])
    assert "journal/x.pack is not synced" in complaint


def test_the_mark_of_a_filling_goes_last() -> None:
    mesh = "repositories/7/a/mesh"
    points = [Point("rename", f"{mesh}/x", f"{mesh}/state.json"), Point("unlink", f"{mesh}/filling")]
    assert check_order(points)
    assert check_order([points[0], Point("sync", mesh), points[1]]) == []
    assert check_order([points[0], Point("sync", mesh), points[1], Point("mark", "replace.state")])


def test_what_may_be_lost_need_not_be_synced() -> None:
    points = [
        Point("make_directory", "incoming/x"),
        Point("write", "incoming/x/tmp"),
        Point("create", "repositories/7/a/mesh/journal/y.json.tmp"),
        Point("unlink", "repositories/7/a/mesh/journal/y.json.tmp"),
        Point("rename", "repositories/7/a", "trash/z/a"),
        Point("mark", "apply.removed"),
    ]
    assert check_order(points) == []
