"""What survives at a node: its disk, how fast it is, and what a power cut, a torn write or its death takes away.

The memory disk does each step whole and at once. A real one syncs names of files later than it says: a journal record
that was dropped, and whose directory was not synced since, may be back after a power cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from meshnode.base.ids import RoundId
from meshnode.core.round import ReplicaKey, Round
from meshnode.git.memory_disk import MemoryDisk
from meshnode.git.memory_packs import MemoryPack
from meshnode.git.state import in_journal_order
from tests.sim.process import Process


class DiskPace:
    """How long writes take."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.slow = 0.0
        self.is_crawling = False

    async def pass_(self, process: Process) -> None:
        """Wait for the disk; a process that dies meanwhile has not written."""
        await process.gate()
        if self.is_crawling:
            await asyncio.sleep(self.chance.randint(20, 400) / 1000)
        elif self.slow and self.chance.random() < self.slow:
            await asyncio.sleep(self.chance.randint(5, 700) / 1000)
        else:
            await asyncio.sleep(int(self.chance.random() * 3) / 1000)
        await process.gate()


@dataclass(frozen=True)
class _Dropped:
    """A journal record whose removal is not on disk yet."""

    key: ReplicaKey
    round: Round
    pack: MemoryPack | None


class SimDisk:
    """One node's disk over all its lives."""

    def __init__(self, chance: Random) -> None:
        self.memory = MemoryDisk()
        self.pace = DiskPace(chance)
        self._chance = chance
        self._dropped: list[_Dropped] = []

    @contextmanager
    def dropping(self, key: ReplicaKey, *, keeps_packs: bool = False) -> Iterator[None]:
        """Note which journal records a change drops. Packs that it moves away (`keeps_packs`) do not come back."""
        before = self.memory.replicas.get(key)
        rounds = () if before is None else before.state.prepared
        packs = {} if before is None or keeps_packs else dict(before.packs)
        try:
            yield
        finally:
            after = self.memory.replicas.get(key)
            left = set() if after is None else {known.round_id for known in after.state.prepared}
            if after is not None:
                gone = [known for known in rounds if known.round_id not in left]
                self._dropped += [_Dropped(key, known, packs.get(known.round_id)) for known in gone]

    def note_synced(self, key: ReplicaKey) -> None:
        """The journal's directory was synced: what was dropped stays dropped."""
        self._dropped = [one for one in self._dropped if one.key != key]

    def cut_power(self) -> int:
        """Let some of what was dropped and not synced come back; how many records did."""
        back = 0
        for one in self._dropped:
            replica = self.memory.replicas.get(one.key)
            is_there = replica is None or any(known.round_id == one.round.round_id for known in replica.state.prepared)
            if replica is None or is_there or self._chance.random() < 0.5:
                continue
            replica.state = replace(replica.state, prepared=in_journal_order((*replica.state.prepared, one.round)))
            if one.pack is not None:
                replica.packs[one.round.round_id] = one.pack
            back += 1
        self._dropped.clear()
        return back

    def tear(self, key: ReplicaKey) -> bool:
        """Leave half a journal record where a whole one was to be; False where there is no journal yet."""
        replica = self.memory.replicas.get(key)
        if replica is None:
            return False
        replica.is_unreadable = True
        return True

    def rounds_of(self, key: ReplicaKey) -> Sequence[RoundId]:
        """Rounds that a replica has applied last or keeps in its journal."""
        replica = self.memory.replicas.get(key)
        if replica is None:
            return ()
        applied = () if replica.state.round_id is None else (replica.state.round_id,)
        return (*applied, *(known.round_id for known in replica.state.prepared))

    def lose_everything(self) -> tuple[list[ReplicaKey], list[RoundId]]:
        """Be a new, empty disk; what was on the old one."""
        keys = list(self.memory.replicas)
        rounds = [round_id for key in keys for round_id in self.rounds_of(key)]
        self.memory.replicas.clear()
        self.memory.damaged.clear()
        self._dropped.clear()
        return keys, rounds
