"""Settings: read from file and environment, every mistake reported at once, written back the same."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.config import (
    AuthSettings,
    CatalogSettings,
    Config,
    ConfigError,
    LimitSettings,
    ListenSettings,
    LogSettings,
    NodeSettings,
    PushSettings,
    TlsSettings,
    load_config,
    parse_config,
    render_config,
    settings,
)
from meshnode.config.checks import CHOICES, RANGES, is_loopback, parse_address
from meshnode.config.loading import KEYS

SMALL = """
[node]
id = "n1"
data = "/var/lib/meshnode"
[catalog]
url = "sqlite:///var/lib/meshnode/catalog.db"
"""


def problems(text: str, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        parse_config(text, environment or {})
    return error.value.problems


def problem(text: str, environment: dict[str, str] | None = None) -> str:
    (only,) = problems(text, environment)
    return only


def test_what_is_not_said_has_its_default() -> None:
    config = parse_config(SMALL, {})
    assert config.node.data == Path("/var/lib/meshnode")
    assert config == Config(
        node=NodeSettings(id="n1", data=Path("/var/lib/meshnode")),
        catalog=CatalogSettings(url="sqlite:///var/lib/meshnode/catalog.db"),
    )


def test_file_and_environment_are_read_and_the_environment_wins() -> None:
    text = SMALL + "[limits]\nqueue_wait_ms = 1\npacks_per_node = 99\n[push]\nfsck_ignore = ['zeroPaddedFilemode']\n"
    environment = {
        "MESHNODE_LIMITS__QUEUE_WAIT_MS": "5_000",
        "MESHNODE_PUSH__IS_CREATE_ON_PUSH": "true",
        "MESHNODE_PUSH__FSCK_IGNORE": "badTimezone, missingEmail,",
        "MESHNODE_NODE__DATA": "/srv",
        "MESHNODE_LOG__LEVEL": "debug",
        "MESHNODE_DATA": "not a setting",
        "PATH": "/bin",
    }
    config = parse_config(text, environment)
    assert (config.limits.queue_wait_ms, config.limits.packs_per_node) == (5000, 99)
    assert config.push.is_create_on_push
    assert config.push.fsck_ignore == ("badTimezone", "missingEmail")
    assert (config.node.data, config.log.level) == (Path("/srv"), "debug")


def test_environment_alone_is_enough() -> None:
    environment = {
        "MESHNODE_NODE__ID": "n1",
        "MESHNODE_NODE__DATA": "/srv",
        "MESHNODE_CATALOG__URL": "etcd://a:2379,b:2379,[::1]:2379",
    }
    assert parse_config("", environment).catalog.url.endswith("[::1]:2379")


def test_all_mistakes_come_at_once() -> None:
    text = """
    surprise = 1
    [node]
    idd = "n1"
    weight = 0
    [limit]
    x = 1
    [listen]
    grpc = "0.0.0.0:7777"
    [log]
    level = "loud"
    """
    found = problems(text, {"MESHNODE_LIMITS__QUEU_WAIT_MS": "1", "MESHNODE_AUTH__SKEW_MS": "soon"})
    assert len(found) == 12
    for part in (
        "[surprise] is not a section",
        "node.idd is not a setting; did you mean id?",
        "node.weight must be from 1 to 10000, not 0",
        "[limit] is not a section; did you mean limits?",
        "log.level must be one of debug, info, warning, error, not 'loud'",
        "auth.skew_ms must be a whole number, not 'soon' (MESHNODE_AUTH__SKEW_MS)",
        "did you mean MESHNODE_LIMITS__QUEUE_WAIT_MS?",
        "node.id is missing",
        "node.data is missing",
        "catalog.url is missing",
        "listen.grpc_url must say where others reach 0.0.0.0:7777",
        "there is no TLS",
    ):
        assert sum(part in line for line in found) == 1, part


def test_error_is_one_that_the_caller_must_fix_and_names_its_source(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[nod]\n")
    with pytest.raises(InvalidRequest, match=r"node\.toml") as error:
        load_config(path, {})
    assert "[nod] is not a section; did you mean node?" in str(error.value)


def test_file_is_loaded_and_a_missing_or_broken_one_is_an_error(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(SMALL)
    assert load_config(good, {}).node.id == "n1"
    for name, content, reason in (
        ("missing", None, "cannot be read"),
        ("broken", b"[node", "not TOML"),
        ("binary", b"\xff\xfe", "not UTF-8"),
        ("large", b"#" * (1 << 20) + b"\n", "longer"),
        ("deep", b"a = " + b"[" * 5_000, "not TOML"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=reason):
            load_config(path, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[limits]\nqueue_wait_ms = '1'", "limits.queue_wait_ms must be a whole number"),
        ("[limits]\nqueue_wait_ms = true", "limits.queue_wait_ms must be a whole number"),
        ("[limits]\nqueue_wait_ms = 1.0", "limits.queue_wait_ms must be a whole number"),
        ("[push]\nis_fsck_objects = 1", "push.is_fsck_objects must be true or false"),
        ("[push]\nfsck_ignore = 'a'", "push.fsck_ignore must be a list of texts"),
        ("[push]\nfsck_ignore = [1]", "push.fsck_ignore must be a list of texts"),
        ("[push]\nfsck_ignore = ['a b']", "push.fsck_ignore has 'a b'"),
        ("[log]\nlevel = 3", "log.level must be a text"),
        ("[log]\nlevel = 'INFO'", "log.level must be one of"),
        ('[log]\nfile = "a\\nb"', "log.file must be a single line"),
        ("[auth]\nanonymous_http = 'all'", "auth.anonymous_http must be one of none, read, write"),
        ("[auth]\nskew_ms = -1", "auth.skew_ms must be from 0"),
        ("[listen]\ngrpc = 'localhost'", "listen.grpc must be host:port"),
        ("[listen]\nhttp = '127.0.0.1:99999'", "listen.http must be host:port"),
        ("[listen]\ngrpc_url = 'http://a:1'", "listen.grpc_url must be host:port"),
        ("[listen]\nhttp_url = 'ftp://a'", "listen.http_url must be http://"),
        ("[listen]\nhttp_url = 'http://[a'", "listen.http_url must be http://"),
        ("[catalog]\nprefix = 'a'", "catalog.prefix must begin and end"),
        ("log = 3", "log must be a section: [log]"),
    ],
)
def test_value_of_the_wrong_kind_or_range_is_refused(text: str, reason: str) -> None:
    raw = text if text.startswith("log =") else ""
    rest = SMALL.replace("[catalog]", text + "\n") if text.startswith("[catalog]") else SMALL + text
    assert reason in problem(raw + SMALL if raw else rest)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("node.id", "N1", "node.id must be"),
        ("node.id", "", "node.id must be"),
        ("node.id", "a/b", "node.id must be"),
        ("node.data", "", "node.data must name a directory"),
        ("node.zone", "", "node.zone must not be empty"),
        ("catalog.url", "sqlite://relative.db", "catalog.url must be"),
        ("catalog.url", "postgres://a", "catalog.url must be"),
        ("catalog.url", "etcd://", "catalog.url must be"),
        ("catalog.url", "etcd://a:1,b", "catalog.url must be"),
        ("push.is_fsck_objects", "yes", "push.is_fsck_objects must be true or false"),
        ("limits.drain_ms", "", "limits.drain_ms must be a whole number"),
        ("limits.drain_ms", "9" * 30, "limits.drain_ms must be a whole number"),
        ("limits.drain_ms", "-1", "limits.drain_ms must be from 0"),
    ],
)
def test_bad_value_in_the_environment_is_refused(key: str, value: str, reason: str) -> None:
    variable = "MESHNODE_" + key.replace(".", "__").upper()
    assert reason in problem(SMALL, {variable: value})


def test_unknown_variable_of_ours_is_refused_with_the_nearest() -> None:
    assert "did you mean MESHNODE_CATALOG__URL?" in problem(SMALL, {"MESHNODE_CATALOG__URI": "x"})
    assert "did you mean MESHNODE_LIMITS__?" in problem(SMALL, {"MESHNODE_LIMIT__DRAIN_MS": "1"})
    assert "known are MESHNODE_LOG__LEVEL, MESHNODE_LOG__FILE" in problem(SMALL, {"MESHNODE_LOG__XYZXYZ": "1"})


CERTIFICATES = "cert_file = '/c'\nkey_file = '/k'\nca_file = '/a'\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tls]\ncert_file = '/c'", "must be set all or not at all"),
        ("[tls]\ncert_file = '/c'\nca_file = '/a'", "must be set all or not at all"),
        ("[listen]\ngrpc = '10.0.0.1:7777'", "not loopback, and there is no TLS"),
        ("[listen]\ngrpc = 'node.example:7777'", "not loopback, and there is no TLS"),
        ("[listen]\ngrpc = '127.0.0.1:1'\nhttp = '127.0.0.1:1'", "must differ"),
        ("[listen]\nhttp = '0.0.0.0:80'", "listen.http_url must say"),
        ("[listen]\nhttp = '[::]:80'", "listen.http_url must say"),
        ("[auth]\nanonymous_http = 'read'\n[listen]\nhttp = '10.0.0.1:80'", "needs listen.http on loopback"),
        ("[limits]\npacks_per_repository = 65", "must not be above limits.packs_per_node"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text: str, reason: str) -> None:
    assert reason in problem(SMALL + text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ca_file = '/a'", "has no meaning for sqlite"),
        ("url = 'etcd://a:1'\ncert_file = '/c'\nca_file = '/a'", "set both or not at all"),
        ("url = 'etcd://a:1'\ncert_file = '/c'\nkey_file = '/k'", "needs catalog.ca_file"),
        ("url = 'etcd://a:1'\nusername = 'u'", "set both or not at all"),
    ],
)
def test_catalog_settings_that_contradict_each_other_are_refused(text: str, reason: str) -> None:
    url = "" if text.startswith("url") else "url = 'sqlite:///c.db'\n"
    assert reason in problem(f"[node]\nid = 'n1'\ndata = '/d'\n[catalog]\n{url}{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "[listen]\ngrpc = '10.0.0.1:7777'\n[tls]\n" + CERTIFICATES,
        "[listen]\ngrpc = '10.0.0.1:7777'\n[tls]\nis_plaintext_allowed = true",
        "[listen]\ngrpc = '0.0.0.0:7777'\ngrpc_url = 'n1:7777'\n[tls]\nis_plaintext_allowed = true",
        "[listen]\ngrpc = '[::1]:7777'\nhttp = 'localhost:0'\n[auth]\nanonymous_http = 'write'",
        "[listen]\ngrpc = '127.0.0.1:0'\nhttp = '127.0.0.1:0'",
        "[listen]\nhttp_url = 'https://git.example/mesh'",
    ],
)
def test_settings_that_fit_together_are_taken(text: str) -> None:
    parse_config(SMALL + text, {})


def test_conflict_is_not_reported_of_a_value_that_is_wrong_by_itself() -> None:
    text = SMALL + "[listen]\nhttp = 7\n[auth]\nanonymous_http = 'read'\n"
    assert problem(text) == "listen.http must be a text, not 7"


def test_every_number_has_a_range_and_every_default_is_in_it() -> None:
    numbers = {f"{section}.{key}" for section in KEYS for key, kind in KEYS[section].items() if kind is int}
    assert numbers == set(RANGES)
    config = parse_config(SMALL, {})
    for name, (low, high) in RANGES.items():
        section, key = name.split(".")
        assert low <= getattr(getattr(config, section), key) <= high
    for name, choices in CHOICES.items():
        section, key = name.split(".")
        assert getattr(getattr(config, section), key) in choices


def test_every_setting_has_words() -> None:
    source = inspect.getsource(settings)
    for section in KEYS:
        for key in KEYS[section]:
            assert f"    {key}: " in source
    fields = sum(len(keys) for keys in KEYS.values())
    assert source.count('\n    """') == fields + len(KEYS) + 1


def test_rendered_settings_read_back_the_same_and_say_only_what_is_special() -> None:
    config = Config(
        node=NodeSettings(id="n1", data=Path('/a "b"\\c'), zone="zürich \x7f"),
        catalog=CatalogSettings(url="sqlite:///c.db"),
        push=PushSettings(is_create_on_push=True, fsck_ignore=("badTimezone", "missingEmail")),
        limits=LimitSettings(drain_ms=5),
    )
    text = render_config(config)
    assert parse_config(text, {}) == config
    assert set(tomllib.loads(text)) == {"node", "catalog", "push", "limits"}
    assert "drain_ms = 5" in text
    assert "queue_wait_ms" not in text


LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(
    zone=LINE,
    data=LINE.map(lambda text: Path("/" + text)),
    weight=st.integers(1, 10_000),
    ignore=st.lists(st.from_regex(r"[A-Za-z]{1,10}", fullmatch=True)).map(tuple),
    is_fsck=st.booleans(),
    file=LINE,
)
def test_whatever_is_rendered_reads_back_the_same(**values: Any) -> None:
    config = Config(
        node=NodeSettings(id="n1", data=values["data"], zone=values["zone"], weight=values["weight"]),
        catalog=CatalogSettings(url="etcd://a:1"),
        push=PushSettings(is_fsck_objects=values["is_fsck"], fsck_ignore=values["ignore"]),
        log=LogSettings(file=values["file"]),
        listen=ListenSettings(),
        tls=TlsSettings(),
        auth=AuthSettings(),
    )
    assert parse_config(render_config(config), {}) == config


@given(st.text())
def test_no_text_gets_more_than_a_list_of_problems(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, {})


@given(
    st.dictionaries(
        st.sampled_from([f"MESHNODE_{section}__{key}".upper() for section in KEYS for key in KEYS[section]]), st.text()
    )
)
def test_no_environment_gets_more_than_a_list_of_problems(environment: dict[str, str]) -> None:
    try:
        config = parse_config(SMALL, environment)
    except ConfigError as error:
        found = error.problems
    else:
        found = ("none",)
        assert dataclasses.is_dataclass(config)
    assert found


def test_addresses_are_taken_apart_and_loopback_is_known() -> None:
    assert parse_address("[::1]:80") == ("::1", 80)
    assert parse_address("a.b:0") == ("a.b", 0)
    for address in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"):
        assert is_loopback(address)
    for address in ("10.0.0.1:1", "0.0.0.0:1", "[::]:1", "localhost.example:1", "1.1:1"):
        assert not is_loopback(address)
    for bad in ("", "a", ":1", "a:", "a:-1", "a:b", "::1:80", "[g]:1", "a b:1", "http://a:1"):
        with pytest.raises(InvalidRequest):
            parse_address(bad)
