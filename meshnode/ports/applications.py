"""Applications and their keys: what operators ask of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from meshnode.core.applications import Application, Role


class Applications(Protocol):
    """Who may call besides nodes. Every change is one compare-and-set, and may be asked again."""

    async def all(self) -> Sequence[Application]:
        """Every application, by name, with the keys that are believed now. Raises CatalogUnavailable."""
        ...

    async def add(self, application: str, role: Role, public_key: str) -> Application:
        """Let an application call. Raises InvalidRequest, Fenced, CatalogUnavailable."""
        ...

    async def remove(self, application: str) -> Application:
        """Let it call no more; as it was. Raises NotFound, and as above."""
        ...

    async def set_role(self, application: str, role: Role) -> Application:
        """Let it call more or less. Raises as above."""
        ...

    async def add_key(self, application: str, public_key: str, drop_other_after_s: int) -> Application:
        """Believe it under one key more. Raises as above."""
        ...

    async def drop_key(self, application: str, key_id: str, after_s: int) -> Application:
        """Believe it under a key no longer, now or later. Raises as above."""
        ...
