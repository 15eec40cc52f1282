"""Writes settings as the TOML text that `config/loading.py` reads back to the same settings.

Rule: only what differs from the default is written, so that a file shows what is special about its node.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from meshnode.config.settings import Config


def render_config(config: Config) -> str:
    """The settings as TOML; sections in the order of `Config`, empty ones left out."""
    sections: list[str] = []
    for section in dataclasses.fields(config):
        settings = getattr(config, section.name)
        lines = [
            f"{field.name} = {_render(getattr(settings, field.name))}"
            for field in dataclasses.fields(settings)
            if getattr(settings, field.name) != field.default
        ]
        if lines:
            sections.append("\n".join([f"[{section.name}]", *lines]) + "\n")
    return "\n".join(sections)


def _render(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() | Path():
            # A JSON text is a TOML basic string, but for DEL, which TOML wants escaped.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return "[" + ", ".join(_render(item) for item in value) + "]"
        case _:
            raise TypeError(type(value).__name__)
