"""What the engine needs from the world, and what the servers need from the engine, as Protocols.

Each port has a memory implementation beside its real one and one contract suite over both (`tests/contract`).

    catalog/  -> Catalog                         peer/ -> Peers
    git/      -> ReplicaStore, ReplicaReader,    app   -> Clock, Entropy
                 PackStore, PushProtocol, FetchProtocol
    engine/   -> Transport (git's own protocol), Writes, Reads, Router, Replication, Membership, Activity:
                 what http/ and rpc/ serve

Errors are those of `base.errors`; every method may be cancelled at any await, and then leaves nothing running.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from meshnode.base.ids import (
    Generation,
    NodeId,
    ObjectId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.keys import ClusterSettings, Node, NodeState, OnlineNode
from meshnode.core.record import Partition, Record
from meshnode.core.round import ReplicaKey, Round

# ---------------------------------------------------------------- time and chance


class Clock(Protocol):
    """Time, so that the simulator can own it."""

    def monotonic_ms(self) -> int:
        """Milliseconds on a clock that never goes back; for deadlines."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970; for people and tokens, never for ordering."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Return after `duration_ms`."""
        ...


class Entropy(Protocol):
    """Chance, so that one seed is one run."""

    def new_id(self) -> str:
        """32 lower case hex digits, never the same twice."""
        ...

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1, uniformly."""
        ...


# ---------------------------------------------------------------- catalog


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value and the catalog revision that wrote it."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: `key` was last written at `revision`; 0 means it does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value`; with `lease`, the key goes away when the lease ends."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`; nothing happens where it does not exist."""

    key: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something below a watched prefix changed. A hint: it may come twice, late, or coalesced.

    `key` "" means "anything may have changed": read what you need again.
    """

    key: str
    revision: int


class Catalog(Protocol):
    """The coordination store: linearizable reads and conditional transactions."""

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read up to 64 keys at one revision, linearizably, in the order asked.

        Raises:
            CatalogUnavailable: no answer within the catalog's own deadline.
        """
        ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read up to `limit` entries whose key starts with `prefix` and sorts after `after`, in key order."""
        ...

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply all `writes` (up to 64) if all `compares` hold; the new revision, or None where one did not.

        Raises:
            CatalogUnavailable: surely not applied (it was never sent, or the catalog said so).
            OutcomeUnknown: it may have been applied, or may still be.
            NotFound: all compares held, but the lease of a Put has ended; nothing is applied.
        """
        ...

    def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield a hint for each change below `prefix` from now on; resumes by itself, ends only by aclose().

        The first hint has key "": the watch stands, everything later is seen. Start it, then read.
        """
        ...

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease that ends `ttl_ms` after its last keep-alive."""
        ...

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it has ended already."""
        ...

    async def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys; nothing happens where it has ended."""
        ...

    async def close(self) -> None:
        """Release connections, files and tasks."""
        ...


# ---------------------------------------------------------------- this node's disk


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaState:
    """What a replica's own files say of it."""

    key: ReplicaKey
    name: RepositoryName
    generation: Generation
    """The last generation applied; 0 for one that is being created or filled."""
    round_id: RoundId | None
    refs_digest: RefsDigest
    object_format: str
    is_deleted: bool
    prepared: tuple[Round, ...] = ()
    """Rounds in the journal, oldest first: voted for, not yet committed or aborted."""
    fork_parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefsSnapshot:
    """A replica's references at one generation. Never changed after it is made; share it freely."""

    generation: Generation
    refs: Mapping[RefName, RefValue]
    """Every reference, `HEAD` included."""
    peeled: Mapping[RefName, ObjectId]
    """For references to annotated tags: what they lead to."""
    object_format: str = "sha1"
    names: Sequence[RefName] = field(default=())
    """Names below `refs/` in byte order."""


class ReplicaStore(Protocol):
    """Replicas on this node's disk: states and the durable steps between them."""

    async def list_replicas(self) -> list[ReplicaKey]:
        """Every replica directory, deleted ones that still hold objects for forks included."""
        ...

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """The replica's state, None where there is no directory. Cached; the cache follows the methods below.

        Raises:
            Corrupt: its state or journal cannot be read back.
        """
        ...

    async def prepare(self, round_: Round) -> None:
        """Make the round's quarantined objects and its journal record durable. Idempotent.

        For a CREATE the directory comes into being here, without references.

        Raises:
            Corrupt: the round says `has_pack` and the quarantine holds no complete pack.
            Overloaded: no space left on the device.
        """
        ...

    async def apply(self, round_: Round, *, is_published: bool = True) -> ReplicaState:
        """Move a prepared round's objects in, update references and HEAD, append to the history, record the
        generation, drop the journal record: durable on return, replayable after a crash at any point.

        Applying what is applied already changes nothing. A DELETE removes references and, unless forks need
        them, objects. A RENAME changes the self-description.

        Raises:
            Corrupt: the round is not in the journal, or an old value on disk is neither `old` nor `new`.
            InvariantViolated: I6, the replica is not at the round's base.
        """
        ...

    async def discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round's journal record and quarantine; a CREATE's directory goes with it. Idempotent."""
        ...

    async def replace(self, state: ReplicaState, refs: Mapping[RefName, RefValue], quarantine: RoundId | None) -> None:
        """Make the replica exactly `refs` at `state.generation`: what a full sync ends with.

        The pack of `quarantine` is moved in first. The directory is created where it is missing; `state.prepared`
        is ignored: journal records at or below the new base are dropped, later ones stay.
        """
        ...

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        """Move a damaged replica's directory out of the way and keep it; returns where it is now."""
        ...

    async def purge(self, key: ReplicaKey) -> None:
        """Remove quarantines and temporary files that no journal record names (start-up, client gone)."""
        ...


class ReplicaReader(Protocol):
    """What can be asked of a replica on this node's disk."""

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        """The references of the last applied generation, from memory where possible."""
        ...

    async def history(self, key: ReplicaKey, after: Generation, limit: int = 200) -> list[Round]:
        """Applied rounds with generations after+1, after+2, ... without a gap; empty where `after` is older
        than what is kept (then only a full sync helps) or nothing is newer.
        """
        ...

    async def find_request(self, key: ReplicaKey, request_key: str) -> Round | None:
        """The applied round with this request key among the last ones kept, newest first."""
        ...

    async def digest_on_disk(self, key: ReplicaKey) -> RefsDigest:
        """The digest of the references as files say it now, nothing cached."""
        ...

    async def fsck(self, key: ReplicaKey) -> list[str]:
        """`git fsck` of the replica; its complaints, empty for none."""
        ...

    async def size_bytes(self, key: ReplicaKey) -> int:
        """Bytes of the replica's directory on disk."""
        ...

    async def object_digest(self, key: ReplicaKey) -> str:
        """Order-free hash over the ids of all objects reachable from the references, to compare replicas."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PackFix:
    """How a raw pack stream becomes the indexed pack: `index-pack --fix-thin` rewrites the header's object
    count, appends missing bases and a new trailer. `header + raw[12:body_end] + tail` is the final pack.
    """

    pack_id: str
    header: bytes
    """12 bytes."""
    body_end: int
    tail: bytes
    """Appended bases and the trailer; usually just the trailer."""
    index_bytes: int
    """Length of the index that is shipped after this."""


class PackIngest(Protocol):
    """A pack on its way in at the coordinator: bytes go to git, which indexes and checks them."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes of the raw pack stream; waits while git is behind.

        Raises:
            InvalidRequest: git refused the pack (the message is git's); Overloaded: too large, disk full.
        """
        ...

    async def finish(self) -> PackFix | None:
        """End of the stream: index, complete thin packs, check objects; None for a pack of no objects.

        Raises:
            InvalidRequest: truncated, corrupt, missing bases, or an object fails the configured checks.
        """
        ...

    def index(self) -> AsyncIterator[bytes]:
        """The index that `finish` made, in chunks of at most 512 KiB."""
        ...

    async def check_connected(self, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()) -> None:
        """Check that everything reachable from `tips` is in the quarantine or the repository.

        Those of the tips that are in `commits` (branch tips) must be commits: git refuses anything else below
        refs/heads/, and after the commit point it would be too late to find out.

        Raises:
            InvalidRequest: an object is missing, or one of `commits` is none; field `oid` where git names it.
        """
        ...

    async def close(self) -> None:
        """Stop what runs; the quarantine is kept for `ReplicaStore.prepare` if `finish` succeeded, else removed."""
        ...


class PackReceive(Protocol):
    """A pack on its way in at a participant: bytes go to a file, the coordinator's index is checked against it."""

    async def write(self, chunk: bytes) -> None:
        """Append bytes of the raw pack stream."""
        ...

    async def finish(self, fix: PackFix) -> None:
        """Complete the pack as `fix` says. Raises Corrupt where the trailer does not match the bytes."""
        ...

    async def write_index(self, chunk: bytes) -> None:
        """Append bytes of the index."""
        ...

    async def finish_index(self) -> None:
        """Check the index against the pack (its trailers) and make both durable. Raises Corrupt."""
        ...

    async def close(self) -> None:
        """Close files; the quarantine is removed unless both are complete."""
        ...


class PackStore(Protocol):
    """Objects in and out."""

    async def open_ingest(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackIngest:
        """Start a quarantine that git indexes into. For a repository in creation it needs no directory yet."""
        ...

    async def open_receive(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackReceive:
        """Start a quarantine that receives a pack and its index as bytes."""
        ...

    def pack_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a (thin) pack of what is reachable from `wants` and not from those `haves` that exist here."""
        ...

    async def missing(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of `oids` that this replica does not have as objects (a missing replica has none)."""
        ...

    async def check_tips(
        self, key: ReplicaKey, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()
    ) -> None:
        """`PackIngest.check_connected` for a write that brings no pack."""
        ...


# ---------------------------------------------------------------- git's wire formats


@dataclass(frozen=True, kw_only=True, slots=True)
class PushCommand:
    """One line of a push: what the client wants a reference to be. None: does not exist."""

    name: RefName
    old: ObjectId | None
    new: ObjectId | None
    refusal: str = ""
    """Why this command alone cannot be done (hostile name, wrong oid length); "" if it can be tried."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A parsed receive-pack request; `pack` is what follows the commands, to be read once."""

    commands: tuple[PushCommand, ...]
    capabilities: Mapping[str, str]
    options: tuple[str, ...]
    pack: AsyncIterator[bytes] | None
    """None where no command needs objects (deletions only, or nothing at all)."""

    @property
    def is_atomic(self) -> bool:
        """Whether all commands succeed or none."""
        return "atomic" in self.capabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """How one command of a push ended: `error` "" is ok."""

    name: RefName
    error: str = ""


class PushProtocol(Protocol):
    """git-receive-pack's wire format, both ways (gitprotocol-pack(5))."""

    def advertise(self, snapshot: RefsSnapshot | None, object_format: str) -> bytes:
        """The reference advertisement without the HTTP service header; None: a repository yet to be created."""
        ...

    async def read_push(self, body: AsyncIterator[bytes], object_format: str) -> Push:
        """Parse commands and options; the pack is left in the stream.

        Raises:
            InvalidRequest: malformed pkt-lines, unknown capability values, duplicate names.
            Overloaded: more commands, options or bytes of them than the configured limits.
        """
        ...

    def format_report(
        self, push: Push, unpack_error: str, results: Sequence[CommandResult], messages: Sequence[str]
    ) -> bytes:
        """`report-status(-v2)` and `remote:` lines as the client asked for them, with the final flush."""
        ...

    def format_progress(self, push: Push, message: str) -> bytes:
        """A `remote:` line, or a keep-alive for message ""; b"" for a client without side-band."""
        ...

    def format_fatal(self, push: Push | None, message: str) -> bytes:
        """An error that promises nothing about the outcome: side-band 3, or an `ERR` pkt-line."""
        ...


class FetchProtocol(Protocol):
    """git-upload-pack's wire format; the packs themselves are made by git."""

    def advertise(self, snapshot: RefsSnapshot, version: int) -> bytes:
        """Protocol 0 and 1: references; 2: capabilities. Without the HTTP service header."""
        ...

    def serve(
        self, key: ReplicaKey, snapshot: RefsSnapshot, version: int, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answer one stateless request. `ls-refs` comes from the snapshot, `fetch` from a git process that
        ends when the iterator is closed.

        Raises:
            InvalidRequest: malformed request, unknown command.
        """
        ...


# ---------------------------------------------------------------- other nodes


class VoteKind(Enum):
    """A participant's answer to Prepare."""

    GRANTED = "granted"
    STORED = "stored"
    """Kept in the journal, but this replica has not applied the base yet: not a vote."""
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A participant's answer to Prepare, with the generation it has applied."""

    kind: VoteKind
    generation: Generation
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaDescription:
    """A replica's account of itself, for verify, repair and rebuild."""

    node: NodeId
    generation: Generation
    round_id: RoundId | None
    refs_digest: RefsDigest
    digest_on_disk: RefsDigest | None = None
    object_digest: str = ""
    problems: tuple[str, ...] = ()
    ref_count: int = 0
    size_bytes: int = 0
    consistent_since_ms: int = 0
    """Wall clock from which it has been consistent without a break; 0 where it is not or cannot tell."""
    activity: str = ""
    """What the node is doing about the replica; "" for nothing."""
    prepared: tuple[RoundId, ...] | None = None
    """Rounds in the journal, voted for and neither committed nor aborted; None: not looked at."""


@dataclass(frozen=True, slots=True)
class StageChunk:
    """Raw pack bytes, at most 512 KiB."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StageFix:
    """The raw pack is complete; this is how it becomes the final one."""

    fix: PackFix


@dataclass(frozen=True, slots=True)
class StageIndex:
    """Bytes of the index, at most 512 KiB; `fix.index_bytes` in all."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StagePrepare:
    """Last message: the objects are complete, vote on the round."""

    round: Round


StageMessage = StageChunk | StageFix | StageIndex | StagePrepare


@dataclass(frozen=True, kw_only=True, slots=True)
class StageOpen:
    """What a prepare stream begins with."""

    key: ReplicaKey
    round_id: RoundId
    object_format: str
    coordinator: NodeId


class Peers(Protocol):
    """The other nodes, for replication. Every method may raise PeerUnavailable."""

    async def prepare(self, node: NodeId, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Stream objects and the round; the participant's vote. A stream that breaks off is no vote."""
        ...

    async def commit(self, node: NodeId, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Tell a participant that its round is published; the generation it has applied then."""
        ...

    async def abort(self, node: NodeId, key: ReplicaKey, round_id: RoundId) -> None:
        """Tell a participant that its round will never be published."""
        ...

    async def describe(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """The replica's account of itself; `deep` also recomputes digests and runs fsck. None: no replica."""
        ...

    async def history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        """`ReplicaReader.history` of the peer, the next rounds that fit in one answer."""
        ...

    async def snapshot(self, node: NodeId, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references of the peer's replica at one generation."""
        ...

    def fetch_objects(
        self, node: NodeId, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """`PackStore.pack_objects` of the peer."""
        ...


# ---------------------------------------------------------------- reads and the git transport


class ConsistencyLevel(Enum):
    """How new a read's answer must be."""

    VERIFIED = "verified"
    AT_LEAST = "at_least"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Consistency:
    """A read's demand: VERIFIED, AT_LEAST a generation, or ANY."""

    level: ConsistencyLevel = ConsistencyLevel.VERIFIED
    generation: Generation = Generation(0)


class GitService(Enum):
    """The two services of the git protocol, by the names git gives them."""

    UPLOAD_PACK = "git-upload-pack"
    RECEIVE_PACK = "git-receive-pack"


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportRequest:
    """One smart-HTTP request or one TransportService call."""

    name: RepositoryName
    actor: str
    """Authenticated end user or application; "anonymous" where the policy lets them in."""
    version: int = 0
    consistency: Consistency = Consistency()
    is_forwarded: bool = False
    """Came from another node: answer here or refuse, never hand on again."""
    may_create: bool = False
    """A push to a name that does not exist creates it (a setting of the node that met the client)."""


@dataclass(frozen=True, kw_only=True)
class TransportReply:
    """An answer in bytes. Iterate `body` to its end, or aclose() it: then everything behind it stops."""

    generation: Generation
    body: AsyncIterator[bytes]
    node: NodeId
    """Which node's replica answered."""


class Transport(Protocol):
    """Git's own protocol, served from the right replica wherever the request came in."""

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        """The advertisement that starts a fetch or a push (without the HTTP service header)."""
        ...

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One stateless upload-pack request."""
        ...

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One push. `generation` is the one known when the answer starts; the report is in the body."""
        ...


class RemoteTransport(Protocol):
    """`Transport` of another node. A reply is returned only after the node's first message (the position) came.

    Raises, besides what that node raises, PeerUnavailable where it does not answer. Any of these errors has the
    field `is_untouched` True where no byte of `body` was consumed: the same request may go to the next node.
    """

    async def info_refs(self, node: NodeId, request: TransportRequest, service: GitService) -> TransportReply:
        """`Transport.info_refs` of `node`."""
        ...

    async def upload_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """`Transport.upload_pack` of `node`."""
        ...

    async def receive_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """`Transport.receive_pack` of `node`."""
        ...


OnProgress = Callable[[str], None]
"""Called with short lines for people while long work goes on."""

# ---------------------------------------------------------------- what the engine offers to the gRPC services


@dataclass(frozen=True, kw_only=True, slots=True)
class RefChange:
    """One wish of an API write. `expected` None: whatever is there; "" : must not exist. `new` "" : delete."""

    name: RefName
    expected: RefValue | str | None
    new: RefValue | str


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteResult:
    """A write that is published."""

    record: Record
    round_id: RoundId
    generation: Generation
    """The generation the write made; `record` may be further on where a repetition was recognised."""
    is_repetition: bool = False


class Writes(Protocol):
    """Writes with this node as coordinator. Each is one round; an error with `nothing_written` promises so."""

    async def create(
        self, name: RepositoryName, *, object_format: str, default_branch: RefName, request_key: str, actor: str
    ) -> WriteResult:
        """Create an empty repository. Raises RepositoryExists."""
        ...

    async def fork(self, source: RepositoryName, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Create a repository with the source's references. Raises RepositoryNotFound, RepositoryExists."""
        ...

    async def rename(
        self, name: RepositoryName, new_name: RepositoryName, *, request_key: str, actor: str
    ) -> WriteResult:
        """Give a repository another name. Raises RepositoryNotFound, RepositoryExists."""
        ...

    async def delete(self, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Delete a repository. Raises RepositoryNotFound."""
        ...

    async def update_refs(
        self, name: RepositoryName, changes: Sequence[RefChange], *, request_key: str, actor: str
    ) -> WriteResult:
        """Apply all changes or none. Raises RefConflict, InvalidRequest (missing objects, name conflicts)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReadView:
    """One repository as this node's replica shows it, checked against the asked consistency level."""

    key: ReplicaKey
    name: RepositoryName
    snapshot: RefsSnapshot
    record: Record | None
    """The record that was read, None where the level needed none."""

    @property
    def generation(self) -> Generation:
        """Where the answer stands."""
        return self.snapshot.generation


class Reads(Protocol):
    """Reads of this node's replica and of the catalog."""

    async def view(self, name: RepositoryName, consistency: Consistency) -> ReadView:
        """Open this node's replica for a read.

        Raises:
            RepositoryNotFound: no such name.
            ReplicaBehind: this replica cannot meet the level (field `generation`).
            CatalogUnavailable: VERIFIED cannot be met just now.
        """
        ...

    async def find(self, name: RepositoryName) -> Record:
        """The record behind a name, linearizably. Raises RepositoryNotFound."""
        ...

    async def find_by_id(self, repository: RepositoryId) -> Record | None:
        """The record of a repository id, deleted ones included."""
        ...

    async def list_names(self, prefix: str, after: str, limit: int) -> list[RepositoryName]:
        """Names that start with `prefix` and sort after `after`, in byte order."""
        ...


class Router(Protocol):
    """Which nodes may answer, best first. This node's own id is in the list where it qualifies."""

    async def read_candidates(self, name: RepositoryName, consistency: Consistency) -> list[NodeId]:
        """Nodes with an eligible replica. Raises RepositoryNotFound, CatalogUnavailable."""
        ...

    async def write_candidates(self, name: RepositoryName) -> list[NodeId]:
        """Nodes that may coordinate a write; for a name that does not exist, those of its future partition."""
        ...


class Replication(Protocol):
    """This node as a participant: what ReplicationService serves. The mirror image of `Peers`."""

    async def prepare(self, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Receive objects, then vote on the round; a stream that ends early leaves nothing behind."""
        ...

    async def commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Apply a published round; the generation applied then. Idempotent."""
        ...

    async def abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round that will never be published. Idempotent."""
        ...

    async def describe(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """This node's replica in its own words."""
        ...

    async def history(self, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds after a generation, without a gap."""
        ...

    async def snapshot(self, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references at one generation. Raises ReplicaBehind where this replica is not consistent."""
        ...

    def fetch_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack for a peer's repair."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairProgress:
    """One repair on this node."""

    key: ReplicaKey
    phase: str
    percent: int
    """0 to 100; -1 where it cannot be told."""
    source: NodeId | None


class Membership(Protocol):
    """The cluster as this node sees it, from caches that follow the catalog."""

    def settings(self) -> ClusterSettings:
        """What is fixed of the cluster."""
        ...

    def nodes(self) -> Mapping[NodeId, Node]:
        """Every node in the catalog."""
        ...

    def online(self) -> Mapping[NodeId, OnlineNode]:
        """Nodes whose lease is alive."""
        ...

    def partition(self, partition: PartitionId) -> Partition:
        """A partition's replica list."""
        ...

    def suspect(self, node: NodeId) -> None:
        """Note that a node did not answer just now; candidates sort it last for a second."""
        ...

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        """Want another state for a node. Raises NotFound, Fenced."""
        ...

    async def refresh(self) -> None:
        """Read everything again now."""
        ...


class Activity(Protocol):
    """What this node is doing."""

    def is_ready(self) -> bool:
        """Start-up checks are done and the catalog answered lately."""
        ...

    def is_draining(self) -> bool:
        """New work is refused."""
        ...

    def repairs(self) -> list[RepairProgress]:
        """Repairs running now."""
        ...

    def requests_in_flight(self) -> int:
        """Requests being served."""
        ...

    def consistent_since_ms(self, key: ReplicaKey) -> int:
        """Wall clock from which this replica has been consistent without a break; 0 where it is not."""
        ...
