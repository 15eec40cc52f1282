"""Shows and changes the settings that hold for the whole cluster. `config/live.py` is what nodes make of them.

    change --checked as a file is--> compare-and-set of the catalog's entry --watch, refresh--> LiveSettings of each node

Nothing is stored that a node of this version would not take; of two administrators at once, one is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Fenced, Overloaded
from meshnode.config.cluster_wide import format_value, plan_change
from meshnode.core.keys import SETTINGS
from meshnode.core.shared_settings import (
    NOTHING_SHARED,
    SharedSettings,
    Value,
    decode_shared_settings,
    encode_shared_settings,
)
from meshnode.ports import Catalog, Clock, Compare, Membership, Put

log = logging.getLogger("meshnode.engine")

KEYS_MAX: Final = 200
"""Keys that one change may name, and that may be set together; there are not half as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingChange:
    """One key that a change gave another value."""

    key: str
    old: str | None
    """As text; None: it was not set."""
    new: str | None


@dataclass(frozen=True, kw_only=True)
class SettingsOrders:
    """What operators may ask of the cluster's settings."""

    catalog: Catalog
    membership: Membership
    clock: Clock

    async def read(self) -> SharedSettings:
        """What the catalog holds now. Raises CatalogUnavailable, Corrupt: of a newer format than this version's."""
        return (await self._read())[0]

    async def update(
        self, changes: Mapping[str, str], unset: Sequence[str], *, expected_version: int | None, actor: str
    ) -> tuple[SharedSettings, tuple[SettingChange, ...]]:
        """Set some keys and unset others; with `expected_version`, only where nobody changed anything since.

        Raises:
            InvalidRequest: with every reason why the settings cannot be used; nothing is stored.
            Fenced: somebody else was faster; read again.
            OutcomeUnknown: the change may have been stored; it can be asked for again.
        """
        if len(changes) + len(unset) > KEYS_MAX:
            raise Overloaded("too many settings at once", keys_max=KEYS_MAX)
        before, revision = await self._read()
        if expected_version is not None and expected_version != before.version:
            raise Fenced("the settings have another version by now", expected=expected_version, version=before.version)
        values = plan_change(before.values, changes, unset)
        made = tuple(
            SettingChange(key=key, old=_text(before.values, key), new=_text(values, key))
            for key in sorted(before.values.keys() | values.keys())
            if before.values.get(key) != values.get(key)
        )
        if not made:
            return before, ()
        after = SharedSettings(
            version=before.version + 1, values=values, changed_at_ms=self.clock.wall_ms(), changed_by=actor
        )
        write = Put(SETTINGS, encode_shared_settings(after))
        if await self.catalog.transact([Compare(SETTINGS, revision)], [write]) is None:
            raise Fenced("somebody else changed the settings just now; read them again", version=before.version)
        log.info(
            "settings_changed",
            extra={
                "version": after.version,
                "changed_by": actor,
                "changes": [f"{one.key}: {_shown(one.old)} -> {_shown(one.new)}" for one in made],
            },
        )
        await self.membership.refresh()
        return after, made

    async def _read(self) -> tuple[SharedSettings, int]:
        (entry,) = await self.catalog.get([SETTINGS])
        return (NOTHING_SHARED, 0) if entry is None else (decode_shared_settings(entry.value), entry.revision)


def _text(values: Mapping[str, Value], key: str) -> str | None:
    return format_value(values[key]) if key in values else None


def _shown(text: str | None) -> str:
    return "not set" if text is None else text
