"""Repository names as arguments of commands: checked before anything is sent."""

from __future__ import annotations

from typing import Any, Final

import click

from meshnode.base.ids import RepositoryName, parse_repository_name


class _NameType(click.ParamType[RepositoryName]):
    """A repository name."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RepositoryName:
        """Parse the text. Raises InvalidRequest."""
        del param, ctx
        return parse_repository_name(value)


NAME: Final = _NameType()
