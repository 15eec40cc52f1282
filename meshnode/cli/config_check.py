"""`meshnode config check`: say whether a node would accept its settings, with every reason why not."""

from __future__ import annotations

import os
from pathlib import Path

import click

from meshnode.cli.outcome import ExitCode, printable
from meshnode.cli.output import print_json
from meshnode.cli.target import json_option
from meshnode.config import ConfigError, load_config, render_config


@click.group()
def config() -> None:
    """Check a node's settings."""


@config.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The node's settings (TOML).",
)
@click.option("--show", is_flag=True, help="Print every setting as it takes effect, environment included.")
@json_option
@click.pass_context
def check(ctx: click.Context, config_file: Path, *, show: bool, is_json: bool) -> None:
    """Check settings as `serve` would read them, the environment included. Exit code 1 where they are wrong."""
    problems: tuple[str, ...] = ()
    rendered = ""
    try:
        rendered = render_config(load_config(config_file, os.environ))
    except ConfigError as error:
        problems = error.problems
    if is_json:
        print_json({"file": str(config_file), "ok": not problems, "problems": list(problems)})
    else:
        for problem in problems:
            click.echo(printable(problem))
        if show and not problems:
            click.echo(rendered, nl=False)
        else:
            click.echo(f"{config_file}: {len(problems)} problems" if problems else f"{config_file}: ok")
    ctx.exit(ExitCode.CHECK_FAILED if problems else ExitCode.OK)
