"""Every crash point of every scenario, each with a process that really dies there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.planted import PLANTED, PLANTED_IN_START
from tests.crash.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


CAUGHT = {
    "vote-before-the-record": ("push", "what it had voted for is lost"),
    "objects-before-the-publish": ("push", "of an unpublished round can be read"),
    "references-before-the-publish": ("push", "which no published generation says"),
    "history-before-references": ("push", "the node takes itself out"),
    "record-gone-before-the-history": ("push", "what it had voted for is lost"),
    "a-start-that-tidies-nothing": ("create-empty", "left over: trash"),
    "locks-that-stay": ("push", "left over: repositories"),
}
"""The scenario that shows the bug, and as what."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    return subprocess.run(
        [sys.executable, "-m", "tests.crash.run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(900)  # 100 deaths at 0.1 s of processor time each, on a machine that is busy with other tests
@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_change_a_node_dies_at_it_starts_again_with_all_it_promised(name: str) -> None:
    done = run(name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*PLANTED, *PLANTED_IN_START])
def test_a_planted_bug_is_caught(name: str) -> None:
    scenario, complaint = CAUGHT[name]
    done = run(scenario, "--planted", name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert complaint in done.stdout
