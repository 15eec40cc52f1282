"""Questions about commits over a signed RPC, against the git process that each replaces, run on the same replica.

"fresh" asks about another commit each time, so that nothing is answered from memory; "again" repeats one question, as
the visitors of a page do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshnode.v1 import commit_pb2
from tests.bench.asked import IN_A_ROW, call, stream
from tests.bench.clients import seconds_of_git
from tests.bench.floor import measure_floor
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api
from tests.e2e.cluster import git
from tests.e2e.history import Shape, make_repository

_NAME = "bench/commits"
_SHAPE = Shape(commits=10_000, branches=100, tags=20, files=300)
_AIM = "at most 1.0x"
_SERVICE = "/mesh.v1.CommitService"


def measure(bench: Bench) -> None:
    """Commits, pages of them, last commits of entries, blame, distances of branches."""
    source = make_repository(bench.work / "commits.git", _SHAPE)
    git("push", "--quiet", "--mirror", bench.cluster.url(1, _NAME), cwd=source)
    bench.cluster.wait_consistent(_NAME)
    path = bench.cluster.replica_path(1, _NAME)
    branches = git("for-each-ref", "--format=%(refname)", "refs/heads/", cwd=path).stdout.split()
    files = git("ls-tree", "-r", "-z", "--name-only", "main", cwd=path).stdout.split("\0")
    with Api(bench.cluster) as api:
        measure_floor(bench, api, "commits", _NAME)
        asked = _Asked(api)
        asked.page("main")
        compare = _Compare(bench, path)
        compare.row("get a commit", 6, lambda n: asked.get(f"main~{n}"), lambda n: [["show", "-s", f"main~{n}"]])
        compare.row("list 100 commits, fresh", 6, lambda n: asked.page(f"main~{n}"), _log)
        compare.row("list 100 commits, again", 6, lambda _: asked.page("main"), lambda _: _log(0))
        compare.row("last commit of every entry, fresh", 3, lambda n: asked.last(f"main~{n}"), lambda n: _last(path, n))
        compare.row("last commit of every entry, again", 3, lambda _: asked.last("main"), lambda _: _last(path, 0))
        compare.row(
            "blame a file",
            3,
            lambda n: asked.blame(f"main~{n}", files[0]),
            lambda n: [["blame", "--porcelain", f"main~{n}", "--", files[0]]],
        )
        compare.row(
            "100 branches ahead and behind, fresh",
            5,
            lambda n: asked.divergence(f"main~{n}", branches),
            lambda n: [["rev-list", "--left-right", "--count", f"{branch}...main~{n}"] for branch in branches],
            in_a_row=1,
        )


def _log(number: int) -> list[list[str]]:
    return [["log", "-100", "--format=raw", f"main~{number}"]]


def _last(path: Path, number: int) -> list[list[str]]:
    entries = git("ls-tree", "-z", "--name-only", f"main~{number}", cwd=path).stdout.split("\0")[:-1]
    return [["log", "-1", "--format=raw", f"main~{number}", "--", entry] for entry in entries]


class _Compare:
    """Adds rows: an RPC against git commands one after the other."""

    def __init__(self, bench: Bench, path: Path) -> None:
        self._bench = bench
        self._path = path

    def row(
        self,
        what: str,
        rounds: int,
        ask: Callable[[int], float],
        commands: Callable[[int], list[list[str]]],
        *,
        in_a_row: int = IN_A_ROW,
    ) -> None:
        def local(number: int) -> float:
            return sum(seconds_of_git(*command, cwd=self._path) for command in commands(number))

        ways = {"RPC, signed": ask, "git": local}
        mine, theirs = interleave(ways, rounds=self._bench.rounds(rounds), in_a_row=in_a_row)
        self._bench.table.add(Row(what, mine, theirs, _AIM))


class _Asked:
    """The questions; each gives the seconds that its answer took."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, revision: str) -> float:
        request = commit_pb2.GetCommitRequest(repository=_NAME, revision=revision)
        return call(self._api, f"{_SERVICE}/GetCommit", request, commit_pb2.GetCommitResponse)[0]

    def page(self, revision: str) -> float:
        selection = commit_pb2.CommitSelection(revisions=[revision])
        request = commit_pb2.ListCommitsRequest(repository=_NAME, selection=selection, page_size=100)
        seconds, answer = call(self._api, f"{_SERVICE}/ListCommits", request, commit_pb2.ListCommitsResponse)
        if len(answer.commits) != 100:
            raise RuntimeError("not a page of 100 commits")
        return seconds

    def last(self, revision: str) -> float:
        request = commit_pb2.ListLastCommitsRequest(repository=_NAME, revision=revision, page_size=1_000)
        seconds, answer = call(self._api, f"{_SERVICE}/ListLastCommits", request, commit_pb2.ListLastCommitsResponse)
        if answer.truncated or not all(entry.commit_oid for entry in answer.entries):
            raise RuntimeError("entries without their commits")
        return seconds

    def blame(self, revision: str, path: str) -> float:
        request = commit_pb2.BlameRequest(repository=_NAME, revision=revision, path=path.encode())
        seconds, answers = stream(self._api, f"{_SERVICE}/Blame", request, commit_pb2.BlameResponse)
        if not answers:
            raise RuntimeError("nobody to blame")
        return seconds

    def divergence(self, base: str, branches: list[str]) -> float:
        request = commit_pb2.CountDivergenceRequest(repository=_NAME, base=base, revisions=branches)
        return call(self._api, f"{_SERVICE}/CountDivergence", request, commit_pb2.CountDivergenceResponse)[0]
