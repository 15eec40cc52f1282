"""A node's settings as they are now: its own, with the cluster's beneath, swapped whole when the cluster's change.

    file, environment (at start) --+
    catalog entry `settings` ------+--> Effective (frozen) <-- windows <-- whoever reads config.scrub.slots

`config` looks like any `Config`; sections with cluster-wide keys are windows onto the settings of the moment. So
everything that reads a setting when it uses it follows a change by itself, and nobody has to be told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from meshnode.base.errors import Corrupt
from meshnode.config.cluster_wide import CLUSTER_WIDE, format_value, overlay, value_of
from meshnode.config.loading import SECTIONS, Loaded, Origin
from meshnode.config.settings import Config
from meshnode.core.shared_settings import NOTHING_SHARED, SharedSettings, decode_shared_settings

log = logging.getLogger("meshnode.config")

_SHARED_SECTIONS: Final = frozenset(key.partition(".")[0] for key in CLUSTER_WIDE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effective:
    """Settings of one moment, and what became of the cluster's."""

    config: Config
    shared: SharedSettings = NOTHING_SHARED
    """What of the cluster's has been applied; its version is the version this node runs with."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Cluster-wide keys whose value does not hold here, and why."""


class LiveSettings:
    """The settings that hold on this node."""

    def __init__(self, loaded: Loaded) -> None:
        self._own = loaded
        self._own_keys: Final = frozenset(loaded.origins)
        self._now = Effective(config=loaded.config)
        sections: dict[str, Any] = {
            name: _Window(self, name) if name in _SHARED_SECTIONS else getattr(loaded.config, name) for name in SECTIONS
        }
        self.config: Final = Config(**sections)
        """For everyone who reads settings at the moment of use."""
        self.unreadable = ""
        """Why the catalog's entry could not be read at all, "" where it could."""

    @property
    def now(self) -> Effective:
        """The settings of this moment."""
        return self._now

    def take(self, entry: bytes | None) -> None:
        """Have what the catalog's entry says hold from now on; None: nothing is set for the cluster.

        An entry of a format that this version does not know changes nothing: the settings before it go on to hold.
        """
        try:
            shared = NOTHING_SHARED if entry is None else decode_shared_settings(entry)
        except Corrupt as error:
            self.unreadable = str(error)
            log.error("settings_unreadable", extra={"error": str(error)})  # noqa: TRY400 - the reason is the message
            return
        self.unreadable = ""
        before = self._now
        config, problems = overlay(self._own.config, self._own_keys, shared.values)
        self._now = Effective(config=config, shared=shared, problems=problems)
        log.info(
            "settings_applied",
            extra={
                "version": shared.version,
                "before": before.shared.version,
                "changed": _changes(before.config, config),
            },
        )
        for key, problem in sorted(problems.items()):
            if before.problems.get(key) != problem:
                log.warning("setting_not_applied", extra={"key": key, "reason": problem})

    def origin(self, key: str) -> Origin:
        """Where the value of a `section.key` comes from at this moment."""
        own = self._own.origins.get(key)
        if own is not None:
            return own
        is_shared = key in self._now.shared.values and key not in self._now.problems
        return Origin.CLUSTER if is_shared else Origin.DEFAULT


class _Window:
    """One section of the settings of whatever moment it is read at."""

    __slots__ = ("_live", "_section")

    def __init__(self, live: LiveSettings, section: str) -> None:
        self._live = live
        self._section = section

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._live.now.config, self._section), name)


def _changes(before: Config, after: Config) -> list[str]:
    changes = []
    for key in sorted(CLUSTER_WIDE):
        old, new = value_of(before, key), value_of(after, key)
        if old != new:
            changes.append(f"{key}: {format_value(old)} -> {format_value(new)}")
    return changes
