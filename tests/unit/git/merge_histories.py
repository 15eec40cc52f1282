"""Small histories by chance, for merges: sides that edit, add, delete, rename and replace files and directories.

Files come from few documents and lie at few paths, so that sides meet often and git finds renames; some pairs are made
to keep apart, as most branches do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.base.ids import ObjectId
from tests.unit.git.sample import git

FILE: Final = "100644"
EXECUTABLE: Final = "100755"
LINK: Final = "120000"
MODULE: Final = "160000"
_NAMES: Final = ("a", "a-b", "a.b", "a0", "b", "c", "ü")
_DOCUMENTS: Final = 6
_LINES: Final = 12

Tree = dict[str, tuple[str, str]]
"""Mode and content (the commit, of a submodule) of each path."""


@dataclass
class Commits:
    """Commits to be written by one `git fast-import`."""

    chance: random.Random
    object_format: str
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, tree: Tree, parents: list[int], seconds: int) -> int:
        """A commit; its mark."""
        self.count += 1
        self.lines.append(f"commit refs/heads/c{self.count}\nmark :{self.count}\n")
        self.lines.append(f"committer C <c@d> {seconds} +0000\ndata 2\nm\n")
        for number, parent in enumerate(parents):
            self.lines.append(f"{'merge' if number else 'from'} :{parent}\n")
        self.lines.append("deleteall\n")
        for path, (mode, content) in tree.items():
            if mode == MODULE:
                self.lines.append(f"M {mode} {content} {path}\n")
            else:
                self.lines.append(f"M {mode} inline {path}\ndata {len(content.encode())}\n{content}\n")
        return self.count

    def write(self, path: Path) -> list[ObjectId]:
        """Write them into a new repository; the id of each mark, from 0, where none is."""
        path.mkdir(parents=True)
        git("init", "--quiet", "--bare", f"--object-format={self.object_format}", ".", path=path)
        marks = path / "marks"
        git("fast-import", "--quiet", f"--export-marks={marks}", path=path, stdin="".join(self.lines).encode())
        found = dict(line.split() for line in marks.read_text().splitlines())
        return [ObjectId(""), *(ObjectId(found[f":{mark}"]) for mark in range(1, self.count + 1))]


@dataclass(frozen=True)
class Pair:
    """Two commits to be merged, by their marks."""

    ours: int
    theirs: int
    is_apart: bool
    """The sides have one base and were to keep apart."""


def make_pairs(commits: Commits, count: int) -> Iterator[Pair]:
    """Pairs of commits to be merged."""
    chance = commits.chance
    for _ in range(count):
        base = _Files(chance, commits.object_format)
        base.fill(chance.randint(1, 14))
        seconds = iter(_dates(chance))
        root = commits.add(base.tree, [], next(seconds))
        ours, theirs = base.copy(), base.copy()
        apart = chance.random() < 0.4
        if not apart and chance.random() < 0.4:  # a change that both have
            ours.mutate()
            theirs = ours.copy()
            base.mutate()
        tips = []
        for number, side in enumerate((ours, theirs)):
            tip = root
            for _ in range(chance.choice([1, 1, 1, 2, 3])):
                if apart:
                    side.edit_apart(number)
                else:
                    for _ in range(chance.randint(1, 3)):
                        side.mutate()
                tip = commits.add(side.tree, [tip], next(seconds))
            tips.append(tip)
        shape = chance.random()
        if shape < 0.08:  # a criss-cross
            first, second = (
                commits.add(side.tree, [tips[number], tips[1 - number]], next(seconds))
                for number, side in enumerate((ours, theirs))
            )
            tips = [first, second]
            ours.mutate()
        elif shape < 0.14:  # one has some of the other already
            theirs.mutate()
            tips = [commits.add(ours.tree, tips, next(seconds)), commits.add(theirs.tree, [tips[1]], next(seconds))]
        elif shape < 0.18:
            tips[chance.randint(0, 1)] = root
        elif shape < 0.21:
            tips[1] = commits.add(theirs.tree, [], next(seconds))
        else:
            yield Pair(tips[0], tips[1], apart)
            continue
        yield Pair(tips[0], tips[1], False)


def make_texts(commits: Commits, count: int) -> Iterator[Pair]:
    """Pairs of commits that change one text of few different lines, mostly in different places."""
    chance = commits.chance
    for _ in range(count):
        letters = [f"letter {number}" for number in range(chance.choice([2, 4, 8, 40]))]
        base = chance.choices(letters, k=chance.randint(1, 40))
        for _ in range(chance.randint(0, 4)):
            base.insert(chance.randint(0, len(base)), f"unique {chance.random()}")
        root = commits.add(_one_text(base), [], 10)
        cut = chance.randint(0, len(base))
        is_apart = chance.random() < 0.7
        sides = []
        for number in chance.sample([0, 1], k=2):
            above, below = base[:cut], base[cut:]
            if not is_apart or number:
                _change_lines(chance, above, base, letters)
            if not is_apart or not number:
                _change_lines(chance, below, base, letters)
            sides.append(commits.add(_one_text([*above, *below]), [root], 20))
        yield Pair(sides[0], sides[1], is_apart=False)


def _one_text(lines: list[str]) -> Tree:
    return {"text": (FILE, "".join(f"{line}\n" for line in lines))}


def _change_lines(chance: random.Random, lines: list[str], others: list[str], letters: list[str]) -> None:
    """Change some lines, often to what stands elsewhere too."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(lines))
        end = min(len(lines), start + chance.choice([0, 0, 1, 2, 5]))
        kind = chance.random()
        if kind < 0.3:
            lines[start:end] = []
        elif kind < 0.6:
            lines[start:end] = chance.choices(letters, k=chance.randint(1, 4))
        else:
            at = chance.randint(0, len(others))
            lines[start:end] = others[at : at + chance.randint(1, 8)]


def _dates(chance: random.Random) -> Iterator[int]:
    seconds = 1_000_000
    is_odd = chance.random() < 0.2
    while True:
        seconds += chance.randint(-100, 100) if is_odd else chance.randint(0, 100)
        yield seconds


class _Files:
    """A tree that changes by chance."""

    def __init__(self, chance: random.Random, object_format: str) -> None:
        self._chance = chance
        self._digits = 64 if object_format == "sha256" else 40
        self.tree: Tree = {}

    def copy(self) -> _Files:
        other = _Files(self._chance, "sha256" if self._digits == 64 else "sha1")
        other.tree = dict(self.tree)
        return other

    def fill(self, count: int) -> None:
        for _ in range(count):
            self._put(self._path(), self._entry())

    def edit_apart(self, side: int) -> None:
        """Do something that the other side, which has another number, does not come near to."""
        own = [path for path in sorted(self.tree) if sum(path.encode()) % 2 == side]
        kind = self._chance.random()
        if own and kind < 0.5:
            path = self._chance.choice(own)
            mode = self.tree[path][0]
            self.tree[path] = mode, self._module() if mode == MODULE else f"{side} {self._chance.random()}\n" * 5
        elif own and kind < 0.6:
            del self.tree[self._chance.choice(own)]
        else:
            directory = self._chance.choice(["", *{path.rpartition("/")[0] + "/" for path in self.tree if "/" in path}])
            text = "".join(f"{side} {number} {self._chance.random()}\n" for number in range(5))
            self._put(f"{directory}new-{side}-{self._chance.randint(0, 9)}", (FILE, text))

    def mutate(self) -> None:
        """Change something."""
        if not self.tree:
            self.fill(3)
            return
        self._chance.choice(
            [
                self._add,
                self._add,
                self._edit,
                self._edit,
                self._edit,
                self._delete,
                self._rename,
                self._rename,
                self._rename_directory,
                self._rename_directory,
                self._delete_directory,
                self._change_mode,
                self._to_directory,
                self._to_file,
            ]
        )()

    def _add(self) -> None:
        self._put(self._path(), self._entry())

    def _edit(self) -> None:
        path = self._any()
        mode, content = self.tree[path]
        if mode == MODULE:
            self.tree[path] = mode, self._module()
            return
        lines = content.split("\n")
        lines[self._chance.randrange(len(lines))] = f"edit {self._chance.randint(0, 99)}"
        self.tree[path] = mode, "\n".join(lines)

    def _delete(self) -> None:
        del self.tree[self._any()]

    def _rename(self) -> None:
        entry = self.tree.pop(self._any())
        path = self._path()
        self._put(path, entry)
        if self._chance.random() < 0.4 and entry[0] == FILE:
            self.tree[path] = FILE, entry[1].replace("line 3", f"renamed {self._chance.randint(0, 9)}")

    def _rename_directory(self) -> None:
        directories = self._directories()
        if directories:
            source = self._chance.choice(directories)
            target = self._chance.choice(["", f"{self._path()}/", f"{self._chance.choice(_NAMES)}/"])
            moved = {path: entry for path, entry in self.tree.items() if path.startswith(source)}
            self.tree = {path: entry for path, entry in self.tree.items() if path not in moved}
            for path, entry in moved.items():
                self._put(target + path[len(source) :], entry)

    def _delete_directory(self) -> None:
        directories = self._directories()
        if directories:
            source = self._chance.choice(directories)
            self.tree = {path: entry for path, entry in self.tree.items() if not path.startswith(source)}

    def _change_mode(self) -> None:
        path = self._any()
        mode, content = self.tree[path]
        new = self._chance.choice([FILE, EXECUTABLE, LINK, MODULE])
        if new == MODULE:
            content = self._module()
        elif mode == MODULE:
            content = self._entry()[1]
        self.tree[path] = new, content

    def _to_directory(self) -> None:
        path = self._any()
        entry = self.tree.pop(path)
        self._put(f"{path}/{self._chance.choice(_NAMES)}", entry)

    def _to_file(self) -> None:
        directories = self._directories()
        if directories:
            self._put(self._chance.choice(directories)[:-1], self._entry())

    def _put(self, path: str, entry: tuple[str, str]) -> None:
        """Put a file where whatever was there goes."""
        parents = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        self.tree = {
            other: old for other, old in self.tree.items() if other not in parents and not other.startswith(f"{path}/")
        }
        self.tree[path] = entry

    def _any(self) -> str:
        return self._chance.choice(sorted(self.tree)) if self.tree else ""

    def _directories(self) -> list[str]:
        return sorted({path[: at + 1] for path in self.tree for at, letter in enumerate(path) if letter == "/"})

    def _path(self) -> str:
        return "/".join(self._chance.choice(_NAMES) for _ in range(self._chance.choice([1, 1, 2, 2, 3, 4])))

    def _entry(self) -> tuple[str, str]:
        kind = self._chance.random()
        if kind < 0.05:
            return MODULE, self._module()
        document = self._chance.randrange(_DOCUMENTS)
        text = "".join(f"line {number} of document {document}\n" for number in range(_LINES))
        if self._chance.random() < 0.5:
            text += f"{self._chance.randint(0, 9)}\n"
        return (LINK if kind < 0.1 else EXECUTABLE if kind < 0.2 else FILE), text

    def _module(self) -> str:
        return f"{self._chance.randint(1, 9)}" * self._digits
