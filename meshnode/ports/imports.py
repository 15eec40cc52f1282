"""Repositories that come from outside as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId, RefName, RepositoryName
from meshnode.ports.services import WriteResult


@dataclass(frozen=True, kw_only=True)
class ImportSource:
    """What a new repository is made of."""

    object_format: str
    references: Mapping[RefName, ObjectId]
    """Below `refs/`."""
    default_branch: RefName | None
    """What HEAD points to, where the source says so."""
    pack: AsyncIterator[bytes] | None
    """All objects, to be read once; None where there are none."""


class Unpacker(Protocol):
    """Makes import sources of archives of bare repositories."""

    def unpack(self, archive: AsyncIterator[bytes]) -> AbstractAsyncContextManager[ImportSource]:
        """Unpack a tar archive (plain, gzip, bzip2 or xz) of a bare repository; removed at the end.

        Only objects and references are taken: no configuration, no hooks, no alternates.

        Raises:
            InvalidRequest: not such an archive. Overloaded: too large, or the disk is full.
        """
        ...


class Imports(Protocol):
    """Creates repositories with content, with this node as coordinator: one round, or nothing."""

    async def create_from(
        self,
        name: RepositoryName,
        source: ImportSource,
        *,
        default_branch: RefName | None,
        request_key: str,
        actor: str,
    ) -> WriteResult:
        """Create a repository with everything that `source` has. `default_branch` wins over the source's.

        Raises:
            RepositoryExists, InvalidRequest (objects missing or refused, names that clash), Overloaded, and as
            `Writes.create`.
        """
        ...
