"""Decides whether settings can work: ranges of each key, and what must hold between keys.

Rule: a problem names its key and what would be right; nothing here stops at the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import parse_node_id
from meshnode.config.settings import CatalogSettings, Config, ListenSettings

_DAY_MS: Final = 86_400_000

RANGES: Final[dict[str, tuple[int, int]]] = {
    "node.weight": (1, 10_000),
    "catalog.deadline_ms": (100, 60_000),
    "auth.skew_ms": (0, 600_000),
    "push.pack_bytes_max": (1 << 10, 1 << 40),
    "push.commands_max": (1, 100_000),
    "operations.workshops_max": (1, 10_000),
    "operations.file_bytes_max": (1 << 10, 1 << 40),
    "operations.bytes_max": (1 << 10, 1 << 40),
    "operations.actions_max": (1, 1_000_000),
    "operations.commits_max": (1, 100_000),
    "limits.packs_per_repository": (1, 10_000),
    "limits.packs_per_node": (1, 10_000),
    "limits.queue_per_repository": (0, 100_000),
    "limits.queue_wait_ms": (0, 3_600_000),
    "limits.fetch_ms_max": (1_000, _DAY_MS),
    "limits.clone_cache_bytes": (0, 1 << 44),
    "limits.push_ms_max": (1_000, _DAY_MS),
    "limits.unary_ms_max": (100, 3_600_000),
    "limits.drain_ms": (0, 3_600_000),
    "replication.grace_ms": (0, 60_000),
    "replication.prepare_ms": (100, 600_000),
    "replication.connect_ms": (50, 60_000),
    "replication.publish_ms": (100, 600_000),
    "replication.prepared_age_ms": (100, 600_000),
    "replication.lease_ms": (500, 600_000),
    "replication.repair_slots": (1, 256),
    "replication.repair_sweep_ms": (100, 3_600_000),
    "replication.history_rounds": (1, 100_000),
    "replication.round_trip_interval_ms": (100, 3_600_000),
    "replication.round_trip_warn_ms": (1, 60_000),
    "scrub.interval_ms": (0, 90 * _DAY_MS),
    "scrub.quick_interval_ms": (0, _DAY_MS),
    "scrub.bytes_per_s_max": (1 << 16, 1 << 40),
    "scrub.slots": (1, 64),
    "upkeep.interval_ms": (0, _DAY_MS),
    "upkeep.packs_min": (2, 10_000),
    "upkeep.slots": (1, 64),
    "rebalance.interval_ms": (50, 3_600_000),
    "rebalance.partitions_at_once": (1, 1_000),
    "rebalance.bytes_per_s_max": (0, 1 << 40),
    "rebalance.drop_after_ms": (0, _DAY_MS),
    "rebalance.usage_interval_ms": (1_000, _DAY_MS),
}
"""Lowest and highest value of every number; a test holds this against the dataclasses."""

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "auth.anonymous_http": ("none", "read", "write"),
    "log.level": ("debug", "info", "warning", "error"),
}

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})\Z")
_FSCK_MESSAGE = re.compile(r"[A-Za-z]{1,64}\Z")


class ConfigError(InvalidRequest):
    """The settings cannot be used; `problems` has every reason, one line each."""

    def __init__(self, problems: list[str], source: str) -> None:
        super().__init__("settings cannot be used:\n  " + "\n  ".join(problems), source=source)
        self.problems = tuple(problems)


def check_key(name: str, value: object) -> str | None:
    """What is wrong with one key's value by itself (`section.key`), None where nothing is."""
    if name in RANGES and isinstance(value, int):
        low, high = RANGES[name]
        if not low <= value <= high:
            return f"{name} must be from {low} to {high}, not {value}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}"
    if isinstance(value, (str, Path)) and not {"\0", "\n"}.isdisjoint(str(value)):
        return f"{name} must be a single line"
    check = _KEY_CHECKS.get(name)
    return check(name, value) if check is not None else None


@dataclass(frozen=True, slots=True)
class Conflict:
    """What does not hold between keys that are each fine by themselves."""

    keys: tuple[str, ...]
    problem: str


def find_conflicts(config: Config) -> Iterator[Conflict]:
    """Yield what does not hold between keys."""
    yield from _catalog_conflicts(config.catalog)
    yield from _listen_conflicts(config.listen)
    tls = (config.tls.cert_file, config.tls.key_file, config.tls.ca_file)
    tls_keys = ("tls.cert_file", "tls.key_file", "tls.ca_file")
    if any(tls) and not all(tls):
        yield Conflict(tls_keys, "tls.cert_file, tls.key_file and tls.ca_file must be set all or not at all")
    if not any(tls) and not config.tls.is_plaintext_allowed and not is_loopback(config.listen.grpc):
        yield Conflict(
            (*tls_keys, "tls.is_plaintext_allowed", "listen.grpc"),
            f"listen.grpc is {config.listen.grpc}, which is not loopback, and there is no TLS;"
            " set [tls], or tls.is_plaintext_allowed where the network is protected otherwise",
        )
    if config.auth.anonymous_http != "none" and not is_loopback(config.listen.http):
        yield Conflict(
            ("auth.anonymous_http", "listen.http"),
            f"auth.anonymous_http is {config.auth.anonymous_http!r}, which needs listen.http on loopback,"
            f" not {config.listen.http}",
        )
    if config.limits.packs_per_repository > config.limits.packs_per_node:
        yield Conflict(
            ("limits.packs_per_repository", "limits.packs_per_node"),
            "limits.packs_per_repository must not be above limits.packs_per_node",
        )


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`; port 0 lets the system choose. Raises InvalidRequest."""
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > 65_535:
        raise InvalidRequest("address must be host:port", address=text[:100])
    return match["v6"] or match["host"], int(match["port"])


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a listener at `host:port`."""
    return is_loopback_host(parse_address(address)[0])


def is_loopback_host(host: str) -> bool:
    """Whether this host is this machine: a loopback address without brackets, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_everywhere(address: str) -> bool:
    host, _ = parse_address(address)
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _listen_conflicts(listen: ListenSettings) -> Iterator[Conflict]:
    if listen.grpc == listen.http and parse_address(listen.grpc)[1] != 0:
        yield Conflict(("listen.grpc", "listen.http"), "listen.grpc and listen.http must differ")
    for server, address, url in (("grpc", listen.grpc, listen.grpc_url), ("http", listen.http, listen.http_url)):
        if _is_everywhere(address) and not url:
            keys = (f"listen.{server}", f"listen.{server}_url")
            yield Conflict(keys, f"listen.{server}_url must say where others reach {address}")


def _catalog_conflicts(catalog: CatalogSettings) -> Iterator[Conflict]:
    if catalog.url.startswith("sqlite:"):
        for key in ("ca_file", "cert_file", "key_file", "username", "password_file"):
            if getattr(catalog, key):
                yield Conflict(("catalog.url", f"catalog.{key}"), f"catalog.{key} has no meaning for sqlite")
        return
    if bool(catalog.cert_file) != bool(catalog.key_file):
        keys = ("catalog.cert_file", "catalog.key_file")
        yield Conflict(keys, "catalog.cert_file and catalog.key_file must be set both or not at all")
    if catalog.cert_file and not catalog.ca_file:
        yield Conflict(("catalog.cert_file", "catalog.ca_file"), "catalog.cert_file needs catalog.ca_file")
    if bool(catalog.username) != bool(catalog.password_file):
        keys = ("catalog.username", "catalog.password_file")
        yield Conflict(keys, "catalog.username and catalog.password_file must be set both or not at all")


def _check_node_id(name: str, value: object) -> str | None:
    try:
        parse_node_id(str(value))
    except InvalidRequest:
        return f"{name} must be 1 to 63 lower case letters, digits or '-', not {value!r}"
    return None


def _check_not_empty(name: str, value: object) -> str | None:
    return None if str(value) else f"{name} must not be empty"


def _check_data(name: str, value: object) -> str | None:
    return f"{name} must name a directory" if str(value) in {"", "."} else None


def _check_address(name: str, value: object) -> str | None:
    try:
        parse_address(str(value))
    except InvalidRequest:
        return f"{name} must be host:port, not {value!r}"
    return None


def _check_optional_address(name: str, value: object) -> str | None:
    return _check_address(name, value) if value else None


def _check_http_url(name: str, value: object) -> str | None:
    if not value:
        return None
    try:
        url = urlsplit(str(value))
        is_good = url.scheme in {"http", "https"} and bool(url.hostname) and not url.query and not url.fragment
    except ValueError:
        is_good = False
    return None if is_good else f"{name} must be http://host[:port] or https://host[:port], not {value!r}"


def _check_catalog_url(name: str, value: object) -> str | None:
    scheme, separator, rest = str(value).partition("://")
    if separator and scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return None
    if separator and scheme == "etcd" and all(_check_address(name, member) is None for member in rest.split(",")):
        return None
    return f"{name} must be sqlite:///absolute/path or etcd://host:port,host:port, not {value!r}"


def _check_prefix(name: str, value: object) -> str | None:
    text = str(value)
    if text.startswith("/") and text.endswith("/") and text.isascii():
        return None
    return f"{name} must begin and end with '/', not {text!r}"


def _check_fsck_ignore(name: str, value: object) -> str | None:
    messages = value if isinstance(value, tuple) else ()
    bad = [message for message in messages if not _FSCK_MESSAGE.match(message)]
    return f"{name} has {bad[0]!r}, which is no message id of git-fsck" if bad else None


_KEY_CHECKS: Final[dict[str, Callable[[str, object], str | None]]] = {
    "node.id": _check_node_id,
    "node.zone": _check_not_empty,
    "node.data": _check_data,
    "listen.grpc": _check_address,
    "listen.http": _check_address,
    "listen.grpc_url": _check_optional_address,
    "listen.http_url": _check_http_url,
    "catalog.url": _check_catalog_url,
    "catalog.prefix": _check_prefix,
    "push.fsck_ignore": _check_fsck_ignore,
}
