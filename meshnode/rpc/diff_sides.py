"""Decides which two trees a comparison means: a pair, one since its merge base with another, or a commit's own change.

Commits are read as objects; only a merge base costs a process.
"""

from __future__ import annotations

import contextlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.base.ids import ObjectId, RepositoryId, empty_tree
from meshnode.core.round import ReplicaKey
from meshnode.ports import Ahead, Ancestry, BegunLookUp, Commits, MergeBaseKind, ObjectKind, Objects, RawObject
from meshnode.rpc.object_reads import ObjectRead
from meshnode.v1 import diff_pb2

COMMIT_BYTES_MAX: Final = 1 << 20
AHEAD_BYTES_EACH: Final = 8 << 10
"""Where commits are larger on average, they are read one by one."""
LINKS_MAX: Final = 20_000
"""Commits whose tree and parents are kept; about 500 bytes each."""
_LINKS: Final = re.compile(rb"tree ([0-9a-f]+)\n((?:parent [0-9a-f]+\n)*)author ")
IS_ID: Final = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Sides:
    """Two trees, and where they come from."""

    old: ObjectId
    new: ObjectId
    merge_base: str = ""
    parent: int = 0
    """The number of the parent compared with; 0 for none."""

    def message(self) -> diff_pb2.DiffSides:
        """As clients see them."""
        return diff_pb2.DiffSides(old_tree_oid=self.old, new_tree_oid=self.new, merge_base_oid=self.merge_base)


@dataclass(frozen=True, slots=True)
class Links:
    """What a comparison needs of a commit."""

    oid: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]


class SideFinder:
    """Finds the trees that comparisons mean."""

    def __init__(self, commits: Commits, ancestry: Ancestry, *, links_max: int = LINKS_MAX) -> None:
        self._commits = commits
        self._ancestry = ancestry
        self._links_max = links_max
        self._links: OrderedDict[tuple[RepositoryId, str], Links] = OrderedDict()
        """Commits met lately: what a commit says follows from its id."""

    def begin(self, objects: Objects, key: ReplicaKey, change: diff_pb2.CommitChange) -> BegunLookUp | None:
        """Ask for a commit that is named by its id, and for its first parent, without waiting."""
        commit = self._links.get((key.repository, change.revision))
        if commit is None:
            return objects.begin(key, [change.revision], ahead=Ahead((), [change.revision, f"{change.revision}^1"]))
        if not commit.parents or (key.repository, commit.parents[0]) in self._links:
            return None
        return objects.begin(key, commit.parents[:1], ahead=Ahead((), commit.parents[:1]))

    async def read_ahead(self, read: ObjectRead, comparisons: Sequence[diff_pb2.Comparison]) -> None:
        """Have the commits of many changes in memory by one question, where they are named by their ids."""
        names: list[str] = []
        for comparison in comparisons:
            oid = comparison.commit.revision
            if not IS_ID.match(oid):
                continue
            links = self._known(read, oid)
            if links is None:
                names += (oid, f"{oid}^1")
            elif links.parents and self._known(read, links.parents[0]) is None:
                names.append(links.parents[0])
        if not names:
            return
        with contextlib.suppress(MeshError):  # whatever is wrong is met again
            found = await read.source.objects.read(read.key, names, bytes_max=len(names) * AHEAD_BYTES_EACH)
            for raw in found:
                self._keep(read, raw)

    def recall(self, repository: RepositoryId, change: diff_pb2.CommitChange) -> Sides | None:
        """The sides of a commit that is named by its id and its first parent, where both were met lately."""
        commit = self._links.get((repository, change.revision))
        if commit is None or not commit.parents or change.parent > 1 or change.against_empty_tree:
            return None
        parent = self._links.get((repository, commit.parents[0]))
        return None if parent is None else Sides(parent.tree, commit.tree, parent=1)

    async def one(self, read: ObjectRead, comparison: diff_pb2.Comparison) -> Sides:
        """The sides of a comparison.

        Raises:
            InvalidRequest: it names nothing, or a parent that the commit has not (field `parents`).
            NotFound: a revision leads nowhere, or there is no merge base.
        """
        recalled = self.recall(read.key.repository, comparison.commit)
        if recalled is not None:
            return recalled
        match comparison.WhichOneof("sides"):
            case "pair":
                return await self._pair(read, comparison.pair)
            case "commit":
                change = comparison.commit
                commit = await self._commit(read, change.revision)
                if change.against_empty_tree:
                    if change.parent:
                        raise InvalidRequest("a parent and the empty tree cannot both be compared with")
                    return Sides(self._nothing(read), commit.tree)
                if change.parent > len(commit.parents):
                    raise InvalidRequest(
                        "commit has no such parent", parent=change.parent, parents=len(commit.parents), oid=commit.oid
                    )
                return (await self._against(read, commit, [change.parent or min(1, len(commit.parents))]))[0]
            case _:
                raise InvalidRequest("nothing to compare was named")

    async def all(self, read: ObjectRead, comparison: diff_pb2.Comparison) -> list[Sides]:
        """The sides of a commit and each of its parents; of a pair, its own. Raises as `one`."""
        change = comparison.commit
        if comparison.WhichOneof("sides") != "commit" or change.parent or change.against_empty_tree:
            return [await self.one(read, comparison)]
        commit = await self._commit(read, change.revision)
        return await self._against(read, commit, range(1, len(commit.parents) + 1) or [0])

    async def _pair(self, read: ObjectRead, pair: diff_pb2.Pair) -> Sides:
        if not pair.from_merge_base:
            old = await read.resolve(pair.old, ObjectKind.TREE)
            new = await read.resolve(pair.new, ObjectKind.TREE)
            return Sides(old.oid, new.oid)
        ours = (await read.resolve(pair.old, ObjectKind.COMMIT)).oid
        theirs = (await read.resolve(pair.new, ObjectKind.COMMIT)).oid
        bases = [ours] if ours == theirs else await self._merge_base(read, ours, theirs)
        if not bases:
            raise NotFound("commits have no merge base", old=ours, new=theirs)
        base, tip = await self._read(read, [bases[0], theirs])
        return Sides(base.tree, tip.tree, merge_base=base.oid)

    async def _merge_base(self, read: ObjectRead, ours: ObjectId, theirs: ObjectId) -> list[ObjectId]:
        return await self._ancestry.merge_bases(read.key, MergeBaseKind.BEST, [ours, theirs])

    async def _against(self, read: ObjectRead, commit: Links, parents: Sequence[int]) -> list[Sides]:
        """Sides of a commit and its parents by number; 0 is the empty tree."""
        oids = list(dict.fromkeys(commit.parents[number - 1] for number in parents if number))
        trees = {one.oid: one.tree for one in await self._read(read, oids)}
        return [
            Sides(trees[commit.parents[number - 1]] if number else self._nothing(read), commit.tree, parent=number)
            for number in parents
        ]

    async def _commit(self, read: ObjectRead, revision: str) -> Links:
        known = self._known(read, revision) if IS_ID.match(revision) else None
        if known is not None:
            return known
        info = await read.resolve(revision, ObjectKind.COMMIT)
        return (await self._read(read, [info.oid]))[0]

    async def _read(self, read: ObjectRead, oids: Sequence[ObjectId]) -> list[Links]:
        """Commits, most of them from memory: a hundred of them are asked about at once."""
        found = {oid: self._known(read, oid) for oid in oids}
        unknown = [oid for oid, links in found.items() if links is None]
        while unknown:
            commits = await self._commits.read(read.key, unknown, message_bytes_max=0, bytes_max=COMMIT_BYTES_MAX)
            found.update({one.oid: Links(one.oid, one.tree, tuple(one.parents)) for one in commits})
            unknown = unknown[len(commits) :]
        return [links for oid in oids if (links := found[oid]) is not None]

    def _known(self, read: ObjectRead, oid: str) -> Links | None:
        """A commit that is in memory, as git writes commits; None for what must be looked at more closely."""
        place = read.key.repository, oid
        links = self._links.get(place)
        if links is not None:
            self._links.move_to_end(place)
            return links
        return self._keep(read, read.source.objects.memory(read.key)(ObjectId(oid)))

    def _keep(self, read: ObjectRead, raw: RawObject | None) -> Links | None:
        links = None if raw is None else _links_of(raw)
        if links is not None:
            self._links[read.key.repository, links.oid] = links
            if len(self._links) > self._links_max:
                self._links.popitem(last=False)
        return links

    def _nothing(self, read: ObjectRead) -> ObjectId:
        return empty_tree(read.view.snapshot.object_format)


def _links_of(raw: RawObject) -> Links | None:
    found = _LINKS.match(raw.data) if raw.info.kind is ObjectKind.COMMIT else None
    if found is None:
        return None
    oid = raw.info.oid
    tree, *parents = [found[1].decode("ascii"), *(line[7:].decode("ascii") for line in found[2].splitlines())]
    if any(len(one) != len(oid) for one in (tree, *parents)):
        return None
    return Links(oid, ObjectId(tree), tuple(map(ObjectId, parents)))
