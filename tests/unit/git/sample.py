"""Small repositories made by git itself, and what git says of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from meshnode.base.ids import HEAD, Generation, ObjectId, RefName, RefValue, symbolic
from meshnode.ports import RefsSnapshot


def git(*args: str | bytes, path: Path, stdin: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
    """Run git in `path` and return what it printed; a failure fails the test."""
    return subprocess.run(
        ["git", *args],
        cwd=path,
        input=stdin,
        capture_output=True,
        check=True,
        env=os.environ | (environment or {}),
    ).stdout


def commit(path: Path, branch: str, text: str, parent: str = "") -> str:
    """Add a commit of one file to a bare repository; its id."""
    blob = git("hash-object", "-w", "--stdin", path=path, stdin=text.encode()).decode().strip()
    tree = git("mktree", path=path, stdin=f"100644 blob {blob}\tfile\n".encode()).decode().strip()
    parents = ["-p", parent] if parent else []
    oid = git("commit-tree", tree, "-m", text, *parents, path=path).decode().strip()
    git("update-ref", f"refs/heads/{branch}", oid, path=path)
    return oid


def build_repository(path: Path, *, object_format: str = "sha1", commit_count: int = 5) -> Path:
    """A bare repository with branches, annotated and light tags, a tag of a tag, and odd reference names."""
    path.mkdir(parents=True)
    git("init", "-q", "--bare", f"--object-format={object_format}", "-b", "main", ".", path=path)
    parent = ""
    for number in range(commit_count):
        parent = commit(path, "main", f"commit {number}\n", parent)
    commit(path, "topic/one", "topic\n", parent)
    commit(path, "topic/ünïcode", "umlauts\n", parent)
    git("tag", "light", "main", path=path)
    git("tag", "-a", "-m", "first", "v1.0", "main~2", path=path)
    git("tag", "-a", "-m", "second", "v2.0", "main", path=path)
    git("tag", "-a", "-m", "tag of a tag", "nested", "v1.0", path=path)
    git("update-ref", "refs/changes/01/1/1", "main~1", path=path)
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/main", path=path)
    git("symbolic-ref", "refs/remotes/origin/dangling", "refs/heads/nowhere", path=path)
    return path


def read_snapshot(path: Path) -> RefsSnapshot:
    """The snapshot of a repository, read by git."""
    refs: dict[RefName, RefValue] = {}
    peeled: dict[RefName, ObjectId] = {}
    listing = git(
        "for-each-ref", "--format=%(objectname) %(objecttype) %(refname) %(symref)", path=path, environment={}
    ).decode()
    for line in listing.splitlines():
        oid, kind, name, target = (line + " ").split(" ")[:4]
        refs[RefName(name)] = symbolic(RefName(target)) if target else RefValue(oid)
        if kind == "tag":
            peeled[RefName(name)] = ObjectId(git("rev-parse", f"{name}^{{}}", path=path).decode().strip())
    for file in (path / "refs").rglob("*"):  # for-each-ref leaves dangling symbolic references out
        if file.is_file() and file.read_text().startswith("ref: "):
            name = RefName(str(file.relative_to(path)))
            refs[name] = symbolic(RefName(file.read_text()[5:].strip()))
    head = (path / "HEAD").read_text().strip()
    refs[HEAD] = symbolic(RefName(head[5:])) if head.startswith("ref: ") else RefValue(head)
    return RefsSnapshot(
        generation=Generation(1),
        refs=refs,
        peeled=peeled,
        object_format=git("rev-parse", "--show-object-format", path=path).decode().strip(),
        names=sorted(name for name in refs if name != HEAD),
    )
