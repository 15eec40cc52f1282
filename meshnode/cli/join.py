"""`meshnode node join`: make this machine a node of a cluster that it was invited to.

    key made (or found) in DIR --> claim signed with it and with the secret --> a node of the cluster answers
    --> is the answer the cluster's? --> settings fit? --> DIR/identity.json, DIR/meshnode.toml

Rule: nothing but the key is written before the answer is known to be the cluster's. The same command may run again at
any time: the cluster says again what it said, and a settings file that exists is left alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from meshnode.auth.identity import Belonging, check_belonging, read_belonging, write_belonging
from meshnode.auth.invitations import InvitationSecret
from meshnode.auth.keys import load_or_create_private_key
from meshnode.auth.tls import channel_credentials
from meshnode.base.ids import parse_node_id
from meshnode.cli.join_call import JoinServer, ask_to_join, server_of
from meshnode.cli.layout import replace_file
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_json, progress
from meshnode.cli.target import json_option
from meshnode.config import (
    CatalogSettings,
    Config,
    ConfigError,
    ListenSettings,
    NodeSettings,
    TlsSettings,
    parse_config,
    render_config,
)
from meshnode.core.joining import JoinClaim
from meshnode.engine.system import SystemClock
from meshnode.wire.joining import check_http_url, check_zone

_SECRET_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wishes:
    """What the command line says of the node to be."""

    data: Path
    node: str
    zone: str
    weight: int
    listen: ListenSettings
    tls: TlsSettings
    catalog: CatalogSettings
    """`url` "": as the cluster says."""

    @property
    def grpc_url(self) -> str:
        """host:port under which the others will reach it."""
        return self.listen.grpc_url or self.listen.grpc

    @property
    def http_url(self) -> str:
        """URL under which clients will reach it."""
        return self.listen.http_url or f"http://{self.listen.http}"


@click.command()
@click.option(
    "--server", "servers", multiple=True, required=True, metavar="URL", help="gRPC URL of a node; repeat for more."
)
@click.option("--secret", default="", help="What `meshnode node invite` showed. Better: --secret-file.")
@click.option(
    "--secret-file", type=click.Path(path_type=Path, allow_dash=True), help="File with the secret; - is standard input."
)
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), required=True, help="The node's data directory."
)
@click.option("--id", "node", default="", metavar="NODE", help="Its id, where the invitation leaves it open.")
@click.option("--grpc", "grpc", default=ListenSettings.grpc, show_default=True, help="host:port that gRPC listens on.")
@click.option("--http", "http", default=ListenSettings.http, show_default=True, help="host:port that HTTP listens on.")
@click.option("--grpc-url", default="", metavar="HOST:PORT", help="Where other nodes reach it.  [default: as --grpc]")
@click.option("--http-url", default="", metavar="URL", help="Where clients reach it.  [default: http:// and --http]")
@click.option("--zone", default="", help="Its zone, where the invitation leaves it open.  [default: default]")
@click.option("--weight", type=click.IntRange(1, 10_000), help="Its weight, likewise.  [default: 100]")
@click.option("--ca-file", default="", help="TLS: the authorities of the nodes' certificates (PEM).")
@click.option("--cert-file", default="", help="TLS: this machine's certificate (PEM).")
@click.option("--cert-key-file", default="", help="TLS: that certificate's private key (PEM).")
@click.option("--allow-plaintext", is_flag=True, help="Let gRPC listen beyond loopback without TLS.")
@click.option(
    "--catalog", "catalog_url", default="", metavar="URL", help="The catalog.  [default: as the cluster says]"
)
@click.option("--catalog-ca-file", default="", help="etcd with TLS: its authorities (PEM).")
@click.option("--catalog-cert-file", default="", help="etcd: the certificate to show (PEM).")
@click.option("--catalog-key-file", default="", help="etcd: that certificate's private key (PEM).")
@click.option("--catalog-username", default="", help="etcd: user.  [default: as the cluster says]")
@click.option("--catalog-password-file", default="", help="etcd: file with the user's password, mode 0600.")
@json_option
def join(
    *,
    servers: tuple[str, ...],
    secret: str,
    secret_file: Path | None,
    data: Path,
    node: str,
    grpc: str,
    http: str,
    grpc_url: str,
    http_url: str,
    zone: str,
    weight: int | None,
    ca_file: str,
    cert_file: str,
    cert_key_file: str,
    allow_plaintext: bool,
    catalog_url: str,
    catalog_ca_file: str,
    catalog_cert_file: str,
    catalog_key_file: str,
    catalog_username: str,
    catalog_password_file: str,
    is_json: bool,
) -> None:
    """Make this machine a node of a cluster, by the secret of an invitation; then `meshnode serve` starts it."""
    wishes = _Wishes(
        data=data.absolute(),
        node=parse_node_id(node) if node else "",
        zone=check_zone(zone),
        weight=weight or 0,
        listen=ListenSettings(grpc=grpc, http=http, grpc_url=grpc_url, http_url=http_url),
        tls=TlsSettings(
            cert_file=cert_file, key_file=cert_key_file, ca_file=ca_file, is_plaintext_allowed=allow_plaintext
        ),
        catalog=CatalogSettings(
            url=catalog_url,
            ca_file=catalog_ca_file,
            cert_file=catalog_cert_file,
            key_file=catalog_key_file,
            username=catalog_username,
            password_file=catalog_password_file,
        ),
    )
    proof = InvitationSecret.parse(_read_secret(secret, secret_file))
    credentials = channel_credentials(wishes.tls)
    asked = [server_of(url, credentials) for url in servers]
    # Whatever is wrong with the options is found before the cluster hears of this machine.
    example = CatalogSettings(url="etcd://catalog:2379", username="user" if catalog_password_file else "")
    _settings_file(wishes, _config_of(wishes, wishes.node or "node", wishes.zone, wishes.weight, told=example))
    file = _join(wishes, proof, asked, is_json=is_json)
    if not is_json:
        click.echo(f"next: meshnode serve --config {file}, then `meshnode cluster rebalance` gives it replicas")


def _join(wishes: _Wishes, secret: InvitationSecret, servers: list[JoinServer], *, is_json: bool) -> Path:
    key = load_or_create_private_key(wishes.data / "node.pem")
    claim = JoinClaim(
        invitation=secret.invitation,
        node=wishes.node,
        grpc_url=wishes.grpc_url,
        http_url=check_http_url(wishes.http_url),
        zone=wishes.zone,
        weight=wishes.weight,
        public_key=key.public_pem,
        made_at_ms=SystemClock().wall_ms(),
    )
    with progress("asking to join"):
        joined, access = ask_to_join(servers, secret, key, claim)
    told = CatalogSettings(url=access.url, prefix=access.prefix, username=access.username)
    if access.is_tls and access.url and not wishes.catalog.ca_file and not wishes.catalog.url:
        raise CommandError(
            "the machine is in, but the catalog is reached by TLS and --catalog-ca-file is not given",
            catalog=access.url,
            advice="run the same command again with the catalog's files; it continues",
            exit_code=ExitCode.USAGE,
        )
    expected = Belonging(node=joined.node.node, cluster_id=joined.cluster_id)
    check_belonging(read_belonging(wishes.data), expected, wishes.data)
    config = _config_of(wishes, joined.node.node, joined.node.zone, joined.node.weight, told=told)
    file = _settings_file(wishes, config)
    write_belonging(wishes.data, expected)
    if not file.exists():
        replace_file(file, render_config(config))
    if is_json:
        print_json(
            {
                "cluster_id": joined.cluster_id,
                "node": joined.node.node,
                "zone": joined.node.zone,
                "weight": joined.node.weight,
                "key_id": key.key_id,
                "config": str(file),
                "members": [
                    {"node": one.node, "grpc": one.grpc_url, "http": one.http_url, "public_keys": list(one.public_keys)}
                    for one in joined.members
                ],
            }
        )
    else:
        print_facts(
            [
                ("cluster", joined.cluster_id),
                ("node", f"{joined.node.node}, zone {joined.node.zone}, weight {joined.node.weight}"),
                ("key", key.key_id),
                ("settings", str(file)),
            ]
        )
    return file


def _config_of(wishes: _Wishes, node: str, zone: str, weight: int, *, told: CatalogSettings) -> Config:
    """The new node's settings: the command line's, completed by what the cluster told."""
    catalog = wishes.catalog
    if not catalog.url:
        username = catalog.username or told.username
        catalog = CatalogSettings(
            url=told.url,
            prefix=told.prefix,
            ca_file=catalog.ca_file,
            cert_file=catalog.cert_file,
            key_file=catalog.key_file,
            username=username,
            password_file=catalog.password_file,
        )
    return Config(
        node=NodeSettings(
            id=node, data=wishes.data, zone=zone or NodeSettings.zone, weight=weight or NodeSettings.weight
        ),
        listen=wishes.listen,
        catalog=catalog,
        tls=wishes.tls,
    )


def _settings_file(wishes: _Wishes, config: Config) -> Path:
    """Where the settings go, once they are known to be accepted. Raises ConfigError."""
    try:
        parse_config(render_config(config), {}, source="settings made of the options")
    except ConfigError as error:
        raise CommandError(
            "the node would not accept its settings",
            problems="; ".join(error.problems)[:600],
            advice="correct the options and run the command again",
            exit_code=ExitCode.USAGE,
        ) from error
    return wishes.data / "meshnode.toml"


def _read_secret(secret: str, file: Path | None) -> str:
    if bool(secret) == (file is not None):
        raise click.UsageError("give the secret by --secret or by --secret-file, and by one of them only")
    if file is None:
        return secret
    if str(file) == "-":
        return sys.stdin.read(_SECRET_CHARACTERS_MAX)
    with file.open() as stream:
        return stream.read(_SECRET_CHARACTERS_MAX)
