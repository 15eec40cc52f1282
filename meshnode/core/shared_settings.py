"""Settings that hold for the whole cluster: the catalog's one entry of them, and the JSON it is.

    settings   {"v": 1, "version": 3, "values": {"scrub.slots": 2}, "changed_at_ms": ..., "changed_by": "..."}

What a key means, and which values it may have, is `config/cluster_wide.py`'s business: an entry may come from a newer
node, so a key or value that this node does not know is carried along and never a reason to refuse the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import FORMAT_VERSION, encode_json

VALUE_CHARS_MAX: Final = 4_096
"""Longest text of one value."""

Value = bool | int | str | tuple[str, ...]
"""What a setting can be, as JSON has it; lists are of texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedSettings:
    """What administrators have set for all nodes."""

    version: int = 0
    """Grows by one with every change; 0: nothing has been set yet."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """By `section.key`."""
    changed_at_ms: int = 0
    """Wall clock of the last change."""
    changed_by: str = ""
    """Who made it."""


NOTHING_SHARED: Final = SharedSettings()


def encode_shared_settings(settings: SharedSettings) -> bytes:
    """The settings as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "version": settings.version,
            "values": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in sorted(settings.values.items())
            },
            "changed_at_ms": settings.changed_at_ms,
            "changed_by": settings.changed_by,
        }
    )


def decode_shared_settings(value: bytes) -> SharedSettings:
    """The settings of their JSON. Raises Corrupt."""
    return decode(
        value,
        "shared settings",
        FORMAT_VERSION,
        lambda fields: SharedSettings(
            version=fields.number("version"),
            values={key: _value(key, one) for key, one in fields.mapping("values").items()},
            changed_at_ms=fields.number("changed_at_ms"),
            changed_by=fields.text("changed_by"),
        ),
    )


def _value(key: str, raw: object) -> Value:
    fields = Fields({key: raw})
    match raw:
        case bool():
            return raw
        case int():
            return fields.number(key)
        case str():
            return fields.text(key)
        case list():
            return fields.texts(key)
        case _:
            raise TypeError(f"{key} is of no kind that a setting has")
