"""The `meshnode` command: its table of subcommands, and how every error leaves the program.

Rule: a subcommand's module is imported when it is called, so `meshnode --help` needs neither gRPC nor a key
library; errors become one line and an exit code here and nowhere else.
"""

from __future__ import annotations

import importlib
import os
import traceback
from typing import Any, Final

import click

from meshnode import __version__
from meshnode.base.errors import MeshError
from meshnode.cli.outcome import CommandError, ExitCode, exit_code_of, format_error, format_exit_codes, printable

TRACEBACK: Final = "MESHNODE_TRACEBACK"
"""Environment variable: set, a defect shows its traceback."""

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("meshnode.cli.up:up", "Make and start a cluster on this machine."),
    "down": ("meshnode.cli.up:down", "Stop all nodes of a local cluster; the data stays."),
    "start": ("meshnode.cli.up:start", "Start one node of a local cluster."),
    "stop": ("meshnode.cli.up:stop", "Stop one node of a local cluster."),
    "repo": ("meshnode.cli.repository:repo", "Create, list, inspect and change repositories."),
    "cluster": ("meshnode.cli.cluster:cluster", "Look at the cluster as a whole."),
    "node": ("meshnode.cli.cluster:node", "List nodes, inspect, drain and enable them; add and remove them."),
    "catalog": ("meshnode.cli.catalog:catalog", "Make a lost catalog again from the nodes' disks."),
    "application": ("meshnode.cli.applications:application", "Say which applications may call, and under which keys."),
    "token": ("meshnode.cli.token:token", "Sign tokens for other programs and for users."),
    "doctor": ("meshnode.cli.doctor:doctor", "Check this machine and the cluster, and say what to do."),
    "config": ("meshnode.cli.config_check:config", "Check a node's settings."),
    "serve": ("meshnode.cli.serve:serve", "Run one node until it is told to stop."),
    "init-cluster": ("meshnode.cli.init_cluster:init_cluster", "Prepare a cluster whose nodes run elsewhere."),
}


class CommandTable(click.Group):
    """The root group: loads subcommands when they are needed and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a subcommand; None where there is none of that name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without loading the subcommands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of exit codes."""
        del ctx
        with formatter.section("Exit codes"):
            for line in format_exit_codes().splitlines():
                formatter.write(f"{line}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Every error but click's own ends as one line and an exit code."""
        try:
            return super().invoke(ctx)
        except MeshError as error:
            for line in error.log_lines if isinstance(error, CommandError) else ():
                click.echo(f"  | {printable(line)}", err=True)
            _leave(format_error(error), exit_code_of(error))
        except KeyboardInterrupt:
            _leave("interrupted", ExitCode.INTERRUPTED)
        except BrokenPipeError:
            raise  # click ends quietly: who read the output has gone
        except OSError as error:
            _leave(f"error: {error}; check the file or the disk", ExitCode.SETUP)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the outermost frame: a user never meets a traceback
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            _leave(
                f"error: unexpected {type(error).__name__}: {error}; set {TRACEBACK}=1 to see where, and report it",
                ExitCode.DEFECT,
            )


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="meshnode")
def cli() -> None:
    """Replicated Git storage.

    A command finds its cluster by --data DIR (a cluster made by `meshnode up`; default $MESHNODE_DATA or ./.mesh)
    or by --server URL with --server-key and --key. With --json the answer on standard output is JSON.
    """


def _leave(line: str, code: ExitCode) -> None:
    click.echo(line.replace("\n", " "), err=True)
    raise click.exceptions.Exit(code)
