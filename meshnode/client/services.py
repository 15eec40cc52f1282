"""Typed calls of every service of `mesh.v1`. Generated from proto/ by `make proto`; do not edit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

from meshnode.client.caller import CALL_MS, STREAM_MS, Caller, Method
from meshnode.v1 import (
    cluster_applications_pb2,
    cluster_audit_pb2,
    cluster_hot_pb2,
    cluster_join_pb2,
    cluster_keys_pb2,
    cluster_pb2,
    cluster_replicas_pb2,
    cluster_settings_pb2,
    commit_pb2,
    diff_pb2,
    event_pb2,
    maintenance_pb2,
    operation_pb2,
    ref_pb2,
    repository_config_pb2,
    repository_pb2,
    tree_pb2,
)

_CLUSTER_GET_STATUS: Final = Method(
    path="/mesh.v1.ClusterService/GetStatus",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_LIST_NODES: Final = Method(
    path="/mesh.v1.ClusterService/ListNodes",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_SET_NODE_STATE: Final = Method(
    path="/mesh.v1.ClusterService/SetNodeState",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_INVITE_NODE: Final = Method(
    path="/mesh.v1.ClusterService/InviteNode",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_LIST_INVITATIONS: Final = Method(
    path="/mesh.v1.ClusterService/ListInvitations",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_REVOKE_INVITATION: Final = Method(
    path="/mesh.v1.ClusterService/RevokeInvitation",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_JOIN_CLUSTER: Final = Method(
    path="/mesh.v1.ClusterService/JoinCluster",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_ROTATE_NODE_KEY: Final = Method(
    path="/mesh.v1.ClusterService/RotateNodeKey",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_GET_NODE_KEYS: Final = Method(
    path="/mesh.v1.ClusterService/GetNodeKeys",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_LIST_APPLICATIONS: Final = Method(
    path="/mesh.v1.ClusterService/ListApplications",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_ADD_APPLICATION: Final = Method(
    path="/mesh.v1.ClusterService/AddApplication",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_REMOVE_APPLICATION: Final = Method(
    path="/mesh.v1.ClusterService/RemoveApplication",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_SET_APPLICATION_ROLE: Final = Method(
    path="/mesh.v1.ClusterService/SetApplicationRole",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_ADD_APPLICATION_KEY: Final = Method(
    path="/mesh.v1.ClusterService/AddApplicationKey",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_DROP_APPLICATION_KEY: Final = Method(
    path="/mesh.v1.ClusterService/DropApplicationKey",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_REMOVE_NODE: Final = Method(
    path="/mesh.v1.ClusterService/RemoveNode",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_REBALANCE: Final = Method(
    path="/mesh.v1.ClusterService/Rebalance",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_PAUSE_MOVES: Final = Method(
    path="/mesh.v1.ClusterService/PauseMoves",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_SET_REPLICATION_FACTOR: Final = Method(
    path="/mesh.v1.ClusterService/SetReplicationFactor",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_GET_SETTINGS: Final = Method(
    path="/mesh.v1.ClusterService/GetSettings",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_UPDATE_SETTINGS: Final = Method(
    path="/mesh.v1.ClusterService/UpdateSettings",
    is_write=True,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_LIST_PARTITIONS: Final = Method(
    path="/mesh.v1.ClusterService/ListPartitions",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_SET_READ_REPLICAS: Final = Method(
    path="/mesh.v1.ClusterService/SetReadReplicas",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_SET_REPOSITORY_FACTOR: Final = Method(
    path="/mesh.v1.ClusterService/SetRepositoryFactor",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_GET_NODE_ACTIVITY: Final = Method(
    path="/mesh.v1.ClusterService/GetNodeActivity",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_LIST_AUDIT: Final = Method(
    path="/mesh.v1.ClusterService/ListAudit",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_CLUSTER_GET_HOT_REPOSITORIES: Final = Method(
    path="/mesh.v1.ClusterService/GetHotRepositories",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)


class ClusterService:
    """The cluster: its nodes and their states."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get_status(
        self, request: cluster_pb2.GetStatusRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.GetStatusResponse:
        """Call ClusterService.GetStatus."""
        return await self._caller.unary(
            _CLUSTER_GET_STATUS, request, cluster_pb2.GetStatusResponse, timeout_ms=timeout_ms
        )

    async def list_nodes(
        self, request: cluster_pb2.ListNodesRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.ListNodesResponse:
        """Call ClusterService.ListNodes."""
        return await self._caller.unary(
            _CLUSTER_LIST_NODES, request, cluster_pb2.ListNodesResponse, timeout_ms=timeout_ms
        )

    async def set_node_state(
        self, request: cluster_pb2.SetNodeStateRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.SetNodeStateResponse:
        """Want another state for a node: AVAILABLE (enable), DRAINING (finish, take nothing new) or DISABLED."""
        return await self._caller.unary(
            _CLUSTER_SET_NODE_STATE, request, cluster_pb2.SetNodeStateResponse, timeout_ms=timeout_ms
        )

    async def invite_node(
        self, request: cluster_join_pb2.InviteNodeRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_join_pb2.InviteNodeResponse:
        """Let one more machine in, once: makes a secret that is shown here and nowhere else."""
        return await self._caller.unary(
            _CLUSTER_INVITE_NODE, request, cluster_join_pb2.InviteNodeResponse, timeout_ms=timeout_ms
        )

    async def list_invitations(
        self, request: cluster_join_pb2.ListInvitationsRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_join_pb2.ListInvitationsResponse:
        """Invitations that are open, and those that ended within the last week.

        No secrets.
        """
        return await self._caller.unary(
            _CLUSTER_LIST_INVITATIONS, request, cluster_join_pb2.ListInvitationsResponse, timeout_ms=timeout_ms
        )

    async def revoke_invitation(
        self, request: cluster_join_pb2.RevokeInvitationRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_join_pb2.RevokeInvitationResponse:
        """Make an open invitation worthless."""
        return await self._caller.unary(
            _CLUSTER_REVOKE_INVITATION, request, cluster_join_pb2.RevokeInvitationResponse, timeout_ms=timeout_ms
        )

    async def join_cluster(
        self, request: cluster_join_pb2.JoinClusterRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_join_pb2.JoinClusterResponse:
        """Become a node of this cluster, by an invitation.

        Once is enough; the same again is answered as done.
        """
        return await self._caller.unary(
            _CLUSTER_JOIN_CLUSTER, request, cluster_join_pb2.JoinClusterResponse, timeout_ms=timeout_ms
        )

    async def rotate_node_key(
        self, request: cluster_keys_pb2.RotateNodeKeyRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_keys_pb2.RotateNodeKeyResponse:
        """Give the answering node another key; calls go on meanwhile."""
        return await self._caller.unary(
            _CLUSTER_ROTATE_NODE_KEY, request, cluster_keys_pb2.RotateNodeKeyResponse, timeout_ms=timeout_ms
        )

    async def get_node_keys(
        self, request: cluster_keys_pb2.GetNodeKeysRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_keys_pb2.GetNodeKeysResponse:
        """The keys under which a node's answers are to be believed.

        Any node may be asked about any.
        """
        return await self._caller.unary(
            _CLUSTER_GET_NODE_KEYS, request, cluster_keys_pb2.GetNodeKeysResponse, timeout_ms=timeout_ms
        )

    async def list_applications(
        self, request: cluster_applications_pb2.ListApplicationsRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.ListApplicationsResponse:
        """Who may call besides nodes, as what, and under which keys."""
        return await self._caller.unary(
            _CLUSTER_LIST_APPLICATIONS,
            request,
            cluster_applications_pb2.ListApplicationsResponse,
            timeout_ms=timeout_ms,
        )

    async def add_application(
        self, request: cluster_applications_pb2.AddApplicationRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.AddApplicationResponse:
        """Let an application call.

        The same again is answered as done.
        """
        return await self._caller.unary(
            _CLUSTER_ADD_APPLICATION, request, cluster_applications_pb2.AddApplicationResponse, timeout_ms=timeout_ms
        )

    async def remove_application(
        self, request: cluster_applications_pb2.RemoveApplicationRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.RemoveApplicationResponse:
        """Let it call no more.

        INVALID_ARGUMENT for the last administrator.
        """
        return await self._caller.unary(
            _CLUSTER_REMOVE_APPLICATION,
            request,
            cluster_applications_pb2.RemoveApplicationResponse,
            timeout_ms=timeout_ms,
        )

    async def set_application_role(
        self, request: cluster_applications_pb2.SetApplicationRoleRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.SetApplicationRoleResponse:
        """Let it call more or less.

        INVALID_ARGUMENT for the last administrator.
        """
        return await self._caller.unary(
            _CLUSTER_SET_APPLICATION_ROLE,
            request,
            cluster_applications_pb2.SetApplicationRoleResponse,
            timeout_ms=timeout_ms,
        )

    async def add_application_key(
        self, request: cluster_applications_pb2.AddApplicationKeyRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.AddApplicationKeyResponse:
        """Believe an application under a second key; both are believed until one is dropped, by order or at a
        time."""
        return await self._caller.unary(
            _CLUSTER_ADD_APPLICATION_KEY,
            request,
            cluster_applications_pb2.AddApplicationKeyResponse,
            timeout_ms=timeout_ms,
        )

    async def drop_application_key(
        self, request: cluster_applications_pb2.DropApplicationKeyRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_applications_pb2.DropApplicationKeyResponse:
        """Believe it under a key no longer, now or from a time on.

        INVALID_ARGUMENT for the last one that stays.
        """
        return await self._caller.unary(
            _CLUSTER_DROP_APPLICATION_KEY,
            request,
            cluster_applications_pb2.DropApplicationKeyResponse,
            timeout_ms=timeout_ms,
        )

    async def remove_node(
        self, request: cluster_pb2.RemoveNodeRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.RemoveNodeResponse:
        """Take a node out for good: its replicas move elsewhere first, then its entry goes.

        Refused, with the partitions that are in the way, where too few nodes would be left.
        """
        return await self._caller.unary(
            _CLUSTER_REMOVE_NODE, request, cluster_pb2.RemoveNodeResponse, timeout_ms=timeout_ms
        )

    async def rebalance(
        self, request: cluster_pb2.RebalanceRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.RebalanceResponse:
        """Spread replicas evenly: say what would move, or have it moved."""
        return await self._caller.unary(
            _CLUSTER_REBALANCE, request, cluster_pb2.RebalanceResponse, timeout_ms=timeout_ms
        )

    async def pause_moves(
        self, request: cluster_pb2.PauseMovesRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.PauseMovesResponse:
        """Stop moves between two steps, or let them go on.

        Nothing that was decided is forgotten.
        """
        return await self._caller.unary(
            _CLUSTER_PAUSE_MOVES, request, cluster_pb2.PauseMovesResponse, timeout_ms=timeout_ms
        )

    async def set_replication_factor(
        self, request: cluster_pb2.SetReplicationFactorRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.SetReplicationFactorResponse:
        """Want more or fewer replicas, of every partition or of one; they come and go online."""
        return await self._caller.unary(
            _CLUSTER_SET_REPLICATION_FACTOR, request, cluster_pb2.SetReplicationFactorResponse, timeout_ms=timeout_ms
        )

    async def get_settings(
        self, request: cluster_settings_pb2.GetSettingsRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_settings_pb2.GetSettingsResponse:
        """Settings that may hold for all nodes, as they are on the answering node, and where they come from."""
        return await self._caller.unary(
            _CLUSTER_GET_SETTINGS, request, cluster_settings_pb2.GetSettingsResponse, timeout_ms=timeout_ms
        )

    async def update_settings(
        self, request: cluster_settings_pb2.UpdateSettingsRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_settings_pb2.UpdateSettingsResponse:
        """Set and unset settings for all nodes; they follow at once.

        INVALID_ARGUMENT with every reason where one cannot be used; ABORTED where somebody else was faster.
        """
        return await self._caller.unary(
            _CLUSTER_UPDATE_SETTINGS, request, cluster_settings_pb2.UpdateSettingsResponse, timeout_ms=timeout_ms
        )

    async def list_partitions(
        self, request: cluster_pb2.ListPartitionsRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.ListPartitionsResponse:
        """Where every partition is, and where it is to be."""
        return await self._caller.unary(
            _CLUSTER_LIST_PARTITIONS, request, cluster_pb2.ListPartitionsResponse, timeout_ms=timeout_ms
        )

    async def set_read_replicas(
        self, request: cluster_replicas_pb2.SetReadReplicasRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_replicas_pb2.SetReadReplicasResponse:
        """Want read replicas of a partition, or of the partition a repository lives in: so many, or on these nodes.

        They get every write, answer reads and never vote.
        """
        return await self._caller.unary(
            _CLUSTER_SET_READ_REPLICAS, request, cluster_replicas_pb2.SetReadReplicasResponse, timeout_ms=timeout_ms
        )

    async def set_repository_factor(
        self, request: cluster_replicas_pb2.SetRepositoryFactorRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_replicas_pb2.SetRepositoryFactorResponse:
        """Want more or fewer replicas of one repository and its forks.

        INVALID_ARGUMENT where others live in its partition, unless they may get it too: a repository does not change
        its partition.
        """
        return await self._caller.unary(
            _CLUSTER_SET_REPOSITORY_FACTOR,
            request,
            cluster_replicas_pb2.SetRepositoryFactorResponse,
            timeout_ms=timeout_ms,
        )

    async def get_node_activity(
        self, request: cluster_pb2.GetNodeActivityRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_pb2.GetNodeActivityResponse:
        """What the answering node itself is doing: work in flight, repairs, start-up."""
        return await self._caller.unary(
            _CLUSTER_GET_NODE_ACTIVITY, request, cluster_pb2.GetNodeActivityResponse, timeout_ms=timeout_ms
        )

    async def list_audit(
        self, request: cluster_audit_pb2.ListAuditRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_audit_pb2.ListAuditResponse:
        """Administrative acts, newest first: who did what, when, and how it ended."""
        return await self._caller.unary(
            _CLUSTER_LIST_AUDIT, request, cluster_audit_pb2.ListAuditResponse, timeout_ms=timeout_ms
        )

    async def get_hot_repositories(
        self, request: cluster_hot_pb2.GetHotRepositoriesRequest, *, timeout_ms: int = CALL_MS
    ) -> cluster_hot_pb2.GetHotRepositoriesResponse:
        """The busiest repositories: what was read and written, how much, and how long git worked for it."""
        return await self._caller.unary(
            _CLUSTER_GET_HOT_REPOSITORIES, request, cluster_hot_pb2.GetHotRepositoriesResponse, timeout_ms=timeout_ms
        )


_TREE_LIST_ENTRIES: Final = Method(
    path="/mesh.v1.TreeService/ListEntries",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_TREE_STAT: Final = Method(
    path="/mesh.v1.TreeService/Stat",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_TREE_GET_BLOB: Final = Method(
    path="/mesh.v1.TreeService/GetBlob",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_TREE_GET_BLOBS: Final = Method(
    path="/mesh.v1.TreeService/GetBlobs",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_TREE_GET_ATTRIBUTES: Final = Method(
    path="/mesh.v1.TreeService/GetAttributes",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)


class TreeService:
    """Directories and files of a commit or tree.

    Nothing follows symbolic links, and nothing looks into submodules. `revision` is what gitrevisions(7) takes,
    without reflogs and searches: an object id, a unique abbreviation, a reference name in full or short, with
    suffixes such as '~3' or '^{tree}'; '' is HEAD. It must lead to a commit or a tree where the method needs one.
    `path` is bytes as git stores them, from the root, 'a/b' without a slash at either end; '' is the root. Empty, '.'
    and '..' parts, NUL and more than 4,096 bytes are INVALID_ARGUMENT. All methods: NOT_FOUND where the revision or
    path leads nowhere, INVALID_ARGUMENT where it is ambiguous, malformed or not of the needed kind (field `kind`).
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list_entries(
        self, request: tree_pb2.ListEntriesRequest, *, timeout_ms: int = CALL_MS
    ) -> tree_pb2.ListEntriesResponse:
        """Entries of a directory, of everything below it where `recursive`, in git's tree order."""
        return await self._caller.unary(
            _TREE_LIST_ENTRIES, request, tree_pb2.ListEntriesResponse, timeout_ms=timeout_ms
        )

    async def stat(self, request: tree_pb2.StatRequest, *, timeout_ms: int = CALL_MS) -> tree_pb2.StatResponse:
        """What lies at each of some paths."""
        return await self._caller.unary(_TREE_STAT, request, tree_pb2.StatResponse, timeout_ms=timeout_ms)

    def get_blob(
        self, request: tree_pb2.GetBlobRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[tree_pb2.GetBlobResponse]:
        """One blob, or a range of it.

        RESOURCE_EXHAUSTED where it is larger than `size_max` (fields `size`, `size_max`).
        """
        return self._caller.stream(_TREE_GET_BLOB, request, tree_pb2.GetBlobResponse, timeout_ms=timeout_ms)

    def get_blobs(
        self, request: tree_pb2.GetBlobsRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[tree_pb2.GetBlobsResponse]:
        """Many blobs, one after the other in the order asked for."""
        return self._caller.stream(_TREE_GET_BLOBS, request, tree_pb2.GetBlobsResponse, timeout_ms=timeout_ms)

    async def get_attributes(
        self, request: tree_pb2.GetAttributesRequest, *, timeout_ms: int = CALL_MS
    ) -> tree_pb2.GetAttributesResponse:
        """Attributes that the .gitattributes files of a commit or tree give to paths, which need not exist."""
        return await self._caller.unary(
            _TREE_GET_ATTRIBUTES, request, tree_pb2.GetAttributesResponse, timeout_ms=timeout_ms
        )


_COMMIT_GET_COMMIT: Final = Method(
    path="/mesh.v1.CommitService/GetCommit",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_GET_COMMITS: Final = Method(
    path="/mesh.v1.CommitService/GetCommits",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_LIST_COMMITS: Final = Method(
    path="/mesh.v1.CommitService/ListCommits",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_COUNT_COMMITS: Final = Method(
    path="/mesh.v1.CommitService/CountCommits",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_IS_ANCESTOR: Final = Method(
    path="/mesh.v1.CommitService/IsAncestor",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_FIND_MERGE_BASES: Final = Method(
    path="/mesh.v1.CommitService/FindMergeBases",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_COUNT_DIVERGENCE: Final = Method(
    path="/mesh.v1.CommitService/CountDivergence",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_LIST_LAST_COMMITS: Final = Method(
    path="/mesh.v1.CommitService/ListLastCommits",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_BLAME: Final = Method(
    path="/mesh.v1.CommitService/Blame",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_GET_COMMIT_SIGNATURES: Final = Method(
    path="/mesh.v1.CommitService/GetCommitSignatures",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_COMMIT_GET_COMMIT_STATS: Final = Method(
    path="/mesh.v1.CommitService/GetCommitStats",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)


class CommitService:
    """Commits and how they hang together.

    `revision` is what gitrevisions(7) takes, without reflogs and searches: an object id, a unique abbreviation, a
    reference name in full or short, with suffixes such as '~3'; '' is HEAD. Tags are followed to their commit. `path`
    is bytes as git stores them, from the root, 'a/b' without a slash at either end, never a pattern. Empty, '.' and
    '..' parts, NUL and more than 4,096 bytes are INVALID_ARGUMENT. Commits are read as they are stored: replace
    references and grafts do not count. Text of a commit (message, names, addresses) is bytes as stored, in the
    encoding that the commit names. All methods: NOT_FOUND where a revision leads nowhere (field `revision`),
    INVALID_ARGUMENT where it is ambiguous, malformed or leads to no commit, DEADLINE_EXCEEDED where git needs longer
    than the call has.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get_commit(
        self, request: commit_pb2.GetCommitRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.GetCommitResponse:
        """One commit."""
        return await self._caller.unary(
            _COMMIT_GET_COMMIT, request, commit_pb2.GetCommitResponse, timeout_ms=timeout_ms
        )

    def get_commits(
        self, request: commit_pb2.GetCommitsRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[commit_pb2.GetCommitsResponse]:
        """Many commits at once, in the order asked for; one that does not exist is no error."""
        return self._caller.stream(_COMMIT_GET_COMMITS, request, commit_pb2.GetCommitsResponse, timeout_ms=timeout_ms)

    async def list_commits(
        self, request: commit_pb2.ListCommitsRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.ListCommitsResponse:
        """What `git log` lists, a page at a time.

        All pages stand on the commits that the first page found for the revisions. A page costs git what skipping all
        pages before it costs.
        """
        return await self._caller.unary(
            _COMMIT_LIST_COMMITS, request, commit_pb2.ListCommitsResponse, timeout_ms=timeout_ms
        )

    async def count_commits(
        self, request: commit_pb2.CountCommitsRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.CountCommitsResponse:
        """How many commits `ListCommits` would list."""
        return await self._caller.unary(
            _COMMIT_COUNT_COMMITS, request, commit_pb2.CountCommitsResponse, timeout_ms=timeout_ms
        )

    async def is_ancestor(
        self, request: commit_pb2.IsAncestorRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.IsAncestorResponse:
        """Whether one commit is reachable from another; a commit is an ancestor of itself."""
        return await self._caller.unary(
            _COMMIT_IS_ANCESTOR, request, commit_pb2.IsAncestorResponse, timeout_ms=timeout_ms
        )

    async def find_merge_bases(
        self, request: commit_pb2.FindMergeBasesRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.FindMergeBasesResponse:
        """Best common ancestors, as `git merge-base` finds them."""
        return await self._caller.unary(
            _COMMIT_FIND_MERGE_BASES, request, commit_pb2.FindMergeBasesResponse, timeout_ms=timeout_ms
        )

    async def count_divergence(
        self, request: commit_pb2.CountDivergenceRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.CountDivergenceResponse:
        """How far revisions are ahead of and behind a base."""
        return await self._caller.unary(
            _COMMIT_COUNT_DIVERGENCE, request, commit_pb2.CountDivergenceResponse, timeout_ms=timeout_ms
        )

    async def list_last_commits(
        self, request: commit_pb2.ListLastCommitsRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.ListLastCommitsResponse:
        """The entries of a directory, each with the commit that changed it last: what `git log -1 -- <path>` shows
        for each, by one walk for all.

        A page whose search takes too long comes with what was found by then.
        """
        return await self._caller.unary(
            _COMMIT_LIST_LAST_COMMITS, request, commit_pb2.ListLastCommitsResponse, timeout_ms=timeout_ms
        )

    def blame(
        self, request: commit_pb2.BlameRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[commit_pb2.BlameResponse]:
        """Which commit brought in each line of a file.

        RESOURCE_EXHAUSTED where the file is over 16 MiB or a line over 1 MiB (field `bytes_max`).
        """
        return self._caller.stream(_COMMIT_BLAME, request, commit_pb2.BlameResponse, timeout_ms=timeout_ms)

    def get_commit_signatures(
        self, request: commit_pb2.GetCommitSignaturesRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[commit_pb2.GetCommitSignaturesResponse]:
        """Signatures and what they sign.

        Nothing is verified. RESOURCE_EXHAUSTED where the commits together hold over 16 MiB.
        """
        return self._caller.stream(
            _COMMIT_GET_COMMIT_SIGNATURES, request, commit_pb2.GetCommitSignaturesResponse, timeout_ms=timeout_ms
        )

    async def get_commit_stats(
        self, request: commit_pb2.GetCommitStatsRequest, *, timeout_ms: int = CALL_MS
    ) -> commit_pb2.GetCommitStatsResponse:
        """How much commits changed: what `git show --shortstat` counts, merges against their first parent."""
        return await self._caller.unary(
            _COMMIT_GET_COMMIT_STATS, request, commit_pb2.GetCommitStatsResponse, timeout_ms=timeout_ms
        )


_DIFF_DIFF: Final = Method(
    path="/mesh.v1.DiffService/Diff",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_DIFF_RAW_DIFF: Final = Method(
    path="/mesh.v1.DiffService/RawDiff",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_DIFF_FIND_CHANGED_PATHS: Final = Method(
    path="/mesh.v1.DiffService/FindChangedPaths",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_DIFF_RANGE_DIFF: Final = Method(
    path="/mesh.v1.DiffService/RangeDiff",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_DIFF_GET_PATCH_ID: Final = Method(
    path="/mesh.v1.DiffService/GetPatchId",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)


class DiffService:
    """What changed between commits or trees, as git diff-tree says it.

    Attributes do not apply: no text conversion, no external programs, '-diff' is not looked at. Revisions and paths
    are those of TreeService. All methods: NOT_FOUND where a revision leads nowhere or two commits have no merge base,
    INVALID_ARGUMENT where something is malformed, ambiguous, of the wrong kind, or out of range. Diffs are made by
    git at low priority, for at most a minute each (DEADLINE_EXCEEDED).
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def diff(
        self, request: diff_pb2.DiffRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[diff_pb2.DiffResponse]:
        """Changed files with hunks, in order of paths.

        Limits cut it short, and every cut is marked.
        """
        return self._caller.stream(_DIFF_DIFF, request, diff_pb2.DiffResponse, timeout_ms=timeout_ms)

    def raw_diff(
        self, request: diff_pb2.RawDiffRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[diff_pb2.RawDiffResponse]:
        """The patch as git prints it, with full object ids."""
        return self._caller.stream(_DIFF_RAW_DIFF, request, diff_pb2.RawDiffResponse, timeout_ms=timeout_ms)

    def find_changed_paths(
        self, request: diff_pb2.FindChangedPathsRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[diff_pb2.FindChangedPathsResponse]:
        """Which paths changed, in many commits or pairs of trees at once; no content is compared but for renames."""
        return self._caller.stream(
            _DIFF_FIND_CHANGED_PATHS, request, diff_pb2.FindChangedPathsResponse, timeout_ms=timeout_ms
        )

    def range_diff(
        self, request: diff_pb2.RangeDiffRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[diff_pb2.RangeDiffResponse]:
        """Two versions of a series of commits, commit by commit (git range-diff)."""
        return self._caller.stream(_DIFF_RANGE_DIFF, request, diff_pb2.RangeDiffResponse, timeout_ms=timeout_ms)

    async def get_patch_id(
        self, request: diff_pb2.GetPatchIdRequest, *, timeout_ms: int = CALL_MS
    ) -> diff_pb2.GetPatchIdResponse:
        """An id that equal changes share, wherever they are applied (git diff-tree -p --full-index | git patch-id
        --stable)."""
        return await self._caller.unary(_DIFF_GET_PATCH_ID, request, diff_pb2.GetPatchIdResponse, timeout_ms=timeout_ms)


_EVENT_WATCH: Final = Method(
    path="/mesh.v1.EventService/Watch",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)


class EventService:
    """What happened to references, after it happened: for builds, caches, mirrors, search."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def watch(
        self, request: event_pb2.WatchRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[event_pb2.WatchResponse]:
        """Follow changes of references.

        At least once, in order of generations within a repository, and only what is committed. The stream ends with
        OK when the node wants to stop or the call's time is nearly over: resume at any node, with the last generation
        seen of every repository. Errors: INVALID_ARGUMENT (no scope, or more than one; over 100,000 resume points),
        NOT_FOUND (the named repository), RESOURCE_EXHAUSTED (too many followers at this node), UNAVAILABLE (catalog
        out of reach at the start).
        """
        return self._caller.stream(_EVENT_WATCH, request, event_pb2.WatchResponse, timeout_ms=timeout_ms)


_MAINTENANCE_SCRUB_REPOSITORY: Final = Method(
    path="/mesh.v1.MaintenanceService/ScrubRepository",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_MAINTENANCE_OPTIMIZE_REPOSITORY: Final = Method(
    path="/mesh.v1.MaintenanceService/OptimizeRepository",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_MAINTENANCE_ACCEPT_DATA_LOSS: Final = Method(
    path="/mesh.v1.MaintenanceService/AcceptDataLoss",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)


class MaintenanceService:
    """Looking after repositories: what operators ask for by hand."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def scrub_repository(
        self, request: maintenance_pb2.ScrubRepositoryRequest, *, timeout_ms: int = CALL_MS
    ) -> maintenance_pb2.ScrubRepositoryResponse:
        """Have every replica read everything it holds, now; one that is damaged takes itself out and is filled from a
        peer.

        A node that needs longer than the call goes on with it and says so.
        """
        return await self._caller.unary(
            _MAINTENANCE_SCRUB_REPOSITORY, request, maintenance_pb2.ScrubRepositoryResponse, timeout_ms=timeout_ms
        )

    async def optimize_repository(
        self, request: maintenance_pb2.OptimizeRepositoryRequest, *, timeout_ms: int = CALL_MS
    ) -> maintenance_pb2.OptimizeRepositoryResponse:
        """Combine packs and bring the commit graph up to date, one replica after the other.

        Happens by itself as well.
        """
        return await self._caller.unary(
            _MAINTENANCE_OPTIMIZE_REPOSITORY, request, maintenance_pb2.OptimizeRepositoryResponse, timeout_ms=timeout_ms
        )

    async def accept_data_loss(
        self, request: maintenance_pb2.AcceptDataLossRequest, *, timeout_ms: int = CALL_MS
    ) -> maintenance_pb2.AcceptDataLossResponse:
        """Make one replica the truth where no consistent replica is left; what only others knew is lost.

        INVALID_ARGUMENT where a consistent replica answers, ABORTED where the record changed meanwhile.
        """
        return await self._caller.unary(
            _MAINTENANCE_ACCEPT_DATA_LOSS, request, maintenance_pb2.AcceptDataLossResponse, timeout_ms=timeout_ms
        )


_OPERATION_COMMIT_FILES: Final = Method(
    path="/mesh.v1.OperationService/CommitFiles",
    is_write=True,
    holder=("header",),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_CREATE_BRANCH: Final = Method(
    path="/mesh.v1.OperationService/CreateBranch",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_DELETE_BRANCH: Final = Method(
    path="/mesh.v1.OperationService/DeleteBranch",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_CREATE_TAG: Final = Method(
    path="/mesh.v1.OperationService/CreateTag",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_DELETE_TAG: Final = Method(
    path="/mesh.v1.OperationService/DeleteTag",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_MERGE: Final = Method(
    path="/mesh.v1.OperationService/Merge",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_PREVIEW_MERGE: Final = Method(
    path="/mesh.v1.OperationService/PreviewMerge",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_OPERATION_CHERRY_PICK: Final = Method(
    path="/mesh.v1.OperationService/CherryPick",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_REVERT: Final = Method(
    path="/mesh.v1.OperationService/Revert",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_REBASE: Final = Method(
    path="/mesh.v1.OperationService/Rebase",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_APPLY_PATCHES: Final = Method(
    path="/mesh.v1.OperationService/ApplyPatches",
    is_write=True,
    holder=("header",),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_OPERATION_RESOLVE_CONFLICTS: Final = Method(
    path="/mesh.v1.OperationService/ResolveConflicts",
    is_write=True,
    holder=("header",),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)


class OperationService:
    """Writes that make objects: commits, merges, tags.

    Each is one round like a push and changes one reference. Every request names what it changes in full
    ('refs/heads/main'), may say what it expects to find there (`expected_oid`), and may carry a `request_key` of at
    most 128 bytes: a repetition with the same key, also through another node, is answered with what the first one did
    and takes effect once. With `expected_oid`, a reference that is elsewhere is ABORTED with fields `ref`, `expected`
    and `actual`. Without it the operation is built on whatever is there, and again where others write meanwhile: at
    most 8 times, then ABORTED. Objects are checked as those of a push are (`push.is_fsck_objects`). Errors common to
    all: NOT_FOUND (repository, revision, path), INVALID_ARGUMENT (malformed, or it does not fit what is there),
    ABORTED (see above), RESOURCE_EXHAUSTED (a limit of `[operations]`, too many operations at once, disk full),
    FAILED_PRECONDITION (too few consistent replicas), UNAVAILABLE (quorum lost: nothing was written),
    DEADLINE_EXCEEDED with field `round` (unknown: repeat with the same key, or ask GetRoundOutcome).
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def commit_files(
        self,
        requests: Iterable[operation_pb2.CommitFilesRequest] | AsyncIterator[operation_pb2.CommitFilesRequest],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> operation_pb2.OperationResponse:
        """One commit on a branch from a list of file actions.

        The first message is the header; each action follows, and its content in it and in any number of messages
        after it. Nothing is visible before the commit as a whole is.
        """
        return await self._caller.upload(
            _OPERATION_COMMIT_FILES, requests, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def create_branch(
        self, request: operation_pb2.CreateBranchRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """A branch that does not exist yet (ABORTED if it does) at a commit."""
        return await self._caller.unary(
            _OPERATION_CREATE_BRANCH, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def delete_branch(
        self, request: operation_pb2.DeleteBranchRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """NOT_FOUND where there is none; INVALID_ARGUMENT for the default branch."""
        return await self._caller.unary(
            _OPERATION_DELETE_BRANCH, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def create_tag(
        self, request: operation_pb2.CreateTagRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """A tag that does not exist yet (ABORTED if it does): annotated where a tagger is given, else lightweight."""
        return await self._caller.unary(
            _OPERATION_CREATE_TAG, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def delete_tag(
        self, request: operation_pb2.DeleteTagRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """NOT_FOUND where there is none."""
        return await self._caller.unary(
            _OPERATION_DELETE_TAG, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def merge(
        self, request: operation_pb2.MergeRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """A revision into a branch.

        With conflicts nothing is written and the answer is OK with OUTCOME_CONFLICTS and what git says of them;
        INVALID_ARGUMENT where the two share no history.
        """
        return await self._caller.unary(
            _OPERATION_MERGE, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def preview_merge(
        self, request: operation_pb2.PreviewMergeRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.PreviewMergeResponse:
        """What Merge would find, without writing anything.

        Depends on the two commits only, so it is remembered.
        """
        return await self._caller.unary(
            _OPERATION_PREVIEW_MERGE, request, operation_pb2.PreviewMergeResponse, timeout_ms=timeout_ms
        )

    async def cherry_pick(
        self, request: operation_pb2.CherryPickRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """The changes of commits, in order, on top of a branch, as git cherry-pick makes them: authors, their dates
        and messages stay.

        All of them in one write; at the first conflict nothing is written, and `stopped_at` names the commit.
        """
        return await self._caller.unary(
            _OPERATION_CHERRY_PICK, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def revert(
        self, request: operation_pb2.RevertRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """The opposite of commits, in order, on top of a branch, as git revert makes it.

        Conflicts as in CherryPick.
        """
        return await self._caller.unary(
            _OPERATION_REVERT, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def rebase(
        self, request: operation_pb2.RebaseRequest, *, timeout_ms: int = CALL_MS
    ) -> operation_pb2.OperationResponse:
        """A branch's own commits on top of another commit, as git rebase makes them: merges are left out, and so are
        commits whose patch is there already or that become empty.

        Conflicts as in CherryPick.
        """
        return await self._caller.unary(
            _OPERATION_REBASE, request, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def apply_patches(
        self,
        requests: Iterable[operation_pb2.ApplyPatchesRequest] | AsyncIterator[operation_pb2.ApplyPatchesRequest],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> operation_pb2.OperationResponse:
        """The patches of a mailbox (one or many, as git format-patch writes them) as commits on a branch, as git am
        --3way makes them: all in one write.

        A patch that does not fit is merged with what it was made on, where the repository has that: conflicts then
        end with OUTCOME_CONFLICTS and the number of the patch in `stopped_at`. INVALID_ARGUMENT where it has not, or
        a mail has no patch, author or date. The first message is the header, the mailbox follows.
        """
        return await self._caller.upload(
            _OPERATION_APPLY_PATCHES, requests, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )

    async def resolve_conflicts(
        self,
        requests: Iterable[operation_pb2.ResolveConflictsRequest]
        | AsyncIterator[operation_pb2.ResolveConflictsRequest],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> operation_pb2.OperationResponse:
        """A merge whose conflicts the caller settles: the header is a MergeRequest (give `expected_oid`, so that it
        is the merge that was looked at), then file actions as in CommitFiles, done to what git leaves of the merge.

        Every path in conflict must be named by one (UPDATE or PUT with its content, DELETE, MOVE); with paths left
        over nothing is written and the answer is OUTCOME_CONFLICTS with those.
        """
        return await self._caller.upload(
            _OPERATION_RESOLVE_CONFLICTS, requests, operation_pb2.OperationResponse, timeout_ms=timeout_ms
        )


_REF_LIST_REFS: Final = Method(
    path="/mesh.v1.RefService/ListRefs",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_FIND_REF: Final = Method(
    path="/mesh.v1.RefService/FindRef",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_REFS_EXIST: Final = Method(
    path="/mesh.v1.RefService/RefsExist",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_LIST_BRANCHES: Final = Method(
    path="/mesh.v1.RefService/ListBranches",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_LIST_TAGS: Final = Method(
    path="/mesh.v1.RefService/ListTags",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_GET_TAG: Final = Method(
    path="/mesh.v1.RefService/GetTag",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_FIND_REFS_BY_OID: Final = Method(
    path="/mesh.v1.RefService/FindRefsByOid",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_GET_DEFAULT_BRANCH: Final = Method(
    path="/mesh.v1.RefService/GetDefaultBranch",
    is_write=False,
    holder=(),
    name_field="repository",
    has_request_key=False,
    has_consistency=True,
)
_REF_SET_DEFAULT_BRANCH: Final = Method(
    path="/mesh.v1.RefService/SetDefaultBranch",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)
_REF_UPDATE_REFS: Final = Method(
    path="/mesh.v1.RefService/UpdateRefs",
    is_write=True,
    holder=(),
    name_field="repository",
    has_request_key=True,
    has_consistency=False,
)


class RefService:
    """References of one repository.

    Reference names are UTF-8.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list_refs(
        self, request: ref_pb2.ListRefsRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.ListRefsResponse:
        """References by name, a page at a time; all pages of one listing come from one generation, or ABORTED asks
        the caller to start again."""
        return await self._caller.unary(_REF_LIST_REFS, request, ref_pb2.ListRefsResponse, timeout_ms=timeout_ms)

    async def find_ref(self, request: ref_pb2.FindRefRequest, *, timeout_ms: int = CALL_MS) -> ref_pb2.FindRefResponse:
        """One reference by its full name or a short one ('main', 'tags/v1.0'), by the rules of gitrevisions(7).

        NOT_FOUND where there is none, INVALID_ARGUMENT where a short name fits several (field `candidates`).
        """
        return await self._caller.unary(_REF_FIND_REF, request, ref_pb2.FindRefResponse, timeout_ms=timeout_ms)

    async def refs_exist(
        self, request: ref_pb2.RefsExistRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.RefsExistResponse:
        """Whether references exist, by their full names."""
        return await self._caller.unary(_REF_REFS_EXIST, request, ref_pb2.RefsExistResponse, timeout_ms=timeout_ms)

    async def list_branches(
        self, request: ref_pb2.ListBranchesRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.ListBranchesResponse:
        """Branches with the commits they stand at.

        Pages as those of ListRefs.
        """
        return await self._caller.unary(
            _REF_LIST_BRANCHES, request, ref_pb2.ListBranchesResponse, timeout_ms=timeout_ms
        )

    async def list_tags(
        self, request: ref_pb2.ListTagsRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.ListTagsResponse:
        """Tags with their tag objects and the commits they lead to.

        Pages as those of ListRefs.
        """
        return await self._caller.unary(_REF_LIST_TAGS, request, ref_pb2.ListTagsResponse, timeout_ms=timeout_ms)

    async def get_tag(self, request: ref_pb2.GetTagRequest, *, timeout_ms: int = CALL_MS) -> ref_pb2.GetTagResponse:
        """One tag with everything its tag object says.

        NOT_FOUND where there is none.
        """
        return await self._caller.unary(_REF_GET_TAG, request, ref_pb2.GetTagResponse, timeout_ms=timeout_ms)

    async def find_refs_by_oid(
        self, request: ref_pb2.FindRefsByOidRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.FindRefsByOidResponse:
        """Call RefService.FindRefsByOid."""
        return await self._caller.unary(
            _REF_FIND_REFS_BY_OID, request, ref_pb2.FindRefsByOidResponse, timeout_ms=timeout_ms
        )

    async def get_default_branch(
        self, request: ref_pb2.GetDefaultBranchRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.GetDefaultBranchResponse:
        """Call RefService.GetDefaultBranch."""
        return await self._caller.unary(
            _REF_GET_DEFAULT_BRANCH, request, ref_pb2.GetDefaultBranchResponse, timeout_ms=timeout_ms
        )

    async def set_default_branch(
        self, request: ref_pb2.SetDefaultBranchRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.SetDefaultBranchResponse:
        """Call RefService.SetDefaultBranch."""
        return await self._caller.unary(
            _REF_SET_DEFAULT_BRANCH, request, ref_pb2.SetDefaultBranchResponse, timeout_ms=timeout_ms
        )

    async def update_refs(
        self, request: ref_pb2.UpdateRefsRequest, *, timeout_ms: int = CALL_MS
    ) -> ref_pb2.UpdateRefsResponse:
        """One atomic batch: all updates or none.

        ABORTED with the reference where an expected value does not hold.
        """
        return await self._caller.unary(_REF_UPDATE_REFS, request, ref_pb2.UpdateRefsResponse, timeout_ms=timeout_ms)


_REPOSITORY_CREATE: Final = Method(
    path="/mesh.v1.RepositoryService/Create",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_CREATE_FROM_BUNDLE: Final = Method(
    path="/mesh.v1.RepositoryService/CreateFromBundle",
    is_write=True,
    holder=("header",),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_CREATE_FROM_ARCHIVE: Final = Method(
    path="/mesh.v1.RepositoryService/CreateFromArchive",
    is_write=True,
    holder=("header",),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_FORK: Final = Method(
    path="/mesh.v1.RepositoryService/Fork",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_RENAME: Final = Method(
    path="/mesh.v1.RepositoryService/Rename",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_DELETE: Final = Method(
    path="/mesh.v1.RepositoryService/Delete",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=True,
    has_consistency=False,
)
_REPOSITORY_GET_CONFIG: Final = Method(
    path="/mesh.v1.RepositoryService/GetConfig",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_REPOSITORY_SET_CONFIG: Final = Method(
    path="/mesh.v1.RepositoryService/SetConfig",
    is_write=True,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_REPOSITORY_GET: Final = Method(
    path="/mesh.v1.RepositoryService/Get",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_EXISTS: Final = Method(
    path="/mesh.v1.RepositoryService/Exists",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_REPOSITORY_LIST: Final = Method(
    path="/mesh.v1.RepositoryService/List",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)
_REPOSITORY_SIZE: Final = Method(
    path="/mesh.v1.RepositoryService/Size",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_VERIFY: Final = Method(
    path="/mesh.v1.RepositoryService/Verify",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=False,
)
_REPOSITORY_GET_STATS: Final = Method(
    path="/mesh.v1.RepositoryService/GetStats",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_FSCK: Final = Method(
    path="/mesh.v1.RepositoryService/Fsck",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_GET_ARCHIVE: Final = Method(
    path="/mesh.v1.RepositoryService/GetArchive",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_GET_BUNDLE: Final = Method(
    path="/mesh.v1.RepositoryService/GetBundle",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_SEARCH_CONTENT: Final = Method(
    path="/mesh.v1.RepositoryService/SearchContent",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_SEARCH_FILES: Final = Method(
    path="/mesh.v1.RepositoryService/SearchFiles",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_FIND_LICENSE: Final = Method(
    path="/mesh.v1.RepositoryService/FindLicense",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_GET_LANGUAGES: Final = Method(
    path="/mesh.v1.RepositoryService/GetLanguages",
    is_write=False,
    holder=(),
    name_field="name",
    has_request_key=False,
    has_consistency=True,
)
_REPOSITORY_GET_ROUND_OUTCOME: Final = Method(
    path="/mesh.v1.RepositoryService/GetRoundOutcome",
    is_write=False,
    holder=(),
    name_field="",
    has_request_key=False,
    has_consistency=False,
)


class RepositoryService:
    """Repositories as a whole.

    Errors common to all: NOT_FOUND, UNAVAILABLE (catalog out of reach: retry as it is), RESOURCE_EXHAUSTED (back
    off), INVALID_ARGUMENT (hostile or malformed names).
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(
        self, request: repository_pb2.CreateRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.CreateResponse:
        """Create an empty repository.

        ALREADY_EXISTS where the name is taken.
        """
        return await self._caller.unary(
            _REPOSITORY_CREATE, request, repository_pb2.CreateResponse, timeout_ms=timeout_ms
        )

    async def create_from_bundle(
        self,
        requests: Iterable[repository_pb2.CreateFromBundleRequest]
        | AsyncIterator[repository_pb2.CreateFromBundleRequest],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> repository_pb2.CreateResponse:
        """Create a repository with everything a bundle of `git bundle create --all` holds, in one write: all of it or
        nothing.

        INVALID_ARGUMENT: no bundle, one that needs other objects, or objects that are refused as in a push.
        """
        return await self._caller.upload(
            _REPOSITORY_CREATE_FROM_BUNDLE, requests, repository_pb2.CreateResponse, timeout_ms=timeout_ms
        )

    async def create_from_archive(
        self,
        requests: Iterable[repository_pb2.CreateFromArchiveRequest]
        | AsyncIterator[repository_pb2.CreateFromArchiveRequest],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> repository_pb2.CreateResponse:
        """The same from a tar archive (plain, gzip, bzip2 or xz) of a bare repository.

        Objects, references and HEAD are taken, configuration and hooks are not.
        """
        return await self._caller.upload(
            _REPOSITORY_CREATE_FROM_ARCHIVE, requests, repository_pb2.CreateResponse, timeout_ms=timeout_ms
        )

    async def fork(
        self, request: repository_pb2.ForkRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.ForkResponse:
        """Create a repository with another one's references; objects are shared where both live."""
        return await self._caller.unary(_REPOSITORY_FORK, request, repository_pb2.ForkResponse, timeout_ms=timeout_ms)

    async def rename(
        self, request: repository_pb2.RenameRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.RenameResponse:
        """Give a repository another name; the old name is free afterwards."""
        return await self._caller.unary(
            _REPOSITORY_RENAME, request, repository_pb2.RenameResponse, timeout_ms=timeout_ms
        )

    async def delete(
        self, request: repository_pb2.DeleteRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.DeleteResponse:
        """Delete a repository.

        Its id is never used again; objects that forks need stay.
        """
        return await self._caller.unary(
            _REPOSITORY_DELETE, request, repository_pb2.DeleteResponse, timeout_ms=timeout_ms
        )

    async def get_config(
        self, request: repository_config_pb2.GetConfigRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_config_pb2.GetConfigResponse:
        """What is configured for the repository."""
        return await self._caller.unary(
            _REPOSITORY_GET_CONFIG, request, repository_config_pb2.GetConfigResponse, timeout_ms=timeout_ms
        )

    async def set_config(
        self, request: repository_config_pb2.SetConfigRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_config_pb2.SetConfigResponse:
        """Configure what writes to the repository may do, pushes and calls alike, on every node: no write that is
        acknowledged after this answer has been checked by anything older.

        INVALID_ARGUMENT with every reason, and the keys there are; ABORTED where somebody else was faster. Forks
        begin without a configuration; a rename keeps it.
        """
        return await self._caller.unary(
            _REPOSITORY_SET_CONFIG, request, repository_config_pb2.SetConfigResponse, timeout_ms=timeout_ms
        )

    async def get(self, request: repository_pb2.GetRequest, *, timeout_ms: int = CALL_MS) -> repository_pb2.GetResponse:
        """Call RepositoryService.Get."""
        return await self._caller.unary(_REPOSITORY_GET, request, repository_pb2.GetResponse, timeout_ms=timeout_ms)

    async def exists(
        self, request: repository_pb2.ExistsRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.ExistsResponse:
        """Call RepositoryService.Exists."""
        return await self._caller.unary(
            _REPOSITORY_EXISTS, request, repository_pb2.ExistsResponse, timeout_ms=timeout_ms
        )

    async def list(
        self, request: repository_pb2.ListRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.ListResponse:
        """Names in byte order, at most 1,000 a page."""
        return await self._caller.unary(_REPOSITORY_LIST, request, repository_pb2.ListResponse, timeout_ms=timeout_ms)

    async def size(
        self, request: repository_pb2.SizeRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.SizeResponse:
        """Bytes on disk of the answering replica."""
        return await self._caller.unary(_REPOSITORY_SIZE, request, repository_pb2.SizeResponse, timeout_ms=timeout_ms)

    async def verify(
        self, request: repository_pb2.VerifyRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.VerifyResponse:
        """Compare the replicas: references as files say, reachable objects, git fsck.

        Slow on purpose.
        """
        return await self._caller.unary(
            _REPOSITORY_VERIFY, request, repository_pb2.VerifyResponse, timeout_ms=timeout_ms
        )

    async def get_stats(
        self, request: repository_pb2.GetStatsRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.GetStatsResponse:
        """Objects, packs and references of the answering replica, counted."""
        return await self._caller.unary(
            _REPOSITORY_GET_STATS, request, repository_pb2.GetStatsResponse, timeout_ms=timeout_ms
        )

    async def fsck(
        self, request: repository_pb2.FsckRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.FsckResponse:
        """`git fsck` of the answering replica: what git says of its objects and of what its references reach.

        Slow.
        """
        return await self._caller.unary(_REPOSITORY_FSCK, request, repository_pb2.FsckResponse, timeout_ms=timeout_ms)

    def get_archive(
        self, request: repository_pb2.GetArchiveRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[repository_pb2.GetArchiveResponse]:
        """A tree as tar, tar.gz or zip.

        NOT_FOUND: revision or path. The bytes are git's own (`git archive`).
        """
        return self._caller.stream(
            _REPOSITORY_GET_ARCHIVE, request, repository_pb2.GetArchiveResponse, timeout_ms=timeout_ms
        )

    def get_bundle(
        self, request: repository_pb2.GetBundleRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[repository_pb2.GetBundleResponse]:
        """References and the objects behind them as a bundle (gitformat-bundle(5)) that stock git clones or fetches
        from.

        INVALID_ARGUMENT where no reference is left to put in.
        """
        return self._caller.stream(
            _REPOSITORY_GET_BUNDLE, request, repository_pb2.GetBundleResponse, timeout_ms=timeout_ms
        )

    def search_content(
        self, request: repository_pb2.SearchContentRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[repository_pb2.SearchContentResponse]:
        """Lines that match, as `git grep` finds them in a tree; binary files are passed over."""
        return self._caller.stream(
            _REPOSITORY_SEARCH_CONTENT, request, repository_pb2.SearchContentResponse, timeout_ms=timeout_ms
        )

    def search_files(
        self, request: repository_pb2.SearchFilesRequest, *, timeout_ms: int = STREAM_MS
    ) -> AsyncIterator[repository_pb2.SearchFilesResponse]:
        """Paths of a tree that match."""
        return self._caller.stream(
            _REPOSITORY_SEARCH_FILES, request, repository_pb2.SearchFilesResponse, timeout_ms=timeout_ms
        )

    async def find_license(
        self, request: repository_pb2.FindLicenseRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.FindLicenseResponse:
        """The license that the files of a tree's root seem to give; a guess by its wording."""
        return await self._caller.unary(
            _REPOSITORY_FIND_LICENSE, request, repository_pb2.FindLicenseResponse, timeout_ms=timeout_ms
        )

    async def get_languages(
        self, request: repository_pb2.GetLanguagesRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.GetLanguagesResponse:
        """Bytes of a tree by programming language, by file names; vendored and generated paths are left out."""
        return await self._caller.unary(
            _REPOSITORY_GET_LANGUAGES, request, repository_pb2.GetLanguagesResponse, timeout_ms=timeout_ms
        )

    async def get_round_outcome(
        self, request: repository_pb2.GetRoundOutcomeRequest, *, timeout_ms: int = CALL_MS
    ) -> repository_pb2.GetRoundOutcomeResponse:
        """Whether a write of an earlier request took effect (the way out of an 'unknown' answer)."""
        return await self._caller.unary(
            _REPOSITORY_GET_ROUND_OUTCOME, request, repository_pb2.GetRoundOutcomeResponse, timeout_ms=timeout_ms
        )
