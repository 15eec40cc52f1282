"""A cluster over real etcd grows, spreads, restarts, shrinks and loses a zone, while clients write and read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.isolation import Unfit, check_machine

_ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(1_200)
def test_a_cluster_loses_nothing_while_it_grows_spreads_restarts_shrinks_and_loses_a_zone(tmp_path: Path) -> None:
    try:
        check_machine()
    except Unfit as error:
        pytest.fail(str(error))
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.life", "--results", str(tmp_path)],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3_000:]}"
    (results,) = tmp_path.iterdir()
    figures = json.loads((results / "figures.json").read_text())
    assert (figures["lost"], figures["failures"]) == (0, [])
    assert list(figures["faults"]) == [
        "a node is removed",
        "a zone is lost",
        "every node restarts",
        "replicas spread",
        "the zone is back",
        "two machines join",
    ]
