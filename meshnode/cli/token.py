"""`meshnode token`: sign request tokens for other gRPC clients, and tokens of people for HTTP."""

from __future__ import annotations

import re
from typing import Any

import click

from meshnode.auth.tokens import LIFETIME_MS
from meshnode.auth.users import LIFETIME_S_MAX, issue_user_token
from meshnode.cli.client import signer_of
from meshnode.cli.durations import DurationType
from meshnode.cli.output import print_note
from meshnode.cli.target import Target, target_options
from meshnode.engine.system import SystemClock

_METHOD = re.compile(r"/?(?P<service>[A-Za-z_][\w.]*)/(?P<method>[A-Za-z_]\w*)\Z")


class _MethodType(click.ParamType[str]):
    """`mesh.v1.RefService/ListRefs`, with or without a leading slash."""

    name = "method"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The method as gRPC spells it on the wire. Fails with a usage error."""
        match = _METHOD.match(str(value))
        if match is None:
            self.fail(f"{value!r} is not package.Service/Method", param, ctx)
        return f"/{match['service']}/{match['method']}"


@click.group()
def token() -> None:
    """Sign tokens for other programs and for users. The token is alone on the last line."""


@token.command()
@click.option("--method", type=_MethodType(), default=None, help="Only for this method; default: any method.")
@click.option("--audience", default="", help="Node or cluster id it is for; default: the cluster, else the first node.")
@target_options
def create(target: Target, method: str | None, audience: str) -> None:
    """Sign a token for one gRPC request, to be sent as `authorization: Bearer TOKEN` (grpcurl -H).

    It is good for 30 seconds, and once where the method writes. It does not cover the request's body.
    """
    wanted = audience or target.cluster_id or target.endpoints[0].node
    signed = signer_of(target).request_token(audience=wanted, method=method or "", first_body=None)
    print_note(f"for {method or 'any method'} of {wanted}, good for {LIFETIME_MS // 1_000} s")
    click.echo(signed.token)


@token.command("create-user")
@click.option("--user", required=True, help="Name of the user, for logs and histories.")
@click.option("--scope", type=click.Choice(["read", "write"]), default="read", show_default=True)
@click.option("--repository", default="*", show_default=True, help="Pattern over repository names; * crosses /.")
@click.option(
    "--ttl", type=DurationType(), default="30d", show_default=True, help="Life: 3600, 90m, 12h, 30d; 366d at most."
)
@click.option("--audience", default="", help="Cluster id it is for; needed with --server.")
@target_options
def create_user(target: Target, *, user: str, scope: str, repository: str, ttl: int, audience: str) -> None:
    """Vouch for a user who clones and pushes over HTTP; git takes the token as password, with any user name."""
    if not 1 <= ttl <= LIFETIME_S_MAX:
        raise click.UsageError(f"--ttl must be 1 second to {LIFETIME_S_MAX // 86_400} days")
    wanted = audience or target.cluster_id
    if not wanted:
        raise click.UsageError("name the cluster's id with --audience; `meshnode cluster status` shows it")
    signed = issue_user_token(
        application=target.application,
        key=target.key,
        clock=SystemClock(),
        audience=wanted,
        user=user,
        scopes=("read", "write") if scope == "write" else ("read",),
        repository=repository,
        lifetime_s=ttl,
    )
    print_note(f"user {user} may {scope} {repository} for {ttl} s")
    click.echo(signed)
