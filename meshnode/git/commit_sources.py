"""Puts together what knows the commits of replicas on this node's disk."""

from __future__ import annotations

from meshnode.git.ancestry import GitAncestry
from meshnode.git.blame import GitBlames
from meshnode.git.commit_details import GitCommitDetails
from meshnode.git.commit_walks import GitCommitWalks
from meshnode.git.commits import GitCommits
from meshnode.git.last_commits import GitLastCommits
from meshnode.git.queries import Queries
from meshnode.git.tags import GitTags
from meshnode.ports import CommitSources, Objects, Trees


def open_commits(objects: Objects, queries: Queries, trees: Trees) -> CommitSources:
    """The adapters over one set of objects."""
    commits = GitCommits(objects)
    return CommitSources(
        commits=commits,
        walks=GitCommitWalks(queries, objects),
        ancestry=GitAncestry(queries),
        last=GitLastCommits(queries, objects, trees),
        blames=GitBlames(queries),
        details=GitCommitDetails(objects, queries),
        tags=GitTags(objects, commits),
        trees=trees,
        objects=objects,
    )
