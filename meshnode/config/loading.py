"""Turns a TOML text and the environment into a `Config`, or into every reason why not.

    file:         [limits]                    environment:  MESHNODE_LIMITS__QUEUE_WAIT_MS=5000
                  queue_wait_ms = 30000                     (wins over the file)

In the environment a truth is `true` or `false`, and a list is comma-separated. Variables without `__` in their name
are not settings and are left alone. Rule: nothing is guessed and nothing unknown is passed over.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, get_type_hints

from meshnode.config.checks import ConfigError, check_key, find_conflicts
from meshnode.config.settings import Config

ENVIRONMENT_PREFIX: Final = "MESHNODE_"

CONFIG_BYTES_MAX: Final = 1 << 20
_NUMBER_END: Final = 1 << 63
"""TOML's numbers have 64 bits; Python's do not end."""
_SHOWN_MAX: Final = 200

SECTIONS: Final[dict[str, type[Any]]] = get_type_hints(Config)
"""Section name to its dataclass."""

KEYS: Final[dict[str, dict[str, Any]]] = {name: get_type_hints(section) for name, section in SECTIONS.items()}
"""Section name to key name to type: str, int, bool, Path or tuple[str, ...]."""


class Origin(Enum):
    """Where a setting's value comes from; the later ones win over the earlier ones."""

    DEFAULT = "default"
    CLUSTER = "cluster"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A node's own settings, and where those that differ from nothing come from."""

    config: Config
    origins: Mapping[str, Origin]
    """FILE or ENVIRONMENT of every `section.key` that one of them sets, be it to the default."""


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """The settings of `load_settings`, without where they come from. Raises ConfigError."""
    return load_settings(path, environment).config


def load_settings(path: Path, environment: Mapping[str, str]) -> Loaded:
    """Read the settings file at `path`; `environment` is usually `os.environ`.

    Raises:
        ConfigError: with every problem, a missing or unreadable file included.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"file cannot be read: {error.strerror}"], str(path)) from error
    if len(raw) > CONFIG_BYTES_MAX:
        raise ConfigError([f"file is longer than {CONFIG_BYTES_MAX} bytes"], str(path))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(["file is not UTF-8"], str(path)) from error
    return parse_settings(text, environment, source=str(path))


def parse_config(toml_text: str, environment: Mapping[str, str], *, source: str = "settings") -> Config:
    """The settings of `parse_settings`, without where they come from. Raises ConfigError."""
    return parse_settings(toml_text, environment, source=source).config


def parse_settings(toml_text: str, environment: Mapping[str, str], *, source: str = "settings") -> Loaded:
    """Read settings from a text; `source` names it in errors.

    Raises:
        ConfigError: with every problem at once.
    """
    try:
        raw = tomllib.loads(toml_text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or a number of too many digits
        raise ConfigError([f"not TOML: {error}"], source) from error
    reading = _Reading()
    reading.take_file(raw)
    reading.take_environment(environment)
    config = reading.build()
    problems = reading.problems + [
        conflict.problem for conflict in find_conflicts(config) if reading.broken.isdisjoint(conflict.keys)
    ]
    if problems:
        raise ConfigError(problems, source)
    return Loaded(config=config, origins=reading.origins)


class _Reading:
    """Values taken so far, and what was wrong with the others."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.broken: set[str] = set()
        self.origins: dict[str, Origin] = {}
        self._values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}

    def take_file(self, raw: Mapping[str, Any]) -> None:
        for section, content in raw.items():
            if section not in SECTIONS:
                self.problems.append(f"[{section}] is not a section{nearest(section, SECTIONS)}")
            elif not isinstance(content, dict):
                self.problems.append(f"{section} must be a section: [{section}]")
            else:
                for key, value in content.items():
                    if key in KEYS[section]:
                        self._take(section, key, value, Origin.FILE)
                    else:
                        self.problems.append(f"{section}.{key} is not a setting{nearest(key, KEYS[section])}")

    def take_environment(self, environment: Mapping[str, str]) -> None:
        for variable in sorted(environment):
            name = variable.removeprefix(ENVIRONMENT_PREFIX)
            section, separator, key = name.lower().partition("__")
            if name == variable or not separator:
                continue
            if section not in SECTIONS:
                self.problems.append(f"{variable} names no section{nearest(section, SECTIONS, _variable)}")
            elif key not in KEYS[section]:
                near = nearest(key, KEYS[section], partial(_variable, section))
                self.problems.append(f"{variable} is not a setting{near}")
            else:
                self._take(section, key, environment[variable], Origin.ENVIRONMENT, f" ({variable})")

    def build(self) -> Config:
        """The settings, with defaults for what is broken; stand-ins for what is missing and has no default."""
        sections: dict[str, Any] = {}
        for name, section_type in SECTIONS.items():
            values = self._values[name]
            for field in dataclasses.fields(section_type):
                path = f"{name}.{field.name}"
                if path in self.broken:
                    values.pop(field.name, None)
                if field.default is dataclasses.MISSING and field.name not in values:
                    if path not in self.broken:
                        self.problems.append(f"{path} is missing")
                        self.broken.add(path)
                    values[field.name] = ""
            sections[name] = section_type(**values)
        return Config(**sections)

    def _take(self, section: str, key: str, raw: Any, origin: Origin, note: str = "") -> None:
        path = f"{section}.{key}"
        convert = value_from_text if origin is Origin.ENVIRONMENT else value_from_toml
        self.origins[path] = origin
        try:
            value = convert(KEYS[section][key], raw)
        except TypeError as error:
            problem: str | None = f"{path} must be {error}, not {show_value(raw)}"
        else:
            self._values[section][key] = value
            problem = check_key(path, value)
        if problem is not None:
            self.problems.append(problem + note)
            self.broken.add(path)


def value_from_toml(kind: Any, value: Any) -> Any:
    """The value of a key of type `kind` as TOML or JSON has it. Raises TypeError: what it must be."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind in (str, int, bool) and type(value) is kind and (kind is not int or abs(value) < _NUMBER_END):
        return value
    if kind not in (str, int, bool, Path) and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TypeError(_describe(kind))


def value_from_text(kind: Any, text: str) -> Any:
    """The value of a key of type `kind` that people write as one text. Raises TypeError: what it must be."""
    if kind in (str, Path):
        return kind(text)
    if kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
    elif kind is int:
        digits = text.replace("_", "")
        if digits.removeprefix("-").isdecimal() and digits.isascii() and len(digits) <= 20:
            return int(digits)
    else:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    raise TypeError(_describe(kind))


def _describe(kind: Any) -> str:
    names = {str: "a text", int: "a whole number", bool: "true or false", Path: "a path"}
    return names.get(kind, "a list of texts")


def show_value(value: Any) -> str:
    """A value as a problem names it: long ones cut, and those that have no text at all described."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"this {type(value).__name__}"
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."


def nearest(name: str, known: Iterable[str], show: Callable[[str], str] = str) -> str:
    """What was probably meant, as the end of a sentence; where nothing is near, all there is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {show(near[0])}?" if near else f"; known are {', '.join(map(show, known))}"


def _variable(section: str, key: str = "") -> str:
    return f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()
