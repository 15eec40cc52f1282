"""Signatures and what they sign are what git hands to the program that verifies them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.ids import ObjectId
from meshnode.git.commit_object import parse_commit
from meshnode.git.signed_object import UNSIGNED, commit_signature, tag_signature
from meshnode.ports import SignatureKind
from tests.unit.git.sample import git

PGP = b"-----BEGIN PGP SIGNATURE-----\n\niQ  \n\n -lines\n-----END PGP SIGNATURE-----\n"
OTHER = b"-----BEGIN PGP SIGNATURE-----\nother\n-----END PGP SIGNATURE-----\n"
X509 = b"-----BEGIN SIGNED MESSAGE-----\nabc\n-----END SIGNED MESSAGE-----\n"
SSH = b"-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"
PROGRAM = """#!/bin/sh
for argument; do test -f "$argument" && cp "$argument" "$OUT.signature"; done
cat > "$OUT.payload"
"""


class Stock:
    """A repository, and git with a program that keeps what it is told to verify."""

    def __init__(self, path: Path, object_format: str) -> None:
        self.path = path / "r.git"
        self.oid_chars = 64 if object_format == "sha256" else 40
        git("init", "--quiet", "--bare", f"--object-format={object_format}", str(self.path), path=path)
        self.tree = git("mktree", path=self.path).strip()
        self.program = path / "program"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        self.out = path / "out"

    def write(self, kind: str, data: bytes) -> str:
        oid = git("hash-object", "-t", kind, "-w", "--literally", "--stdin", path=self.path, stdin=data)
        return oid.decode().strip()

    def told(self, command: str, oid: str) -> tuple[bytes, bytes] | None:
        """Signature and payload that git wants verified."""
        for kind in ("signature", "payload"):
            self.out.with_suffix(f".{kind}").unlink(missing_ok=True)
        options = [f"gpg.{name}program={self.program}" for name in ("", "x509.", "openpgp.")]
        config = [part for option in options for part in ("-c", option)]
        environment = {"OUT": str(self.out), "PATH": "/usr/bin:/bin"}
        subprocess.run(["git", *config, command, oid], cwd=self.path, env=environment, check=False, capture_output=True)
        files = [self.out.with_suffix(f".{kind}") for kind in ("signature", "payload")]
        return None if not files[0].exists() else (files[0].read_bytes(), files[1].read_bytes())


@pytest.fixture(params=["sha1", "sha256"])
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    return Stock(tmp_path, request.param)


def header(name: bytes, text: bytes) -> bytes:
    return name + b" " + text.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"


@pytest.mark.parametrize(
    "extra",
    [
        header(b"gpgsig", PGP),
        header(b"gpgsig-sha256", PGP),
        header(b"gpgsig", PGP) + header(b"gpgsig-sha256", OTHER),
        header(b"gpgsig-sha256", PGP) + header(b"gpgsig", OTHER),
        b"encoding latin-1\n" + header(b"gpgsig", PGP) + b"HG:extra a\n b\n",
        header(b"mergetag", b"object x\n\n" + OTHER) + header(b"gpgsig", X509) + header(b"gpgsig-sha256", X509),
        header(b"gpgsig", PGP) + header(b"mergetag", b"object x\n" + OTHER),
        b"",
    ],
)
def test_commits_are_taken_apart_as_git_does(stock: Stock, extra: bytes) -> None:
    data = b"tree %s\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n%s\nmessage\n\ngpgsig no\n" % (stock.tree, extra)
    told = stock.told("verify-commit", stock.write("commit", data))
    found = commit_signature(data, stock.oid_chars)
    assert (None if found == UNSIGNED else (found.text, found.payload)) == told
    parsed = parse_commit(ObjectId("1" * stock.oid_chars), data, size=len(data), message_bytes_max=99)
    assert parsed.signature is found.kind


@pytest.mark.parametrize(
    "message",
    [b"m\n" + PGP, b"m\n" + X509, b"m\n" + PGP + b"after\n", b"m\n" + OTHER + b"then\n" + PGP, b"m\n", b"", PGP],
)
def test_tags_are_taken_apart_as_git_does(stock: Stock, message: bytes) -> None:
    data = b"object %s\ntype tree\ntag t\ntagger A <a> 1 +0000\n\n%s" % (stock.tree, message)
    told = stock.told("verify-tag", stock.write("tag", data))
    found = tag_signature(data)
    assert (None if found == UNSIGNED else (found.text, found.payload)) == told


def test_ssh_signatures_are_known() -> None:
    data = b"tree x\n" + header(b"gpgsig", SSH) + b"\nm\n"
    found = commit_signature(data, 40)
    assert (found.kind, found.text, found.payload) == (SignatureKind.SSH, SSH, b"tree x\n\nm\n")
    assert tag_signature(b"object x\n\nm\n" + SSH).kind is SignatureKind.SSH


@given(st.binary(max_size=300))
def test_no_object_breaks_the_reader(data: bytes) -> None:
    for candidate in (data, b"tree x\ngpgsig " + data, data + b"\n\n" + PGP):
        for found in (commit_signature(candidate, 40), tag_signature(candidate)):
            assert len(found.text) + len(found.payload) <= len(candidate)
