"""Decides which settings administrators may set for all nodes at once, and what a change of them makes of them.

    default  <  cluster  <  the node's file  <  the node's environment          the later one wins, key by key

Rule: a key is cluster-wide only if every node follows a new value at once, while it runs. What a node reads only when
it starts, and what is true of one machine alone (addresses, paths, keys, its zone), stays in the node's file.
Why in this order: docs/adr/0015-cluster-settings.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from meshnode.config.checks import ConfigError, check_key, find_conflicts
from meshnode.config.loading import KEYS, SECTIONS, nearest, show_value, value_from_text, value_from_toml
from meshnode.config.settings import CatalogSettings, Config, NodeSettings
from meshnode.core.shared_settings import VALUE_CHARS_MAX, Value

_ALL: Final = ("push", "operations", "limits", "scrub", "upkeep", "rebalance")
"""Sections whose every key is cluster-wide."""

CLUSTER_WIDE: Final[frozenset[str]] = frozenset(
    {
        "auth.anonymous_http",
        "auth.is_body_digest_required",
        "replication.grace_ms",
        "replication.prepare_ms",
        "replication.publish_ms",
        "replication.prepared_age_ms",
        "replication.repair_slots",
        "replication.repair_sweep_ms",
        "replication.history_rounds",
        "replication.round_trip_interval_ms",
        "replication.round_trip_warn_ms",
    }
    | {f"{section}.{key}" for section in _ALL for key in KEYS[section]}
)
"""`section.key` of every setting that may be cluster-wide."""

_SOURCE: Final = "cluster settings"
_ANY_NODE: Final = Config(
    node=NodeSettings(id="any", data=Path("/any")), catalog=CatalogSettings(url="sqlite:///any/catalog.db")
)
"""A node that sets nothing itself: what is to hold for all must at least hold for it."""


def default_of(key: str) -> Any:
    """The default of a cluster-wide key."""
    return value_of(_ANY_NODE, key)


def value_of(config: Config, key: str) -> Any:
    """What settings say of one `section.key`."""
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def format_value(value: Any) -> str:
    """A value as the text that `plan_change` takes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def plan_change(values: Mapping[str, Value], changes: Mapping[str, str], unset: Sequence[str]) -> dict[str, Value]:
    """What `values` are after a change, in which texts are read as in the environment.

    Unset may be whatever is set, also what this version does not know.

    Raises:
        ConfigError: with every problem at once; nothing may be stored then.
    """
    problems = [
        f"{key} is both set and unset" if key in changes else f"{key} is not a cluster-wide setting{_near(key)}"
        for key in unset
        if key in changes or not (key in CLUSTER_WIDE or key in values)
    ]
    after = {key: value for key, value in values.items() if key not in unset}
    broken = set()
    for key, text in sorted(changes.items()):
        problem = _unsettable(key, text)
        if problem is None:
            section, name = key.split(".")
            try:
                after[key] = value_from_text(KEYS[section][name], text)
            except TypeError as error:
                problem = f"{key} must be {error}, not {show_value(text)}"
            else:
                problem = check_key(key, after[key])
        if problem is not None:
            problems.append(problem)
            broken.add(key)
    known = {key: value for key, value in after.items() if key in CLUSTER_WIDE and key not in broken}
    problems += [
        conflict.problem
        for conflict in find_conflicts(_with_values(_ANY_NODE, known))
        if broken.isdisjoint(conflict.keys)
    ]
    if problems:
        raise ConfigError(problems, _SOURCE)
    return after


def overlay(own: Config, own_keys: frozenset[str], values: Mapping[str, Value]) -> tuple[Config, dict[str, str]]:
    """A node's settings with the cluster's beneath: all settings, and why some of the cluster's do not hold here.

    `own_keys`: what the node's file or environment set. A value that cannot hold here - unknown to this version, out
    of this version's range, at odds with the node's own settings - is left out, and the rest holds all the same.
    """
    taken: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, raw in values.items():
        if key not in CLUSTER_WIDE:
            problems[key] = "this node's version knows no such cluster-wide setting"
        elif key not in own_keys:
            section, name = key.split(".")
            try:
                value = value_from_toml(KEYS[section][name], list(raw) if isinstance(raw, tuple) else raw)
            except TypeError as error:
                problems[key] = f"must be {error}, not {show_value(raw)}"
                continue
            problem = check_key(key, value)
            if problem is None:
                taken[key] = value
            else:
                problems[key] = problem
    while True:
        config = _with_values(own, taken)
        clashing = {
            key: conflict.problem for conflict in find_conflicts(config) for key in conflict.keys if key in taken
        }
        if not clashing:
            return config, problems
        problems |= clashing
        taken = {key: value for key, value in taken.items() if key not in clashing}


def _with_values(config: Config, values: Mapping[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = value
    return dataclasses.replace(
        config,
        **{section: dataclasses.replace(getattr(config, section), **taken) for section, taken in sections.items()},
    )


def _unsettable(key: str, text: str) -> str | None:
    """Why a key may not be set for the cluster, None where it may."""
    section, _, name = key.partition(".")
    if key in CLUSTER_WIDE:
        return f"{key} must have at most {VALUE_CHARS_MAX} characters" if len(text) > VALUE_CHARS_MAX else None
    if section in SECTIONS and name in KEYS[section]:
        return f"{key} is each node's own; set it in the node's file or environment, and restart the node"
    return f"{show_value(key)[1:-1]} is not a setting{_near(key)}"


def _near(key: str) -> str:
    return nearest(key, sorted(CLUSTER_WIDE))
