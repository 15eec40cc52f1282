"""A repository's own configuration: what writes to it may do. Which keys there are, what they mean, what they refuse.

    receive.denyDeletes            true: no branch may be deleted
    receive.denyNonFastForwards    true: no branch may be moved to what does not contain what it held
    receive.maxInputSize           bytes (k, m, g): no write may bring a larger pack; 0: only the node's own limit

Names and meaning are git's (git-config(1)), branches being what is below refs/heads/; anything else git could be told
there is refused, because nothing here would keep to it. Every coordinator reads the entry together with the record and
names its revision when it publishes: a write that was checked by an older configuration cannot become visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from meshnode.base.errors import InvalidRequest
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, encode_json
from meshnode.core.refs import RefEdit

BRANCHES: Final = "refs/heads/"
INPUT_BYTES_MAX: Final = 1 << 40
DELETION_DENIED: Final = "deletion prohibited (receive.denyDeletes)"
REWIND_DENIED: Final = "non-fast-forward (receive.denyNonFastForwards)"
_TRUTHS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmgKMG]?)\Z", re.ASCII)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryConfig:
    """What is configured for one repository."""

    version: int = 0
    """Grows by one with every change; 0: nothing was ever configured."""
    denies_deletes: bool = False
    denies_non_fast_forwards: bool = False
    input_bytes_max: int = 0
    """0: no limit of its own."""

    @property
    def denies_nothing(self) -> bool:
        """Whether edits of references need not be looked at."""
        return not (self.denies_deletes or self.denies_non_fast_forwards)


NO_CONFIG: Final = RepositoryConfig()


def _parse_truth(text: str) -> bool:
    value = _TRUTHS.get(text.lower())
    if value is None:
        raise ValueError("true or false")
    return value


def _parse_size(text: str) -> int:
    match = _SIZE.match(text)
    size = -1 if match is None else int(match[1]) * _UNITS[match[2].lower()]
    if not 0 <= size <= INPUT_BYTES_MAX:
        raise ValueError(f"a number of bytes from 0 to {INPUT_BYTES_MAX}, k, m or g after it")
    return size


_FIELDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "receive.denyDeletes": ("denies_deletes", _parse_truth),
    "receive.denyNonFastForwards": ("denies_non_fast_forwards", _parse_truth),
    "receive.maxInputSize": ("input_bytes_max", _parse_size),
}
"""Key to field, and the reader of what people write."""

KEYS: Final = tuple(_FIELDS)
_SPELLING: Final = {key.lower(): key for key in KEYS}


def texts_of(config: RepositoryConfig) -> dict[str, str]:
    """Every key with its value as git writes it."""
    return {key: _text(getattr(config, name)) for key, (name, _) in _FIELDS.items()}


def plan_config(config: RepositoryConfig, changes: Mapping[str, str], unset: Sequence[str]) -> RepositoryConfig:
    """The configuration after a change; the same object where nothing changes. Keys are spelled as git allows.

    Raises:
        InvalidRequest: with every problem at once, the allowed keys named where one is none of them.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    seen: set[str] = set()
    for written, text in [*((key, None) for key in unset), *changes.items()]:
        key = _SPELLING.get(written.lower())
        if key is None:
            problems.append(f"{written[:100]!r} is not among {', '.join(KEYS)}")
        elif key in seen:
            problems.append(f"{key} is named twice")
        else:
            seen.add(key)
            name, parse = _FIELDS[key]
            try:
                values[name] = getattr(NO_CONFIG, name) if text is None else parse(text)
            except ValueError as error:
                problems.append(f"{key} must be {error}, not {str(text)[:100]!r}")
    if problems:
        raise InvalidRequest("configuration cannot be used: " + "; ".join(problems))
    after = replace(config, **values)
    return config if after == config else replace(after, version=config.version + 1)


def is_deletion_denied(config: RepositoryConfig, edit: RefEdit) -> bool:
    """Whether the edit deletes a branch that may not be."""
    return config.denies_deletes and edit.new is None and edit.old is not None and edit.name.startswith(BRANCHES)


def must_fast_forward(config: RepositoryConfig, edit: RefEdit) -> bool:
    """Whether the edit's new value must contain its old one."""
    return (
        config.denies_non_fast_forwards
        and edit.new is not None
        and edit.old is not None
        and edit.name.startswith(BRANCHES)
    )


def encode_repository_config(config: RepositoryConfig) -> bytes:
    """The configuration as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "version": config.version,
            "values": {key: getattr(config, name) for key, (name, _) in _FIELDS.items()},
        }
    )


@lru_cache(DECODED_MAX)
def decode_repository_config(value: bytes) -> RepositoryConfig:
    """The configuration of its JSON. Raises Corrupt, also for a key of a newer node: it could not be kept to."""
    return decode(
        value,
        "repository configuration",
        FORMAT_VERSION,
        lambda fields: _config(fields.number("version"), fields.mapping("values")),
    )


def _config(version: int, values: Mapping[str, Any]) -> RepositoryConfig:
    if not values.keys() <= _FIELDS.keys():
        raise ValueError("a key that this version cannot keep to")
    read = Fields(values)
    taken: dict[str, Any] = {
        _FIELDS[key][0]: read.number(key) if _FIELDS[key][1] is _parse_size else read.truth(key) for key in values
    }
    return RepositoryConfig(version=version, **taken)


def _text(value: bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
