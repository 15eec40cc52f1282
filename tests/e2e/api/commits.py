"""What stock git says of commits, in the words of the API."""

from __future__ import annotations

import subprocess
from pathlib import Path

from meshnode.v1 import commit_pb2
from tests.e2e.cluster import git

_FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"


def output(path: Path, *arguments: str | bytes) -> bytes:
    """What git prints, as bytes."""
    return subprocess.run(["git", *arguments], cwd=path, check=True, stdout=subprocess.PIPE, timeout=60).stdout


def oid_of(path: Path, revision: str) -> str:
    """The id of a commit."""
    return git("rev-parse", "--verify", f"{revision}^{{commit}}", cwd=path).stdout.strip()


def rev_list(path: Path, *arguments: str | bytes) -> list[str]:
    """Ids that `git rev-list` prints."""
    return output(path, "rev-list", *arguments).decode().split()


def check_as_git_shows(path: Path, commit: commit_pb2.Commit) -> None:
    """Compare a commit with what `git log` shows of it; text in UTF-8."""
    shown = output(path, "log", "-1", "--no-walk", f"--format={_FIELDS}", commit.oid).decode()
    oid, tree, parents, an, ae, at, cn, ce, ct, body = shown.split("\0")
    encoding = commit.encoding or "utf-8"
    assert (commit.oid, commit.tree_oid, list(commit.parent_oids)) == (oid, tree, parents.split())
    assert (commit.author.name.decode(encoding), commit.author.email.decode(encoding)) == (an, ae)
    assert (commit.committer.name.decode(encoding), commit.committer.email.decode(encoding)) == (cn, ce)
    assert (str(commit.author.time_s), str(commit.committer.time_s)) == (at, ct)
    assert commit.message_size == len(commit.message)
    assert commit.message.decode(encoding).rstrip("\n") == body.rstrip("\n")
    raw = output(path, "cat-file", "commit", commit.oid)
    assert raw.endswith(b"\n\n" + commit.message)
    for role, identity in ((b"author", commit.author), (b"committer", commit.committer)):
        line = b"%s %s <%s> %d %s\n" % (
            role,
            identity.name,
            identity.email,
            identity.time_s,
            identity.timezone.encode(),
        )
        assert line in raw
