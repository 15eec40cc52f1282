"""What a rebuild of the catalog cannot bring back, because no disk has it, and what to do about each.

Rule: nobody should find out later. A rule that refused pushes and is gone, an application that is refused, a node that takes
work again although it was drained: each is told at once, to people and to programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshnode.cli.layout import OPERATOR, ClusterFile
from meshnode.core.accounts import NodeAccount
from meshnode.core.shared_settings import SharedSettings


@dataclass(frozen=True, slots=True)
class Missing:
    """One kind of thing that is gone."""

    what: str
    advice: str


def newest_settings(accounts: Sequence[NodeAccount]) -> SharedSettings | None:
    """The cluster's settings as the node knew them that had heard last; None where nobody had heard of any."""
    known = [account.settings for account in accounts if account.settings is not None]
    return max(known, key=lambda one: (one.version, one.changed_at_ms), default=None)


def list_missing(cluster: ClusterFile, settings: SharedSettings | None) -> list[Missing]:
    """Everything that was in the catalog and is in no plan."""
    missing = [
        Missing(
            "configurations of repositories: until they are set again, nothing is refused for their sake",
            "meshnode repo config NAME set receive.denyDeletes=true ...",
        ),
        Missing(
            f"applications other than {OPERATOR}, and further keys of {OPERATOR}: their calls are refused",
            "meshnode application add NAME --role ROLE --public-key FILE",
        ),
        Missing(
            f"replication factors: the cluster's is {cluster.replication_factor}, as when it was made, and partitions follow it;"
            " a repository with a partition of its own has what its copies suggest",
            "meshnode cluster factor N, meshnode repo factor NAME N",
        ),
        Missing(
            "states of nodes: all are available, and those that cluster.json names are listed though they were removed",
            "meshnode node drain NODE, meshnode node remove NODE",
        ),
        Missing("open invitations", "meshnode node invite"),
        Missing("the record of administrative acts, up to now", "the nodes' logs have it: administrative_act_ended"),
    ]
    if settings is None:
        missing.insert(
            0,
            Missing(
                "settings of the cluster, if there were any: no node has noted them, and each runs by its own file",
                "meshnode cluster settings set KEY=VALUE ...",
            ),
        )
    return missing
