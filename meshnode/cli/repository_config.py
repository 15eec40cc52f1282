"""`meshnode repo config`: what writes to a repository may do."""

from __future__ import annotations

from typing import Final

import click

from meshnode.base.ids import RepositoryName
from meshnode.cli.client import ask
from meshnode.cli.names import NAME
from meshnode.cli.output import print_json, print_table
from meshnode.cli.settings import parse_assignments
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import repository_config_pb2 as messages

_SERVICE: Final = "/mesh.v1.RepositoryService/"


@click.command("config")
@click.argument("name", type=NAME)
@click.argument("action", type=click.Choice(["get", "set", "unset"]), default="get")
@click.argument("items", nargs=-1, metavar="[KEY=VALUE... | KEY...]")
@click.option("--expect", type=click.IntRange(min=0), help="Only where the configuration still has this version.")
@target_options
@json_option
def config(
    target: Target, name: RepositoryName, action: str, items: tuple[str, ...], expect: int | None, *, is_json: bool
) -> None:
    """Show or change what pushes and other writes to a repository may do, on every node from the answer on.

    Keys are git's: receive.denyDeletes, receive.denyNonFastForwards, receive.maxInputSize.
    """
    if action == "get":
        if expect is not None:
            raise click.UsageError("--expect goes with set and unset")
        answer: messages.GetConfigResponse | messages.SetConfigResponse = ask(
            target, _SERVICE + "GetConfig", messages.GetConfigRequest(name=name), messages.GetConfigResponse
        )
        shown = [one for one in answer.settings if not items or one.key.lower() in {item.lower() for item in items}]
        if items and len(shown) < len({item.lower() for item in items}):
            raise click.UsageError(f"there are only {', '.join(one.key for one in answer.settings)}")
    else:
        if not items:
            raise click.UsageError(f"{action} needs {'KEY=VALUE' if action == 'set' else 'KEY'}")
        request = messages.SetConfigRequest(name=name, expected_version=expect)
        if action == "set":
            request.set.update(parse_assignments(items))
        else:
            request.unset.extend(items)
        answer = ask(target, _SERVICE + "SetConfig", request, messages.SetConfigResponse, is_write=True)
        shown = list(answer.settings)
    if is_json:
        print_json({"name": name, "version": answer.version, "config": {one.key: one.value for one in shown}})
        return
    print_table(["key", "value", "default"], [[one.key, one.value, one.default_value] for one in shown])
    click.echo(f"version {answer.version}")
