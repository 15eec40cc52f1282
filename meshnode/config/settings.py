"""The settings of one node: every section and key there is, with its meaning, unit and default.

Ranges and what must hold between keys are in `config/checks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """`[node]`: who this node is and where its data lies."""

    id: str
    """Unique in the cluster; lower case letters, digits and '-'."""
    data: Path
    """Directory of repositories and keys; one node's alone."""
    zone: str = "default"
    """Failure domain; placement spreads replicas over zones."""
    weight: int = 100
    """Share of the placement, relative to the other nodes."""


@dataclass(frozen=True, kw_only=True)
class ListenSettings:
    """`[listen]`: addresses this node serves on."""

    grpc: str = "127.0.0.1:7777"
    """host:port of the gRPC server."""
    http: str = "127.0.0.1:7780"
    """host:port of the smart HTTP server."""
    grpc_url: str = ""
    """host:port under which other nodes reach the gRPC server; default: the same as `grpc`."""
    http_url: str = ""
    """URL under which clients reach the HTTP server; default: http:// and `http`."""


@dataclass(frozen=True, kw_only=True)
class CatalogSettings:
    """`[catalog]`: the coordination store."""

    url: str
    """sqlite:///absolute/path/catalog.db (all nodes on one machine) or etcd://host:port,host:port."""
    ca_file: str = ""
    """etcd: PEM of the authority that signed the members' certificates; "" means no TLS."""
    cert_file: str = ""
    """etcd: PEM of this client's certificate, where the members ask for one."""
    key_file: str = ""
    """etcd: PEM of this client's private key."""
    username: str = ""
    """etcd: user, where authentication is on."""
    password_file: str = ""
    """etcd: file with the user's password, mode 0600."""
    prefix: str = "/meshnode/"
    """etcd: put before every key, so that several clusters can share one etcd."""
    deadline_ms: int = 2_000
    """One catalog request's time; three times the 0.63 s a leader change takes (measured)."""


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """`[tls]`: TLS of the gRPC server and of calls to peers. All three or none."""

    cert_file: str = ""
    """PEM certificate chain of this node; also shown to peers (mutual TLS)."""
    key_file: str = ""
    """PEM private key, mode 0600."""
    ca_file: str = ""
    """PEM authorities that peers' certificates must come from."""
    is_plaintext_allowed: bool = False
    """Whether gRPC may listen beyond loopback without TLS (something else protects the network)."""


@dataclass(frozen=True, kw_only=True)
class AuthSettings:
    """`[auth]`: who may do what."""

    key_file: str = ""
    """PEM of this node's RSA-2048 key, made when the node is added to its cluster; default: <data>/node.pem."""
    anonymous_http: str = "none"
    """What HTTP clients without a token may do: "none", "read" or "write". Only on a loopback listener."""
    is_open_introspection: bool = False
    """Whether gRPC health and reflection answer without a token."""
    is_body_digest_required: bool = False
    """Whether unary calls of applications must carry the body's digest (nodes always do)."""
    skew_ms: int = 120_000
    """Clock difference allowed between caller and this node."""


@dataclass(frozen=True, kw_only=True)
class PushSettings:
    """`[push]`: what a push may do and bring."""

    is_create_on_push: bool = False
    """Whether a push to a name that does not exist creates the repository."""
    is_fsck_objects: bool = True
    """Whether incoming objects are checked as `transfer.fsckObjects` does."""
    fsck_ignore: tuple[str, ...] = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
    """Message ids of git-fsck(1) that are let through, such as "zeroPaddedFilemode"."""
    pack_bytes_max: int = 4 << 30
    """Largest pack of one push."""
    commands_max: int = 10_000
    """Most references one push may change."""


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """`[operations]`: what a write that makes objects by RPC (commit files, merge, rebase ...) may bring and do."""

    workshops_max: int = 64
    """Operations that build objects at once on this node; one more is refused."""
    file_bytes_max: int = 1 << 30
    """Largest file of one operation."""
    bytes_max: int = 4 << 30
    """All files of one operation together; no more than a push may bring."""
    actions_max: int = 10_000
    """Most files one operation may change."""
    commits_max: int = 1_000
    """Most commits one operation may make: patches of a mailbox, commits of a rebase."""


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """`[limits]`: bounds of work in progress."""

    packs_per_repository: int = 16
    """Upload-packs and receive-packs at once on one repository; more wait, then get 429."""
    packs_per_node: int = 64
    """The same for the node."""
    queue_per_repository: int = 64
    """Requests waiting for a place or for the write slot of one repository."""
    queue_wait_ms: int = 30_000
    """How long one waits for a place before it is refused."""
    fetch_ms_max: int = 3_600_000
    """Longest fetch."""
    clone_cache_bytes: int = 1 << 30
    """Disk for packs that are kept a minute for others who clone the same; one over a quarter of it is made for each who
    asks. 0: each clone has its own."""
    push_ms_max: int = 3_600_000
    """Longest push."""
    unary_ms_max: int = 60_000
    """Longest unary RPC, where the caller sets no shorter deadline."""
    drain_ms: int = 30_000
    """How long a stopping node waits for requests in flight, and a drained one lets go on what had begun."""


@dataclass(frozen=True, kw_only=True)
class ReplicationSettings:
    """`[replication]`: rounds, leases and repair."""

    grace_ms: int = 150
    """How long a round waits for further votes once it has a quorum."""
    prepare_ms: int = 10_000
    """How long a round waits for votes after its objects are shipped."""
    connect_ms: int = 1_000
    """How long a peer may take to accept a connection before the next one is tried."""
    publish_ms: int = 10_000
    """How long the outcome of a publish is looked for before the answer is "unknown"."""
    prepared_age_ms: int = 5_000
    """Age at which a participant looks up what became of a prepared round."""
    lease_ms: int = 3_000
    """Life of a node's liveness lease."""
    repair_slots: int = 4
    """Repairs at once on this node."""
    repair_sweep_ms: int = 2_000
    """How often a node looks for repositories to repair, besides being told."""
    history_rounds: int = 1_000
    """Applied rounds each replica keeps for peers to catch up from."""
    round_trip_interval_ms: int = 5_000
    """From one measurement of the way to each peer to the next."""
    round_trip_warn_ms: int = 5
    """Way to a peer and back from which on `cluster status` warns: each write waits for a quorum's slowest."""


@dataclass(frozen=True, kw_only=True)
class ScrubSettings:
    """`[scrub]`: looking for damage on the own disk."""

    interval_ms: int = 604_800_000
    """From one reading of every object to the next, a week; 0 means only on demand."""
    quick_interval_ms: int = 60_000
    """From one look at positions and references (no objects) to the next; 0 means only on demand."""
    bytes_per_s_max: int = 20 << 20
    """Average rate of the background reading: a fifth of what a slow disk gives, so that pushes hardly notice."""
    slots: int = 1
    """Replicas read at once, asked for or not."""


@dataclass(frozen=True, kw_only=True)
class UpkeepSettings:
    """`[upkeep]`: keeping replicas fast."""

    interval_ms: int = 300_000
    """From one look at the packs of all replicas to the next; 0 means only on demand. Five minutes: a look costs a
    directory listing and 1 KiB a pack."""
    packs_min: int = 24
    """Packs of one replica from which on some are combined. Each costs every lookup of an object a search."""
    slots: int = 1
    """Replicas worked on at once."""


@dataclass(frozen=True, kw_only=True)
class RebalanceSettings:
    """`[rebalance]`: moving replicas between nodes."""

    interval_ms: int = 1_000
    """From one look at moves under way to the next, at the node that plans."""
    partitions_at_once: int = 4
    """Partitions whose replicas are being filled at once; as many as one node repairs at once."""
    bytes_per_s_max: int = 50 << 20
    """Average rate at which this node takes in what fills it; half of what a slow network gives. 0: no bound."""
    drop_after_ms: int = 10_000
    """How long nobody may have read a copy that has left its partition before it goes; longer than others take to
    hear of the change."""
    usage_interval_ms: int = 60_000
    """From one look at the size of this node's replicas to the next."""


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """`[log]`."""

    level: str = "info"
    """debug, info, warning or error."""
    file: str = ""
    """Where JSON lines go; "" means standard error."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of one node."""

    node: NodeSettings
    catalog: CatalogSettings
    listen: ListenSettings = field(default_factory=ListenSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    push: PushSettings = field(default_factory=PushSettings)
    operations: OperationSettings = field(default_factory=OperationSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)
    scrub: ScrubSettings = field(default_factory=ScrubSettings)
    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
    rebalance: RebalanceSettings = field(default_factory=RebalanceSettings)
    log: LogSettings = field(default_factory=LogSettings)
