"""Directories and blobs over a signed RPC, against the git process that would answer locally on the same replica.

Every measurement asks about another commit, so that no answer comes from memory; the row that says so asks again.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from meshnode.v1 import tree_pb2
from tests.bench.asked import IN_A_ROW, call, stream
from tests.bench.clients import seconds_of_git
from tests.bench.floor import measure_floor
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api
from tests.e2e.api.oddities import make_oddities
from tests.e2e.cluster import git
from tests.e2e.history import DEMO, make_repository

_NAME = "bench/trees"
_HUGE = "bench/huge-tree"
_AIM = "at most 1.0x"
_PAGE = 8_000
_SERVICE = "/mesh.v1.TreeService"


def measure(bench: Bench) -> None:
    """Listings, paths, blobs."""
    source = make_repository(bench.work / "trees.git", DEMO)
    git("push", "--quiet", "--mirror", bench.cluster.url(1, _NAME), cwd=source)
    huge = make_oddities(bench.work / "huge-tree.git")
    git("push", "--quiet", bench.cluster.url(1, _HUGE), "huge:main", cwd=huge)
    for name in (_NAME, _HUGE):
        bench.cluster.wait_consistent(name)
    commits = git("rev-list", "--max-count=600", "main", cwd=source).stdout.split()
    files = git("ls-tree", "-r", "--name-only", commits[-1], cwd=source).stdout.splitlines()
    gone = git("log", "-m", "--diff-filter=D", "--no-renames", "--name-only", "--format=", "main", cwd=source).stdout
    lasting = sorted(set(files) - set(gone.splitlines()))
    with Api(bench.cluster) as api:
        measure_floor(bench, api, "trees", _NAME)
        _rows(bench, api, commits, next(file for file in lasting if file.isascii() and '"' not in file))


def _rows(bench: Bench, api: Api, commits: list[str], file: str) -> None:
    replica = bench.cluster.replica_path(1, _NAME)
    turn = iter(commits)

    def row(what: str, ours: Callable[[str], float], *theirs: str) -> None:
        def local(_: int) -> float:
            commit = next(turn)
            return seconds_of_git(*(part.format(commit) for part in theirs), cwd=replica)

        both = {"RPC, signed": lambda _: ours(next(turn)), "git": local}
        mine, stock = interleave(both, rounds=bench.rounds(6), in_a_row=IN_A_ROW)
        bench.table.add(Row(what, mine, stock, _AIM))

    def unary(method: str, request: Message, answer: type[Message]) -> float:
        return call(api, f"{_SERVICE}/{method}", request, answer)[0]

    def listing(*, recursive: bool) -> Callable[[str], float]:
        return lambda commit: unary(
            "ListEntries",
            tree_pb2.ListEntriesRequest(
                repository=_NAME, revision=commit, recursive=recursive, sizes=True, page_size=8_000
            ),
            tree_pb2.ListEntriesResponse,
        )

    row("list a directory with sizes", listing(recursive=False), "ls-tree", "-l", "{}")
    row("list a whole tree with sizes", listing(recursive=True), "ls-tree", "-r", "-t", "-l", "{}")
    row(
        "find a path",
        lambda commit: unary(
            "Stat",
            tree_pb2.StatRequest(repository=_NAME, revision=commit, paths=[file.encode()]),
            tree_pb2.StatResponse,
        ),
        *("ls-tree", "-l", "{}", "--", file),
    )

    def blob(commit: str) -> float:
        request = tree_pb2.GetBlobRequest(repository=_NAME, revision=commit, path=file.encode())
        return stream(api, f"{_SERVICE}/GetBlob", request, tree_pb2.GetBlobResponse)[0]

    row("get a blob", blob, "cat-file", "-p", "{}:" + file)
    _huge(bench, api)


def _huge(bench: Bench, api: Api) -> None:
    request = tree_pb2.ListEntriesRequest(repository=_HUGE, path=b"many")
    token = ""

    def page(number: int) -> float:
        nonlocal token
        request.page_token = token
        request.page_size = _PAGE - number  # so that no page is one that was asked for before
        seconds, answer = call(api, f"{_SERVICE}/ListEntries", request, tree_pb2.ListEntriesResponse)
        token = answer.next_page_token
        return seconds

    replica = bench.cluster.replica_path(1, _HUGE)
    ours, local = interleave(
        {"RPC, signed": page, "git ls-tree": lambda _: seconds_of_git("ls-tree", "main:many", cwd=replica)},
        rounds=bench.rounds(3),
        in_a_row=7,
    )
    bench.table.add(Row("a page of 8,000 out of 50,000 entries", ours, local, _AIM))
