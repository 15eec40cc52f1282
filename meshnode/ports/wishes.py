"""What an operation may be asked to make of a reference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meshnode.ports.merges import Favour
from meshnode.ports.workshops import Person


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitFiles:
    """One commit on a branch, from a list of file actions."""

    author: Person
    committer: Person
    message: bytes
    start: str = ""
    """For a branch that does not exist: the revision it starts from; "": the commit has no parent."""
    is_empty_allowed: bool = False
    """Whether a commit that changes nothing is made all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointRef:
    """A branch or lightweight tag that does not exist yet, at a revision."""

    revision: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeTag:
    """An annotated tag that does not exist yet."""

    revision: str
    tagger: Person
    message: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteRef:
    """The end of a branch or tag."""


class MergeMode(Enum):
    """What a merge makes."""

    COMMIT = "commit"
    """A merge commit, also where a fast-forward would do."""
    FAST_FORWARD = "fast-forward"
    """A fast-forward where possible, else a merge commit."""
    FAST_FORWARD_ONLY = "fast-forward-only"
    SQUASH = "squash"
    """One commit on top of the branch with all that the merge brings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRevision:
    """A merge of a revision into a branch."""

    revision: str
    mode: MergeMode
    author: Person
    committer: Person
    message: bytes
    favour: Favour = Favour.NONE
    is_unrelated_allowed: bool = False


class EmptyPick(Enum):
    """What becomes of a commit that changes nothing where it is picked."""

    REFUSE = "refuse"
    DROP = "drop"
    KEEP = "keep"


@dataclass(frozen=True, kw_only=True, slots=True)
class PickCommits:
    """Cherry-picks or reverts, in order."""

    revisions: tuple[str, ...]
    is_revert: bool
    committer: Person
    author: Person | None = None
    """Of reverts; cherry-picks keep theirs."""
    mainline: int = 0
    """The parent, from 1, to which the change of a merge is taken; 0: none may be a merge."""
    message: bytes = b""
    """Of a single pick; b"": the commit's own, or git's for a revert."""
    empty: EmptyPick = EmptyPick.REFUSE
    favour: Favour = Favour.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class RebaseBranch:
    """The branch's own commits, made anew on another commit."""

    onto: str
    upstream: str
    """What the branch's own commits are counted from; "": `onto`."""
    committer: Person
    favour: Favour = Favour.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyMailbox:
    """The patches of a mailbox as commits, in order."""

    committer: Person


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveConflicts:
    """A merge whose conflicts the caller settles by file actions."""

    merge: MergeRevision


Wish = (
    CommitFiles
    | PointRef
    | MakeTag
    | DeleteRef
    | MergeRevision
    | PickCommits
    | RebaseBranch
    | ApplyMailbox
    | ResolveConflicts
)
