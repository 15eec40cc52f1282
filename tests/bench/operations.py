"""Operations over a signed RPC, against stock git in a clone; and reads of many things at once.

A commit, merge or rebase of ours is on three nodes and fsynced when it is answered. Stock git's is in a bare repository on
the same disk, by the commands a person would use: the change itself, then a push.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from meshnode.v1 import diff_pb2, operation_pb2, tree_pb2
from tests.bench.asked import IN_A_ROW, call, seconds_of, stream
from tests.bench.clients import seconds_of_git
from tests.bench.floor import measure_floor
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api
from tests.e2e.cluster import git
from tests.e2e.history import DEMO, make_repository

_NAME = "bench/operations"
_AIM = "at most 1.0x"
_ROUNDS = 12
_SIDES = 6 * (_ROUNDS + 2)
_ADA = operation_pb2.Person(name="Ada", email="ada@example.org", seconds=1_600_000_000)
_ITEMS = 100
_EDITED = "edited"
_AROUND = "around"
_LINES_MIN = 20
"""Of a file that several branches change."""


def measure(bench: Bench) -> None:
    """Writes, merge previews, and answers about a hundred things."""
    source = make_repository(bench.work / "operations.git", DEMO)
    clone = bench.work / "operations"
    git("clone", "--quiet", str(source), str(clone))
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org"), ("advice.diverging", "false")):
        git("config", name, value, cwd=clone)
    sides = _make_sides(clone)
    git("push", "--quiet", "origin", "--all", cwd=clone)
    git("push", "--quiet", "--mirror", bench.cluster.url(1, _NAME), cwd=source)
    bench.cluster.wait_consistent(_NAME)
    with Api(bench.cluster) as api:
        measure_floor(bench, api, "operations", _NAME)
        _reads(bench, api, source)
        _writes(bench, api, clone, iter(sides))


def _make_sides(clone: Path) -> list[str]:
    """Branches of one commit each, beside main: a new file, and the middle line of one that main has not changed since.

    The branch `edited` changes that file's first line, `around` its first and its last.
    """
    git("switch", "--quiet", "--detach", "main~5", cwd=clone)
    path = _unchanged_file(clone)
    lines = path.read_text().splitlines()
    names = [f"side-{number}" for number in range(_SIDES)]
    middle = len(lines) // 2
    texts = {_EDITED: [_EDITED, *lines[1:], ""], _AROUND: [_AROUND, *lines[1:-1], _AROUND, ""]}
    for name in (*texts, *names):
        git("switch", "--quiet", "-c", name, "main~5", cwd=clone)
        path.write_text("\n".join(texts.get(name, [*lines[:middle], name, *lines[middle + 1 :], ""])))
        if name not in texts:
            (clone / name).write_text(f"{name}\n")
        git("add", ".", cwd=clone)
        git("commit", "--quiet", "-m", name, cwd=clone)
    git("switch", "--quiet", "main", cwd=clone)
    return names


def _unchanged_file(clone: Path) -> Path:
    """A text of some lines that the last five commits of main left alone."""
    changed = set(git("diff", "--name-only", "-z", "HEAD", "main", cwd=clone).stdout.split("\0"))
    for name in git("grep", "--cached", "-I", "--name-only", "-z", "-e", "", cwd=clone).stdout.split("\0"):
        path = clone / name
        if name and name not in changed and not path.is_symlink() and path.read_bytes().count(b"\n") > _LINES_MIN:
            return path
    raise RuntimeError("the history has no such file")


def _writes(bench: Bench, api: Api, clone: Path, sides: Iterator[str]) -> None:
    numbers = itertools.count()

    def operate(method: str, request: operation_pb2.MergeRequest | operation_pb2.RebaseRequest) -> None:
        answer = api.call(f"OperationService/{method}", request, operation_pb2.OperationResponse)
        if answer.outcome != operation_pb2.OperationResponse.OUTCOME_WRITTEN:
            raise RuntimeError(f"{method} wrote nothing: {answer}")

    def commit() -> None:
        header = operation_pb2.CommitFilesHeader(
            repository=_NAME, branch="refs/heads/main", author=_ADA, message="A file"
        )
        path = f"bench-{next(numbers)}".encode()
        action = operation_pb2.FileAction(kind=operation_pb2.FileAction.KIND_CREATE, path=path, content=b"content\n")
        sent = [operation_pb2.CommitFilesRequest(header=header), operation_pb2.CommitFilesRequest(action=action)]
        api.stream("OperationService/CommitFiles", sent, operation_pb2.OperationResponse)

    def commit_locally() -> float:
        name = f"local-{next(numbers)}"
        (clone / name).write_text("content\n")
        commands = (["add", name], ["commit", "--quiet", "-m", "A file"], ["push", "--quiet", "origin", "main"])
        return sum(seconds_of_git(*command, cwd=clone) for command in commands)

    def merge() -> None:
        branch = f"refs/heads/{next(sides)}"
        request = operation_pb2.MergeRequest(
            repository=_NAME, branch=branch, revision="main", author=_ADA, message="Merge"
        )
        operate("Merge", request)

    def merge_locally() -> float:
        side = next(sides)
        git("switch", "--quiet", side, cwd=clone)
        merged = seconds_of_git("merge", "--quiet", "--no-edit", "main", cwd=clone)
        return merged + seconds_of_git("push", "--quiet", "origin", side, cwd=clone)

    def rebase() -> None:
        branch = f"refs/heads/{next(sides)}"
        operate("Rebase", operation_pb2.RebaseRequest(repository=_NAME, branch=branch, onto="main", committer=_ADA))

    def rebase_locally() -> float:
        side = next(sides)
        git("switch", "--quiet", side, cwd=clone)
        rebased = seconds_of_git("rebase", "--quiet", "main", cwd=clone)
        return rebased + seconds_of_git("push", "--quiet", "--force", "origin", side, cwd=clone)

    for what, ours, theirs in (
        ("commit a file, and push", commit, commit_locally),
        ("merge a branch, and push", merge, merge_locally),
        ("rebase a branch, and push", rebase, rebase_locally),
    ):
        ways = {"RPC, three nodes": lambda _, ours=ours: seconds_of(ours), "git": lambda _, theirs=theirs: theirs()}
        mine, stock = interleave(ways, rounds=bench.rounds(_ROUNDS))
        bench.table.add(Row(what, mine, stock, _AIM))
    git("switch", "--quiet", "main", cwd=clone)


def _reads(bench: Bench, api: Api, source: Path) -> None:
    commits = git("rev-list", "--no-merges", "--max-count=600", "main", cwd=source).stdout.split()
    turn = itertools.cycle(commits[: len(commits) - _ITEMS])

    def row(what: str, ours: Callable[[str], float], theirs: Callable[[str], float]) -> None:
        ways = {"RPC, signed": lambda _: ours(next(turn)), "git": lambda _: theirs(next(turn))}
        mine, stock = interleave(ways, rounds=bench.rounds(4), in_a_row=IN_A_ROW)
        bench.table.add(Row(what, mine, stock, _AIM))

    def files_of(commit: str) -> list[str]:
        return git("ls-tree", "-r", "-z", "--name-only", commit, cwd=source).stdout.split("\0")[:_ITEMS]

    files = files_of(commits[0])

    def blobs(commit: str) -> float:
        selectors = [tree_pb2.BlobSelector(revision=commit, path=path.encode()) for path in files]
        request = tree_pb2.GetBlobsRequest(repository=_NAME, blobs=selectors)
        return stream(api, "/mesh.v1.TreeService/GetBlobs", request, tree_pb2.GetBlobsResponse)[0]

    def blobs_locally(commit: str) -> float:
        names = "".join(f"{commit}:{path}\n" for path in files if "\n" not in path)
        return seconds_of(lambda: _asked(source, names, "cat-file", "--batch", "--buffer"))

    def attributes(commit: str) -> float:
        paths = [path.encode() for path in files]
        request = tree_pb2.GetAttributesRequest(repository=_NAME, revision=commit, paths=paths)
        return call(api, "/mesh.v1.TreeService/GetAttributes", request, tree_pb2.GetAttributesResponse)[0]

    def attributes_locally(commit: str) -> float:
        index = (f"--git-dir={source}", f"--work-tree={bench.work}")
        listing = "".join(f"{path}\0" for path in files)
        read = seconds_of_git(*index, "read-tree", commit)
        ask = ("check-attr", "--cached", "--all", "-z", "--stdin")
        return read + seconds_of(lambda: _asked(source, listing, *index, *ask))

    def changed(commit: str) -> float:
        start = commits.index(commit)
        asked = [
            diff_pb2.Comparison(commit=diff_pb2.CommitChange(revision=one)) for one in commits[start : start + _ITEMS]
        ]
        request = diff_pb2.FindChangedPathsRequest(repository=_NAME, comparisons=asked)
        return stream(api, "/mesh.v1.DiffService/FindChangedPaths", request, diff_pb2.FindChangedPathsResponse)[0]

    def changed_locally(commit: str) -> float:
        start = commits.index(commit)
        listing = "\n".join(commits[start : start + _ITEMS]) + "\n"
        return seconds_of(lambda: _asked(source, listing, "diff-tree", "-r", "--raw", "--stdin", "-z"))

    def series(commit: str) -> diff_pb2.RangeDiffRequest:
        old = diff_pb2.CommitRange(base=f"{commit}~6", tip=f"{commit}~1")
        return diff_pb2.RangeDiffRequest(
            repository=_NAME, old=old, new=diff_pb2.CommitRange(base=f"{commit}~5", tip=commit)
        )

    def preview(target: str, side: int) -> float:
        request = operation_pb2.PreviewMergeRequest(repository=_NAME, target_revision=target, revision=f"side-{side}")
        method = "/mesh.v1.OperationService/PreviewMerge"
        seconds, answer = call(api, method, request, operation_pb2.PreviewMergeResponse)
        if not answer.mergeable:
            raise RuntimeError(f"{target} and side-{side} do not merge: {answer}")
        return seconds

    def preview_locally(target: str, side: int) -> float:
        return seconds_of_git("merge-tree", "--write-tree", target, f"side-{side}", cwd=source)

    def preview_row(what: str, target: str) -> None:
        mine, stock = itertools.cycle(range(_SIDES)), itertools.cycle(range(_SIDES))
        row(what, lambda _: preview(target, next(mine)), lambda _: preview_locally(target, next(stock)))

    preview_row("preview a merge", "main")
    preview_row("preview a merge of a file that both changed", _EDITED)
    preview_row("preview a merge that needs git", _AROUND)
    row("100 blobs by path", blobs, blobs_locally)
    row("attributes of 100 paths", attributes, attributes_locally)
    row("changed paths of 100 commits", changed, changed_locally)
    row(
        "range-diff of five commits",
        lambda commit: stream(api, "/mesh.v1.DiffService/RangeDiff", series(commit), diff_pb2.RangeDiffResponse)[0],
        lambda commit: seconds_of_git("range-diff", f"{commit}~6..{commit}~1", f"{commit}~5..{commit}", cwd=source),
    )


def _asked(path: Path, stdin: str, *arguments: str) -> bytes:
    """What git answers to lines on its standard input."""
    return subprocess.run(["git", *arguments], cwd=path, input=stdin.encode(), capture_output=True, check=True).stdout
