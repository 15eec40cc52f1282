"""The root command: help, exit codes, lazy loading, and errors that leave as one line."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from meshnode import __version__
from meshnode.base.errors import QuorumLost
from meshnode.cli.outcome import ExitCode
from meshnode.cli.root import _COMMANDS, CommandTable
from tests.unit.cli.conftest import run_cli


def test_help_lists_every_command_and_every_exit_code() -> None:
    result = run_cli("--help")
    assert result.exit_code == 0
    for name in _COMMANDS:
        assert f"  {name} " in result.stdout
    for code in ExitCode:
        assert f"{code.value:>5}  " in result.stdout


def test_version_is_the_package_version() -> None:
    assert run_cli("--version").stdout == f"meshnode, version {__version__}\n"


@pytest.mark.parametrize("name", [name for name in _COMMANDS if name != "serve"])
def test_every_command_loads_and_explains_itself(name: str) -> None:
    result = run_cli(name, "--help")
    assert result.exit_code == 0, result.output
    summary = _COMMANDS[name][1].rstrip(".")
    assert summary.split()[0] in result.stdout


def test_help_needs_neither_grpc_nor_a_key_library() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from meshnode.cli.root import cli;"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0;"
        "print([name for name in ('grpc', 'cryptography', 'rich', 'pygit2', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = run_cli("teleport")
    assert result.exit_code == 2
    assert "No such command 'teleport'" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (QuorumLost("too few votes", votes=1), 4, "too few votes (votes=1)"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/x"), 7, "/x"),
        (ZeroDivisionError("division\nby zero"), 70, "unexpected ZeroDivisionError"),
    ],
)
def test_every_exception_leaves_as_one_line_and_a_code(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MESHNODE_TRACEBACK", raising=False)
    result = invoke_raising(error)
    assert result.exit_code == code
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


def test_a_defect_shows_where_it_is_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHNODE_TRACEBACK", "1")
    result = invoke_raising(ZeroDivisionError("oh"))
    assert result.exit_code == 70
    assert "Traceback" in result.stderr


def invoke_raising(error: BaseException) -> click.testing.Result:
    def fail() -> None:
        raise error

    return CliRunner().invoke(CommandTable("test", callback=fail, invoke_without_command=True), [])
