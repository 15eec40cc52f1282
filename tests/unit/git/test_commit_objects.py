"""Commits and tags as bytes: people cleaned as git cleans them, the rest refused; merge-tree's answers taken apart."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import ObjectId
from meshnode.git.commit_objects import format_commit, format_person, parse_commit
from meshnode.git.merges import parse_merge
from meshnode.ports import NewCommit, Person

TREE = ObjectId("4b825dc642cb6eb9a060e54bf8d69288fbee4904")


@pytest.mark.parametrize("name", ["Ada", " Ada.,", '"Ada"', "Zażółć; ", "a 'b' c", "\tA\x01", "A."])
@pytest.mark.parametrize(("offset", "zone"), [(0, "+0000"), (-330, "-0530"), (765, "+1245"), (-30, "-0030")])
def test_people_are_written_as_git_writes_them(tmp_path: Path, name: str, offset: int, zone: str) -> None:
    given_ = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": f" {name}@example.org",
        "GIT_AUTHOR_DATE": f"1600000000 {zone}",
    }
    wanted = subprocess.run(
        ["git", "var", "GIT_AUTHOR_IDENT"], cwd=tmp_path, env=os.environ | given_, check=True, stdout=subprocess.PIPE
    ).stdout
    person = Person(name=name, email=f" {name}@example.org", seconds=1_600_000_000, offset_minutes=offset)
    assert format_person(person) + b"\n" == wanted


@pytest.mark.parametrize(
    "person",
    [
        Person(name="", email="a@b", seconds=0),
        Person(name=" .,", email="a@b", seconds=0),
        Person(name="a<b", email="a@b", seconds=0),
        Person(name="a", email="a>b", seconds=0),
        Person(name="a\nb", email="", seconds=0),
        Person(name="a\0b", email="", seconds=0),
        Person(name="\ud800", email="", seconds=0),
        Person(name="a" * 2_000, email="", seconds=0),
        Person(name="a", email="", seconds=-1),
        Person(name="a", email="", seconds=1 << 60),
        Person(name="a", email="", seconds=0, offset_minutes=1_440),
    ],
)
def test_people_git_could_not_write_are_refused(person: Person) -> None:
    with pytest.raises(InvalidRequest):
        format_person(person)


def test_a_commit_reads_back_and_a_foreign_encoding_becomes_utf8() -> None:
    who = Person(name="Ada", email="a@b", seconds=1)
    commit = NewCommit(tree=TREE, parents=[TREE, TREE], author=who, committer=b"C <c@d> 2 +0100", message=b"x\n\ny")
    data = format_commit(commit)
    facts = parse_commit(TREE, data)
    assert (facts.tree, facts.parents, facts.author) == (TREE, (TREE, TREE), b"Ada <a@b> 1 +0000")
    assert facts.message == b"x\n\ny\n"
    for encoding, wanted in (
        (b"ISO-8859-1", "Grüße\n".encode()),
        (b"no-such", b"Gr\xfc\xdfe\n"),
        (b"rot13", b"Gr\xfc\xdfe\n"),
    ):
        foreign = data.partition(b"\n\n")[0] + b"\nencoding " + encoding + b"\n\nGr\xfc\xdfe\n"
        assert parse_commit(TREE, foreign).message == wanted


@given(st.binary(max_size=300))
def test_senseless_commits_and_merges_are_damage_and_nothing_else(data: bytes) -> None:
    for parse in (lambda: parse_commit(TREE, data), lambda: parse_merge(data)):
        with contextlib.suppress(Corrupt, InvalidRequest):
            parse()


def test_a_merge_with_conflicts_is_taken_apart() -> None:
    oid = b"1" * 40
    output = b"\0".join(
        [
            TREE.encode(),
            b"100644 " + oid + b" 1\ta\tb\nc",
            b"100755 " + oid + b" 3\ta\tb\nc",
            b"",
            b"1",
            b"a\tb\nc",
            b"CONFLICT (modify/delete)",
            b"CONFLICT (modify/delete): ...\n",
            b"",
        ]
    )
    merged = parse_merge(output)
    assert merged.tree == TREE
    assert [(stage.number, stage.mode) for stage in merged.conflicts[0].stages] == [(1, "100644"), (3, "100755")]
    assert merged.conflicts[0].path == merged.notes[0].paths[0] == b"a\tb\nc"
    assert merged.notes[0].kind == "CONFLICT (modify/delete)"
    for damaged in (b"", TREE.encode(), output.replace(b" 1\ta", b" a"), output.replace(b"\0\0001\0", b"\0\0x\0")):
        with pytest.raises(Corrupt):
            parse_merge(damaged)
