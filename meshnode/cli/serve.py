"""`meshnode serve`: run one node in this process."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from meshnode.app import run_node
from meshnode.config import load_settings

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The node's settings (TOML); MESHNODE_SECTION__KEY in the environment wins over it.",
)
@click.pass_context
def serve(ctx: click.Context, config_file: Path) -> None:
    """Run one node until SIGTERM or SIGINT; then it drains and stops."""
    loaded = load_settings(config_file, os.environ)
    try:
        code = run_node(loaded)
    except Exception:
        log.exception("node_failed")  # a server's log must say where; the line for people follows
        raise
    ctx.exit(code)
