"""`meshnode application`: who may call besides nodes, as what, and under which keys.

make-key FILE > FILE.pub     on the application's machine: the private half never leaves it
add NAME --role R --public-key FILE.pub
add-key NAME --public-key NEW.pub --> sign with the new key --> drop-key NAME OLD
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from meshnode.auth.keys import PublicKey, load_or_create_private_key
from meshnode.base.errors import InvalidRequest
from meshnode.cli.client import ask
from meshnode.cli.durations import DurationType
from meshnode.cli.output import print_json, print_note, print_table
from meshnode.cli.target import Target, json_option, target_options
from meshnode.core.applications import DROP_AFTER_S_MAX
from meshnode.v1 import cluster_applications_pb2 as pb

_SERVICE: Final = "/mesh.v1.ClusterService/"
_ROLES: Final = {
    "reader": pb.APPLICATION_ROLE_READER,
    "writer": pb.APPLICATION_ROLE_WRITER,
    "administrator": pb.APPLICATION_ROLE_ADMINISTRATOR,
}
_ROLE_NAMES: Final[dict[int, str]] = {number: name for name, number in _ROLES.items()}

_public_key_option = click.option(
    "--public-key",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="File with the public key (PEM); `make-key` prints one.",
)


class _AfterType(DurationType):
    """A duration of at most 366 days."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds. Fails with a usage error."""
        seconds = super().convert(value, param, ctx)
        if seconds > DROP_AFTER_S_MAX:
            self.fail(f"{value!r} is more than 366 days", param, ctx)
        return seconds


@click.group()
def application() -> None:
    """Say which applications may call, and under which keys: callers of the API that are no nodes."""


@application.command("list")
@target_options
@json_option
def list_applications(target: Target, *, is_json: bool) -> None:
    """List applications, their roles, and the keys they are believed under."""
    answer = ask(target, _SERVICE + "ListApplications", pb.ListApplicationsRequest(), pb.ListApplicationsResponse)
    if is_json:
        print_json([describe(one) for one in answer.applications])
        return
    print_table(
        ["application", "role", "key", "believed until"],
        [
            [one.application, _role_name(one), key.key_id, _until(key)]
            for one in answer.applications
            for key in one.keys
        ],
        empty="no applications",
    )


@application.command()
@click.argument("name")
@click.option("--role", type=click.Choice(list(_ROLES)), required=True, help="What it may call.")
@_public_key_option
@target_options
@json_option
def add(target: Target, name: str, *, role: str, key_file: Path, is_json: bool) -> None:
    """Let an application call; its private key stays with it."""
    request = pb.AddApplicationRequest(application=name, role=_ROLES[role], public_key=_read_key(key_file))
    _print(ask(target, _SERVICE + "AddApplication", request, pb.AddApplicationResponse, is_write=True), is_json=is_json)


@application.command()
@click.argument("name")
@target_options
@json_option
def remove(target: Target, name: str, *, is_json: bool) -> None:
    """Let an application call no more, and end all tokens of people that it signed."""
    request = pb.RemoveApplicationRequest(application=name)
    answer = ask(target, _SERVICE + "RemoveApplication", request, pb.RemoveApplicationResponse, is_write=True)
    if is_json:
        print_json(describe(answer.application))
    else:
        click.echo(f"{name} is removed")


@application.command("set-role")
@click.argument("name")
@click.argument("role", type=click.Choice(list(_ROLES)))
@target_options
@json_option
def set_role(target: Target, name: str, role: str, *, is_json: bool) -> None:
    """Let an application call more or less."""
    request = pb.SetApplicationRoleRequest(application=name, role=_ROLES[role])
    answer = ask(target, _SERVICE + "SetApplicationRole", request, pb.SetApplicationRoleResponse, is_write=True)
    _print(answer, is_json=is_json)


@application.command("add-key")
@click.argument("name")
@_public_key_option
@click.option("--drop-other-after", "after_s", type=_AfterType(), default="0", help="When the other key goes: 12h, 7d.")
@target_options
@json_option
def add_key(target: Target, name: str, *, key_file: Path, after_s: int, is_json: bool) -> None:
    """Believe an application under a second key, beside the one it has."""
    request = pb.AddApplicationKeyRequest(application=name, public_key=_read_key(key_file), drop_other_after_s=after_s)
    answer = ask(target, _SERVICE + "AddApplicationKey", request, pb.AddApplicationKeyResponse, is_write=True)
    _print(answer, is_json=is_json)
    lasting = [key for key in answer.application.keys if not key.drop_at_ms]
    if len(lasting) > 1:
        print_note("once the application signs with the new key: `meshnode application drop-key NAME OLD_KEY_ID`")


@application.command("drop-key")
@click.argument("name")
@click.argument("key_id")
@click.option("--after", "after_s", type=_AfterType(), default="0", help="Not now but then: 12h, 7d.")
@target_options
@json_option
def drop_key(target: Target, name: str, key_id: str, *, after_s: int, is_json: bool) -> None:
    """Believe an application under a key no longer; tokens of people that it signed end with it."""
    request = pb.DropApplicationKeyRequest(application=name, key_id=key_id, after_s=after_s)
    answer = ask(target, _SERVICE + "DropApplicationKey", request, pb.DropApplicationKeyResponse, is_write=True)
    _print(answer, is_json=is_json)


@application.command("make-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def make_key(file: Path) -> None:
    """Make a private key in FILE (mode 0600), unless there is one, and print its public half. Calls nobody."""
    click.echo(load_or_create_private_key(file).public_pem, nl=False)


def describe(one: pb.Application) -> dict[str, Any]:
    """An application as JSON tells it."""
    return {
        "application": one.application,
        "role": _role_name(one),
        "keys": [
            {"key_id": key.key_id, "public_key": key.public_key, "drop_at_ms": key.drop_at_ms or None}
            for key in one.keys
        ],
    }


def _print(
    answer: pb.AddApplicationResponse
    | pb.SetApplicationRoleResponse
    | pb.AddApplicationKeyResponse
    | pb.DropApplicationKeyResponse,
    *,
    is_json: bool,
) -> None:
    one = answer.application
    if is_json:
        print_json(describe(one))
        return
    click.echo(f"{one.application} is {_role_name(one)}")
    for key in one.keys:
        click.echo(f"  key {key.key_id}, believed until {_until(key)}")


def _read_key(file: Path) -> str:
    """The public key of a file. Raises InvalidRequest: it is none; of a private one it says so and reads no more."""
    text = file.read_text(errors="replace")
    if "PRIVATE KEY" in text:
        raise InvalidRequest(
            "this is a private key, which stays with the application; give its public half", file=str(file)
        )
    PublicKey.parse(text)
    return text


def _role_name(one: pb.Application) -> str:
    return _ROLE_NAMES.get(one.role, "unknown")


def _until(key: pb.ApplicationKey) -> str:
    if not key.drop_at_ms:
        return "it is dropped"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(key.drop_at_ms / 1_000))
