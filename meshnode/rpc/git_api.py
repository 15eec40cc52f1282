"""The services an application builds a code host on, put together from what they share.

Each reads this node's replica through `ObjectReads` or hands the call on; `app/git_api.py` gives the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.ports import (
    Clock,
    CommitSources,
    Contents,
    Diffs,
    Events,
    Imports,
    Membership,
    MergePreviews,
    Operations,
    ReplicaReader,
    Trees,
    Unpacker,
)
from meshnode.rpc.commit import CommitServicer
from meshnode.rpc.diff import DiffServicer
from meshnode.rpc.diff_sides import SideFinder
from meshnode.rpc.event import EventServicer
from meshnode.rpc.forward import Forwarder
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.object_reads import ObjectReads
from meshnode.rpc.operation import OperationServicer
from meshnode.rpc.ref_listings import RefListings
from meshnode.rpc.repository_contents import RepositoryContents
from meshnode.rpc.repository_imports import RepositoryImports
from meshnode.rpc.tree import TreeServicer


@dataclass(frozen=True, kw_only=True)
class GitApi:
    """What the services of the Git API share."""

    object_reads: ObjectReads
    forwarder: Forwarder
    streams: StreamForwarder
    events: Events
    contents: Contents
    replicas: ReplicaReader
    clock: Clock
    trees: Trees
    diffs: Diffs
    commits: CommitSources
    operations: Operations
    imports: Imports
    unpacker: Unpacker
    membership: Membership
    previews: MergePreviews

    def servicers(self) -> dict[str, object]:
        """The services by their full names."""
        return {
            "mesh.v1.CommitService": CommitServicer(
                object_reads=self.object_reads,
                sources=self.commits,
                forwarder=self.forwarder,
                streams=self.streams,
            ),
            "mesh.v1.DiffService": DiffServicer(
                object_reads=self.object_reads,
                diffs=self.diffs,
                sides=SideFinder(self.commits.commits, self.commits.ancestry),
                forwarder=self.forwarder,
                streams=self.streams,
            ),
            "mesh.v1.EventService": EventServicer(reads=self.object_reads.reads, events=self.events, clock=self.clock),
            "mesh.v1.TreeService": TreeServicer(
                object_reads=self.object_reads, trees=self.trees, forwarder=self.forwarder, streams=self.streams
            ),
            "mesh.v1.OperationService": OperationServicer(
                object_reads=self.object_reads,
                operations=self.operations,
                previews=self.previews,
                forwarder=self.forwarder,
                streams=self.streams,
                clock=self.clock,
            ),
        }

    def ref_listings(self) -> RefListings:
        """The part of RefService that looks at what references lead to."""
        return RefListings(object_reads=self.object_reads, sources=self.commits, forwarder=self.forwarder)

    def repository_imports(self) -> RepositoryImports:
        """The part of RepositoryService that makes repositories of uploads."""
        return RepositoryImports(
            own=self.object_reads.own,
            imports=self.imports,
            unpacker=self.unpacker,
            membership=self.membership,
            streams=self.streams,
        )

    def repository_contents(self) -> RepositoryContents:
        """The part of RepositoryService that reads trees."""
        return RepositoryContents(
            object_reads=self.object_reads,
            objects=self.object_reads.objects,
            trees=self.trees,
            contents=self.contents,
            replicas=self.replicas,
            forwarder=self.forwarder,
            streams=self.streams,
        )
