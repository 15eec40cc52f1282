"""Every key of the catalog, in one table, and the form that all their values have in common.

    key                              value
    cluster                          ClusterSettings (core/cluster.py): id, format version, partition count, factor
    settings                         SharedSettings (core/shared_settings.py): what is set for all nodes
    nodes/<node>                     Node (core/nodes.py): urls, zone, weight, wanted state, public keys
    online/<node>                    OnlineNode (core/nodes.py), bound to the node's lease
    applications/<application>       Application (core/applications.py): role, public keys
    partitions/<number, 5 digits>    Partition (core/partition.py)
    records/<repository id>          Record (core/record.py)
    names/<repository name>          the id of the repository that has the name
    requests/<SHA-256>               RequestMark: the round of a request that changed names (core/request_marks.py)
    configs/<repository id>          RepositoryConfig (core/repository_config.py); no entry: writes may do whatever there is
    families/<repository id>         the partition that the fork family of this root has for itself (core/families.py)
    forks/<repository id>            fork mark: its revision says when the fork family of this root grew
    upkeep/<repository id>           the node whose replica is being optimised, bound to a lease
    invitations/<16 hex digits>      Invitation (core/joining.py): what a new machine may become, once
    rotations/<node>                 RotationTimes (core/rotation.py): when the node's rotation of its key goes on
    listings/<number, 5 digits>      listing mark: its revision says when a record came to list a node of a move's target
    usage/<node>                     NodeUsage (core/control.py): what the node's replicas take on its disk
    round_trips/<node>               RoundTripReport (core/round_trips.py): how far its peers are, in the node's words
    moves/control                    MoveControl (core/control.py): whether moves are paused
    moves/planner                    who plans now, bound to that node's lease
    moves/progress                   MoveProgress (core/control.py): how far moves are, in the planner's words
    audit/head                       AuditHead: number of the next administrative act, and of the oldest one kept
    audit/entries/<number>           AuditEntry (core/audit.py): who did what, and how it ended

Values are JSON so that an operator can read them with the catalog's own tools. A decoder refuses what it does
not know with `Corrupt`: a newer format must not be guessed at.
"""

from __future__ import annotations

import json
from typing import Any, Final

from meshnode.base.ids import NodeId, PartitionId, RepositoryId, RepositoryName

FORMAT_VERSION: Final = 1
DECODED_MAX: Final = 1_024
"""Values of one kind whose meaning is kept in memory: the same bytes are read again and again, by every verified
read and every sweep. What is kept is a few kilobytes each and never changes."""

CLUSTER: Final = "cluster"
SETTINGS: Final = "settings"
NODES: Final = "nodes/"
ONLINE: Final = "online/"
APPLICATIONS: Final = "applications/"
PARTITIONS: Final = "partitions/"
RECORDS: Final = "records/"
NAMES: Final = "names/"
REQUESTS: Final = "requests/"
CONFIGS: Final = "configs/"
FAMILIES: Final = "families/"
FORKS: Final = "forks/"
UPKEEP: Final = "upkeep/"
INVITATIONS: Final = "invitations/"
ROTATIONS: Final = "rotations/"
LISTINGS: Final = "listings/"
USAGE: Final = "usage/"
ROUND_TRIPS: Final = "round_trips/"
MOVE_CONTROL: Final = "moves/control"
MOVE_PLANNER: Final = "moves/planner"
MOVE_PROGRESS: Final = "moves/progress"
AUDIT_HEAD: Final = "audit/head"
AUDIT_ENTRIES: Final = "audit/entries/"


def node_key(node: NodeId) -> str:
    """Key of a node's entry."""
    return NODES + node


def online_key(node: NodeId) -> str:
    """Key that lives as long as the node's lease."""
    return ONLINE + node


def application_key(application: str) -> str:
    """Key of an application's entry."""
    return APPLICATIONS + application


def partition_key(partition: PartitionId) -> str:
    """Key of a partition; the number has five digits so that a range comes in order."""
    return f"{PARTITIONS}{partition:05d}"


def upkeep_key(repository: RepositoryId) -> str:
    """Key that says whose replica is being optimised."""
    return UPKEEP + repository


def config_key(repository: RepositoryId) -> str:
    """Key of a repository's own configuration."""
    return CONFIGS + repository


def family_key(root: RepositoryId) -> str:
    """Key of the partition that a fork family has for itself; its value is the number in ASCII."""
    return FAMILIES + root


def fork_mark_key(root: RepositoryId) -> str:
    """Key of a fork family's mark; only its revision says anything."""
    return FORKS + root


def record_key(repository: RepositoryId) -> str:
    """Key of a repository's record."""
    return RECORDS + repository


def name_key(name: RepositoryName) -> str:
    """Key that a repository's name reserves; its value is the repository id in ASCII."""
    return NAMES + name


def listing_key(partition: PartitionId) -> str:
    """Key of a partition's listing mark; only its revision says anything."""
    return f"{LISTINGS}{partition:05d}"


def round_trips_key(node: NodeId) -> str:
    """Key of what a node says of the way to its peers."""
    return ROUND_TRIPS + node


def usage_key(node: NodeId) -> str:
    """Key of what a node says of its disk."""
    return USAGE + node


def encode_json(raw: dict[str, Any]) -> bytes:
    """A catalog value."""
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()
