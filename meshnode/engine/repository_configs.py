"""Reads and changes what is configured for repositories, with the strength of a write.

A change is a compare-and-set on the repository's entry and its name: it cannot come to a repository that is being deleted
or renamed, and as every publish names the entry's revision, no write that was checked before it is published after it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meshnode.base.errors import Fenced, RepositoryNotFound
from meshnode.base.ids import RepositoryName
from meshnode.core.keys import config_key, name_key
from meshnode.core.record import Record
from meshnode.core.repository_config import (
    NO_CONFIG,
    RepositoryConfig,
    decode_repository_config,
    encode_repository_config,
    plan_config,
    texts_of,
)
from meshnode.engine.records import Records
from meshnode.ports import Catalog, Compare, Put

log = logging.getLogger("meshnode.engine")


@dataclass(frozen=True, kw_only=True)
class RepositoryConfigs:
    """What may be asked of repositories' configurations."""

    catalog: Catalog
    records: Records

    async def read(self, name: RepositoryName) -> tuple[Record, RepositoryConfig]:
        """The active record behind a name and what is configured. Raises RepositoryNotFound, Corrupt."""
        record, config, _ = await self._read(name)
        return record, config

    async def update(
        self,
        name: RepositoryName,
        changes: Mapping[str, str],
        unset: Sequence[str],
        *,
        expected_version: int | None,
        actor: str,
    ) -> tuple[Record, RepositoryConfig]:
        """Configure a repository; with `expected_version`, only where nobody changed anything since.

        Raises:
            InvalidRequest: with every reason; nothing is changed.
            Fenced: somebody else was faster, or the repository is being renamed; read again.
            OutcomeUnknown: the change may have been stored; it can be asked for again.
        """
        record, before, compares = await self._read(name)
        if expected_version is not None and expected_version != before.version:
            raise Fenced(
                "the configuration has another version by now", expected=expected_version, version=before.version
            )
        after = plan_config(before, changes, unset)
        if after is before:
            return record, before
        key = config_key(record.repository)
        if await self.catalog.transact(compares, [Put(key, encode_repository_config(after))]) is None:
            raise Fenced("the repository or its configuration changed just now; read it again", name=name)
        old, new = texts_of(before), texts_of(after)
        log.info(
            "repository_configured",
            extra={
                "repository": record.repository,
                "version": after.version,
                "changed_by": actor,
                "changes": [f"{one}: {old[one]} -> {new[one]}" for one in new if old[one] != new[one]],
            },
        )
        return record, after

    async def _read(self, name: RepositoryName) -> tuple[Record, RepositoryConfig, list[Compare]]:
        record = await self.records.find(name)
        key = config_key(record.repository)
        named, entry = await self.records.get([name_key(name), key])
        if named is None or named.value.decode("ascii", "replace") != record.repository:
            raise RepositoryNotFound("the repository is being renamed or deleted; try again", name=name)
        config = NO_CONFIG if entry is None else decode_repository_config(entry.value)
        return (
            record,
            config,
            [Compare(named.key, named.revision), Compare(key, 0 if entry is None else entry.revision)],
        )
