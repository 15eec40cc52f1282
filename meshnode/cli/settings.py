"""`meshnode cluster settings`: what holds for all nodes, where it comes from, and which nodes follow it already."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from meshnode.base.errors import MeshError
from meshnode.cli.client import ClusterClient, ask, run_client
from meshnode.cli.outcome import printable
from meshnode.cli.output import print_json, print_table
from meshnode.cli.target import Endpoint, Target, json_option, target_options
from meshnode.v1 import cluster_settings_pb2 as messages

_SERVICE: Final = "/mesh.v1.ClusterService/"
_NODE_MS: Final = 5_000
"""How long one node may take to say what it runs with."""
_ORIGINS: Final = {
    messages.SETTING_ORIGIN_DEFAULT: "default",
    messages.SETTING_ORIGIN_CLUSTER: "cluster",
    messages.SETTING_ORIGIN_FILE: "file",
    messages.SETTING_ORIGIN_ENVIRONMENT: "environment",
}


class _ShowByDefault(click.Group):
    """A group that, without a subcommand, is its `show`, with all its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowByDefault)
def settings() -> None:
    """Show and change the settings that hold for all nodes; alone, the same as `show`."""


@settings.command()
@click.option("--all", "is_all", is_flag=True, help="Also settings that nobody has set.")
@target_options
@json_option
def show(target: Target, *, is_all: bool, is_json: bool) -> None:
    """Show settings with their origin, and the version of them that each node runs with.

    A value is the answering node's; where another node has another one, the table of nodes says so.
    """
    first, answers = run_client(target, lambda client: _ask_all(client, target))
    if is_json:
        print_json(_describe(first, answers))
        return
    set_by = f", set by {first.changed_by} at {_time_text(first.changed_at_ms)}" if first.version else ""
    click.echo(f"version {first.version}{printable(set_by)}")
    print_table(
        ["setting", "value", "origin", "default"],
        [
            [one.key, _value_text(one), _origin_text(one), one.default_value or "-"]
            for one in first.settings
            if is_all or one.origin != messages.SETTING_ORIGIN_DEFAULT or one.HasField("cluster_value")
        ],
        empty="nothing is set; `--all` shows what can be",
    )
    print_table(
        ["node", "version", "otherwise here"],
        [[node, *_node_row(first, answer)] for node, answer in answers],
    )


@settings.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--expect", type=click.IntRange(min=0), help="Only where the settings still have this version.")
@target_options
@json_option
def set_settings(target: Target, assignments: tuple[str, ...], expect: int | None, *, is_json: bool) -> None:
    """Set settings for all nodes, all of them or none; running nodes follow at once."""
    changes = parse_assignments(assignments)
    _update(target, messages.UpdateSettingsRequest(set=changes, expected_version=expect), is_json=is_json)


@settings.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--expect", type=click.IntRange(min=0), help="Only where the settings still have this version.")
@target_options
@json_option
def unset(target: Target, keys: tuple[str, ...], expect: int | None, *, is_json: bool) -> None:
    """Have settings no longer set for the cluster: each node's own file, or the default, holds again."""
    _update(target, messages.UpdateSettingsRequest(unset=keys, expected_version=expect), is_json=is_json)


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Keys and values of `KEY=VALUE` texts. Raises UsageError."""
    changes: dict[str, str] = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not key:
            raise click.UsageError(f"{assignment!r} is not KEY=VALUE")
        if key in changes:
            raise click.UsageError(f"{key} is set twice")
        changes[key] = value
    return changes


def _update(target: Target, request: messages.UpdateSettingsRequest, *, is_json: bool) -> None:
    answer = ask(target, _SERVICE + "UpdateSettings", request, messages.UpdateSettingsResponse, is_write=True)
    changes = [
        {
            "key": one.key,
            "old": one.old if one.HasField("old") else None,
            "new": one.new if one.HasField("new") else None,
        }
        for one in answer.changes
    ]
    if is_json:
        print_json({"version": answer.version, "changes": changes})
        return
    for change in changes:
        old, new = ("not set" if text is None else text for text in (change["old"], change["new"]))
        click.echo(printable(f"{change['key']}: {old} -> {new}"))
    click.echo(f"version {answer.version}" if changes else f"nothing to change; version {answer.version}")


async def _ask_all(
    client: ClusterClient, target: Target
) -> tuple[messages.GetSettingsResponse, list[tuple[str, messages.GetSettingsResponse | str]]]:
    """The first node's answer, and every node's answer or why there is none."""
    method, request = _SERVICE + "GetSettings", messages.GetSettingsRequest()
    first = await client.call(method, request, messages.GetSettingsResponse)

    async def ask_node(endpoint: Endpoint) -> messages.GetSettingsResponse | str:
        try:
            return await client.call_node(endpoint, method, request, messages.GetSettingsResponse, timeout_ms=_NODE_MS)
        except MeshError as error:
            return error.message

    answers = await asyncio.gather(*(ask_node(endpoint) for endpoint in target.endpoints))
    return first, [(endpoint.node, answer) for endpoint, answer in zip(target.endpoints, answers, strict=True)]


def _differences(first: messages.GetSettingsResponse, answer: messages.GetSettingsResponse) -> list[messages.Setting]:
    """Settings that hold on one node and are not what the first one has, or that do not hold on it."""
    known = {one.key: one.value for one in first.settings}
    return [one for one in answer.settings if one.problem or one.value != known.get(one.key, "")]


def _node_row(first: messages.GetSettingsResponse, answer: messages.GetSettingsResponse | str) -> list[str]:
    if isinstance(answer, str):
        return ["?", printable(answer)]
    late = "" if answer.applied_version == first.version else " (not the newest)"
    lines = [answer.problem] if answer.problem else []
    for one in _differences(first, answer):
        value = f"{one.key} = {_value_text(one)} ({_origin_text(one)})" if one.value else one.key
        lines.append(f"{value}: {one.problem}" if one.problem else value)
    return [f"{answer.applied_version}{late}", printable("; ".join(lines)) or "-"]


def _value_text(one: messages.Setting) -> str:
    return printable(one.value) or "-"


def _origin_text(one: messages.Setting) -> str:
    name = _ORIGINS.get(one.origin, "-")
    is_own = one.origin in {messages.SETTING_ORIGIN_FILE, messages.SETTING_ORIGIN_ENVIRONMENT}
    return (
        f"{name}, over the cluster's {printable(one.cluster_value)}"
        if is_own and one.HasField("cluster_value")
        else name
    )


def _time_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _describe(
    first: messages.GetSettingsResponse, answers: list[tuple[str, messages.GetSettingsResponse | str]]
) -> dict[str, Any]:
    return {
        "version": first.version,
        "changed_at_ms": first.changed_at_ms,
        "changed_by": first.changed_by,
        "node": first.node,
        "settings": [_describe_setting(one) for one in first.settings],
        "nodes": [_describe_node(first, node, answer) for node, answer in answers],
    }


def _describe_node(
    first: messages.GetSettingsResponse, node: str, answer: messages.GetSettingsResponse | str
) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"node": node, "applied_version": None, "problem": answer, "differences": []}
    return {
        "node": node,
        "applied_version": answer.applied_version,
        "problem": answer.problem,
        "differences": [_describe_setting(one) for one in _differences(first, answer)],
    }


def _describe_setting(one: messages.Setting) -> dict[str, Any]:
    return {
        "key": one.key,
        "value": one.value,
        "origin": _ORIGINS.get(one.origin, ""),
        "default": one.default_value,
        "cluster": one.cluster_value if one.HasField("cluster_value") else None,
        "problem": one.problem,
    }
