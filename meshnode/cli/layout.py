"""Knows where a cluster's files lie and what `cluster.json` says.

    <data>/cluster.json          ClusterFile: id, catalog, nodes with addresses and public keys
    <data>/operator.pem          key of the application "operator", mode 0600
    <data>/operator.crt          where gRPC is TLS: the certificate commands show, with its key in operator.key (mode
                                 0600) and the authorities that nodes must come from in ca.crt
    <data>/catalog.db            the sqlite catalog, unless another one is named
    <data>/.lock                 held while a command makes files or starts processes
    <data>/<node>/meshnode.toml  the node's settings         node.pem     its key, mode 0600
    <data>/<node>/meshnode.pid   its process                 node.log     what it prints

Rule: `cluster.json` is written before anything that cannot be made again from it, atomically, and its cluster id
never changes; so a set-up that was interrupted is taken up where it stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.config import NodeSettings, TlsSettings
from meshnode.core.decoding import Fields

CLUSTER_FORMAT: Final = 1
OPERATOR: Final = "operator"
"""Name of the application whose key lies beside `cluster.json`."""
BASE_PORT: Final = 7777
PORTS_PER_NODE: Final = 10
HTTP_PORT_OFFSET: Final = 3
LOCAL_NODES_MAX: Final = 50
"""All on one machine and with 10 ports each; far more than a machine has cores for."""
LOOPBACK: Final = "127.0.0.1"
LOCK_WAIT_MS: Final = 30_000
"""Making keys and filling the catalog takes seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterNode:
    """A node as `cluster.json` lists it."""

    node: NodeId
    grpc: str
    """host:port of the gRPC server."""
    http: str
    """URL of the HTTP server, without a slash at the end."""
    public_key: str
    """PEM."""
    zone: str = NodeSettings.zone
    """Its failure domain when the cluster was made."""
    other_keys: tuple[str, ...] = ()
    """PEM of what else it may be believed under, while its key is being replaced."""

    @property
    def public_keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.public_key, *self.other_keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterFile:
    """What `cluster.json` holds."""

    cluster_id: str
    catalog_url: str
    partition_count: int
    replication_factor: int
    nodes: tuple[ClusterNode, ...]
    base_port: int | None
    """First port of a cluster that `up` made; None for one whose nodes run elsewhere."""
    removed: tuple[ClusterNode, ...] = ()
    """Nodes that `up` made and that were removed since: their ids and ports are not given to others."""

    def find(self, node: str) -> ClusterNode:
        """The entry of a node. Raises CommandError: there is none."""
        for entry in self.nodes:
            if entry.node == node:
                return entry
        names = ", ".join(entry.node for entry in self.nodes)
        if any(entry.node == node for entry in self.removed):
            raise CommandError(
                "the node was removed from the cluster",
                node=node,
                advice=f"use one of {names}; `meshnode up --nodes` adds another one",
                exit_code=ExitCode.REFUSED,
            )
        raise CommandError(
            "the cluster has no such node", node=node, advice=f"use one of {names}", exit_code=ExitCode.NOT_FOUND
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one data directory."""

    data: Path

    @property
    def cluster_file(self) -> Path:
        """What the cluster is."""
        return self.data / "cluster.json"

    @property
    def operator_key(self) -> Path:
        """Private key of the application "operator"."""
        return self.data / "operator.pem"

    def operator_tls(self) -> TlsSettings | None:
        """What commands show to nodes that ask for a certificate; None where none was put here."""
        certificate = self.data / "operator.crt"
        if not certificate.exists():
            return None
        return TlsSettings(
            cert_file=str(certificate), key_file=str(self.data / "operator.key"), ca_file=str(self.data / "ca.crt")
        )

    @property
    def sqlite_file(self) -> Path:
        """The embedded catalog."""
        return self.data / "catalog.db"

    def node_directory(self, node: NodeId) -> Path:
        """A node's directory."""
        return self.data / node

    def config_file(self, node: NodeId) -> Path:
        """A node's settings."""
        return self.data / node / "meshnode.toml"

    def key_file(self, node: NodeId) -> Path:
        """A node's private key."""
        return self.data / node / "node.pem"

    def pid_file(self, node: NodeId) -> Path:
        """The process id of a node's process."""
        return self.data / node / "meshnode.pid"

    def log_file(self, node: NodeId) -> Path:
        """What a node's process prints."""
        return self.data / node / "node.log"

    @contextmanager
    def lock(self, *, wait_ms: int = LOCK_WAIT_MS) -> Iterator[None]:
        """Hold the data directory's lock, which a process that dies gives back.

        Raises:
            CommandError: another command still holds it after `wait_ms`, or the directory cannot be written.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.data / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CommandError(
                "the data directory cannot be written",
                data=str(self.data),
                detail=error.strerror,
                advice="give this user the right to write there, or choose another directory with --data",
                exit_code=ExitCode.SETUP,
            ) from error
        try:
            _acquire(descriptor, self.data, wait_ms)
            yield
        finally:
            os.close(descriptor)


def local_node_id(number: int) -> NodeId:
    """The id of local node `number`, from 1."""
    return parse_node_id(f"n{number}")


def local_ports(base_port: int, number: int) -> tuple[int, int]:
    """The gRPC and the HTTP port of local node `number`, from 1."""
    grpc_port = base_port + PORTS_PER_NODE * (number - 1)
    return grpc_port, grpc_port + HTTP_PORT_OFFSET


def read_cluster_file(layout: Layout) -> ClusterFile | None:
    """Read `cluster.json`; None where there is none. Raises CommandError: it cannot be understood."""
    try:
        text = layout.cluster_file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _bad_file(layout, str(error.strerror)) from error
    try:
        fields = Fields(json.loads(text))
        if (found := fields.number("format")) != CLUSTER_FORMAT:
            raise _bad_file(layout, f"format {found} is not {CLUSTER_FORMAT}")
        return _parse_cluster(fields)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidRequest) as error:
        raise _bad_file(layout, f"{type(error).__name__}: {error}") from error


def require_cluster_file(layout: Layout) -> ClusterFile:
    """Read `cluster.json`. Raises CommandError: there is no cluster, or it cannot be understood."""
    cluster = read_cluster_file(layout)
    if cluster is None:
        raise CommandError(
            "there is no cluster in this directory",
            data=str(layout.data),
            advice="name it with --data DIR (or $MESHNODE_DATA), make one with `meshnode up`, or use --server URL",
            exit_code=ExitCode.NOT_FOUND,
        )
    return cluster


def write_cluster_file(layout: Layout, cluster: ClusterFile) -> None:
    """Write `cluster.json`, durably and in one step."""
    raw = {
        "format": CLUSTER_FORMAT,
        "cluster_id": cluster.cluster_id,
        "catalog": cluster.catalog_url,
        "partition_count": cluster.partition_count,
        "replication_factor": cluster.replication_factor,
        "base_port": cluster.base_port,
        "nodes": [_raw_node(entry) for entry in cluster.nodes],
        **({"removed": [_raw_node(entry) for entry in cluster.removed]} if cluster.removed else {}),
    }
    replace_file(layout.cluster_file, json.dumps(raw, indent=2) + "\n")


def replace_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Put a whole file in place of `path`: readers see the old one or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _acquire(descriptor: int, data: Path, wait_ms: int) -> None:
    deadline = time.monotonic() + wait_ms / 1_000
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    "another command is changing this cluster",
                    data=str(data),
                    advice="wait until it is done",
                    exit_code=ExitCode.SETUP,
                ) from error
            time.sleep(0.05)
        else:
            return


def _parse_cluster(fields: Fields) -> ClusterFile:
    return ClusterFile(
        cluster_id=fields.text("cluster_id"),
        catalog_url=fields.text("catalog"),
        partition_count=fields.number("partition_count"),
        replication_factor=fields.number("replication_factor"),
        base_port=fields.optional_number("base_port"),
        nodes=tuple(_parse_node(entry) for entry in map(Fields, fields.items("nodes"))),
        removed=tuple(
            _parse_node(entry) for entry in map(Fields, fields.items("removed") if fields.has("removed") else ())
        ),
    )


def _parse_node(entry: Fields) -> ClusterNode:
    return ClusterNode(
        node=entry.parsed("node", parse_node_id),
        grpc=entry.text("grpc"),
        http=entry.text("http"),
        public_key=entry.text("public_key"),
        zone=entry.text("zone") if entry.has("zone") else NodeSettings.zone,
        other_keys=entry.optional_texts("other_keys"),
    )


def _raw_node(entry: ClusterNode) -> dict[str, object]:
    raw: dict[str, object] = {
        "node": entry.node,
        "grpc": entry.grpc,
        "http": entry.http,
        "public_key": entry.public_key,
        "zone": entry.zone,
    }
    return raw | ({"other_keys": list(entry.other_keys)} if entry.other_keys else {})


def _bad_file(layout: Layout, detail: str) -> CommandError:
    return CommandError(
        "cluster.json cannot be read",
        file=str(layout.cluster_file),
        detail=detail[:200],
        advice="restore the file, or make a new cluster in another directory",
        exit_code=ExitCode.SETUP,
    )
