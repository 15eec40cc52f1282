"""Settings for the whole cluster: which ones, checked like a file, laid beneath a node's own, followed while it runs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.config import ConfigError, Origin
from meshnode.config.checks import CHOICES, RANGES
from meshnode.config.cluster_wide import CLUSTER_WIDE, default_of, format_value, overlay, plan_change, value_of
from meshnode.config.live import LiveSettings
from meshnode.config.loading import KEYS, Loaded, parse_settings
from meshnode.core.shared_settings import SharedSettings, Value, decode_shared_settings, encode_shared_settings

OWN = """
[node]
id = "n1"
data = "/var/lib/meshnode"
[catalog]
url = "sqlite:///var/lib/meshnode/catalog.db"
"""
ONE_NODES_OWN = {
    "node": set(KEYS["node"]),
    "listen": set(KEYS["listen"]),
    "catalog": set(KEYS["catalog"]),
    "tls": set(KEYS["tls"]),
    "log": set(KEYS["log"]),
    "auth": {"key_file", "is_open_introspection", "skew_ms"},
    "replication": {"connect_ms", "lease_ms"},
}


def loaded(more: str = "", environment: dict[str, str] | None = None) -> Loaded:
    return parse_settings(OWN + more, environment or {})


def entry(values: dict[str, Value], version: int = 1) -> bytes:
    return encode_shared_settings(SharedSettings(version=version, values=values))


def problems_of(changes: dict[str, str], unset: tuple[str, ...] = (), before: dict[str, Value] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        plan_change(before or {}, changes, unset)
    return "\n".join(refused.value.problems)


def test_every_setting_is_either_the_clusters_or_one_nodes_own() -> None:
    own = {f"{section}.{key}" for section, keys in ONE_NODES_OWN.items() for key in keys}
    every = {f"{section}.{key}" for section, keys in KEYS.items() for key in keys}
    assert own & CLUSTER_WIDE == set()
    assert own | CLUSTER_WIDE == every


def test_a_change_sets_and_unsets_and_keeps_the_rest() -> None:
    before: dict[str, Value] = {"scrub.slots": 2, "upkeep.slots": 3, "future.key": "x"}
    after = plan_change(before, {"push.is_create_on_push": "true", "scrub.slots": "4"}, ["upkeep.slots"])
    assert after == {"scrub.slots": 4, "push.is_create_on_push": True, "future.key": "x"}
    assert plan_change(after, {"push.fsck_ignore": "badTimezone, missingEmail"}, ["future.key"]) == {
        "scrub.slots": 4,
        "push.is_create_on_push": True,
        "push.fsck_ignore": ("badTimezone", "missingEmail"),
    }


def test_every_problem_of_a_change_is_told_at_once() -> None:
    told = problems_of(
        {
            "scrub.slotz": "2",
            "scrub.slots": "many",
            "upkeep.slots": "0",
            "node.data": "/elsewhere",
            "auth.anonymous_http": "all",
            "push.fsck_ignore": "no good",
            "limits.packs_per_node": "3",
            "gone": "x" * 5_000,
        },
        unset=("limits.packs_per_node", "scrub.interval", "node.id"),
    )
    for line in (
        "scrub.slotz is not a setting; did you mean scrub.slots?",
        "scrub.slots must be a whole number, not 'many'",
        "upkeep.slots must be from 1 to 64, not 0",
        "node.data is each node's own; set it in the node's file or environment, and restart the node",
        "auth.anonymous_http must be one of none, read, write, not 'all'",
        "push.fsck_ignore has 'no good', which is no message id of git-fsck",
        "limits.packs_per_repository must not be above limits.packs_per_node",
        "limits.packs_per_node is both set and unset",
        "scrub.interval is not a cluster-wide setting; did you mean scrub.interval_ms?",
        "node.id is not a cluster-wide setting",
    ):
        assert line in told, told


def test_a_value_too_long_for_the_catalog_is_refused() -> None:
    assert "at most 4096 characters" in problems_of({"push.fsck_ignore": "a" * 5_000})


def test_the_nodes_own_settings_win_over_the_clusters_key_by_key() -> None:
    live = LiveSettings(loaded("[scrub]\nslots = 5\n", {"MESHNODE_UPKEEP__SLOTS": "6"}))
    live.take(entry({"scrub.slots": 2, "upkeep.slots": 2, "upkeep.packs_min": 7}))
    config = live.now.config
    assert (config.scrub.slots, config.upkeep.slots, config.upkeep.packs_min) == (5, 6, 7)
    assert [live.origin(key) for key in ("scrub.slots", "upkeep.slots", "upkeep.packs_min", "scrub.interval_ms")] == [
        Origin.FILE,
        Origin.ENVIRONMENT,
        Origin.CLUSTER,
        Origin.DEFAULT,
    ]


def test_a_file_that_writes_the_default_means_it() -> None:
    live = LiveSettings(loaded("[scrub]\nslots = 1\n"))
    live.take(entry({"scrub.slots": 2}))
    assert live.now.config.scrub.slots == 1


def test_whoever_holds_a_section_follows_every_change() -> None:
    live = LiveSettings(loaded())
    scrub, node = live.config.scrub, live.config.node
    assert scrub.slots == 1
    live.take(entry({"scrub.slots": 2}))
    assert (scrub.slots, node.id) == (2, "n1")
    live.take(None)
    assert (scrub.slots, live.now.shared.version) == (1, 0)
    with pytest.raises(AttributeError):
        _ = scrub.wrong  # type: ignore[attr-defined]


def test_what_a_node_does_not_know_is_left_out_and_shown_and_the_rest_holds(caplog: pytest.LogCaptureFixture) -> None:
    live = LiveSettings(loaded("[limits]\npacks_per_node = 20\n"))
    values: dict[str, Value] = {
        "future.key": "x",
        "node.id": "n9",
        "scrub.slots": 9_999,
        "scrub.interval_ms": "often",
        "limits.packs_per_repository": 30,
        "limits.packs_per_node": 40,
        "upkeep.slots": 2,
    }
    with caplog.at_level(logging.INFO):
        live.take(entry(values))
        live.take(entry({**values, "upkeep.slots": 3}, version=2))
    now = live.now
    assert now.config.upkeep.slots == 3
    assert (now.config.scrub.slots, now.config.limits.packs_per_repository) == (1, 16)
    assert sorted(now.problems) == [
        "future.key",
        "limits.packs_per_repository",
        "node.id",
        "scrub.interval_ms",
        "scrub.slots",
    ]
    assert now.problems["scrub.slots"] == "scrub.slots must be from 1 to 64, not 9999"
    assert live.origin("scrub.slots") is Origin.DEFAULT
    assert [record.message for record in caplog.records].count("setting_not_applied") == 5  # once each, not again
    applied = [record for record in caplog.records if record.message == "settings_applied"]
    assert (applied[1].version, applied[1].changed) == (2, ["upkeep.slots: 2 -> 3"])  # type: ignore[attr-defined]


def test_an_anonymous_policy_does_not_open_a_listener_that_others_reach() -> None:
    listen = '[listen]\nhttp = "10.0.0.1:7780"\n'
    live = LiveSettings(loaded(listen))
    live.take(entry({"auth.anonymous_http": "write", "scrub.slots": 2}))
    assert (live.now.config.auth.anonymous_http, live.now.config.scrub.slots) == ("none", 2)
    assert "needs listen.http on loopback" in live.now.problems["auth.anonymous_http"]


def test_an_entry_of_a_newer_format_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    live = LiveSettings(loaded())
    live.take(entry({"scrub.slots": 2}))
    live.take(entry({"scrub.slots": 3}, version=2).replace(b'"v":1', b'"v":2'))
    assert (live.now.config.scrub.slots, live.now.shared.version) == (2, 1)
    assert "unknown format version" in live.unreadable
    assert "settings_unreadable" in caplog.text
    live.take(entry({"scrub.slots": 3}, version=3))
    assert (live.now.config.scrub.slots, live.unreadable) == (3, "")


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"v":1}', b'{"v":1,"version":1,"values":{"a":1.5}}', b"\xff"])
def test_a_broken_entry_is_corrupt(broken: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_shared_settings(broken)


@pytest.mark.parametrize("value", [b"null", b"1.5", b"{}", b"[1]", b"-1"])
def test_a_value_of_no_kind_that_settings_have_is_corrupt(value: bytes) -> None:
    whole = b'{"v":1,"version":1,"values":{"a":' + value + b'},"changed_at_ms":0,"changed_by":""}'
    with pytest.raises(Corrupt):
        decode_shared_settings(whole)


def texts_of(key: str) -> st.SearchStrategy[str]:
    section, name = key.split(".")
    kind: Any = KEYS[section][name]
    if key in RANGES:
        low, high = RANGES[key]
        return st.integers(low, high).map(str)
    if key in CHOICES:
        return st.sampled_from(CHOICES[key])
    if kind is bool:
        return st.sampled_from(("true", "false"))
    return st.lists(st.sampled_from(("badTimezone", "missingEmail"))).map(",".join)


@given(st.data())
def test_what_was_accepted_holds_on_a_node_that_sets_nothing_and_is_shown_as_it_was_set(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(sorted(CLUSTER_WIDE)), unique=True))
    changes = {key: data.draw(texts_of(key), label=key) for key in keys}
    try:
        values = plan_change({}, changes, ())
    except ConfigError:
        return  # packs_per_repository above packs_per_node
    kept = decode_shared_settings(encode_shared_settings(SharedSettings(version=1, values=values))).values
    assert kept == values
    config, problems = overlay(loaded().config, frozenset(), kept)
    assert problems == {}
    for key in CLUSTER_WIDE:
        assert format_value(value_of(config, key)) == changes.get(key, format_value(default_of(key)))
