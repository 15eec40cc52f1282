"""A short chaos run: three nodes in network namespaces of their own, real etcd, real faults, any seed.

`make chaos` makes longer ones; a failure names the seed, and the directory with everything that was seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.isolation import Unfit, check_machine

_ROOT = Path(__file__).resolve().parents[2]
_MINUTES = 0.75


@pytest.mark.timeout(600)
def test_nothing_is_lost_while_nodes_links_disks_and_members_fail(tmp_path: Path) -> None:
    try:
        check_machine()
    except Unfit as error:
        pytest.fail(str(error))
    command = [sys.executable, "-m", "tests.chaos.run", "--minutes", str(_MINUTES), "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3_000:]}"
    (run,) = tmp_path.iterdir()
    figures = json.loads((run / "figures.json").read_text())
    assert figures["lost"] == 0
    assert figures["failures"] == []
    assert len(figures["faults"]) >= 3
    assert figures["writes"]["light"]["done"] > 20
    assert figures["writes"]["git"]["done"] > 0
    assert figures["writes"]["rpc"]["done"] > 0
