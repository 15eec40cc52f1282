"""What the suite's own clients make and understand, held against stock git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.git_client import read_outcome
from tests.chaos.history import Change, Ending
from tests.chaos.packs import EMPTY_TREE, make_commit, make_pack, push_body, read_advertisement, read_report
from tests.chaos.workload import POOL_SIZE, ROOT, make_pool
from tests.e2e.cluster import git
from tests.e2e.raw import pkt

A, B = "refs/heads/a", "refs/heads/b"
OID = "1" * 40


def test_git_takes_packs_and_loose_objects_that_were_made_without_it(tmp_path: Path) -> None:
    git("init", "--quiet", "--bare", str(tmp_path))
    commit = make_commit(ROOT.oid, "é " * 300)
    pack = tmp_path / "one.pack"
    pack.write_bytes(make_pack([EMPTY_TREE, ROOT, commit]))
    git("index-pack", str(pack), cwd=tmp_path)
    pack.rename(tmp_path / "objects" / "pack" / "pack-1.pack")
    (tmp_path / "one.idx").rename(tmp_path / "objects" / "pack" / "pack-1.idx")
    loose = make_commit(commit.oid, "loose")
    loose.write_loose(tmp_path)
    git("update-ref", "refs/heads/main", loose.oid, cwd=tmp_path)
    git("fsck", "--strict", cwd=tmp_path)
    assert git("rev-list", "main", cwd=tmp_path).stdout.split() == [loose.oid, commit.oid, ROOT.oid]


def test_the_pool_is_a_chain_from_the_root() -> None:
    pool = make_pool()
    assert len({commit.oid for commit in pool}) == POOL_SIZE
    assert f"parent {ROOT.oid}".encode() in pool[0].body


def test_a_push_of_deletions_has_no_pack() -> None:
    body = push_body([Change(ref=A, expected=OID, value=None)], [])
    assert body.endswith(b"00000000")
    assert b"PACK" not in body


def test_a_report_tells_each_reference_or_leaves_it_open() -> None:
    changes = [Change(ref=ref, value=OID) for ref in (A, B, "refs/heads/b2")]
    report = pkt("unpack ok\n") + pkt(f"ok {A}\n") + pkt(f"ng {B} reference moved\n") + b"0000"
    endings, generation, reason = read_report(b"\x02generation 12\n" + report, changes)
    assert endings == {A: Ending.DONE, B: Ending.REFUSED}
    assert generation == 12
    assert reason == "reference moved"


def test_an_advertisement_lists_references_and_one_that_is_cut_short_is_none() -> None:
    lines = [f"{OID} HEAD\0caps\n", f"{OID} {A}\n", f"{OID} {A}^{{}}\n"]
    whole = pkt("# service=git-upload-pack\n") + b"0000" + b"".join(map(pkt, lines)) + b"0000"
    assert read_advertisement(whole) == {A: OID}
    for length in range(1, len(whole)):
        with pytest.raises(ValueError, match=r"."):
            read_advertisement(whole[:length])


@pytest.mark.parametrize(
    ("code", "out", "err", "expected"),
    [
        (0, f"To x\n*\t{OID}:{A}\t[new branch]\n \t{OID}:{B}\t1..2\nDone\n", "", {A: Ending.DONE, B: Ending.DONE}),
        (0, f"To x\n-\t:{A}\t[deleted]\nDone\n", "", {A: Ending.DONE}),
        (1, f"To x\n!\t{OID}:{A}\t[rejected] (stale info)\nDone\n", "error: failed", {A: Ending.REFUSED}),
        (1, f"To x\n!\t{OID}:{A}\t[remote rejected] (moved)\n", "error: failed", {A: Ending.REFUSED}),
        (1, f"To x\n!\t{OID}:{A}\t[remote failure] (remote failed to report status)\n", "", {}),
        (128, "", "fatal: unable to access 'http://x/': Failed to connect", {A: Ending.REFUSED, B: Ending.REFUSED}),
        (1, "", "error: RPC failed; HTTP 503 curl 22", {A: Ending.REFUSED, B: Ending.REFUSED}),
        (1, "", "error: RPC failed; HTTP 504 curl 22", {}),
        (1, "", "fatal: the remote end hung up unexpectedly", {}),
        (-9, "", "took too long", {}),
    ],
)
def test_what_git_says_of_a_push_is_understood(code: int, out: str, err: str, expected: dict[str, Ending]) -> None:
    endings, _ = read_outcome(code, out, err, [A, B])
    assert endings == expected
