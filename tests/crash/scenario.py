"""A scenario: what a node does to its disk while it may die, before and after which moment."""

from __future__ import annotations

import re

from tests.crash.site import Site


class Scenario:
    """One story. The instance is what it remembers between its parts."""

    object_format = "sha1"
    is_set_aside = False
    """Whether a damaged copy may be left."""

    async def prepare(self, site: Site) -> None:
        """Make what is on disk before; nothing dies here."""

    async def act(self, site: Site) -> None:
        """Do what is tested; the process may die at any change."""
        raise NotImplementedError

    async def heal(self, site: Site) -> None:
        """Do what repair would do to a replica that the record does not believe in."""


def name_of(scenario: type[Scenario]) -> str:
    """The scenario's name on a command line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", scenario.__name__).lower()
