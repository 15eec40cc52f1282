"""Everything that knows a node's commits, in one piece."""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.ports.blame import Blames
from meshnode.ports.commits import Ancestry, CommitDetails, Commits, CommitWalks
from meshnode.ports.last_commits import LastCommits
from meshnode.ports.objects import Objects
from meshnode.ports.tags import Tags
from meshnode.ports.trees import Trees


@dataclass(frozen=True, kw_only=True)
class CommitSources:
    """The ports that `rpc.commit.CommitServicer` serves."""

    commits: Commits
    walks: CommitWalks
    ancestry: Ancestry
    last: LastCommits
    blames: Blames
    details: CommitDetails
    tags: Tags
    trees: Trees
    objects: Objects
