"""Every error has an exit code and one line."""

from __future__ import annotations

import inspect

import pytest

from meshnode.base import errors
from meshnode.base.errors import MeshError, RepositoryNotFound
from meshnode.cli.outcome import (
    EXIT_CODE_MEANINGS,
    CommandError,
    ExitCode,
    advice_of,
    exit_code_of,
    format_error,
    format_exit_codes,
    printable,
)
from meshnode.config import ConfigError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MeshError) and kind is not MeshError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_of_its_own_choosing_and_advice(kind: type[MeshError]) -> None:
    error = kind("something is so", name="x")
    is_defect = kind is errors.InvariantViolated
    assert (exit_code_of(error) is ExitCode.DEFECT) == is_defect
    assert exit_code_of(error) is not ExitCode.OK
    assert advice_of(error)
    assert format_error(error).startswith("error: something is so (name=x); ")


def test_what_may_have_been_written_never_counts_as_a_plain_failure() -> None:
    assert exit_code_of(errors.OutcomeUnknown("x")) is ExitCode.UNKNOWN


def test_an_error_is_one_line_without_control_characters() -> None:
    line = format_error(RepositoryNotFound("no such\x1b[31m\trepository", name="a\x07b"))
    assert line.isprintable()
    assert line.startswith("error: no such [31m repository (name=a b); ")


def test_all_problems_of_settings_fit_on_the_line() -> None:
    line = format_error(ConfigError(["a is wrong", "b is missing"], "n1.toml"))
    assert line.startswith("error: settings cannot be used: a is wrong; b is missing (source=n1.toml); ")


def test_an_unknown_error_is_a_defect() -> None:
    assert exit_code_of(MeshError("odd")) is ExitCode.DEFECT


def test_a_command_error_brings_its_own_code_and_advice() -> None:
    error = CommandError("the door is shut", advice="open it", exit_code=ExitCode.SETUP, door=3)
    assert exit_code_of(error) is ExitCode.SETUP
    assert format_error(error) == "error: the door is shut (door=3); open it"


def test_the_table_names_every_exit_code() -> None:
    assert set(EXIT_CODE_MEANINGS) == set(ExitCode)
    assert len(format_exit_codes().splitlines()) == len(ExitCode)


def test_printable_keeps_letters_of_all_languages() -> None:
    assert printable("größe 大\x00") == "größe 大?"
