"""Looking after replicas: scrubbing one, and giving up writes that no replica has any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import Generation, NodeId, RepositoryName, RoundId
from meshnode.core.record import Record
from meshnode.core.round import ReplicaKey
from meshnode.core.scrub import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrubReport:
    """What one node found of its replica, and what it did about it."""

    node: NodeId
    verdict: Verdict
    findings: tuple[str, ...] = ()
    action: str = ""
    """"" where there was nothing to do."""
    kept: str = ""
    """Where the damaged copy lies on that node; "" for nowhere."""
    generation: Generation = Generation(0)
    """Applied, as the files say; 0 where they say nothing."""


class Scrubs(Protocol):
    """This node's search for damage."""

    async def scrub(self, key: ReplicaKey) -> ScrubReport:
        """Read everything of this node's replica now, take it out where it is damaged, and say so.

        A scrub that runs already is joined; it runs to its end even where the caller goes away.

        Raises:
            CatalogUnavailable: the record cannot be read.
            Overloaded: too many wait for a place.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberAccount:
    """A member's replica as far as it could be asked."""

    node: NodeId
    is_believed: bool
    generation: Generation = Generation(0)
    trouble: str = ""
    """Why it is not known, or what is wrong with it; "" for a sound replica."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LostRound:
    """A write that another replica still knows and that would be given up."""

    round_id: RoundId
    generation: Generation
    actor: str
    refs: tuple[str, ...]
    """Names of the references it changed."""
    known_to: NodeId


@dataclass(frozen=True, kw_only=True, slots=True)
class LossPlan:
    """What making one replica the truth means."""

    name: RepositoryName
    chosen: NodeId
    record: Record
    chosen_generation: Generation
    new_generation: Generation
    """Past every generation that anyone knows of."""
    members: tuple[MemberAccount, ...]
    lost: tuple[LostRound, ...]
    """Oldest first; generations that no replica's history tells of are missing here."""
    obstacle: str = ""
    """Why it is refused; "" where it may be done."""

    @property
    def generations_lost(self) -> int:
        """Published generations that the chosen replica does not have."""
        return max(0, self.record.generation - self.chosen_generation)


class Losses(Protocol):
    """Giving up published writes, by an operator's decision and never otherwise."""

    async def plan_loss(self, name: RepositoryName) -> LossPlan:
        """Say what making this node's replica the truth would lose. Raises RepositoryNotFound, NotFound."""
        ...

    async def accept_loss(self, name: RepositoryName, *, actor: str) -> LossPlan:
        """Make this node's replica the truth.

        Raises:
            InvalidRequest: the plan's obstacle.
            Fenced: the record changed meanwhile; look again.
            OutcomeUnknown: the record may have been changed; look again.
        """
        ...
