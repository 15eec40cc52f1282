"""One service served by several objects, each with some of its methods."""

from __future__ import annotations

from typing import Any


class Parts:
    """Finds a method in the first part that has it."""

    def __init__(self, *parts: object) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        for part in self._parts:
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)
