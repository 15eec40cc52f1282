"""Finds the cluster a command talks to: which addresses, whose keys are believed, who the caller is.

    --data DIR                                              addresses and public keys from DIR/cluster.json,
                                                            the caller is "operator" with DIR/operator.pem;
                                                            TLS by DIR/operator.crt, operator.key and ca.crt
    --server URL --server-key NODE=FILE --key FILE          nodes that run elsewhere; URL is the gRPC server's:
                                                            http://host:port (loopback) or https://host:port

Rule: an answer is believed only under a public key known before the call. A server's key is always pinned, there
is no trust on first use: the request's token must name the node it is for, so a caller who does not know the
node has nothing to sign.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import grpc

from meshnode.auth.keys import PrivateKey, PublicKey, load_private_key
from meshnode.auth.tls import channel_credentials
from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.cli.layout import OPERATOR, ClusterFile, Layout, require_cluster_file
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.config import TlsSettings, load_config
from meshnode.config.checks import is_loopback_host

DATA_VARIABLE: Final = "MESHNODE_DATA"
DATA_DEFAULT: Final = ".mesh"
KEYS_OF_A_NODE_MAX: Final = 2
"""The one it signs with, and the one before or after."""
_PEM_END: Final = "-----END PUBLIC KEY-----"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One node to call."""

    node: NodeId
    address: str
    """host:port of its gRPC server."""
    public_key: str
    """PEM its answers must be signed with."""
    other_keys: tuple[str, ...] = ()
    """PEM of other keys that will do, while the node's key is being replaced."""
    credentials: grpc.ChannelCredentials | None
    """None: plaintext."""

    @property
    def public_keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.public_key, *self.other_keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A cluster and who calls it."""

    endpoints: tuple[Endpoint, ...]
    key: PrivateKey
    application: str
    """The caller's name in the catalog."""
    cluster_id: str
    """"" where only single nodes are known."""
    is_verbose: bool
    layout: Layout | None = None
    """The directory whose `cluster.json` says all this; None where the command line does."""


def default_data() -> Path:
    """The directory of a command without `--data`."""
    return Path(os.environ.get(DATA_VARIABLE) or DATA_DEFAULT)


def data_option(command: F) -> F:
    """Add `--data DIR` to a command; it comes as an absolute `Layout` named `layout`."""

    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_data,
        show_default=f"${DATA_VARIABLE} or {DATA_DEFAULT}",
        help="Directory of a cluster on this machine.",
    )
    @wraps(command)
    def with_layout(*, data: Path, **values: Any) -> Any:
        return command(layout=Layout(data.absolute()), **values)

    return with_layout  # type: ignore[return-value]


def target_options(command: F) -> F:
    """Add the options that find a cluster; the command gets them resolved, as a `Target` named `target`."""

    @data_option
    @click.option("--server", "servers", multiple=True, metavar="URL", help="gRPC URL of a node that runs elsewhere.")
    @click.option(
        "--server-key",
        "server_keys",
        multiple=True,
        metavar="NODE=FILE",
        help="That node's id and public key (PEM); one for each --server, in the same order.",
    )
    @click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Private key of the caller (PEM).")
    @click.option("--application", default=OPERATOR, show_default=True, help="The caller's name in the catalog.")
    @click.option("--ca-file", default="", help="TLS: the authorities that nodes must come from (PEM).")
    @click.option("--cert-file", default="", help="TLS: the certificate this caller shows (PEM).")
    @click.option("--cert-key-file", default="", help="TLS: that certificate's private key (PEM).")
    @click.option("-v", "--verbose", is_flag=True, help="Say which node answered and that its signature holds.")
    @wraps(command)
    def with_target(
        *,
        layout: Layout,
        servers: tuple[str, ...],
        server_keys: tuple[str, ...],
        key: Path | None,
        application: str,
        ca_file: str,
        cert_file: str,
        cert_key_file: str,
        verbose: bool,
        **values: Any,
    ) -> Any:
        tls = TlsSettings(cert_file=cert_file, key_file=cert_key_file, ca_file=ca_file)
        if servers:
            if key is None:
                raise click.UsageError("--server needs --key FILE")
            if len(server_keys) != len(servers):
                raise click.UsageError("--server needs one --server-key NODE=FILE each, in the same order")
            endpoints = tuple(
                _remote_endpoint(url, pinned, tls) for url, pinned in zip(servers, server_keys, strict=True)
            )
            cluster_id = ""
        else:
            if server_keys:
                raise click.UsageError("--server-key goes with --server URL")
            cluster = require_cluster_file(layout)
            endpoints = local_endpoints(layout, cluster, tls)
            cluster_id = cluster.cluster_id
        target = Target(
            endpoints=endpoints,
            key=load_private_key(key or layout.operator_key),
            application=application,
            cluster_id=cluster_id,
            is_verbose=verbose,
            layout=None if servers else layout,
        )
        return command(target=target, **values)

    return with_target  # type: ignore[return-value]


def json_option(command: F) -> F:
    """Add `--json`; it comes as `is_json`."""
    return click.option("--json", "is_json", is_flag=True, help="Answer in JSON.")(command)


def local_endpoints(layout: Layout, cluster: ClusterFile, tls: TlsSettings | None = None) -> tuple[Endpoint, ...]:
    """Every node of a cluster's directory.

    The certificate shown is `tls`'s where it names one, else the operator's own beside `cluster.json`, else the one in
    the node's settings, as in a cluster on this machine. Raises InvalidRequest.
    """
    shown = tls if tls is not None and tls != TlsSettings() else layout.operator_tls()
    own = None if shown is None else channel_credentials(shown)
    endpoints = []
    for entry in cluster.nodes:
        config_file = layout.config_file(entry.node)
        credentials = own
        if credentials is None and config_file.exists():
            credentials = channel_credentials(load_config(config_file, os.environ).tls)
        endpoints.append(
            Endpoint(
                node=entry.node,
                address=entry.grpc,
                public_key=entry.public_key,
                other_keys=entry.other_keys,
                credentials=credentials,
            )
        )
    return tuple(endpoints)


def parse_server(url: str) -> tuple[str, bool]:
    """host:port of a `--server` URL, and whether it is TLS; warns of plaintext that leaves this machine.

    Fails with a usage error.
    """
    not_an_address = click.UsageError(f"--server must be http://host:port or https://host:port, not {url!r}")
    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets without an end
        raise not_an_address from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise not_an_address
    is_tls = parts.scheme == "https"
    try:
        port = parts.port or (443 if is_tls else 80)
    except ValueError as error:
        raise click.UsageError(f"--server has a bad port: {url!r}") from error
    if not is_tls and not is_loopback_host(parts.hostname):
        click.echo(f"warning: {url} is not encrypted and leaves this machine; use https://", err=True)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}", is_tls


def require_credentials(credentials: grpc.ChannelCredentials | None) -> grpc.ChannelCredentials:
    """What an https:// server is shown. Fails with a usage error where the options name nothing."""
    if credentials is None:
        raise click.UsageError("https:// needs --ca-file, --cert-file and --cert-key-file: TLS is mutual")
    return credentials


def _remote_endpoint(url: str, pinned: str, tls: TlsSettings) -> Endpoint:
    address, is_tls = parse_server(url)
    node, separator, file = pinned.partition("=")
    if not separator:
        raise click.UsageError(f"--server-key must be NODE=FILE, not {pinned!r}")
    credentials = require_credentials(channel_credentials(tls)) if is_tls else None
    keys = split_keys(_read_file(Path(file)).decode(errors="replace"))
    return Endpoint(
        node=parse_node_id(node),
        address=address,
        public_key=keys[0],
        other_keys=keys[1:],
        credentials=credentials,
    )


def split_keys(text: str) -> tuple[str, ...]:
    """The public keys of a file: several, one below the other, while a node's key is being replaced.

    Raises:
        InvalidRequest: one of them cannot be used, or there are more than two.
    """
    *whole, rest = text.split(_PEM_END)
    keys = tuple(part.lstrip() + _PEM_END + "\n" for part in whole)
    if not keys or rest.strip():
        PublicKey.parse(text)
        return (text,)
    if len(keys) > KEYS_OF_A_NODE_MAX:
        raise InvalidRequest("a file has more public keys than a node", keys=len(keys), keys_max=KEYS_OF_A_NODE_MAX)
    for key in keys:
        PublicKey.parse(key)
    return keys


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CommandError(
            "the file does not exist", file=str(path), advice="check the path", exit_code=ExitCode.NOT_FOUND
        ) from error
    except OSError as error:
        raise InvalidRequest("the file cannot be read", file=str(path), detail=error.strerror) from error
