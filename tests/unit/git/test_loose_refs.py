"""References that are moved without a process: as git would, or not at all."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import pytest

from meshnode.base.ids import RefName, RefValue, symbolic
from meshnode.core.refs import RefEdit
from meshnode.git import durable
from meshnode.git.durable import Change
from meshnode.git.loose_refs import EDITS_MAX, PACKED_BYTES_MAX, write_loose
from tests.unit.git.sample import commit, git

NAMES = ["a", "a/b", "a/b/c", "b", "b-", "x/y", "x/z"]


class Repository:
    """A repository of commits and a tag in one pack, and no references."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        path.mkdir()
        self.path = path
        self.object_format = object_format
        git("init", "-q", "--bare", f"--object-format={object_format}", "-b", "main", ".", path=path)
        tip = ""
        self.commits: list[str] = []
        for number in range(6):
            tip = commit(path, "main", f"{number}", tip)
            self.commits.append(tip)
        git("tag", "-a", "-m", "a tag", "v1", "main", path=path)
        self.tag = git("rev-parse", "v1", path=path).decode().strip()
        git("repack", "-adq", path=path)
        git("update-ref", "-d", "refs/tags/v1", path=path)
        git("update-ref", "-d", "refs/heads/main", path=path)
        (self.index,) = path.glob("objects/pack/*.idx")

    def write(self, *edits: RefEdit) -> bool:
        return write_loose(self.path, self.object_format, edits, self.index)

    def by_git(self, *edits: RefEdit) -> bool:
        """The same by git; whether it did it."""
        lines = ["start"]
        for edit in edits:
            if edit.new is None:
                lines.append(f"delete {edit.name} {edit.old}")
            else:
                lines.append(
                    f"create {edit.name} {edit.new}"
                    if edit.old is None
                    else f"update {edit.name} {edit.new} {edit.old}"
                )
        try:
            git("update-ref", "--no-deref", "--stdin", path=self.path, stdin="\n".join([*lines, "commit", ""]).encode())
        except Exception:  # noqa: BLE001 - whatever it says
            return False
        return True

    def refs(self) -> dict[str, str]:
        said = git("for-each-ref", "--format=%(refname) %(objectname)", path=self.path).decode()
        return dict(line.split(" ") for line in said.splitlines())

    def files(self) -> set[str]:
        return {str(path.relative_to(self.path)) for path in (self.path / "refs").rglob("*") if path.is_file()}


def edit(name: str, old: str | None, new: str | None) -> RefEdit:
    return RefEdit(RefName(name), None if old is None else RefValue(old), None if new is None else RefValue(new))


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    return Repository(tmp_path / "r", request.param)


def test_branches_and_tags_are_made_and_moved_wherever_they_are(repository: Repository) -> None:
    first, second, *_ = repository.commits
    assert repository.write(edit("refs/heads/a", None, first), edit("refs/heads/new/er", None, first))
    assert repository.write(edit("refs/tags/v1", None, repository.tag))
    git("pack-refs", "--all", path=repository.path)
    assert repository.files() == set()
    assert repository.write(edit("refs/heads/a", first, second), edit("refs/tags/v1", repository.tag, first))
    assert repository.write(edit("refs/heads/a", second, first), edit("refs/heads/new/er", first, second))
    assert repository.refs() == {"refs/heads/a": first, "refs/heads/new/er": second, "refs/tags/v1": first}
    assert repository.files() == {"refs/heads/a", "refs/heads/new/er", "refs/tags/v1"}
    assert git("fsck", "--strict", "--no-dangling", path=repository.path) == b""


def test_what_is_not_plain_is_left_to_git(repository: Repository) -> None:
    first, second, *_ = repository.commits
    assert repository.by_git(edit("refs/heads/loose", None, first), edit("refs/heads/packed", None, first))
    git("pack-refs", "--all", path=repository.path)
    assert repository.by_git(edit("refs/heads/loose", first, second))
    before, files = repository.refs(), repository.files()
    tree = git("rev-parse", f"{first}^{{tree}}", path=repository.path).decode().strip()
    outside = commit(repository.path, "outside", "in no pack of the round")
    git("update-ref", "-d", "refs/heads/outside", path=repository.path)
    refused: Mapping[str, list[RefEdit]] = {
        "nothing": [],
        "delete": [edit("refs/heads/loose", second, None)],
        "not in the round's pack": [edit("refs/heads/a", None, outside)],
        "missing": [edit("refs/heads/a", None, "f" * len(first))],
        "a branch of a tag": [edit("refs/heads/a", None, repository.tag)],
        "a branch of a tree": [edit("refs/heads/a", None, tree)],
        "symbolic": [RefEdit(RefName("refs/heads/a"), None, symbolic(RefName("refs/heads/loose")))],
        "from symbolic": [RefEdit(RefName("refs/heads/a"), symbolic(RefName("refs/heads/b")), RefValue(first))],
        "there already, loose": [edit("refs/heads/loose", None, first)],
        "there already, packed": [edit("refs/heads/packed", None, first)],
        "elsewhere, loose": [edit("refs/heads/loose", first, first)],
        "elsewhere, packed": [edit("refs/heads/packed", second, first)],
        "not there": [edit("refs/heads/a", first, second)],
        "below a loose one": [edit("refs/heads/loose/a", None, first)],
        "below a packed one": [edit("refs/heads/packed/a/b", None, first)],
        "longer than a file's name": [edit("refs/heads/" + "n" * 252, None, first)],
        "above": [edit("refs/heads", None, first)],
        "one of two": [edit("refs/heads/a", None, first), edit("refs/heads/loose", first, first)],
        "many": [edit(f"refs/heads/n{number}", None, first) for number in range(EDITS_MAX + 1)],
    }
    for what, edits in refused.items():
        assert not repository.write(*edits), what
        assert (repository.refs(), repository.files()) == (before, files), what
    (repository.path / "refs/heads/empty").mkdir()
    assert not repository.write(edit("refs/heads/empty", None, first)), "git removes the directory"
    repository.index.chmod(0o600)
    repository.index.write_bytes(b"damaged")
    assert not repository.write(edit("refs/heads/a", None, first))


def test_very_many_packed_references_are_looked_up_by_git(repository: Repository) -> None:
    first = repository.commits[0]
    line = f"{first} refs/x/{{:07}}\n"
    most = PACKED_BYTES_MAX // len(line.format(0))
    packed = repository.path / "packed-refs"
    packed.write_text("".join(map(line.format, range(most))))
    assert repository.write(edit("refs/heads/a", None, first))
    assert repository.write(edit(f"refs/x/{most - 1:07}", first, repository.commits[1]))
    with packed.open("a") as file:
        file.write(line.format(most) * 2)
    assert not repository.write(edit("refs/heads/b", None, first))
    assert repository.write(edit("refs/heads/a", first, repository.commits[1])), "a loose one needs no look at them"


def test_a_lock_of_somebody_else_stays_and_is_not_waited_for(repository: Repository) -> None:
    first = repository.commits[0]
    lock = repository.path / "refs/heads/b.lock"
    lock.write_bytes(b"somebody's")
    assert not repository.write(edit("refs/heads/a", None, first), edit("refs/heads/b", None, first))
    assert repository.files() == {"refs/heads/b.lock"}
    assert lock.read_bytes() == b"somebody's"


@contextmanager
def failing(kind: str, name: str) -> Iterator[None]:
    """The disk is full at one change."""

    @contextmanager
    def observe(change: Change) -> Iterator[None]:
        if change.kind == kind and change.path.name == name:
            raise OSError(errno.ENOSPC, "no space left on device")
        yield

    durable.observe(observe)
    try:
        yield
    finally:
        durable.observe(None)


@pytest.mark.parametrize("kind", ["write", "sync", "rename"])
def test_a_full_disk_leaves_no_lock_and_each_reference_at_one_of_its_values(repository: Repository, kind: str) -> None:
    first, second, *_ = repository.commits
    edits = [edit("refs/heads/a", first, second), edit("refs/heads/b", first, second)]
    assert repository.by_git(edit("refs/heads/a", None, first), edit("refs/heads/b", None, first))
    with failing("create", "b.lock"):
        assert not repository.write(*edits), "git says it"
    with failing(kind, "b.lock"), pytest.raises(OSError, match="no space"):
        repository.write(*edits)
    assert repository.files() == {"refs/heads/a", "refs/heads/b"}
    assert repository.refs() == {"refs/heads/a": second if kind == "rename" else first, "refs/heads/b": first}


@pytest.mark.parametrize("seed", range(6))
def test_any_edits_leave_what_git_would_leave(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    mine = Repository(tmp_path / "mine")
    twin = copy(mine)
    twin.path = Path(shutil.copytree(mine.path, tmp_path / "twin"))
    moved = 0
    for _ in range(40):
        now = twin.refs()
        edits = []
        for short in chance.sample(NAMES, chance.choice((1, 1, 2))):
            name = f"refs/heads/{short}"
            old = now.get(name) if chance.random() < 0.9 else chance.choice(mine.commits)
            edits.append(edit(name, old, None if old and chance.random() < 0.2 else chance.choice(mine.commits)))
        is_moved = mine.write(*edits)
        moved += is_moved
        assert twin.by_git(*edits) or not is_moved, edits
        if not is_moved:
            mine.by_git(*edits)
        assert mine.refs() == twin.refs()
        if chance.random() < 0.2:
            git("pack-refs", "--all", path=mine.path)
            git("pack-refs", "--all", path=twin.path)
    assert moved > 8
