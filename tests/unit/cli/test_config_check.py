"""`config check`: says whether a node would accept its settings, and every reason why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshnode.config import load_config
from tests.unit.cli.conftest import run_cli

GOOD = """
[node]
id = "n1"
data = "/var/lib/meshnode"
[catalog]
url = "sqlite:///var/lib/meshnode/catalog.db"
"""


def test_good_settings_are_ok_and_can_be_shown_in_full(tmp_path: Path) -> None:
    file = tmp_path / "meshnode.toml"
    file.write_text(GOOD)
    result = run_cli("config", "check", "--config", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok\n")
    shown = run_cli("config", "check", "--config", file, "--show")
    again = tmp_path / "again.toml"
    again.write_text(shown.stdout)
    assert load_config(again, {}) == load_config(file, {})
    assert json.loads(run_cli("config", "check", "--config", file, "--json").stdout)["ok"] is True


def test_every_problem_is_listed_and_the_exit_code_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "meshnode.toml"
    file.write_text(GOOD.replace('id = "n1"', 'id = "N 1"') + "[limits]\nqueue_wait = 3\n")
    monkeypatch.setenv("MESHNODE_LOG__LEVEL", "loud")
    result = run_cli("config", "check", "--config", file)
    assert result.exit_code == 1
    assert "queue_wait_ms" in result.stdout
    assert "log.level" in result.stdout
    assert "node.id" in result.stdout
    assert f"{file}: 3 problems" in result.stdout
    assert len(json.loads(run_cli("config", "check", "--config", file, "--json").stdout)["problems"]) == 3


def test_a_missing_file_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    result = run_cli("config", "check", "--config", tmp_path / "none.toml")
    assert result.exit_code == 1
    assert "cannot be read" in result.stdout
