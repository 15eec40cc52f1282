"""Gives this node another key while calls go on. Implements `ports.KeyRotations`.

    rotate: next key on disk --> listed beside the current one --> (waits) --> listed first and signed with
            --> key file replaced --> (waits) --> the old one leaves the list

Rule: each step is decided anew from files and catalog (`core/rotation.py`) and written by one compare-and-set on the node's
entry; a crash or a lost answer behind any of them is met by looking again. The private key never leaves this node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from meshnode.auth.key_files import KeyFiles
from meshnode.auth.keys import PrivateKey, PublicKey
from meshnode.base.errors import (
    CatalogUnavailable,
    Fenced,
    InvariantViolated,
    MeshError,
    NotFound,
    OutcomeUnknown,
)
from meshnode.base.ids import NodeId
from meshnode.core.keys import node_key
from meshnode.core.nodes import Node, decode_node, encode_node
from meshnode.core.rotation import (
    OVERLAP_MS_MIN,
    Phase,
    RotationTimes,
    check_announce,
    decode_times,
    drop_time,
    encode_times,
    phase_of,
    rotation_key,
    signing_key,
)
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Compare, Delete, Entry, KeyRotationState, Put

log = logging.getLogger("meshnode.engine")

POLL_MS: Final = 1_000
"""How often a rotation under way is looked at; nothing here is in a hurry."""
_ATTEMPTS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class _Now:
    """Files and catalog as they were just read."""

    current: PrivateKey
    successor: PrivateKey | None
    entry: Entry
    node: Node
    times: RotationTimes | None
    times_revision: int

    @property
    def listed(self) -> list[str]:
        return [PublicKey.parse(pem).key_id for pem in self.node.public_keys]

    @property
    def phase(self) -> Phase:
        return phase_of(self.current.key_id, None if self.successor is None else self.successor.key_id, self.listed)


@dataclass(kw_only=True)
class KeyRotation:
    """Implements `ports.KeyRotations`."""

    own: NodeId
    catalog: Catalog
    clock: Clock
    supervisor: Supervisor
    files: KeyFiles
    use_key: Callable[[PrivateKey], None]
    """Sign with this key from now on."""
    in_use: str
    """Id of the key that is signed with."""
    _is_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self) -> None:
        """Take up what an earlier process left off, and what operators ask later."""
        self.supervisor.keep("key-rotation", self._run_forever)

    async def rotate(self, announce_s: int) -> KeyRotationState:
        """Begin to replace this node's key; where that is under way, only say how far it is."""
        announce_ms = check_announce(announce_s) * 1_000
        async with self._turn:
            now = await self._read()
            if now.phase is Phase.IDLE:
                await asyncio.to_thread(self.files.make_next)
                now = await self._read()
            if now.phase is Phase.MADE and now.successor is not None:
                keys = (now.current.public_pem, now.successor.public_pem)
                times = RotationTimes(
                    node=self.own,
                    switch_at_ms=self.clock.wall_ms() + announce_ms,
                    drop_at_ms=0,
                    is_finish_wanted=False,
                )
                await self._write(now, replace(now.node, public_keys=keys), times, "key_announced")
        self._is_wanted.set()
        return await self.state(self.own)

    async def finish(self) -> KeyRotationState:
        """Let the old key go as soon as nothing signed with it can be on its way; the new one is in use first."""
        async with self._turn:
            now = await self._read()
            if now.phase in {Phase.ANNOUNCED, Phase.SWITCHED, Phase.OVERLAP} and not _is_finishing(now.times):
                now_ms = self.clock.wall_ms()
                soon_ms = now_ms + check_announce(0) * 1_000
                is_over = now.phase is Phase.OVERLAP
                wanted = RotationTimes(
                    node=self.own,
                    switch_at_ms=min(soon_ms, soon_ms if now.times is None else now.times.switch_at_ms),
                    drop_at_ms=now_ms + OVERLAP_MS_MIN if is_over else 0,
                    is_finish_wanted=True,
                )
                await self._write(now, now.node, wanted, "key_finish_wanted")
        self._is_wanted.set()
        return await self.state(self.own)

    async def state(self, node: NodeId) -> KeyRotationState:
        """A node's keys as the catalog lists them, and how far its rotation is."""
        entry, times = await self.catalog.get([node_key(node), rotation_key(node)])
        if entry is None:
            raise NotFound("no such node", node=node)
        return KeyRotationState(
            node=node,
            public_keys=decode_node(entry.value).public_keys,
            times=None if times is None else decode_times(times.value),
        )

    async def run_once(self) -> Phase:
        """Do what is due; the phase that is reached. Raises CatalogUnavailable, OutcomeUnknown, Fenced."""
        async with self._turn:
            for _ in range(_ATTEMPTS_MAX):
                now = await self._read()
                self._sign_with(now)
                if not await self._step(now):
                    return now.phase
        raise Fenced("this node's entry changes all the time", node=self.own)

    async def _step(self, now: _Now) -> bool:
        """Take one step where one is due; False where there is nothing to do just now."""
        now_ms = self.clock.wall_ms()
        times = now.times
        match now.phase:
            case Phase.ANNOUNCED if times is None:
                later = now_ms + check_announce(0) * 1_000
                wanted = RotationTimes(node=self.own, switch_at_ms=later, drop_at_ms=0, is_finish_wanted=False)
                await self._write(now, now.node, wanted, "key_announced")
            case Phase.ANNOUNCED if times is not None and now_ms >= times.switch_at_ms and now.successor is not None:
                keys = (now.successor.public_pem, now.current.public_pem)
                dropping = replace(times, drop_at_ms=drop_time(now_ms, times))
                await self._write(now, replace(now.node, public_keys=keys), dropping, "key_switched")
            case Phase.SWITCHED:
                await asyncio.to_thread(self.files.adopt_next)
            case Phase.OVERLAP if times is None or not times.drop_at_ms:
                wanted = RotationTimes(
                    node=self.own,
                    switch_at_ms=now_ms,
                    drop_at_ms=drop_time(now_ms, times),
                    is_finish_wanted=_is_finishing(times),
                )
                await self._write(now, now.node, wanted, "key_overlap_began")
            case Phase.OVERLAP if times is not None and now_ms >= times.drop_at_ms:
                await self._write(now, replace(now.node, public_keys=(now.current.public_pem,)), None, "key_dropped")
            case _:
                return False
        return True

    def _sign_with(self, now: _Now) -> None:
        """Sign with the key that the catalog lists first."""
        successor = None if now.successor is None else now.successor.key_id
        key_id = signing_key(now.current.key_id, successor, now.listed)
        if key_id is None:
            raise InvariantViolated("the catalog lists no key that this node has", node=self.own)
        if key_id != self.in_use:
            key = now.current if key_id == now.current.key_id else now.successor
            assert key is not None
            self.use_key(key)
            log.info("key_in_use", extra={"key_id": key_id, "before": self.in_use})
            self.in_use = key_id

    async def _read(self) -> _Now:
        current, successor = await asyncio.to_thread(self.files.load)
        entry, times = await self.catalog.get([node_key(self.own), rotation_key(self.own)])
        if entry is None:
            raise NotFound("this node is not in the catalog", node=self.own)
        return _Now(
            current=current,
            successor=successor,
            entry=entry,
            node=decode_node(entry.value),
            times=None if times is None else decode_times(times.value),
            times_revision=0 if times is None else times.revision,
        )

    async def _write(self, now: _Now, node: Node, times: RotationTimes | None, event: str) -> None:
        """Write keys and times together, if neither has changed. Raises Fenced."""
        key = rotation_key(self.own)
        done = await self.catalog.transact(
            [Compare(now.entry.key, now.entry.revision), Compare(key, now.times_revision)],
            [Put(now.entry.key, encode_node(node)), Delete(key) if times is None else Put(key, encode_times(times))],
        )
        if done is None:
            raise Fenced("this node's entry changed meanwhile; ask again", node=self.own)
        log.info(event, extra={"node": self.own, "keys": len(node.public_keys)})

    async def _run_forever(self) -> None:
        self._is_wanted.set()
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while (await self._look()) not in {Phase.IDLE, Phase.MADE}:
                await self.clock.sleep(POLL_MS)

    async def _look(self) -> Phase | None:
        """`run_once`; None where that could not be done now, IDLE where it cannot be done before somebody acts."""
        try:
            return await self.run_once()
        except (CatalogUnavailable, OutcomeUnknown, Fenced) as error:
            log.warning("key_rotation_postponed", extra={"error": str(error)})
        except MeshError as error:
            log.error("key_rotation_failed", extra={"error": str(error)})  # noqa: TRY400 - a fact for the operator
            return Phase.IDLE
        return None


def _is_finishing(times: RotationTimes | None) -> bool:
    return times is not None and times.is_finish_wanted
