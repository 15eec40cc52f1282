"""Reads durations that people type: `3600`, `90m`, `12h`, `30d`."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd]?)\Z")
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class DurationType(click.ParamType[int]):
    """`3600`, `90m`, `12h` or `30d`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds. Fails with a usage error."""
        if isinstance(value, int):
            return value
        match = _DURATION.match(str(value))
        if match is None:
            self.fail(f"{value!r} is not a number of seconds, or a number with s, m, h or d", param, ctx)
        return int(match["number"]) * _UNIT_S[match["unit"]]
