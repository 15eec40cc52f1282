"""Structured diffs: put together again they are the patch git prints; limits mark every cut."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, MeshError, TooLarge
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId, empty_tree
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.diff_processes import PAIRS_MAX, DiffProcesses
from meshnode.git.diffs import GitDiffs
from meshnode.git.layout import Layout
from meshnode.git.object_pool import ObjectPool
from meshnode.git.patch_reader import LINE_BYTES_MAX, PatchReader, first_line
from meshnode.git.patch_text import HunkLines
from meshnode.git.queries import Queries
from meshnode.git.range_diff import DEADLINE_MS, NICENESS
from meshnode.ports import (
    ChangedFile,
    ChangeKind,
    Detection,
    DiffAlgorithm,
    DiffLimit,
    DiffLimits,
    DiffOptions,
    DiffPart,
    DiffSummary,
    FileEnd,
    Hunk,
    Relation,
    Whitespace,
)
from tests.unit.git.patches import hunks_of
from tests.unit.git.processes import children
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
EVERYTHING = DiffLimits(
    files_max=50_000, lines_max=1_000_000, bytes_max=1 << 28, file_lines_max=1_000_000, file_bytes_max=1 << 28
)
Content = dict[bytes, tuple[str, bytes]]
"""Mode and content of each path."""


class Disk:
    """A replica without references, and its diffs."""

    def __init__(self, data: Path, object_format: str = "sha1") -> None:
        layout = Layout(data)
        self.path = layout.repository(KEY)
        self.path.mkdir(parents=True)
        self.zero = "0" * (64 if object_format == "sha256" else 40)
        self.nothing = empty_tree(object_format)
        git("init", "-q", "--bare", f"--object-format={object_format}", ".", path=self.path)
        commands = GitCommands()
        self.processes = DiffProcesses(commands, layout, deadline_ms=DEADLINE_MS, niceness=NICENESS, idle_max=2)
        self.objects = ObjectPool(commands, layout)
        self.diffs = GitDiffs(self.objects, Queries(commands, layout), self.processes)
        self._blobs: dict[bytes, str] = {}

    def tree(self, content: Content) -> ObjectId:
        index = {"GIT_INDEX_FILE": str(self.path / "test-index")}
        with contextlib.suppress(FileNotFoundError):
            (self.path / "test-index").unlink()
        lines = []
        for path, (mode, data) in content.items():
            oid = data.decode() if mode == "160000" else self.blob(data)
            lines.append(f"{mode} {oid} 0\t".encode() + path + b"\0")
        git("update-index", "-z", "--index-info", path=self.path, stdin=b"".join(lines), environment=index)
        return ObjectId(git("write-tree", "--missing-ok", path=self.path, environment=index).decode().strip())

    def blob(self, data: bytes) -> str:
        if data not in self._blobs:
            self._blobs[data] = git("hash-object", "-w", "--stdin", path=self.path, stdin=data).decode().strip()
        return self._blobs[data]

    def commit(self, tree: ObjectId, message: str, *parents: ObjectId) -> ObjectId:
        flags = [flag for parent in parents for flag in ("-p", parent)]
        return ObjectId(git("commit-tree", tree, "-m", message, *flags, path=self.path).decode().strip())

    async def compare(
        self, old: ObjectId, new: ObjectId, options: DiffOptions | None = None, limits: DiffLimits = EVERYTHING
    ) -> tuple[list[File], DiffSummary]:
        parts = self.diffs.compare(KEY, old, new, options or DiffOptions(), limits)
        return await gathered(parts)

    def stock(self, old: ObjectId, new: ObjectId, *flags: str, paths: tuple[str, ...] = ()) -> bytes:
        """What git prints, without the lines that name paths and ids."""
        return git("diff-tree", "-r", "--full-index", *flags, old, new, "--", *paths, path=self.path)


class File:
    """What all parts of one file say."""

    def __init__(self, file: ChangedFile) -> None:
        self.file = file
        self.hunks: list[Hunk] = []
        self.end = FileEnd()

    def text(self) -> list[bytes]:
        """Its hunks as git prints them."""
        lines = []
        for hunk in self.hunks:
            old = b"%d" % hunk.old_start + (b"" if hunk.old_lines == 1 else b",%d" % hunk.old_lines)
            new = b"%d" % hunk.new_start + (b"" if hunk.new_lines == 1 else b",%d" % hunk.new_lines)
            lines.append(b"@@ -%s +%s @@" % (old, new) + (b" " + hunk.section if hunk.section else b""))
            lines += hunk.lines
        return lines


async def gathered(portions: AsyncIterator[list[DiffPart] | DiffSummary]) -> tuple[list[File], DiffSummary]:
    """All parts put together; what every diff must keep to is checked."""
    files: list[File] = []
    is_open = False
    summary: DiffSummary | None = None
    async for portion in portions:
        assert summary is None
        if isinstance(portion, DiffSummary):
            summary = portion
            continue
        assert portion
        for part in portion:
            if part.file is not None:
                assert not is_open
                assert part.index == len(files)
                files.append(File(part.file))
            assert part.index == len(files) - 1
            for hunk in part.hunks:
                if hunk.is_continued:
                    files[-1].hunks[-1].lines += hunk.lines
                else:
                    files[-1].hunks.append(hunk)
            is_open = part.end is None
            files[-1].end = part.end or FileEnd()
    assert summary is not None
    assert not is_open
    assert summary.files_reported == len(files)
    return files, summary


@contextlib.asynccontextmanager
async def opened(data: Path, object_format: str = "sha1") -> AsyncIterator[Disk]:
    disk = Disk(data, object_format)
    try:
        yield disk
    finally:
        await disk.processes.close()
        await disk.objects.close()
    assert children() == []


def text(chance: random.Random, lines: int) -> bytes:
    words = [
        b"alpha",
        b"--- a/x",
        b"+++ b/x",
        b"@@ -1 +1 @@",
        b"diff --git a/x b/x",
        b"",
        b" ",
        b"\\ No newline",
        b"\r",
        b"\t",
    ]
    body = b"".join(chance.choice(words) + b"%d\n" % chance.randrange(50) for _ in range(lines))
    return body[:-1] if chance.random() < 0.2 else body


def some_content(chance: random.Random) -> Content:
    content: Content = {}
    for number in range(chance.randrange(1, 12)):
        name = chance.choice((b"a b", b'q"uote', b"n\nl", b"\xc3\xbc", b"\xff", b"plain", b"d/e/f", b"tab\t"))
        path = name + b"%d" % number
        kind = chance.random()
        if kind < 0.1:
            content[path] = ("120000", b"target%d" % chance.randrange(3))
        elif kind < 0.2:
            content[path] = ("100644", bytes(chance.randrange(256) for _ in range(300)) + b"\0")
        else:
            content[path] = (chance.choice(("100644", "100755")), text(chance, chance.randrange(60)))
    return content


def changed(chance: random.Random, content: Content) -> Content:
    result: Content = {}
    for path, (mode, data) in content.items():
        kind = chance.random()
        if kind < 0.15:
            continue
        if kind < 0.3:
            result[path + b".moved"] = (mode, data + b"x\n" if kind < 0.2 else data)
        elif kind < 0.4:
            result[path] = ("120000" if mode != "120000" else "100644", data[:40])
        elif kind < 0.7:
            lines = data.split(b"\n")
            for _ in range(3):
                lines.insert(chance.randrange(len(lines) + 1), b"new %d " % chance.randrange(9))
            result[path] = (mode, b"\n".join(lines))
        else:
            result[path] = (mode, data)
    return {**result, **some_content(chance)} if chance.random() < 0.5 else result


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_parts_put_together_are_the_patch_that_git_prints(tmp_path: Path, object_format: str) -> None:
    cases: list[tuple[DiffOptions, list[str]]] = [
        (DiffOptions(), ["-M50%", "-l1000"]),
        (DiffOptions(detection=Detection.NONE, context_lines=0), ["--no-renames", "-U0"]),
        (DiffOptions(detection=Detection.COPIES, similarity_min=30), ["-M30%", "-C30%"]),
        (DiffOptions(detection=Detection.COPIES_OF_ALL), ["-M50%", "-C50%", "--find-copies-harder"]),
        (DiffOptions(whitespace=Whitespace.ALL, context_lines=1), ["-M50%", "-w", "-U1"]),
        (DiffOptions(whitespace=Whitespace.CHANGE, ignore_blank_lines=True), ["-M50%", "-b", "--ignore-blank-lines"]),
        (DiffOptions(algorithm=DiffAlgorithm.PATIENCE, function_context=True), ["-M50%", "--patience", "-W"]),
        (
            DiffOptions(whitespace=Whitespace.AT_EOL, ignore_cr_at_eol=True),
            ["-M50%", "--ignore-space-at-eol", "--ignore-cr-at-eol"],
        ),
    ]
    async with opened(tmp_path, object_format) as disk:
        for seed in range(5):
            chance = random.Random(seed)
            before = some_content(chance)
            old, new = disk.tree(before), disk.tree(changed(chance, before))
            for options, flags in cases:
                files, summary = await disk.compare(old, new, options)
                patch = disk.stock(old, new, "-p", *flags)
                shown = [one.text() for one in files if one.hunks]
                typed = [file for file in files if file.file.kind is ChangeKind.TYPE_CHANGED]
                stock = [hunks for hunks in hunks_of(patch) if hunks]
                assert [line for lines in shown for line in lines] == [line for hunks in stock for line in hunks]
                assert not summary.is_truncated
                records = disk.stock(old, new, "--raw", "-z", *flags).count(b"\0:") + (old != new)
                assert summary.files == len(files) == records
                assert len(typed) == sum(
                    file.file.old_mode >> 12 != file.file.new_mode >> 12
                    for file in files
                    if file.file.old_mode and file.file.new_mode
                )
                binary = [one.file for one in files if one.end.is_binary]
                assert len(binary) >= patch.count(b"\nBinary files ") - len(typed)


@pytest.mark.parametrize("whitespace", [Whitespace.NONE, Whitespace.ALL])
async def test_counts_equal_numstat_and_the_counts_of_the_hunks(tmp_path: Path, whitespace: Whitespace) -> None:
    async with opened(tmp_path) as disk:
        for seed in range(8):
            chance = random.Random(seed)
            before = some_content(chance)
            old, new = disk.tree(before), disk.tree(changed(chance, before))
            options = DiffOptions(whitespace=whitespace)
            counted, totals = await gathered(disk.diffs.count(KEY, old, new, options, EVERYTHING))
            files, summary = await disk.compare(old, new, options)
            assert [one.file for one in counted] == [one.file for one in files]
            plain = [one for one in zip(counted, files, strict=True) if one[0].file.kind is not ChangeKind.TYPE_CHANGED]
            for a, b in plain:
                assert (a.end.additions, a.end.deletions, a.end.is_binary) == (
                    b.end.additions,
                    b.end.deletions,
                    b.end.is_binary,
                ), a.file
            assert (totals.files, totals.is_truncated) == (summary.files, False)
            numstat = disk.stock(old, new, "--numstat", "-M", *(["-w"] if whitespace is Whitespace.ALL else []))
            numbers = [line.split(b"\t")[:2] for line in numstat.splitlines()]
            assert totals.additions == sum(int(added) for added, _ in numbers if added != b"-")
            assert totals.deletions == sum(int(deleted) for _, deleted in numbers if deleted != b"-")


async def test_kinds_modes_and_ids(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        long = text(random.Random(1), 100)
        first, second = b"1" * 40, b"2" * 40
        old = disk.tree(
            {
                b"gone": ("100644", b"x\n"),
                b"mode": ("100644", b"same\n"),
                b"module": ("160000", first),
                b"moved": ("100644", long),
                b"type": ("100644", b"target"),
            }
        )
        new = disk.tree(
            {
                b"mode": ("100755", b"same\n"),
                b"module": ("160000", second),
                b"moved-to": ("100644", long),
                b"new": ("100644", b""),
                b"type": ("120000", b"target"),
            }
        )
        files, summary = await disk.compare(old, new)
        by_name = {file.file.new_path or file.file.old_path: file for file in files}
        found = {name: (one.file.kind, one.file.old_mode, one.file.new_mode) for name, one in by_name.items()}
        assert found == {
            b"gone": (ChangeKind.DELETED, 0o100644, 0),
            b"mode": (ChangeKind.MODIFIED, 0o100644, 0o100755),
            b"module": (ChangeKind.MODIFIED, 0o160000, 0o160000),
            b"moved-to": (ChangeKind.RENAMED, 0o100644, 0o100644),
            b"new": (ChangeKind.ADDED, 0, 0o100644),
            b"type": (ChangeKind.TYPE_CHANGED, 0o100644, 0o120000),
        }
        assert by_name[b"moved-to"].file.similarity == 100
        assert by_name[b"moved-to"].file.old_path == b"moved"
        assert (by_name[b"new"].file.old_path, by_name[b"new"].file.old_oid) == (b"", "")
        assert (by_name[b"gone"].file.new_path, by_name[b"gone"].file.new_oid) == (b"", "")
        assert by_name[b"module"].text()[1:] == [b"-Subproject commit " + first, b"+Subproject commit " + second]
        assert by_name[b"type"].text()[1] == b"-target"
        assert by_name[b"type"].end.additions == by_name[b"type"].end.deletions == 1
        assert (summary.additions, summary.deletions) == (2, 3)


async def test_equal_trees_and_the_empty_tree(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree({b"file": ("100644", b"x\n")})
        assert await disk.compare(tree, tree) == ([], DiffSummary(0, 0, 0, 0, False, None))
        assert (await disk.compare(disk.nothing, tree))[1] == DiffSummary(1, 1, 1, 0, False, None)
        assert (await disk.compare(tree, disk.nothing))[1] == DiffSummary(1, 1, 0, 1, False, None)
        assert await gathered(disk.diffs.count(KEY, tree, tree, DiffOptions(), EVERYTHING)) == (
            [],
            DiffSummary(0, 0, 0, 0, False, None),
        )


async def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        paths = (b"*", b"ab", b":(glob)x", b"dir/a", b"dir/b", b"\xff", b"-n")
        old = disk.nothing
        new = disk.tree(dict.fromkeys(paths, ("100644", b"x\n")))
        for wanted, found in (
            ((b"*",), [b"*"]),
            ((b"dir",), [b"dir/a", b"dir/b"]),
            ((b"\xff", b":(glob)x"), [b":(glob)x", b"\xff"]),
            ((b"-n",), [b"-n"]),
            ((b"none",), []),
        ):
            options = DiffOptions(paths=tuple(map(TreePath, wanted)))
            files, _ = await disk.compare(old, new, options)
            assert [file.file.new_path for file in files] == found


# ---------------------------------------------------------------- limits


def lines_of(count: int, size: int = 8) -> bytes:
    return b"".join(b"%0*d\n" % (size, number) for number in range(count))


async def test_limit_of_a_file_cuts_it_and_counts_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree(
            {b"a": ("100644", lines_of(100)), b"b": ("100644", lines_of(5)), b"c": ("100644", lines_of(101))}
        )
        limits = DiffLimits(file_lines_max=100)
        files, summary = await disk.compare(disk.nothing, new, limits=limits)
        assert [len(file.hunks[0].lines) for file in files] == [100, 5, 100]
        assert [(one.end.is_truncated, one.end.is_counted, one.end.additions) for one in files] == [
            (False, True, 100),
            (False, True, 5),
            (True, True, 101),
        ]
        assert summary == DiffSummary(3, 3, 206, 0, True, None)
        files, summary = await disk.compare(disk.nothing, new, limits=DiffLimits(file_bytes_max=9 * 50 + 8))
        assert [len(file.hunks[0].lines) for file in files] == [50, 5, 50]
        assert (summary.additions, summary.is_truncated, summary.limit) == (206, True, None)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [(DiffLimits(lines_max=12), DiffLimit.LINES), (DiffLimits(bytes_max=12 * 9 + 3), DiffLimit.BYTES)],
)
async def test_limit_of_the_whole_diff_ends_it_and_lists_the_rest(
    tmp_path: Path, limits: DiffLimits, limit: DiffLimit
) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"%d" % number: ("100644", lines_of(10)) for number in range(4)})
        files, summary = await disk.compare(disk.nothing, new, limits=limits)
        assert [sum(len(hunk.lines) for hunk in file.hunks) for file in files] == [10, 2, 0, 0]
        assert [(file.end.is_truncated, file.end.is_counted) for file in files] == [
            (False, True),
            (True, False),
            (True, False),
            (True, False),
        ]
        assert summary == DiffSummary(4, 4, 10, 0, True, limit)


async def test_limit_that_is_just_kept_marks_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"%d" % number: ("100644", lines_of(10)) for number in range(4)})
        limits = DiffLimits(files_max=4, lines_max=40, bytes_max=360, file_lines_max=10, file_bytes_max=90)
        _, summary = await disk.compare(disk.nothing, new, limits=limits)
        assert summary == DiffSummary(4, 4, 40, 0, False, None)


async def test_limit_of_files_says_how_many_there_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree({b"%04d" % number: ("100644", b"x\n") for number in range(1_200)})
        for limits in (DiffLimits(files_max=7), DiffLimits(files_max=1_100)):
            files, summary = await disk.compare(disk.nothing, new, limits=limits)
            assert all(file.end.is_counted and file.hunks for file in files)
            shown = limits.files_max
            assert summary == DiffSummary(1_200, shown, shown, 0, True, DiffLimit.FILES)
            counted, totals = await gathered(disk.diffs.count(KEY, disk.nothing, new, DiffOptions(), limits))
            assert len(counted) == shown
            assert totals == DiffSummary(1_200, shown, 1_200, 0, True, DiffLimit.FILES)


async def test_file_of_many_lines_comes_in_portions(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        content = lines_of(60_000)
        new = disk.tree({b"big": ("100644", content)})
        portions = [portion async for portion in disk.diffs.compare(KEY, disk.nothing, new, DiffOptions(), EVERYTHING)]
        assert len(portions) > 5
        files, summary = await disk.compare(disk.nothing, new)
        assert files[0].hunks[0].lines == [b"+" + line for line in content.splitlines()]
        assert summary.additions == 60_000


async def test_line_that_is_too_long_is_cut_and_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree(
            {b"long": ("100644", b"a\n" + b"x" * (3 * LINE_BYTES_MAX) + b"\nb\n"), b"z": ("100644", b"y\n")}
        )
        files, summary = await disk.compare(disk.nothing, new)
        assert [len(line) for line in files[0].hunks[0].lines] == [2, LINE_BYTES_MAX, 2]
        assert (files[0].end.is_truncated, files[0].end.additions, files[1].end.is_truncated) == (True, 3, False)
        assert summary.is_truncated


async def test_diff_that_is_left_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        new = disk.tree(
            {b"%d" % number: ("100644", os.urandom(200_000).hex().encode() + b"\n") for number in range(60)}
        )
        async with aclosing(disk.diffs.compare(KEY, disk.nothing, new, DiffOptions(), EVERYTHING)) as portions:
            async for _ in portions:
                assert len(children()) == 1
                break
        assert children() == []


# ---------------------------------------------------------------- other questions


async def test_changed_paths_of_many_pairs_come_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        chance = random.Random(3)
        trees = [disk.nothing]
        content = some_content(chance)
        for _ in range(6):
            trees.append(disk.tree(content))
            content = changed(chance, content)
        pairs = [(old, new) for old in trees for new in trees]
        found: dict[int, list[ChangedFile]] = {}
        async for index, files in disk.diffs.changed_paths(KEY, pairs, DiffOptions()):
            assert index in {max(found, default=-1), max(found, default=-1) + 1}
            found.setdefault(index, []).extend(files)
        assert list(found) == list(range(len(pairs)))
        for (old, new), files in zip(pairs, found.values(), strict=True):
            compared, _ = await disk.compare(old, new)
            assert files == [one.file for one in compared]


@pytest.mark.parametrize("paths", [(), (TreePath(b"a"),)])
async def test_pair_that_cannot_be_read_is_damage_wherever_it_stands(
    tmp_path: Path, paths: tuple[TreePath, ...]
) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree({b"a": ("100644", b"a\n")})
        good, bad = (disk.nothing, tree), (ObjectId("f" * 40), tree)
        for place in range(3):
            pairs = [good, good]
            pairs.insert(place, bad)
            with pytest.raises(Corrupt):
                async for _ in disk.diffs.changed_paths(KEY, pairs, DiffOptions(paths=paths)):
                    pass
        found = [index async for index, _ in disk.diffs.changed_paths(KEY, [good] * 3, DiffOptions(paths=paths))]
        assert found == [0, 1, 2]


async def test_more_pairs_than_one_question_holds_come_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        trees = [disk.tree({b"a": ("100644", b"%d\n" % number)}) for number in range(3)]
        pairs = [(trees[number % 3], trees[number % 2]) for number in range(PAIRS_MAX + 7)]
        found = [(index, len(files)) async for index, files in disk.diffs.changed_paths(KEY, pairs, DiffOptions())]
        assert found == [(index, int(old != new)) for index, (old, new) in enumerate(pairs)]


async def test_thousands_of_changed_paths_come_in_portions(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree({b"%05d" % number: ("100644", b"x\n") for number in range(2_500)})
        pairs = [(disk.nothing, tree), (tree, tree), (tree, disk.nothing)]
        sizes = [(index, len(files)) async for index, files in disk.diffs.changed_paths(KEY, pairs, DiffOptions())]
        assert sizes == [(0, 1_000), (0, 1_000), (0, 500), (1, 0), (2, 1_000), (2, 1_000), (2, 500)]


async def test_patch_and_its_id_equal_gits(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        chance = random.Random(5)
        before = some_content(chance)
        old, new = disk.tree(before), disk.tree(changed(chance, before))
        for binary in (False, True):
            chunks = [chunk async for chunk in disk.diffs.patch(KEY, old, new, DiffOptions(), binary=binary)]
            assert b"".join(chunks) == disk.stock(old, new, "-p", "-M", *(["--binary"] if binary else []))
        patch = disk.stock(old, new, "-p")
        wanted = git("patch-id", "--stable", path=disk.path, stdin=patch).decode().split()[0]
        assert await disk.diffs.patch_id(KEY, old, new) == wanted
        assert await disk.diffs.patch_id(KEY, old, old) == ""


async def test_range_diff_pairs_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        base = disk.commit(disk.tree({b"a": ("100644", lines_of(20))}), "base")

        def series(*contents: tuple[str, bytes]) -> ObjectId:
            tip = base
            for subject, content in contents:
                tip = disk.commit(disk.tree({b"a": ("100644", lines_of(20)), b"b": ("100644", content)}), subject, tip)
            return tip

        two = lines_of(40)
        old = series(("one", b"1\n"), ("two\n\nbody", two), ("three: =", two + b"3\n"))
        new = series(("one", b"1\n"), ("two\n\nbody", two + b"2b\n"), ("other", b"something else\n" * 50))
        pairs = [pair async for pair in disk.diffs.range_diff(KEY, (base, old), (base, new), creation_factor=60)]
        relations = [(pair.relation, pair.old_number, pair.new_number, pair.subject) for pair in pairs]
        assert relations[0] == (Relation.EQUAL, 1, 1, b"one")
        assert relations[1] == (Relation.CHANGED, 2, 2, b"two")
        assert {relation for relation, *_ in relations[2:]} == {Relation.DROPPED, Relation.ADDED}
        assert b"+2b" in pairs[1].patch
        assert pairs[1].patch.startswith(b"@@")
        output = git("range-diff", "--no-color", f"{base}..{old}", f"{base}..{new}", path=disk.path)
        indented = b"".join(line[4:] + b"\n" for line in output.splitlines() if line.startswith(b"    "))
        assert b"".join(pair.patch for pair in pairs) == indented
        assert {pair.old_oid for pair in pairs if pair.old_oid} == {
            *git("rev-list", f"{base}..{old}", path=disk.path).decode().split()
        }


async def test_series_with_merges_or_without_a_common_begin_are_compared_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        trees = [disk.tree({b"a": ("100644", lines_of(20)), b"b": ("100644", b"%d\n" % number)}) for number in range(5)]
        base = disk.commit(trees[0], "base")
        one = disk.commit(trees[1], "one", base)
        side = disk.commit(trees[2], "side", base)
        merge = disk.commit(trees[3], "merge", one, side)
        other = disk.commit(trees[4], "other")
        for old, new in (((base, one), (base, merge)), ((other, one), (base, one)), ((one, merge), (base, one))):
            pairs = [pair async for pair in disk.diffs.range_diff(KEY, old, new, creation_factor=60)]
            listed = [{pair.old_oid for pair in pairs} - {""}, {pair.new_oid for pair in pairs} - {""}]
            wanted = [
                git("rev-list", "--no-merges", f"{first}..{last}", path=disk.path).decode().split()
                for first, last in (old, new)
            ]
            assert listed == [set(one) for one in wanted]


async def test_series_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        stream = b"".join(
            b"commit refs/heads/long\ncommitter A <a@b> %d +0000\ndata 1\nx\n\n" % (1_500_000_000 + number)
            for number in range(502)
        )
        git("fast-import", "--quiet", path=disk.path, stdin=stream)
        tip, shorter, first, base = (
            ObjectId(git("rev-parse", f"long~{back}", path=disk.path).decode().strip()) for back in (0, 1, 500, 501)
        )
        with pytest.raises(TooLarge):
            async for _ in disk.diffs.range_diff(KEY, (base, tip), (base, first), creation_factor=60):
                pass
        assert len(children()) == 1, "the one that reads objects"
        pairs = [pair async for pair in disk.diffs.range_diff(KEY, (base, shorter), (base, first), creation_factor=60)]
        assert len(pairs) == 500


# ---------------------------------------------------------------- the reader alone

RAW = b":100644 100644 %s %s M\0a\0\0" % (b"1" * 40, b"2" * 40)
PATCH = b"diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1,2 +1,3 @@ def f()\n x\n-y\n+z\n+w\n\\ No newline at end of file\n"


def read(*pieces: bytes) -> tuple[list[ChangedFile], list[object]]:
    reader = PatchReader()
    events: list[object] = []
    for piece in pieces:
        events += reader.feed(piece)
    events += reader.end()
    return reader.files, events


@given(cuts=st.lists(st.integers(0, len(RAW + PATCH)), max_size=8))
def test_pieces_of_any_size_read_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(RAW + PATCH)]
    pieces = [(RAW + PATCH)[begin:end] for begin, end in itertools.pairwise(places)]
    files, events = read(*pieces)
    lines = [line for event in events if isinstance(event, HunkLines) for line in event.lines]
    assert [file.new_path for file in files] == [b"a"]
    assert lines == [b" x", b"-y", b"+z", b"+w", b"\\ No newline at end of file"]
    (hunk,) = [event for event in events if isinstance(event, Hunk)]
    assert (hunk.old_start, hunk.old_lines, hunk.new_lines, hunk.section) == (1, 2, 3, b"def f()")


@settings(max_examples=300)
@given(data=st.binary(max_size=200) | st.text(alphabet=":0 \n\0@-+,1abM diff git", max_size=200).map(str.encode))
def test_bytes_that_git_never_writes_are_an_error_and_nothing_else(data: bytes) -> None:
    for piece in (data, RAW + data, RAW + PATCH + data):
        with contextlib.suppress(MeshError, ValueError, IndexError, UnicodeDecodeError):
            read(piece)


@pytest.mark.parametrize(
    "patch",
    [
        PATCH.replace(b"a/a b/a", b"a/x b/x"),
        PATCH.replace(b"-1,2", b"-1,9"),
        PATCH.replace(b"-1,2 +1,3", b"-x +y"),
        PATCH.replace(b" x\n", b"?x\n"),
        PATCH + b"garbage\n",
    ],
)
def test_patch_that_does_not_hold_together_is_refused(patch: bytes) -> None:
    with pytest.raises(MeshError):
        read(RAW + patch)


@pytest.mark.parametrize(
    "data",
    [
        RAW[:-2],
        RAW[:60],
        RAW.replace(b" M", b" X") + PATCH,
        RAW.replace(b":100644", b":10x644") + PATCH,
        RAW.replace(b"M\0a", b"R\0a\0b\0c") + PATCH,
        b"senseless\n" + RAW + PATCH,
    ],
)
def test_raw_diff_that_does_not_hold_together_is_refused(data: bytes) -> None:
    with pytest.raises(MeshError):
        read(data)


def test_hunk_before_any_patch_is_refused() -> None:
    with pytest.raises(MeshError):
        read(RAW + PATCH[PATCH.index(b"@@") :])


@pytest.mark.parametrize(
    "path", [b"plain", b"sp ace", b'q"', b"back\\", b"\n", b"\x01", b"\x7f", "ü".encode(), b"\xff"]
)
def test_first_lines_are_quoted_as_git_quotes_them(tmp_path: Path, path: bytes) -> None:
    disk = Disk(tmp_path)
    patch = disk.stock(disk.nothing, disk.tree({path: ("100644", b"x\n")}), "-p")
    file = ChangedFile(ChangeKind.ADDED, b"", path, 0, 0o100644, "", "1" * 40)
    assert patch.split(b"\n")[0] == first_line(file)
