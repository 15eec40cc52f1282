"""Reads values back out of JSON that was written here; whatever was not written here is Corrupt.

    bytes --JSON--> Fields --build--> value           every value of the type that was written, every id parsed

Rule: nothing is converted. A number in quotes, a list that is a text, an id that only looks like one: who wrote that
was not this program, so nothing else it says is believed either.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from meshnode.base.errors import Corrupt, Fact, MeshError

T = TypeVar("T")

NUMBER_MAX: Final = (1 << 63) - 1


class Fields:
    """One JSON object. What is missing or of another kind than asked for is a ValueError, a
    TypeError or a KeyError, which `decode` makes an error of this project.
    """

    def __init__(self, raw: object) -> None:
        if not isinstance(raw, dict):
            raise TypeError("not an object")
        self._raw: dict[str, Any] = raw

    def text(self, name: str) -> str:
        """A text that can be written again."""
        return _text(self._raw[name], name)

    def number(self, name: str, *, smallest: int = 0) -> int:
        """A whole number, `smallest` to 2**63 - 1."""
        value = self._raw[name]
        if type(value) is not int or not smallest <= value <= NUMBER_MAX:
            raise ValueError(f"{name} is no number, or out of range")
        return value

    def truth(self, name: str) -> bool:
        """True or false."""
        value = self._raw[name]
        if not isinstance(value, bool):
            raise TypeError(f"{name} is neither true nor false")
        return value

    def parsed(self, name: str, parse: Callable[[str], T]) -> T:
        """A text that its parser lets through as it is."""
        return _parsed(self._raw[name], name, parse)

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The same, or None for null."""
        return None if self._raw[name] is None else self.parsed(name, parse)

    def optional_number(self, name: str) -> int | None:
        """A whole number, or None for null."""
        return None if self._raw[name] is None else self.number(name)

    def has(self, name: str) -> bool:
        """Whether the field is there at all: what was added to a format later is not in older entries."""
        return name in self._raw

    def raw(self, name: str) -> object:
        """Whatever it is, for another decoder."""
        return self._raw[name]

    def items(self, name: str) -> list[Any]:
        """A list of whatever it is of."""
        value = self._raw[name]
        if not isinstance(value, list):
            raise TypeError(f"{name} is no list")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object of whatever it holds; its keys can be written again."""
        value = self._raw[name]
        if not isinstance(value, dict):
            raise TypeError(f"{name} is no object")
        return {_text(key, name): item for key, item in value.items()}

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(_text(item, name) for item in self.items(name))

    def optional_texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; none where nothing of that name was written."""
        return self.texts(name) if name in self._raw else ()

    def all_parsed(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """A list of texts that their parser lets through as they are."""
        return tuple(_parsed(item, name, parse) for item in self.items(name))


def decode(value: bytes | str, what: str, version: int, build: Callable[[Fields], T], **facts: Fact) -> T:
    """Make a value of its JSON; `what` and `facts` are for the error.

    Raises:
        Corrupt: not JSON, of another version than `version`, or `build` was not content.
    """
    try:
        fields = Fields(json.loads(value))
        found = fields.number("v")
        if found != version:
            raise Corrupt(f"{what} has an unknown format version", version=found, **facts)
        return build(fields)
    except Corrupt:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Corrupt(f"{what} cannot be decoded", detail=_detail(error), **facts) from error
    except MeshError as error:
        raise Corrupt(f"{what} has a bad value", detail=_detail(error), **facts) from error


def optional_text(value: object, parse: Callable[[str], T]) -> T | None:
    """An item of a list: a text that its parser lets through as it is, or None for null."""
    return None if value is None else _parsed(value, "item", parse)


def _parsed(value: object, name: str, parse: Callable[[str], T]) -> T:
    text = _text(value, name)
    parsed = parse(text)
    if isinstance(parsed, str) and parsed != text:
        raise ValueError(f"{name} is written in another way than here")
    return parsed


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    if not value.isascii():
        value.encode()  # half a surrogate pair could not be written again
    return value


def _detail(error: Exception) -> str:
    return str(error)[:200].encode("utf-8", "backslashreplace").decode()
