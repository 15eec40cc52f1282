"""Prints what commands found: JSON for programs, tables and short lines for people.

Rule: standard output carries the answer and nothing else; progress, facts and warnings go to standard error, so
that `--json` can always be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshnode.cli.outcome import printable

_WIDTH_UNBOUNDED: Final = 1_000
"""Into a pipe or a file, a cell is not folded."""


def print_json(answer: Any) -> None:
    """Print an answer as indented JSON with sorted keys."""
    click.echo(json.dumps(answer, indent=2, sort_keys=True, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "none") -> None:
    """Print rows below column names; `empty` stands for no rows. Texts are shown as they are, never as markup."""
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _console(sys.stdout).print(table)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, values aligned."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        click.echo(f"{name:<{width}}  {printable(value)}")


def print_note(line: str) -> None:
    """Tell people something beside the answer."""
    click.echo(printable(line), err=True)


@contextmanager
def progress(label: str) -> Iterator[None]:
    """Show on a terminal that something long is under way; elsewhere print the label once."""
    console = _console(sys.stderr)
    if console.is_terminal:
        with console.status(Text(label)):
            yield
    else:
        print_note(label)
        yield


def yes_no(is_so: bool) -> str:
    """A fact in a table."""
    return "yes" if is_so else "no"


def _console(stream: Any) -> Console:
    width = None if stream.isatty() else _WIDTH_UNBOUNDED
    return Console(file=stream, highlight=False, width=width)
