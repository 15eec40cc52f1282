"""Previews and merges on a real disk: from memory where that will do, by git where not, and nothing of them stays."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest, Overloaded
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.config import OperationSettings, ReplicationSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.ancestry import GitAncestry
from meshnode.git.command import GitCommands
from meshnode.git.merges import GitMerges
from meshnode.git.object_pool import ObjectPool
from meshnode.git.patches import GitPatches
from meshnode.git.previews import GitMergePreviews
from meshnode.git.queries import Queries
from meshnode.git.replicas import Replicas
from meshnode.git.workshop import GitWorkshop, GitWorkshops
from meshnode.ports import Favour, MergePreview, MergeRelation, ObjectKind
from tests.unit.git.merge_histories import FILE, Commits, Tree
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
LINES = "".join(f"line {number}\n" for number in range(20))
BASE: Tree = {"text": (FILE, LINES), "a/x": (FILE, "x\n"), "b/y": (FILE, "y\n")}


class Site:
    """A replica with branches to be merged, and what merges them."""

    def __init__(self, data: Path, object_format: str, settings: OperationSettings) -> None:
        self.object_format = object_format
        self.replicas = Replicas(data, GitCommands(), ReplicationSettings(), lambda _: None)
        self.path = self.replicas.layout.repository(KEY)
        self.incoming = self.replicas.layout.workshop(KEY, 0).parent
        self.incoming.mkdir(parents=True)
        self.oids = self._build()
        self.pool = ObjectPool(self.replicas.commands, self.replicas.layout)
        self.workshops = GitWorkshops(self.replicas, self.pool, settings, GitMerges, GitPatches)
        ancestry = GitAncestry(Queries(self.replicas.commands, self.replicas.layout))
        self.previews = GitMergePreviews(self.pool, ancestry, self.workshops)

    def _build(self) -> dict[str, ObjectId]:
        commits = Commits(random.Random(1), self.object_format)
        top: Tree = {**BASE, "text": (FILE, LINES.replace("line 1\n", "TOP\n"))}
        end: Tree = {**BASE, "text": (FILE, LINES.replace("line 18\n", "END\n"))}
        other: Tree = {**BASE, "text": (FILE, LINES.replace("line 1\n", "OTHER\n"))}
        marks = {"base": commits.add(BASE, [], 10)}
        sides: dict[str, Tree] = {
            "new": {**BASE, "a/new": (FILE, "new\n")},
            "newer": {**BASE, "a/newer": (FILE, "newer\n")},
            "top": top,
            "end": end,
            "outer": {**BASE, "text": (FILE, LINES.replace("line 1\n", "TOP\n").replace("line 18\n", "END\n"))},
            "middle": {**BASE, "text": (FILE, LINES.replace("line 9\n", "MIDDLE\n"))},
            "other": other,
        }
        for name, tree in sides.items():
            marks[name] = commits.add(tree, [marks["base"]], 20)
        both: Tree = {**top, "a/new": (FILE, "new\n")}
        marks["left"] = commits.add({**both, "left": (FILE, "l\n")}, [marks["top"], marks["new"]], 30)
        marks["right"] = commits.add({**both, "right": (FILE, "r\n")}, [marks["new"], marks["top"]], 30)
        marks["unrelated"] = commits.add({"z": (FILE, "z\n")}, [], 30)
        oids = commits.write(self.path)
        return {name: oids[mark] for name, mark in marks.items()}

    async def preview(self, ours: str, theirs: str, favour: Favour = Favour.NONE, **more: bool) -> MergePreview:
        """Preview a merge of two branches."""
        options = {"is_unrelated_allowed": False, **more}
        return await self.previews.preview(
            KEY, self.object_format, self.oids[ours], self.oids[theirs], favour, **options
        )

    def told(self, ours: str, theirs: str) -> str:
        """The tree that git makes of it."""
        options = ["--write-tree", "--allow-unrelated-histories"]
        return git("merge-tree", *options, self.oids[ours], self.oids[theirs], path=self.path).decode().split()[0]

    def files(self) -> list[Path]:
        """Everything in the replica."""
        return sorted(self.path.rglob("*"))

    def tree(self, name: str) -> ObjectId:
        """The tree of a branch."""
        return ObjectId(git("rev-parse", f"{self.oids[name]}^{{tree}}", path=self.path).decode().strip())


@pytest.fixture(params=["sha1", "sha256"])
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    made = Site(tmp_path, request.param, OperationSettings(workshops_max=2))
    yield made
    await made.workshops.close()
    assert list(made.incoming.iterdir()) == []
    await made.pool.close()


@pytest.fixture
async def full_site(tmp_path: Path) -> AsyncIterator[Site]:
    """One whose node has no place for a workshop."""
    made = Site(tmp_path, "sha1", OperationSettings(workshops_max=0))
    yield made
    await made.workshops.close()
    await made.pool.close()


def loose(workshop: GitWorkshop) -> set[str]:
    """The kinds of what lies in a workshop, and how many of each."""
    oids = ["".join(path.parts[-2:]) for path in (workshop.path / "objects").glob("??/*")]
    kinds = [git("cat-file", "-t", oid, path=workshop.path).decode().strip() for oid in oids]
    return {f"{kinds.count(kind)} {kind}" for kind in kinds}


async def test_what_memory_tells_takes_no_place(full_site: Site) -> None:
    site = full_site
    before = site.files()
    for ours, theirs, relation, tree in (
        ("new", "newer", MergeRelation.DIVERGED, None),
        ("base", "new", MergeRelation.AHEAD, site.tree("new")),
        ("new", "base", MergeRelation.CONTAINED, site.tree("new")),
        ("new", "new", MergeRelation.CONTAINED, site.tree("new")),
    ):
        found = await site.preview(ours, theirs)
        assert found.relation is relation
        assert found.merged is not None
        assert not found.merged.conflicts
        if tree is not None:
            assert found.merged.tree == tree
    assert (await site.preview("new", "unrelated")) == MergePreview(MergeRelation.UNRELATED, None)
    assert site.files() == before
    with pytest.raises(Overloaded, match="too many operations"):
        await site.preview("outer", "middle")


@pytest.mark.parametrize(
    ("ours", "theirs", "relation"),
    [
        ("new", "newer", MergeRelation.DIVERGED),
        ("top", "end", MergeRelation.DIVERGED),
        ("outer", "middle", MergeRelation.DIVERGED),
        ("left", "right", MergeRelation.DIVERGED),
        ("new", "left", MergeRelation.AHEAD),
    ],
)
async def test_preview_finds_the_tree_that_git_makes(
    site: Site, ours: str, theirs: str, relation: MergeRelation
) -> None:
    before = site.files()
    found = await site.preview(ours, theirs)
    assert site.files() == before
    assert found.relation is relation
    assert found.merged is not None
    assert not found.merged.conflicts
    assert found.merged.tree == site.told(ours, theirs)


async def test_preview_tells_which_texts_were_merged_as_git_does(full_site: Site) -> None:
    found = await full_site.preview("top", "end")
    assert found.merged is not None
    assert [(note.kind, note.paths, note.text) for note in found.merged.notes] == [
        ("Auto-merging", (b"text",), "Auto-merging text")
    ]
    assert found.merged.tree == full_site.told("top", "end")


async def test_conflict_is_told_and_a_favoured_side_settles_it(site: Site) -> None:
    before = site.files()
    found = await site.preview("top", "other")
    assert found.merged is not None
    assert [conflict.path for conflict in found.merged.conflicts] == [b"text"]
    assert "CONFLICT (contents)" in {note.kind for note in found.merged.notes}
    favoured = await site.preview("top", "other", Favour.OURS)
    assert favoured.merged is not None
    assert not favoured.merged.conflicts
    assert favoured.merged.tree == site.tree("top")
    assert site.files() == before


async def test_unrelated_histories_are_merged_only_where_allowed(site: Site) -> None:
    assert (await site.preview("new", "unrelated")).merged is None
    found = await site.preview("new", "unrelated", is_unrelated_allowed=True)
    assert found.relation is MergeRelation.UNRELATED
    assert found.merged is not None
    assert found.merged.tree == site.told("new", "unrelated")


async def test_damage_is_told_as_damage(site: Site) -> None:
    blob = git("rev-parse", f"{site.oids['middle']}:text", path=site.path).decode().strip()
    for pack in (site.path / "objects/pack").glob("*.pack"):
        pack.rename(site.path / "taken")
        git("unpack-objects", "-q", path=site.path, stdin=(site.path / "taken").read_bytes())
    for index in (site.path / "objects/pack").iterdir():
        index.unlink()
    (site.path / "objects" / blob[:2] / blob[2:]).unlink()
    assert (await site.preview("new", "middle")).merged is not None
    for ours in ("outer", "top"):
        with pytest.raises(Corrupt):
            await site.preview(ours, "middle")


async def test_merge_in_a_workshop_leaves_its_trees_there_and_no_commits(site: Site) -> None:
    async with site.workshops.open(KEY, site.object_format) as workshop:
        assert await workshop.merges.relate(site.oids["new"], site.oids["newer"]) is MergeRelation.DIVERGED
        merged = await workshop.merges.merge(site.oids["new"], site.oids["newer"], Favour.NONE)
        assert loose(workshop) == {"2 tree"}
        assert git("ls-tree", "-r", "--name-only", merged.tree, path=workshop.path).split() == [
            b"a/new",
            b"a/newer",
            b"a/x",
            b"b/y",
            b"text",
        ]
        with pytest.raises(InvalidRequest, match="no history"):
            await workshop.merges.merge(site.oids["new"], site.oids["unrelated"], Favour.NONE)


async def test_steps_go_on_from_trees_of_the_workshop_whoever_wrote_them(site: Site) -> None:
    base, new, newer = (site.tree(name) for name in ("base", "new", "newer"))
    top, end, outer, middle = (site.tree(name) for name in ("top", "end", "outer", "middle"))
    async with site.workshops.open(KEY, site.object_format) as workshop:
        first = (await workshop.merges.merge_trees(base, new, newer)).tree
        second = (await workshop.merges.merge_trees(base, first, top)).tree
        assert loose(workshop) == {"3 tree"}
        text = await workshop.merges.merge_trees(base, second, end)
        assert loose(workshop) == {"1 blob", "4 tree"}
        assert [note.kind for note in text.notes] == ["Auto-merging"]
        third = await workshop.merges.merge_trees(base, text.tree, middle)
        assert "3 commit" in loose(workshop)
        assert not third.conflicts
        assert await workshop.merges.merge_trees(base, outer, middle) == await workshop.merges.merge_trees(
            base, middle, outer
        )
        back = (await workshop.merges.merge_trees(newer, third.tree, base)).tree
        names = git("ls-tree", "-r", "--name-only", back, path=workshop.path).split()
        assert names == [b"a/new", b"a/x", b"b/y", b"text"]
        assert await workshop.read_all([ObjectId("f" * len(base)), site.oids["base"], base], ObjectKind.TREE) == [
            None,
            None,
            await workshop.read(base, kind=ObjectKind.TREE),
        ]
