"""Makes import sources of archives of bare repositories. Implements `ports.Unpacker`.

    upload -> a file -> objects and references of it, by name -> a bare repository of our own making -> pack

The archive is a stranger's: of its files only those are taken whose names git gives to objects and references, as
plain files, within bounds. No configuration, hook, alternate or link of it ever comes near git, so nothing in it is
obeyed; its objects are checked like those of a push.

Source: gitrepository-layout(5), tarfile.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.base.ids import HEAD, ObjectId, PartitionId, RefName, RefValue, RepositoryId, symbolic_target
from meshnode.config import PushSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.disk import disk_errors, on_disk, remove_tree
from meshnode.git.failure import failure_of
from meshnode.git.ingest import PACK_DEADLINE_MS
from meshnode.git.layout import write_skeleton
from meshnode.git.queries import CHUNK_BYTES, PLAIN
from meshnode.git.refs import read_refs
from meshnode.git.replicas import Replicas
from meshnode.ports import ImportSource

FILES_MAX: Final = 1_000_000
"""Loose objects and references are files of their own; a repository with more has to be packed first."""
UNPACKED_FACTOR: Final = 4
"""What an archive may grow to, against the largest pack: compressed objects hardly shrink further."""
WORKSHOPS_MAX: Final = 8
_NOBODY: Final = ReplicaKey(PartitionId(0), RepositoryId("0" * 32))
_WANTED: Final = re.compile(
    r"(?:HEAD|packed-refs|config|refs/.+|objects/[0-9a-f]{2}/[0-9a-f]{38}(?:[0-9a-f]{24})?"
    r"|objects/pack/pack-[0-9a-f]{40}(?:[0-9a-f]{24})?\.(?:pack|idx))\Z"
)
_SMALL_BYTES_MAX: Final = 1 << 20
"""Of HEAD, config and a reference."""
_SHA256: Final = re.compile(rb"^\s*objectformat\s*=\s*sha256\s*$", re.IGNORECASE | re.MULTILINE)


class GitUnpacker:
    """Unpacks into places that a starting node throws away."""

    def __init__(self, replicas: Replicas, push: PushSettings) -> None:
        self._replicas = replicas
        self._push = push

    @asynccontextmanager
    async def unpack(self, archive: AsyncIterator[bytes]) -> AsyncIterator[ImportSource]:
        """Unpack an archive; removed at the end."""
        path = self._replicas.new_workshop(_NOBODY, WORKSHOPS_MAX)
        try:
            await on_disk(path.mkdir, parents=True)
            await self._save(archive, path / "archive")
            repository = path / "repository.git"
            object_format = await on_disk(
                _extract, path / "archive", repository, UNPACKED_FACTOR * self._push.pack_bytes_max
            )
            disk = await on_disk(read_refs, repository, object_format)
            head = disk.refs.get(HEAD, RefValue(""))
            references = {
                name: ObjectId(value)
                for name, value in disk.refs.items()
                if name != HEAD and symbolic_target(value) is None
            }
            yield ImportSource(
                object_format=object_format,
                references=references,
                default_branch=_branch(symbolic_target(head)),
                pack=self._pack(repository, references) if references else None,
            )
        finally:
            try:
                await on_disk(remove_tree, path)
            finally:
                self._replicas.end_workshop(path)

    async def _save(self, archive: AsyncIterator[bytes], path: Path) -> None:
        size = 0
        with disk_errors():
            file = await on_disk(path.open, "xb")
        try:
            async for piece in archive:
                size += len(piece)
                if size > self._push.pack_bytes_max:
                    raise Overloaded("the archive is too large", bytes_max=self._push.pack_bytes_max)
                await on_disk(file.write, piece)
        finally:
            await on_disk(file.close)

    async def _pack(self, repository: Path, references: dict[RefName, ObjectId]) -> AsyncGenerator[bytes, None]:
        """Everything that the references reach."""
        process = await self._replicas.commands.open(
            ["pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"],
            git_dir=repository,
            environment=PLAIN,
            deadline_ms=PACK_DEADLINE_MS,
        )
        async with process:
            process.feed("".join(f"{oid}\n" for oid in sorted(set(references.values()))).encode())
            while chunk := await process.read_bulk(CHUNK_BYTES):
                yield chunk
            returncode = await process.wait()
            if returncode != 0:
                failed = failure_of("read the archive's objects", returncode, process.stderr_tail, repository)
                raise InvalidRequest("the archive's objects cannot be read", detail=failed.fields.get("complaint"))


def _branch(target: RefName | None) -> RefName | None:
    return target if target is not None and target.startswith("refs/heads/") else None


def _extract(archive: Path, repository: Path, bytes_max: int) -> str:
    """Make a repository of what is wanted of an archive; its object format."""
    files: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for number, member in enumerate(tar):
                if number >= FILES_MAX:
                    raise InvalidRequest("the archive holds too many files; pack the repository", files_max=FILES_MAX)
                if member.isfile():
                    files[member.name.removeprefix("./")] = member
            root = _root(files)
            wanted = {
                name.removeprefix(root): member
                for name, member in files.items()
                if name.startswith(root) and _WANTED.match(name.removeprefix(root)) and ".." not in name
            }
            if sum(member.size for member in wanted.values()) > bytes_max:
                raise Overloaded("the archive unpacks to too much", bytes_max=bytes_max)
            config = _content(tar, wanted.pop("config", None))
            object_format = "sha256" if _SHA256.search(config) else "sha1"
            write_skeleton(repository, object_format)
            for name, member in wanted.items():
                source = tar.extractfile(member)
                if source is not None:
                    _copy(source, repository / name)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidRequest("not a tar archive, or it is damaged", cause=str(error)[:200]) from error
    return object_format


def _root(files: dict[str, tarfile.TarInfo]) -> str:
    """Where in the archive the repository lies: beside the shortest HEAD that has objects. Raises InvalidRequest."""
    for name in sorted((name for name in files if name.rpartition("/")[2] == "HEAD"), key=len):
        root = name.removesuffix("HEAD")
        if any(other.startswith((f"{root}objects/", f"{root}refs/", f"{root}packed-refs")) for other in files):
            return root
    raise InvalidRequest("the archive holds no bare repository: no HEAD beside objects or refs")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    if member is None or member.size > _SMALL_BYTES_MAX:
        return b""
    file = tar.extractfile(member)
    return b"" if file is None else file.read(_SMALL_BYTES_MAX)


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while data := source.read(1 << 20):
            file.write(data)
