"""Operations asked of the cluster, and the same done by stock git in a clone, to compare their ids."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.message import Message

from meshnode.base.errors import MeshError
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.cluster import Cluster, git, list_refs

MAIN = "refs/heads/main"
ZERO = "0" * 40
AUTHOR = pb.Person(name="Ada Lovelace", email="ada@example.org", seconds=1_600_000_000, offset_minutes=120)
COMMITTER = pb.Person(name="Łukasz Żółty", email="lukasz@example.org", seconds=1_600_000_100, offset_minutes=-330)
_ZONES = {120: "+0200", -330: "-0530"}

Kind = pb.FileAction
WRITTEN = pb.OperationResponse.OUTCOME_WRITTEN
UP_TO_DATE = pb.OperationResponse.OUTCOME_UP_TO_DATE

File = tuple[pb.FileAction, list[bytes]]


class Clone:
    """A clone with a working tree, where stock git works as the same people at the same times."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, source: str | Path, path: Path) -> Clone:
        """Clone with every branch as a local one."""
        git("clone", "--quiet", "--mirror", str(source), str(path / ".git"))
        clone = cls(path)
        clone.run("config", "core.bare", "false")
        clone.run("config", "--unset", "remote.origin.mirror")
        clone.run("reset", "--quiet", "--hard")
        return clone

    def run(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> str:
        """Run git; what it said."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, input=stdin, env=os.environ | PEOPLE, capture_output=True, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {arguments} exited {done.returncode}: {done.stdout!r}{done.stderr!r}")
        return done.stdout.decode(errors="replace").strip()

    def oid(self, revision: str) -> str:
        """What a revision leads to."""
        return self.run("rev-parse", "--verify", revision)

    def commit_all(self, message: str) -> str:
        """Commit the working tree as it is; the new commit."""
        self.run("add", "--all", ".")
        self.run("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "-m", message)
        return self.oid("HEAD")

    def write(self, path: str, data: bytes) -> None:
        """Write a file of the working tree."""
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(data)


class Pair(NamedTuple):
    """A repository of the cluster to operate on, and a clone of what it was, for stock git to do the same."""

    cluster: Cluster
    api: Api
    name: str
    clone: Clone


def environment(prefix: str, who: pb.Person) -> dict[str, str]:
    """A person as git takes it."""
    return {
        f"GIT_{prefix}_NAME": who.name,
        f"GIT_{prefix}_EMAIL": who.email,
        f"GIT_{prefix}_DATE": f"{who.seconds} {_ZONES[who.offset_minutes]}",
    }


PEOPLE = {**environment("AUTHOR", AUTHOR), **environment("COMMITTER", COMMITTER)}


def file(kind: int, path: bytes | str, *contents: bytes, **more: Any) -> File:
    """One action with its content in as many messages; none: no content."""
    name = path.encode() if isinstance(path, str) else path
    action = pb.FileAction(kind=kind, path=name, **more)  # type: ignore[arg-type]
    if contents:
        action.content = contents[0]
    return action, list(contents[1:])


def create(path: bytes | str, *contents: bytes, **more: Any) -> File:
    return file(Kind.KIND_CREATE, path, *contents, **more)


def update(path: bytes | str, *contents: bytes, **more: Any) -> File:
    return file(Kind.KIND_UPDATE, path, *contents, **more)


def put(path: bytes | str, *contents: bytes, **more: Any) -> File:
    return file(Kind.KIND_PUT, path, *contents, **more)


def move(source: str, path: str, *contents: bytes, **more: Any) -> File:
    return file(Kind.KIND_MOVE, path, *contents, source_path=source.encode(), **more)


def delete(path: bytes | str, **more: Any) -> File:
    return file(Kind.KIND_DELETE, path, **more)


def chmod(path: str, mode: int) -> File:
    return file(Kind.KIND_CHMOD, path, mode=mode)


def messages(files: Iterable[File], **header: Any) -> Iterator[Message]:
    """A request to commit files."""
    header = {"branch": MAIN, "author": AUTHOR, "committer": COMMITTER, "message": "a change\n", **header}
    yield pb.CommitFilesRequest(header=pb.CommitFilesHeader(**header))
    for action, rest in files:
        yield pb.CommitFilesRequest(action=action)
        for content in rest:
            yield pb.CommitFilesRequest(content=content)


def commit_files(api: Api, repository: str, *files: File, node: int = 0, **header: Any) -> pb.OperationResponse:
    """Commit files on main, unless the header says otherwise."""
    (answer,) = api.stream(
        "OperationService/CommitFiles",
        messages(files, repository=repository, **header),
        pb.OperationResponse,
        node=node,
    )
    return answer


def refused(api: Api, repository: str, *files: File, **header: Any) -> MeshError:
    """The error that the same is answered with."""
    try:
        commit_files(api, repository, *files, **header)
    except MeshError as error:
        return error
    raise AssertionError("the operation was not refused")


def operate(api: Api, method: str, request: Message, *, node: int = 0) -> pb.OperationResponse:
    """A unary operation."""
    return api.call(f"OperationService/{method}", request, pb.OperationResponse, node=node)


def check_everywhere(cluster: Cluster, repository: str, ref: str, oid: str) -> None:
    """Check that every replica holds the reference and all behind it, and that git finds each one clean."""
    cluster.wait_consistent(repository)
    for node in cluster.numbers:
        path = cluster.replica_path(node, repository)
        assert list_refs(path).get(ref) == oid
        assert git("fsck", "--no-dangling", "--strict", cwd=path).stdout == ""
