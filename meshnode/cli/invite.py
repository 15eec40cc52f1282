"""`meshnode node invite` and `invitations`: let a machine in, see who is let in, take it back."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from meshnode.cli.client import ask
from meshnode.cli.output import print_facts, print_json, print_note, print_table
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_join_pb2

_SERVICE: Final = "/mesh.v1.ClusterService/"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_STATES: Final = {
    cluster_join_pb2.INVITATION_STATE_OPEN: "open",
    cluster_join_pb2.INVITATION_STATE_USED: "used",
    cluster_join_pb2.INVITATION_STATE_REVOKED: "revoked",
    cluster_join_pb2.INVITATION_STATE_EXPIRED: "expired",
}


class Duration(click.ParamType[int]):
    """A number and s, m, h or d; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Check. Fails with a usage error."""
        text = str(value)
        number, unit = text[:-1], text[-1:]
        if unit not in _UNITS or not number.isdecimal() or not number.isascii() or len(number) > 6:
            self.fail(f"{text!r} is not a duration like 30m, 1h or 2d", param, ctx)
        return int(number) * _UNITS[unit]


@click.command()
@click.option("--id", "node", default="", metavar="NODE", help="The id it must take.  [default: it chooses]")
@click.option("--zone", default="", help="The zone it is in.  [default: it says]")
@click.option("--weight", type=click.IntRange(1, 10_000), help="Its share of the replicas.  [default: it says]")
@click.option("--expires", "expires_s", type=Duration(), default="1h", show_default=True, help="Life, 1m to 7d.")
@click.option("--revoke", default="", metavar="ID", help="Make an open invitation worthless instead.")
@target_options
@json_option
def invite(
    target: Target, *, node: str, zone: str, weight: int | None, expires_s: int, revoke: str, is_json: bool
) -> None:
    """Let one more machine in, once: prints the secret for `meshnode node join`, which nobody can show again."""
    if revoke:
        _revoke(target, revoke, is_json=is_json)
        return
    answer = ask(
        target,
        _SERVICE + "InviteNode",
        cluster_join_pb2.InviteNodeRequest(node=node, zone=zone, weight=weight or 0, expires_s=expires_s),
        cluster_join_pb2.InviteNodeResponse,
        is_write=True,
    )
    if is_json:
        print_json({**describe(answer.invitation), "secret": answer.secret})
        return
    print_facts(
        [
            ("invitation", answer.invitation.id),
            ("expires", _when(answer.invitation.expires_at_ms)),
            ("secret", answer.secret),
        ]
    )
    server = target.endpoints[0]
    scheme = "http" if server.credentials is None else "https"
    print_note("on the new machine, while nobody looks over your shoulder:")
    print_note(f"meshnode node join --server {scheme}://{server.address} --secret-file FILE --data DIR ...")


@click.command()
@target_options
@json_option
def invitations(target: Target, *, is_json: bool) -> None:
    """List invitations: open ones, and for a week those that ended. Their secrets are kept nowhere."""
    answer = ask(
        target,
        _SERVICE + "ListInvitations",
        cluster_join_pb2.ListInvitationsRequest(),
        cluster_join_pb2.ListInvitationsResponse,
    )
    found = [describe(one) for one in answer.invitations]
    if is_json:
        print_json(found)
        return
    print_table(
        ["invitation", "state", "node", "zone", "weight", "expires", "by", "used by"],
        [
            [
                one["invitation"],
                one["state"],
                one["node"] or "any",
                one["zone"] or "any",
                str(one["weight"] or "any"),
                _when(one["expires_at_ms"]),
                one["created_by"],
                one["used_by"] or "-",
            ]
            for one in found
        ],
        empty="no invitations",
    )


def describe(one: cluster_join_pb2.Invitation) -> dict[str, Any]:
    """An invitation as JSON tells it."""
    return {
        "invitation": one.id,
        "state": _STATES.get(one.state, "unknown"),
        "node": one.node,
        "zone": one.zone,
        "weight": one.weight,
        "created_at_ms": one.created_at_ms,
        "expires_at_ms": one.expires_at_ms,
        "created_by": one.created_by,
        "used_by": one.used_by,
    }


def _revoke(target: Target, invitation: str, *, is_json: bool) -> None:
    answer = ask(
        target,
        _SERVICE + "RevokeInvitation",
        cluster_join_pb2.RevokeInvitationRequest(id=invitation),
        cluster_join_pb2.RevokeInvitationResponse,
        is_write=True,
    )
    if is_json:
        print_json(describe(answer.invitation))
    else:
        click.echo(f"invitation {answer.invitation.id} is worthless now")


def _when(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1_000))
