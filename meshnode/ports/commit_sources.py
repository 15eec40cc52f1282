"""Everything that knows a node's commits, in one piece."""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.ports.commits import Ancestry, Commits, CommitWalks
from meshnode.ports.last_commits import LastCommits
from meshnode.ports.trees import Trees


@dataclass(frozen=True, kw_only=True)
class CommitSources:
    """The ports that `rpc.commit.CommitServicer` serves."""

    commits: Commits
    walks: CommitWalks
    ancestry: Ancestry
    last: LastCommits
    trees: Trees
