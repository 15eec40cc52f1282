"""That long runs can be stopped and go on, and that runs without an end are noticed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.sim.report import WRITE_EVERY, ReportFile
from tests.sim.virtual_time import EndlessError, StuckError, VirtualLoop


def test_a_report_counts_blocks_without_a_gap_and_goes_on_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    file = ReportFile(path, 100)
    file.add(range(150, 175), [], {"runs": 25})
    assert (file.report.following, file.report.counts) == (100, {})
    file.add(range(100, 150), [(120, ("I1: lost",))], {"runs": 50})
    file.add(range(200, 225), [], {"runs": 25})
    file.write()
    again = ReportFile(path, 100)
    assert (again.report.following, again.report.counts) == (175, {"runs": 75})
    assert again.report.failed == [(120, ("I1: lost",))]
    again.add(range(175, 200), [], {"runs": 25, "crash": 3})
    assert again.report.counts == {"crash": 3, "runs": 100}
    with pytest.raises(ValueError, match="begins at seed 100, not 0"):
        ReportFile(path, 0)


def test_a_report_is_written_after_each_thousand_seeds(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    file = ReportFile(path, 0)
    file.add(range(WRITE_EVERY - 1), [], {"runs": WRITE_EVERY - 1})
    assert not path.exists()
    file.add(range(WRITE_EVERY - 1, WRITE_EVERY), [], {"runs": 1})
    assert json.loads(path.read_text())["following"] == WRITE_EVERY


def test_a_run_that_goes_round_in_circles_is_ended() -> None:
    async def circle() -> None:
        def again() -> None:
            asyncio.get_running_loop().call_soon(again)

        again()
        await asyncio.Event().wait()

    with (
        pytest.raises(EndlessError, match="more than 10"),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(1000)) as loop,
    ):
        loop.run(circle())


def test_a_run_in_which_nothing_can_happen_is_ended() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError), asyncio.Runner(loop_factory=VirtualLoop) as loop:
        loop.run(wait())
