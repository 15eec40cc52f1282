"""Writes that make Git objects: what is wished for, and the workshop where the objects are built."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from meshnode.base.ids import Generation, ObjectId, RefName, RefValue, RepositoryName, RoundId
from meshnode.core.round import ReplicaKey
from meshnode.ports.objects import ObjectKind

# ---------------------------------------------------------------- what objects are made of


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who did something, and when."""

    name: str
    email: str
    seconds: int
    """Since 1970."""
    offset_minutes: int = 0
    """East of UTC."""


class FileMode(Enum):
    """What a file is, by the mode git stores."""

    REGULAR = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"


class ActionKind(Enum):
    """What is done to one path."""

    CREATE = "create"
    """A file that must not exist."""
    UPDATE = "update"
    """A file that must exist."""
    PUT = "put"
    """A file, whether it exists or not."""
    MOVE = "move"
    """A file or a directory to a path that must not exist."""
    DELETE = "delete"
    """A file that must exist; with `is_recursive` a directory with all below it too."""
    CHMOD = "chmod"
    """A regular file that must exist, executable or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeAction:
    """One change of a tree. Actions are done in order, each sees what those before it left."""

    kind: ActionKind
    path: bytes
    source: bytes = b""
    """MOVE: the path before."""
    mode: FileMode | None = None
    """None: as it was, REGULAR for a new file."""
    blob: ObjectId | None = None
    """The content: needed by CREATE, UPDATE and PUT, possible with MOVE of a file."""
    expected: ObjectId | None = None
    """The blob that `path` (MOVE: `source`) must hold before."""
    is_recursive: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCommit:
    """A commit to be written. An author or committer in bytes is the line of another commit, taken over as it is."""

    tree: ObjectId
    parents: Sequence[ObjectId]
    author: Person | bytes
    committer: Person | bytes
    message: bytes
    """A line feed is added where it does not end in one."""
    is_message_kept: bool = False
    """The message is another commit's and stays as it is, empty or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTag:
    """An annotated tag to be written."""

    target: ObjectId
    kind: ObjectKind
    name: str
    """Without refs/tags/."""
    tagger: Person
    message: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitFacts:
    """What a commit says, in UTF-8 where it names an encoding that is known."""

    oid: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]
    author: bytes
    message: bytes


# ---------------------------------------------------------------- merges


class Favour(Enum):
    """Whose text is taken where both sides changed the same lines."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"


class MergeRelation(Enum):
    """How their commit lies to ours."""

    CONTAINED = "contained"
    """Ours has it already."""
    AHEAD = "ahead"
    """It has all of ours: a fast-forward."""
    DIVERGED = "diverged"
    UNRELATED = "unrelated"
    """They share no history."""

    @classmethod
    def of(cls, ours: ObjectId, theirs: ObjectId, base: ObjectId | None) -> MergeRelation:
        """The relation of two commits by the merge base that git names first."""
        if base is None:
            return cls.UNRELATED
        return cls.CONTAINED if base == theirs else cls.AHEAD if base == ours else cls.DIVERGED


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictStage:
    """One version of a path in conflict, as the index would hold it."""

    number: int
    """1: the merge base, 2: ours, 3: theirs."""
    mode: str
    oid: ObjectId


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConflict:
    """A path that git could not merge."""

    path: bytes
    stages: tuple[ConflictStage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeNote:
    """What git says of a merge."""

    kind: str
    """Stable and short, such as "CONFLICT (contents)" or "Auto-merging"."""
    paths: tuple[bytes, ...]
    text: str
    """For people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedTree:
    """A merge; with conflicts, the tree holds what git would leave in the working tree."""

    tree: ObjectId
    conflicts: tuple[MergeConflict, ...] = ()
    notes: tuple[MergeNote, ...] = ()


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What a merge would find."""

    relation: MergeRelation
    merged: MergedTree | None
    """None: they share no history, and were not to be merged without. Its tree need not be in the repository."""


class MergePreviews(Protocol):
    """Merges of which nothing is kept."""

    async def preview(
        self,
        key: ReplicaKey,
        object_format: str,
        ours: ObjectId,
        theirs: ObjectId,
        favour: Favour,
        *,
        is_unrelated_allowed: bool,
    ) -> MergePreview:
        """Merge two commits of a replica.

        Raises:
            Overloaded, DeadlineExceeded, Corrupt: as the methods of a workshop.
        """
        ...


class Merges(Protocol):
    """Merges in a workshop."""

    async def relate(self, ours: ObjectId, theirs: ObjectId) -> MergeRelation:
        """How two commits lie to each other."""
        ...

    async def merge(
        self, ours: ObjectId, theirs: ObjectId, favour: Favour, *, is_unrelated_allowed: bool = False
    ) -> MergedTree:
        """Merge two commits. Raises InvalidRequest: they share no history."""
        ...

    async def merge_trees(
        self, base: ObjectId | None, ours: ObjectId, theirs: ObjectId, favour: Favour = Favour.NONE
    ) -> MergedTree:
        """Merge trees: what `theirs` did to `base` (None: an empty tree) is done to `ours`."""
        ...

    async def list_picks(self, upstream: ObjectId, tip: ObjectId, count_max: int) -> list[ObjectId]:
        """The commits that a rebase of `tip` picks, in order.

        Raises:
            Overloaded: more than `count_max`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One mail of a mailbox, in its workshop."""

    number: int
    """From 1."""
    author: bytes
    """As a commit has it."""
    message: bytes
    path: str
    """Where the workshop keeps the patch itself."""


class Patches(Protocol):
    """Patches in a workshop."""

    async def split(self, mailbox: AsyncIterator[bytes], count_max: int) -> list[Patch]:
        """Take a mailbox in, and apart. Once for each workshop.

        Raises:
            Overloaded: more than `count_max` patches, or too many bytes.
            InvalidRequest: no mailbox, or a mail without a patch, an author or a date.
        """
        ...

    async def apply(self, tree: ObjectId, patch: Patch) -> MergedTree:
        """Apply a patch to a tree; where it does not fit as it is, merge it with what it was made on.

        Raises:
            InvalidRequest: it does not apply, and what it was made on is not here.
        """
        ...


# ---------------------------------------------------------------- the workshop


class Workshop(Protocol):
    """A place beside one replica: sees the replica's objects, keeps new ones to itself, and goes with all it holds.

    Every method may raise Overloaded (a limit, no space left), DeadlineExceeded and Corrupt.
    """

    @property
    def merges(self) -> Merges:
        """Merges in this workshop."""
        ...

    @property
    def patches(self) -> Patches:
        """Patches in this workshop."""
        ...

    async def add_blob(self, content: AsyncIterator[bytes]) -> ObjectId:
        """Write a blob as it arrives. Raises Overloaded: over the limit of one file or of the whole workshop."""
        ...

    async def edit_tree(self, base: ObjectId | None, actions: Sequence[TreeAction]) -> ObjectId:
        """Write the tree that `actions` make of the tree `base` (None: an empty one).

        Raises:
            InvalidRequest: a path git cannot or must not hold, or an action that does not fit what is there.
            NotFound: a path that must exist does not. RefConflict: one that must not does, or holds another blob.
        """
        ...

    async def write_commit(self, commit: NewCommit) -> ObjectId:
        """Write a commit. Raises InvalidRequest for an identity or a message that git refuses."""
        ...

    async def write_tag(self, tag: NewTag) -> ObjectId:
        """Write a tag object. Raises as `write_commit`."""
        ...

    async def read_commit(self, oid: ObjectId) -> CommitFacts:
        """A commit of the replica or of this workshop. Raises NotFound."""
        ...

    def pack(self, tip: ObjectId, haves: Sequence[ObjectId]) -> AsyncIterator[bytes]:
        """A thin pack of what `tip` reaches and `haves`, commits of the replica, do not."""
        ...


class Workshops(Protocol):
    """Workshops on this node's disk."""

    def open(self, key: ReplicaKey, object_format: str) -> AbstractAsyncContextManager[Workshop]:
        """An empty workshop, removed soon after its end however that comes about.

        Raises:
            Overloaded: too many workshops are open, or no space left.
        """
        ...


# ---------------------------------------------------------------- what is wished for


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The one reference that an operation changes."""

    repository: RepositoryName
    ref: RefName
    expected: RefValue | str | None
    """What it must hold: an object id, "" for nothing, None for whatever is there."""
    request_key: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """One file action of a streamed request, with its content still to come."""

    action: TreeAction | None
    """Without its blob; None: the content is a mailbox."""
    content: AsyncIterator[bytes] | None
    """To be read to the end before the next part is asked for; None: the action brings none."""


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


class Outcome(Enum):
    """How an operation ended."""

    WRITTEN = "written"
    """The reference has its new value."""
    UP_TO_DATE = "up-to-date"
    """There was nothing to do; nothing was written."""
    CONFLICTS = "conflicts"
    """Git could not merge all; nothing was written."""
    NOT_FAST_FORWARD = "not-fast-forward"
    """Only a fast-forward was wanted, and it is none; nothing was written."""
    EMPTY = "empty"
    """A pick would change nothing; nothing was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationResult:
    """What came of an operation."""

    outcome: Outcome
    oid: ObjectId | None = None
    """What the reference holds now, None for nothing."""
    previous: ObjectId | None = None
    """What it held before."""
    generation: Generation = field(default=Generation(0))
    round_id: RoundId | None = None
    """Of the write; None where nothing was written."""
    is_repetition: bool = False
    """The same request took effect before; this is what it did then."""
    merged: MergedTree | None = None
    """With CONFLICTS: where git stopped. Its tree is gone with the workshop."""
    stopped_at: str = ""
    """With CONFLICTS and EMPTY: the commit that could not be picked; "" for a merge."""


class Operations(Protocol):
    """Writes that make objects, with this node as coordinator."""

    async def run(self, target: Target, wish: Wish, parts: AsyncIterator[FilePart] | None = None) -> OperationResult:
        """Build what is wished for on the reference as it is, and write it: one round, or nothing.

        Where nothing is expected of the reference and others write to it meanwhile, it is built again on what they
        left, a bounded number of times.

        Raises:
            RepositoryNotFound, ReplicaBehind, ReadOnly: before anything of `parts` was read.
            RefConflict: the reference is not at `target.expected` (field `actual`), or has moved too often.
            NotFound, InvalidRequest: the wish does not fit what is there.
            MeshError: as `Writer.write`.
        """
        ...
