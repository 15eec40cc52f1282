"""DiffService beside stock git: hunks, patches, counts, paths, series; limits, refusals, and callers who leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meshnode.auth.channel import SignedChannel
from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import diff_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import HISTORY, ODDITIES
from tests.e2e.api.oddities import HUGE_ENTRIES, make_oddities
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git
from tests.e2e.waiting import wait_until
from tests.unit.git.patches import hunks_of

NODES = 3
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
LETTERS = {
    diff_pb2.CHANGE_KIND_ADDED: "A",
    diff_pb2.CHANGE_KIND_DELETED: "D",
    diff_pb2.CHANGE_KIND_MODIFIED: "M",
    diff_pb2.CHANGE_KIND_RENAMED: "R",
    diff_pb2.CHANGE_KIND_COPIED: "C",
    diff_pb2.CHANGE_KIND_TYPE_CHANGED: "T",
}


def pair(old: str, new: str, *, from_merge_base: bool = False) -> diff_pb2.Comparison:
    return diff_pb2.Comparison(pair=diff_pb2.Pair(old=old, new=new, from_merge_base=from_merge_base))


def of(revision: str, parent: int = 0) -> diff_pb2.Comparison:
    return diff_pb2.Comparison(commit=diff_pb2.CommitChange(revision=revision, parent=parent))


def diff(api: Api, comparison: diff_pb2.Comparison, repository: str = ODDITIES, **fields: Any) -> diff_pb2.DiffResponse:
    """All messages of a diff as one, checked for what every answer must keep to."""
    request = diff_pb2.DiffRequest(repository=repository, comparison=comparison, **fields)
    answers = api.stream("DiffService/Diff", request, diff_pb2.DiffResponse)
    assert [one.HasField("position") for one in answers] == [True] + [False] * (len(answers) - 1)
    assert [one.HasField("summary") for one in answers] == [False] * (len(answers) - 1) + [True]
    assert max(one.ByteSize() for one in answers) < 3 << 20
    whole = diff_pb2.DiffResponse()
    for one in answers:
        whole.MergeFrom(one)
    return whole


def hunks(answer: diff_pb2.DiffResponse) -> list[bytes]:
    """The hunks of all files as git prints them."""
    lines: list[bytes] = []
    for part in answer.parts:
        for hunk in part.hunks:
            if not hunk.continued:
                old = b"%d" % hunk.old_start + (b"" if hunk.old_lines == 1 else b",%d" % hunk.old_lines)
                new = b"%d" % hunk.new_start + (b"" if hunk.new_lines == 1 else b",%d" % hunk.new_lines)
                lines.append(b"@@ -%s +%s @@" % (old, new) + (b" " + hunk.section if hunk.section else b""))
            lines += hunk.lines
    return lines


def raw(file: diff_pb2.ChangedFile) -> tuple[str, int, int, str, str, bytes, bytes]:
    return (
        LETTERS[file.kind],
        file.old_mode,
        file.new_mode,
        file.old_oid,
        file.new_oid,
        file.old_path or file.new_path,
        file.new_path or file.old_path,
    )


def raws(answer: diff_pb2.DiffResponse) -> list[tuple[str, int, int, str, str, bytes, bytes]]:
    """The files of a diff."""
    return [raw(part.file) for part in answer.parts if part.HasField("file")]


def stock_raw(path: Path, *args: str) -> list[tuple[str, int, int, str, str, bytes, bytes]]:
    """The same from `git diff-tree --raw`."""
    fields = iter(raw_git(path, "diff-tree", "-r", "-z", "--raw", "--no-commit-id", *args).split(b"\0")[:-1])
    found = []
    for facts in fields:
        old_mode, new_mode, old, new, status = facts.decode()[1:].split(" ")
        first = next(fields)
        last = next(fields) if status[0] in "RC" else first
        old, new = (oid if oid.strip("0") else "" for oid in (old, new))
        found.append((status[0], int(old_mode, 8), int(new_mode, 8), old, new, first, last))
    return found


def check(api: Api, path: Path, repository: str, comparison: diff_pb2.Comparison, sides: tuple[str, str]) -> None:
    """A diff, its counts and its patch, against git's."""
    old, new = sides
    answer = diff(api, comparison, repository)
    patch = raw_git(path, "diff-tree", "-r", "-p", "--full-index", "-M", old, new)
    assert hunks(answer) == [line for file in hunks_of(patch) for line in file]
    files = [part.file for part in answer.parts if part.HasField("file")]
    assert [raw(file) for file in files] == stock_raw(path, "-M", old, new)
    trees = [one if ":" in one else f"{one}^{{tree}}" for one in sides]
    assert [answer.sides.old_tree_oid, answer.sides.new_tree_oid] == [
        git("rev-parse", tree, cwd=path).stdout.strip() for tree in trees
    ]
    numstat = [line.split(b"\t") for line in raw_git(path, "diff-tree", "-r", "--numstat", "-M", old, new).splitlines()]
    counts = diff(api, comparison, repository, stats_only=True)
    assert [(b"-" if part.end.binary else b"%d" % part.end.additions) for part in counts.parts] == [
        line[0] for line in numstat
    ]
    assert counts.summary.deletions == sum(int(line[1]) for line in numstat if line[1] != b"-")
    assert not answer.summary.truncated
    request = diff_pb2.RawDiffRequest(repository=repository, comparison=comparison)
    parts = api.stream("DiffService/RawDiff", request, diff_pb2.RawDiffResponse)
    assert b"".join(part.data for part in parts) == patch


def commits_of(path: Path, *revisions: str) -> list[list[str]]:
    """Commits, each with its parents."""
    return [line.split() for line in raw_git(path, "rev-list", "--parents", *revisions).decode().splitlines()]


def test_every_commit_of_the_oddities_differs_as_git_says(api: Api, oddities: Path) -> None:
    for commit, *parents in commits_of(oddities, "--all", "--not", "huge"):
        check(api, oddities, ODDITIES, of(commit), (parents[0] if parents else EMPTY, commit))
        for number, parent in enumerate(parents, start=1):
            check(api, oddities, ODDITIES, of(commit, number), (parent, commit))


def test_commits_of_a_history_differ_as_git_says(api: Api, history: Path) -> None:
    for commit, *parents in commits_of(history, "--max-count=25", "main"):
        check(api, history, HISTORY, of(commit), (parents[0] if parents else EMPTY, commit))
    check(api, history, HISTORY, pair("main~200", "main"), ("main~200", "main"))
    check(api, history, HISTORY, pair("main", "main~200"), ("main", "main~200"))


def test_trees_tags_and_the_empty_tree_are_sides(api: Api, oddities: Path) -> None:
    for old, new in (
        ("tree-tag", "main"),
        ("v1.0", "light"),
        ("main:src", "main~3:src"),
        (EMPTY, "main"),
        ("main", EMPTY),
    ):
        check(api, oddities, ODDITIES, pair(old, new), (old, new))
    against_nothing = diff_pb2.Comparison(commit=diff_pb2.CommitChange(revision="main", against_empty_tree=True))
    check(api, oddities, ODDITIES, against_nothing, (EMPTY, "main"))


def test_three_dots_begin_at_the_merge_base(api: Api, oddities: Path) -> None:
    for old, new in (
        ("conflict-a", "conflict-b"),
        ("crisscross-a", "crisscross-b"),
        ("main", "octopus"),
        ("main", "main"),
    ):
        base = git("merge-base", old, new, cwd=oddities).stdout.strip()
        comparison = pair(old, new, from_merge_base=True)
        check(api, oddities, ODDITIES, comparison, (base, new))
        assert diff(api, comparison).sides.merge_base_oid == base
        stock = raw_git(oddities, "diff", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", f"{old}...{new}")
        assert hunks(diff(api, comparison)) == [line for file in hunks_of(stock) for line in file]


def test_kinds_that_a_code_host_shows_differently(api: Api, oddities: Path) -> None:
    assert oddities
    answer = diff(api, pair("main~5", "main"))
    ends = {part.file.new_path: part for part in answer.parts if part.HasField("file")}
    assert ends[b"data.bin"].end.binary
    assert ends[b"vendor/module"].file.new_mode == 0o160000
    assert ends[b"link"].file.new_mode == 0o120000
    changes = {part.file.new_path: part.file for part in diff(api, of("main~1")).parts}
    assert (changes[b"bin/run.sh"].old_mode, changes[b"bin/run.sh"].new_mode) == (0o100755, 0o100644)
    moved = {part.file.new_path: part.file for part in diff(api, of("main~3")).parts}
    assert (moved[b"bin/run.sh"].old_path, moved[b"bin/run.sh"].similarity) == (b"run.sh", 100)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"detection": diff_pb2.DiffOptions.DETECTION_NONE}, ["--no-renames"]),
        (
            {"detection": diff_pb2.DiffOptions.DETECTION_COPIES_OF_ALL, "similarity_min": 90},
            ["-C90%", "--find-copies-harder"],
        ),
        ({"whitespace": diff_pb2.DiffOptions.WHITESPACE_IGNORE_ALL}, ["-M", "-w"]),
        ({"whitespace": diff_pb2.DiffOptions.WHITESPACE_IGNORE_CHANGE, "context_lines": 0}, ["-M", "-b", "-U0"]),
        ({"context_lines": 10, "function_context": True}, ["-M", "-U10", "-W"]),
        (
            {"algorithm": diff_pb2.DiffOptions.ALGORITHM_HISTOGRAM, "ignore_blank_lines": True},
            ["-M", "--histogram", "--ignore-blank-lines"],
        ),
        ({"paths": [b"src", b"tab\there.txt"]}, ["-M", "--", "src", "tab\there.txt"]),
    ],
)
def test_options_mean_what_they_mean_to_git(
    api: Api, oddities: Path, options: dict[str, Any], flags: list[str]
) -> None:
    for old, new in (("main~5", "main"), ("main~2", "main~1"), ("main~4", "main~3"), ("conflict-a", "conflict-b")):
        before, _, paths = " ".join(flags).partition(" -- ")
        assert before
        cut = flags.index("--") if "--" in flags else len(flags)
        patch = raw_git(oddities, "diff-tree", "-r", "-p", "--full-index", *flags[:cut], old, new, *flags[cut:])
        assert paths or cut == len(flags)
        answer = diff(api, pair(old, new), options=diff_pb2.DiffOptions(**options))
        assert hunks(answer) == [line for file in hunks_of(patch) for line in file]
        request = diff_pb2.RawDiffRequest(
            repository=ODDITIES, comparison=pair(old, new), options=diff_pb2.DiffOptions(**options)
        )
        parts = api.stream("DiffService/RawDiff", request, diff_pb2.RawDiffResponse)
        assert b"".join(part.data for part in parts) == patch


def test_limits_mark_what_they_leave_out(api: Api, oddities: Path) -> None:
    assert oddities
    comparison = pair("main~5", "main")
    full = diff(api, comparison).summary
    cut = diff(api, comparison, limits=diff_pb2.DiffLimits(files_max=3)).summary
    assert (cut.files, cut.files_reported, cut.truncated, cut.limit) == (
        full.files,
        3,
        True,
        diff_pb2.DiffSummary.LIMIT_FILES,
    )
    answer = diff(api, comparison, limits=diff_pb2.DiffLimits(lines_max=20))
    assert sum(len(hunk.lines) for part in answer.parts for hunk in part.hunks) == 20
    assert (answer.summary.truncated, answer.summary.limit) == (True, diff_pb2.DiffSummary.LIMIT_LINES)
    assert answer.summary.files_reported == full.files
    answer = diff(api, comparison, limits=diff_pb2.DiffLimits(file_lines_max=10))
    assert (answer.summary.additions, answer.summary.truncated, answer.summary.limit) == (full.additions, True, 0)
    again = diff(api, comparison, limits=diff_pb2.DiffLimits(file_lines_max=10))
    assert (again.parts, again.summary) == (answer.parts, answer.summary)


def test_fifty_thousand_files_in_one_diff(api: Api, oddities: Path) -> None:
    assert oddities
    limits = diff_pb2.DiffLimits(files_max=50_000, lines_max=100_000)
    answer = diff(api, of("huge"), limits=limits)
    assert (answer.summary.files_reported, answer.summary.additions) == (HUGE_ENTRIES, HUGE_ENTRIES)
    counts = diff(api, of("huge"), limits=limits, stats_only=True)
    assert counts.summary == answer.summary


def test_raw_patch_is_cut_where_asked_and_binary_patches_apply(api: Api, oddities: Path) -> None:
    patch = raw_git(oddities, "diff-tree", "-r", "-p", "--full-index", "--binary", "-M", "main~5", "main")
    request = diff_pb2.RawDiffRequest(repository=ODDITIES, comparison=pair("main~5", "main"), binary=True)
    parts = api.stream("DiffService/RawDiff", request, diff_pb2.RawDiffResponse)
    assert (b"".join(part.data for part in parts), parts[-1].truncated) == (patch, False)
    for bytes_max, truncated in ((1, True), (len(patch) - 1, True), (len(patch), False)):
        request.bytes_max = bytes_max
        parts = api.stream("DiffService/RawDiff", request, diff_pb2.RawDiffResponse)
        assert (b"".join(part.data for part in parts), parts[-1].truncated) == (patch[:bytes_max], truncated)


def changed_paths(api: Api, repository: str, **fields: Any) -> tuple[dict[tuple[int, int], list[Any]], bool]:
    request = diff_pb2.FindChangedPathsRequest(repository=repository, **fields)
    answers = api.stream("DiffService/FindChangedPaths", request, diff_pb2.FindChangedPathsResponse)
    assert [one.HasField("position") for one in answers] == [True] + [False] * (len(answers) - 1)
    found: dict[tuple[int, int], list[Any]] = {}
    for answer in answers:
        for change in answer.changes:
            found.setdefault((change.index, change.parent), []).extend(map(raw, change.files))
    return found, answers[-1].truncated


def test_changed_paths_of_many_commits(api: Api, history: Path) -> None:
    commits = commits_of(history, "main")
    found, truncated = changed_paths(api, HISTORY, comparisons=[of(commit) for commit, *_ in commits])
    assert not truncated
    wanted = {
        (index, min(1, len(parents))): stock_raw(history, parents[0] if parents else EMPTY, commit)
        for index, (commit, *parents) in enumerate(commits)
    }
    assert found == wanted


def test_changed_paths_against_all_parents_of_a_merge(api: Api, oddities: Path) -> None:
    _, *parents = commits_of(oddities, "--max-count=1", "octopus")[0]
    found, _ = changed_paths(
        api,
        ODDITIES,
        comparisons=[of("octopus"), pair("main~4", "main~3"), of("unrelated"), pair("main", "main")],
        all_parents=True,
        options=diff_pb2.DiffOptions(detection=diff_pb2.DiffOptions.DETECTION_RENAMES),
    )
    wanted = {
        (0, number): stock_raw(oddities, "-M", parent, "octopus") for number, parent in enumerate(parents, start=1)
    }
    wanted[1, 0] = stock_raw(oddities, "-M", "main~4", "main~3")
    wanted[2, 0] = stock_raw(oddities, EMPTY, "unrelated")
    wanted[3, 0] = []
    assert found == wanted


def test_changed_paths_end_at_their_limit(api: Api, oddities: Path) -> None:
    assert oddities
    found, truncated = changed_paths(api, ODDITIES, comparisons=[of("huge"), of("main")], files_max=3_500)
    assert (truncated, [(place, len(files)) for place, files in found.items()]) == (True, [((0, 0), 3_500)])
    found, truncated = changed_paths(api, ODDITIES, comparisons=[of("huge")], files_max=HUGE_ENTRIES)
    assert (truncated, len(found[0, 0])) == (False, HUGE_ENTRIES)


def test_series_are_compared_as_range_diff_does(api: Api, oddities: Path) -> None:
    request = diff_pb2.RangeDiffRequest(
        repository=ODDITIES,
        old=diff_pb2.CommitRange(base="main~2", tip="conflict-a"),
        new=diff_pb2.CommitRange(base="main~2", tip="conflict-b"),
        creation_factor=90,
    )
    answers = api.stream("DiffService/RangeDiff", request, diff_pb2.RangeDiffResponse)
    pairs = [one for answer in answers for one in answer.pairs]
    stock = raw_git(
        oddities,
        *("-c", "core.abbrev=no", "range-diff", "--no-color", "--creation-factor=90"),
        *("main~2..conflict-a", "main~2..conflict-b"),
    )
    signs = {
        diff_pb2.CommitPair.RELATION_EQUAL: b"=",
        diff_pb2.CommitPair.RELATION_CHANGED: b"!",
        diff_pb2.CommitPair.RELATION_DROPPED: b"<",
        diff_pb2.CommitPair.RELATION_ADDED: b">",
    }
    found = []
    for one in pairs:
        old, new = one.old_oid.encode() or b"-" * 40, one.new_oid.encode() or b"-" * 40
        numbers = [b"%d" % number if number else b"-" for number in (one.old_number, one.new_number)]
        header = b"%s:  %s %s %s:  %s %s" % (numbers[0], old, signs[one.relation], numbers[1], new, one.subject)
        found += [header.rstrip(), *(b"    " + line for line in one.patch.split(b"\n")[:-1])]
    assert found == [line.rstrip() if not line.startswith(b"    ") else line for line in stock.split(b"\n")[:-1]]
    assert any(one.patch for one in pairs)


def test_patch_ids_equal_gits(api: Api, oddities: Path) -> None:
    for commit, *parents in commits_of(oddities, "main", "latin1", "conflict-a"):
        patch = raw_git(oddities, "diff-tree", "-r", "-p", "--full-index", parents[0] if parents else EMPTY, commit)
        wanted = raw_git(oddities, "patch-id", "--stable", stdin=patch).decode().split(" ")[0]
        request = diff_pb2.GetPatchIdRequest(repository=ODDITIES, comparison=of(commit))
        assert api.call("DiffService/GetPatchId", request, diff_pb2.GetPatchIdResponse).patch_id == wanted


@pytest.mark.parametrize(
    ("fields", "kind", "facts"),
    [
        ({"comparison": pair("nowhere", "main")}, NotFound, {"revision": "nowhere"}),
        ({"comparison": of("nowhere")}, NotFound, {"revision": "nowhere"}),
        ({"comparison": of("tree-tag")}, InvalidRequest, {"revision": "tree-tag", "kind": "tag"}),
        ({"comparison": pair("main:LICENSE", "main")}, InvalidRequest, {"revision": "main:LICENSE", "kind": "blob"}),
        ({}, InvalidRequest, {}),
        ({"comparison": of("main"), "limits": diff_pb2.DiffLimits(files_max=50_001)}, InvalidRequest, None),
        ({"comparison": of("main"), "options": diff_pb2.DiffOptions(context_lines=10_001)}, InvalidRequest, None),
        ({"comparison": of("main"), "options": diff_pb2.DiffOptions(similarity_min=101)}, InvalidRequest, None),
        ({"comparison": of("main"), "options": diff_pb2.DiffOptions(paths=[b""])}, InvalidRequest, None),
        ({"comparison": of("main"), "options": diff_pb2.DiffOptions(paths=[b"../x"])}, InvalidRequest, None),
        ({"comparison": of("main"), "options": diff_pb2.DiffOptions(paths=[b"x"] * 1_001)}, InvalidRequest, None),
        ({"comparison": of("main", 2)}, InvalidRequest, None),
    ],
)
def test_what_cannot_be_compared_is_said(
    api: Api, oddities: Path, fields: dict[str, Any], kind: type[MeshError], facts: dict[str, Any] | None
) -> None:
    assert oddities
    request = diff_pb2.DiffRequest(repository=ODDITIES, **fields)
    with pytest.raises(kind) as refused:
        api.stream("DiffService/Diff", request, diff_pb2.DiffResponse)
    assert facts is None or refused.value.fields == facts


def test_commits_without_a_merge_base_have_no_three_dot_diff(api: Api, oddities: Path) -> None:
    assert oddities
    with pytest.raises(NotFound):
        diff(api, pair("main", "unrelated", from_merge_base=True))


def test_repository_of_sha256_is_compared_as_well(
    api: Api, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = "api/diffs-sha256"
    cluster.meshnode("repo", "create", name, "--object-format", "sha256")
    path = make_oddities(tmp_path_factory.mktemp("sha256") / "oddities.git", object_format="sha256")
    git("push", "--quiet", cluster.url(1, name), "main", "octopus", cwd=path)
    nothing = git("hash-object", "-t", "tree", "--stdin", cwd=path, stdin="").stdout.strip()
    for commit, *parents in commits_of(path, "main", "octopus"):
        check(api, path, name, of(commit), (parents[0] if parents else nothing, commit))
        check(api, path, name, of(commit[:40]), (parents[0] if parents else nothing, commit))


def test_whole_id_of_what_is_no_commit_is_looked_at_like_any_other(api: Api, oddities: Path) -> None:
    (commit, *parents), *_ = commits_of(oddities, "main")
    tree = git("rev-parse", "main^{tree}", cwd=oddities).stdout.strip()
    tag = git("for-each-ref", "--format=%(objectname) %(objecttype)", "refs/tags/", cwd=oddities).stdout.split("\n")
    tagged = next(line.split()[0] for line in tag if line.endswith(" tag"))
    peeled = git("rev-parse", f"{tagged}^{{commit}}", cwd=oddities).stdout.strip()
    for _ in range(2 * NODES):
        for known in range(2):  # then found in memory
            files = len(diff(api, of(commit), limits=diff_pb2.DiffLimits(files_max=100 + known)).parts)
            assert files == len(diff(api, pair(parents[0], commit)).parts)
        assert raws(diff(api, of(tagged))) == raws(diff(api, of(peeled)))
        for missing, kind in (("f" * 40, NotFound), ("f" * 64, NotFound), (tree, InvalidRequest)):
            with pytest.raises(kind):
                diff(api, of(missing))
        with pytest.raises(NotFound):
            diff(api, of(commit + "f" * 24))


def test_caller_who_leaves_ends_the_diff(api: Api, cluster: Cluster, name: str, tmp_path: Path) -> None:
    git("init", "--quiet", "--initial-branch=main", str(tmp_path))
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text("".join(f"{os.urandom(20).hex()}\n" for _ in range(10_000)))
    git("add", ".", cwd=tmp_path)
    git("commit", "--quiet", "-m", "large", cwd=tmp_path)
    git("push", "--quiet", cluster.url(1, name), "main", cwd=tmp_path)

    async def leave(channel: SignedChannel) -> int:
        request = diff_pb2.RawDiffRequest(repository=name, comparison=of("main")).SerializeToString()
        async with channel.stream("/mesh.v1.DiffService/RawDiff", request, timeout_ms=30_000) as stream:
            return len(await anext(stream))

    assert api.run(leave) > 0
    wait_until(
        lambda: not any("diff-tree" in line for node in cluster.numbers for line in cluster.git_processes(node)),
        deadline_s=20,
        what="no node compares trees any more",
    )
