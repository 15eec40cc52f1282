"""What the engine needs from the world, and what the servers need from the engine, as Protocols.

Each port has a memory implementation beside its real one and one contract suite over both (`tests/contract`).

    catalog/  -> Catalog                         peer/ -> Peers
    git/      -> ReplicaStore, ReplicaReader,    engine/system.py -> Clock, Entropy
                 PackStore, PushProtocol, FetchProtocol,
                 Objects, Revisions, Trees, Commits, CommitWalks,
                 Ancestry, Contents
                 Ancestry, LastCommits
                 Ancestry, Contents, Upkeep
                 Ancestry, LastCommits, Blames, CommitDetails, Tags
    engine/   -> Transport, Writes, Reads, Router, Replication, Membership, Activity, Scrubs, Losses, Events:
                 Objects, Revisions, Workshops
    engine/   -> Transport, Writes, Operations, Reads, Router, Replication, Membership, Activity, Scrubs,
                 Losses, Events:
                 what http/ and rpc/ serve

Errors are those of `base.errors`; every method may be cancelled at any await, and then leaves nothing running.
"""

from __future__ import annotations

from meshnode.ports.blame import BlameHunk, BlameOptions, Blames
from meshnode.ports.catalog import Catalog, Compare, Delete, Entry, Put, WatchEvent
from meshnode.ports.commit_sources import CommitSources
from meshnode.ports.commits import (
    Ancestry,
    Commit,
    CommitDetails,
    Commits,
    CommitStats,
    CommitWalks,
    Divergence,
    Identity,
    MergeBaseKind,
    Selection,
    Signature,
    SignatureKind,
    WalkOrder,
)
from meshnode.ports.contents import ArchiveFormat, ContentMatch, Contents, ContentSearch, ObjectCounts, TreeFile
from meshnode.ports.events import Change, Deleted, Event, Events, Gap, Heartbeat, Scope, Standing, Standings
from meshnode.ports.git_wire import CommandResult, FetchProtocol, Push, PushCommand, PushProtocol
from meshnode.ports.last_commits import LastChanges, LastCommits
from meshnode.ports.maintenance import Losses, LossPlan, LostRound, MemberAccount, ScrubReport, Scrubs
from meshnode.ports.objects import ObjectInfo, ObjectKind, Objects, RawObject, Revisions
from meshnode.ports.operations import (
    ActionKind,
    CommitFacts,
    CommitFiles,
    DeleteRef,
    FileMode,
    FilePart,
    MakeTag,
    NewCommit,
    NewTag,
    OperationResult,
    Operations,
    Outcome,
    Person,
    PointRef,
    Target,
    TreeAction,
    Wish,
    Workshop,
    Workshops,
)
from meshnode.ports.packs import PackFix, PackIngest, PackReceive, PackStore
from meshnode.ports.peers import (
    Peers,
    ReplicaDescription,
    Replication,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
    VoteKind,
)
from meshnode.ports.replicas import Inspection, RefsSnapshot, ReplicaReader, ReplicaState, ReplicaStore
from meshnode.ports.services import (
    Activity,
    Membership,
    Reads,
    ReadView,
    RefChange,
    RepairProgress,
    Router,
    WriteResult,
    Writes,
)
from meshnode.ports.system import Clock, Entropy
from meshnode.ports.tags import TagObject, Tags
from meshnode.ports.transport import (
    Consistency,
    ConsistencyLevel,
    GitService,
    RemoteTransport,
    Transport,
    TransportReply,
    TransportRequest,
)
from meshnode.ports.trees import Attribute, EntryKind, LfsPointer, TreeEntry, TreePage, Trees
from meshnode.ports.upkeep import Upkeep, Upkeeping, UpkeepReport

__all__ = [
    "ActionKind",
    "Activity",
    "Ancestry",
    "ArchiveFormat",
    "Attribute",
    "BlameHunk",
    "BlameOptions",
    "Blames",
    "Catalog",
    "Change",
    "Clock",
    "CommandResult",
    "Commit",
    "CommitDetails",
    "CommitFacts",
    "CommitFiles",
    "CommitSources",
    "CommitStats",
    "CommitWalks",
    "Commits",
    "Compare",
    "Consistency",
    "ConsistencyLevel",
    "ContentMatch",
    "ContentSearch",
    "Contents",
    "Delete",
    "DeleteRef",
    "Deleted",
    "Divergence",
    "Entropy",
    "Entry",
    "EntryKind",
    "Event",
    "Events",
    "FetchProtocol",
    "FileMode",
    "FilePart",
    "Gap",
    "GitService",
    "Heartbeat",
    "Identity",
    "Inspection",
    "LastChanges",
    "LastCommits",
    "LfsPointer",
    "LossPlan",
    "Losses",
    "LostRound",
    "MakeTag",
    "MemberAccount",
    "Membership",
    "MergeBaseKind",
    "NewCommit",
    "NewTag",
    "ObjectCounts",
    "ObjectInfo",
    "ObjectKind",
    "Objects",
    "OperationResult",
    "Operations",
    "Outcome",
    "PackFix",
    "PackIngest",
    "PackReceive",
    "PackStore",
    "Peers",
    "Person",
    "PointRef",
    "Push",
    "PushCommand",
    "PushProtocol",
    "Put",
    "RawObject",
    "ReadView",
    "Reads",
    "RefChange",
    "RefsSnapshot",
    "RemoteTransport",
    "RepairProgress",
    "ReplicaDescription",
    "ReplicaReader",
    "ReplicaState",
    "ReplicaStore",
    "Replication",
    "Revisions",
    "Router",
    "Scope",
    "ScrubReport",
    "Scrubs",
    "Selection",
    "Signature",
    "SignatureKind",
    "StageChunk",
    "StageFix",
    "StageIndex",
    "StageMessage",
    "StageOpen",
    "StagePrepare",
    "Standing",
    "Standings",
    "TagObject",
    "Tags",
    "Target",
    "Transport",
    "TransportReply",
    "TransportRequest",
    "TreeAction",
    "TreeEntry",
    "TreeFile",
    "TreePage",
    "Trees",
    "Upkeep",
    "UpkeepReport",
    "Upkeeping",
    "Vote",
    "VoteKind",
    "WalkOrder",
    "WatchEvent",
    "Wish",
    "Workshop",
    "Workshops",
    "WriteResult",
    "Writes",
]
