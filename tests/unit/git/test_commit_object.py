"""Commit objects are read as git reads them, whatever tools wrote into them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.commit_object import parse_commit, parse_identity, split_object
from meshnode.ports import Commit, Identity, SignatureKind
from tests.unit.git.sample import git

OID = ObjectId("1" * 40)
TREE = b"4b825dc642cb6eb9a060e54bf8d69288fbee4904"
IDENTITIES = [
    b"A B <a@b> 123 +0100",
    b"A B <a@b> 123 -1130",
    b"A B  <a@b> 0 +0000",
    b" <a@b> 123 +0000",
    b"<> 5 +0000",
    b"A <a <b> c> 123 +0000",
    b"A <a@b>> 123 +0000",
    b"A <a@b> x> 77 +0000",
    b"A <a@b>   123   +0000",
    b"A <a@b>123+0000",
    b"A <a@b> 123",
    b"A <a@b> 123 0000",
    b"A <a@b> 123 +",
    b"A <a@b> abc +0000",
    b"A <a@b> 123 +0000 trailing",
    b"A <a@b>",
    b"A <a@b",
    b"A a@b 123 +0000",
    b"",
    b"A \xe9 <\xff@b> 9 +0000",
]


def commit(author: bytes, *, parents: tuple[bytes, ...] = (), extra: bytes = b"", message: bytes = b"m\n") -> bytes:
    head = b"tree " + TREE + b"\n" + b"".join(b"parent " + parent + b"\n" for parent in parents)
    return head + b"author " + author + b"\ncommitter C <c@d> 9 +0000\n" + extra + b"\n" + message


def read(data: bytes, message_bytes_max: int = 1_000) -> Commit:
    return parse_commit(OID, data, size=len(data), message_bytes_max=message_bytes_max)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identities") / "r.git"
    git("init", "--quiet", "--bare", str(path), path=path.parent)
    return path


@pytest.mark.parametrize("identity", IDENTITIES)
def test_identities_are_read_as_git_reads_them(path: Path, identity: bytes) -> None:
    data = commit(identity)
    oid = git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", path=path, stdin=data).decode().strip()
    assert oid == hashlib.sha1(b"commit %d\0%s" % (len(data), data)).hexdigest()
    shown = git("-c", "i18n.logOutputEncoding=none", "log", "-1", "--format=%an%x00%ae%x00%at", oid, path=path)
    name, email, seconds = shown.removesuffix(b"\n").split(b"\0")
    found = read(data).author
    assert (found.name, found.email) == (name, email)
    assert found.time_s == int(seconds or 0)


def test_a_date_too_large_for_anyone_is_none() -> None:
    assert parse_identity(b"A <a> %d +0000" % (1 << 70)) == Identity(b"A", b"a", 0, "")


@given(st.binary(max_size=60))
def test_no_identity_breaks_the_reader(text: bytes) -> None:
    found = parse_identity(text.replace(b"\n", b""))
    assert 0 <= found.time_s < 1 << 63


@given(st.binary(max_size=300))
def test_no_object_breaks_the_reader_but_as_damage(data: bytes) -> None:
    for candidate in (data, commit(b"A <a> 1 +0000") + data, commit(b"A <a> 1 +0000").replace(b"author", data)):
        try:
            found = read(candidate)
        except Corrupt:
            continue
        assert found.tree == TREE.decode()


def test_headers_are_told_apart() -> None:
    signature = b"gpgsig -----BEGIN SSH SIGNATURE-----\n abc\n \n encoding no\n -----END SSH SIGNATURE-----\n"
    found = read(commit(b"A <a> 1 +0000", parents=(b"2" * 40, b"3" * 40), extra=b"encoding latin-1\n" + signature))
    assert found.parents == ("2" * 40, "3" * 40)
    assert (found.encoding, found.signature) == ("latin-1", SignatureKind.SSH)
    assert found.message == b"m\n"
    later = read(commit(b"A <a> 1 +0000", extra=b"parent " + b"4" * 40 + b"\nauthor B <b> 2 +0000\n"))
    assert (later.parents, later.author.name) == ((), b"A")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-----BEGIN PGP SIGNATURE-----", SignatureKind.PGP),
        (b"-----BEGIN PGP MESSAGE-----", SignatureKind.PGP),
        (b"-----BEGIN SIGNED MESSAGE-----", SignatureKind.X509),
        (b"-----BEGIN SSH SIGNATURE-----", SignatureKind.SSH),
        (b"something else", SignatureKind.OTHER),
        (b"", SignatureKind.OTHER),
    ],
)
def test_signatures_are_told_by_their_first_line(line: bytes, kind: SignatureKind) -> None:
    assert read(commit(b"A <a> 1 +0000", extra=b"gpgsig " + line + b"\n x\n")).signature is kind


def test_a_signature_of_the_other_format_is_not_this_commit_s() -> None:
    extra = b"gpgsig-sha256 -----BEGIN PGP SIGNATURE-----\n x\n"
    assert read(commit(b"A <a> 1 +0000", extra=extra)).signature is SignatureKind.NONE


@pytest.mark.parametrize("message", [b"", b"\n", b"\n\n", b"no end", b"a\n\nb\n", b"x" * 2_000])
def test_a_message_is_everything_after_the_headers(message: bytes) -> None:
    found = read(commit(b"A <a> 1 +0000", message=message), message_bytes_max=1_000)
    assert (found.message, found.message_size) == (message[:1_000], len(message))


def test_an_object_without_a_message_has_headers() -> None:
    data = b"tree " + TREE + b"\nauthor A <a> 1 +0000\n"
    assert split_object(data) == (data[:-1], len(data))
    assert read(data).author.name == b"A"
    assert read(data).message_size == 0


@pytest.mark.parametrize(
    "data", [b"", b"\n\nx", b"tree x\n\n", b"tree " + TREE + b"\nparent x\n\n", b"tree " + b"x" * 40, b"parent " + TREE]
)
def test_an_object_that_is_no_commit_is_damage(data: bytes) -> None:
    with pytest.raises(Corrupt):
        read(data)
