"""Asks a member again for a moment before believing that it is away.

A node that came back with another address (a container started again) is unreachable for the first call: the
connection tries the address it knows, fails, and only then asks for the new one. For a question that changes nothing
and whose answer a person waits for, "node did not answer" would be untrue a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from meshnode.base.errors import PeerUnavailable

T = TypeVar("T")

PATIENCE_MS: Final = 3_000
"""Two attempts to connect (`replication.connect_ms`) and the pause between them (`auth.channel.BACKOFF_MS_MAX`)."""
PAUSE_MS: Final = 250


async def ask_patiently(ask: Callable[[], Awaitable[T]], patience_ms: int) -> T:
    """The answer of `ask`, which changes nothing; PeerUnavailable only after `patience_ms` of asking."""
    loop = asyncio.get_running_loop()
    expires_at = loop.time() + patience_ms / 1000
    while True:
        try:
            return await ask()
        except PeerUnavailable:
            if loop.time() + PAUSE_MS / 1000 > expires_at:
                raise
        await asyncio.sleep(PAUSE_MS / 1000)
