"""`meshnode cluster audit`: who did what to the cluster, and how it ended."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

import click

from meshnode.cli.client import ClusterClient, run_client
from meshnode.cli.durations import DurationType
from meshnode.cli.output import print_json, print_table
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_audit_pb2 as pb

_METHOD: Final = "/mesh.v1.ClusterService/ListAudit"
_PAGE: Final = 500
_PREFIX: Final = "/mesh.v1."
UNFINISHED: Final = "end not known"
"""Shown for an act that began and whose outcome nobody wrote: it still runs, or its node died."""


@click.command()
@click.option("--since", type=DurationType(), help="Only acts of the last 90m, 24h, 30d ...  [default: all kept]")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@target_options
@json_option
def audit(target: Target, *, since: int | None, limit: int, is_json: bool) -> None:
    """List administrative acts, newest first: who, what, when, and how it ended."""
    since_ms = 0 if since is None else max(0, int(time.time() * 1_000) - since * 1_000)

    async def read(client: ClusterClient) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        token = ""
        while len(entries) < limit:
            size = min(_PAGE, limit - len(entries))
            request = pb.ListAuditRequest(since_ms=since_ms, page_size=size, page_token=token)
            page = await client.call(_METHOD, request, pb.ListAuditResponse)
            entries += [_describe(entry) for entry in page.entries]
            token = page.next_page_token
            if not token:
                break
        return entries

    entries = run_client(target, read)
    if is_json:
        print_json(entries)
        return
    print_table(
        ["number", "time", "who", "node", "act", "asked for", "outcome"],
        [
            [
                str(entry["sequence"]),
                entry["time"],
                entry["who"] + (f" for {entry['actor']}" if entry["actor"] != entry["who"] else ""),
                entry["node"] or "-",
                entry["method"].removeprefix(_PREFIX),
                _pairs(entry["request"]) or "-",
                _outcome(entry),
            ]
            for entry in entries
        ],
        empty="no administrative acts",
    )


def _describe(entry: pb.AuditEntry) -> dict[str, Any]:
    at = datetime.fromtimestamp(entry.at_ms / 1_000, UTC)
    return {
        "sequence": entry.sequence,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "node": entry.node,
        "who": entry.who,
        "key_id": entry.key_id,
        "actor": entry.actor,
        "peer": entry.peer,
        "method": entry.method,
        "request": dict(entry.request),
        "request_id": entry.request_id,
        "outcome": entry.outcome or None,
        "detail": entry.detail,
        "facts": dict(entry.facts),
        "took_ms": entry.took_ms,
    }


def _outcome(entry: dict[str, Any]) -> str:
    told = _pairs(entry["facts"]) if entry["outcome"] == "OK" else entry["detail"]
    return (entry["outcome"] or UNFINISHED) + (f": {told}" if told else "")


def _pairs(facts: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(facts.items()))
