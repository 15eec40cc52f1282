"""A node that gets another key: every step, and every crash between two steps, leaves it believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from meshnode.auth.identity import choose_key
from meshnode.auth.key_files import KeyFiles
from meshnode.auth.keys import PrivateKey, PublicKey, load_private_key, write_private_file
from meshnode.base.errors import CatalogUnavailable, InvalidRequest, MeshError, NotFound, OutcomeUnknown
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.keys import node_key
from meshnode.core.nodes import Node, decode_node, encode_node
from meshnode.core.rotation import OVERLAP_MS, OVERLAP_MS_MIN, Phase, rotation_key
from meshnode.engine.key_rotation import KeyRotation
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Delete, Put
from tests.unit.auth.parties import StillClock
from tests.unit.rpc.fakes import node_entry
from tests.unit.wire.samples import N1

ANNOUNCE_MS = 15_000


@cache
def made(number: int) -> PrivateKey:
    assert number
    return PrivateKey.generate()


@dataclass(frozen=True, slots=True)
class QuickFiles(KeyFiles):
    """Real files; the successor is made before the test, for that takes long."""

    def make_next(self) -> PrivateKey:
        write_private_file(self.next_path, made(2).private_pem())
        return load_private_key(self.next_path)


@dataclass
class Bench:
    """One node's disk, the catalog, and processes that come and go."""

    directory: Path
    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    clock: StillClock = field(default_factory=StillClock)
    used: list[str] = field(default_factory=list)
    listed_since: dict[str, int] = field(default_factory=dict)

    async def prepare(self) -> None:
        write_private_file(self.directory / "node.pem", made(1).private_pem())
        entry = node_entry(N1, keys=(made(1).public_pem,))
        await self.catalog.transact([], [Put(node_key(N1), encode_node(entry))])

    async def start(self, catalog: Catalog | None = None) -> KeyRotation:
        """A process that starts: it must find a key that is believed."""
        files = QuickFiles(self.directory / "node.pem")
        key = choose_key(await self.entry(), files)
        return KeyRotation(
            own=N1,
            catalog=catalog or self.catalog,
            clock=self.clock,
            supervisor=Supervisor(),
            files=files,
            use_key=lambda key: self.used.append(key.key_id),
            in_use=key.key_id,
        )

    async def entry(self) -> Node:
        (entry,) = await self.catalog.get([node_key(N1)])
        assert entry is not None
        return decode_node(entry.value)

    async def listed(self) -> list[str]:
        return [PublicKey.parse(pem).key_id for pem in (await self.entry()).public_keys]

    async def check(self, rotation: KeyRotation) -> None:
        """What is signed with is listed, and was for long enough."""
        listed = await self.listed()
        for key_id in listed:
            self.listed_since.setdefault(key_id, self.clock.now_ms)
        assert rotation.in_use in listed
        assert self.clock.now_ms - self.listed_since[rotation.in_use] >= (
            0 if rotation.in_use == made(1).key_id else ANNOUNCE_MS
        )


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    await bench.prepare()
    return bench


async def test_new_key_is_listed_then_used_then_alone(bench: Bench) -> None:
    rotation = await bench.start()
    assert await rotation.run_once() is Phase.IDLE
    state = await rotation.rotate(0)
    assert list(state.public_keys) == [made(1).public_pem, made(2).public_pem]
    assert state.times is not None
    assert state.times.switch_at_ms == bench.clock.now_ms + ANNOUNCE_MS
    assert await rotation.rotate(0) == state, "one rotation at a time"
    assert await rotation.run_once() is Phase.ANNOUNCED
    bench.clock.now_ms += ANNOUNCE_MS - 1
    assert await rotation.run_once() is Phase.ANNOUNCED
    assert bench.used == []
    bench.clock.now_ms += 1
    assert await rotation.run_once() is Phase.OVERLAP
    assert bench.used == [made(2).key_id]
    assert await bench.listed() == [made(2).key_id, made(1).key_id]
    assert load_private_key(bench.directory / "node.pem").key_id == made(2).key_id
    assert not (bench.directory / "node.pem.next").exists()
    bench.clock.now_ms += OVERLAP_MS - 1
    assert await rotation.run_once() is Phase.OVERLAP
    bench.clock.now_ms += 1
    assert await rotation.run_once() is Phase.IDLE
    assert await bench.listed() == [made(2).key_id]
    assert await bench.catalog.get([rotation_key(N1)]) == [None]


async def test_finish_lets_the_old_key_go_when_its_last_tokens_are_over(bench: Bench) -> None:
    rotation = await bench.start()
    await rotation.rotate(3_600)
    first = await rotation.finish()
    assert first.times is not None
    assert first.times.switch_at_ms == bench.clock.now_ms + ANNOUNCE_MS
    assert await rotation.finish() == first, "asking again puts nothing off"
    bench.clock.now_ms += ANNOUNCE_MS
    assert await rotation.run_once() is Phase.OVERLAP
    bench.clock.now_ms += OVERLAP_MS_MIN - 1
    assert await rotation.run_once() is Phase.OVERLAP
    bench.clock.now_ms += 1
    assert await rotation.run_once() is Phase.IDLE


async def test_finish_in_the_overlap_and_without_a_rotation(bench: Bench) -> None:
    rotation = await bench.start()
    assert len((await rotation.finish()).public_keys) == 1
    await rotation.rotate(0)
    bench.clock.now_ms += ANNOUNCE_MS
    assert await rotation.run_once() is Phase.OVERLAP
    await rotation.finish()
    bench.clock.now_ms += OVERLAP_MS_MIN
    assert await rotation.run_once() is Phase.IDLE


class Crash(Exception):
    """The process ends here."""


async def _until_idle(bench: Bench, rotation: KeyRotation) -> None:
    """Let time go by until one key is left, asking for the rotation where that is not under way."""
    for _ in range(12):
        await bench.check(rotation)
        phase = await rotation.run_once()
        await bench.check(rotation)
        if phase is Phase.IDLE and await bench.listed() == [made(2).key_id]:
            return
        if phase in {Phase.IDLE, Phase.MADE}:
            await rotation.rotate(0)
            await bench.check(rotation)
        bench.clock.now_ms += ANNOUNCE_MS if phase is not Phase.OVERLAP else OVERLAP_MS
    raise AssertionError("the rotation does not come to an end")


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("at", range(1, 20))
async def test_process_that_ends_at_any_catalog_request_is_believed_and_goes_on(
    bench: Bench, at: int, moment: Moment
) -> None:
    left = [at]

    async def crash(call: CatalogCall) -> None:
        if call.moment is moment:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    try:
        await _until_idle(bench, await bench.start(bench.catalog.client(crash)))
    except Crash:
        await _until_idle(bench, await bench.start())
    assert (await bench.start()).in_use == made(2).key_id


@pytest.mark.parametrize("where", ["make_next", "adopt_next"])
@pytest.mark.parametrize("is_done", [False, True])
async def test_process_that_ends_at_a_file_is_believed_and_goes_on(bench: Bench, where: str, *, is_done: bool) -> None:
    @dataclass(frozen=True, slots=True)
    class Failing(QuickFiles):
        def make_next(self) -> PrivateKey:
            if where != "make_next":
                return QuickFiles.make_next(self)
            if is_done:
                QuickFiles.make_next(self)
            raise Crash

        def adopt_next(self) -> None:
            if where != "adopt_next":
                QuickFiles.adopt_next(self)
                return
            if is_done:
                QuickFiles.adopt_next(self)
            raise Crash

    rotation = await bench.start()
    rotation.files = Failing(bench.directory / "node.pem")
    with pytest.raises(Crash):
        await _until_idle(bench, rotation)
    await _until_idle(bench, await bench.start())
    assert (await bench.start()).in_use == made(2).key_id


@pytest.mark.parametrize(
    ("error", "moment"),
    [(CatalogUnavailable, Moment.BEFORE), (OutcomeUnknown, Moment.BEFORE), (OutcomeUnknown, Moment.AFTER)],
)
async def test_catalog_that_fails_now_and_then_only_delays(
    bench: Bench, error: type[MeshError], moment: Moment
) -> None:
    count = [0]

    async def fail(call: CatalogCall) -> None:
        if call.moment is moment and call.operation == "transact":
            count[0] += 1
            if count[0] % 2:
                raise error("away")

    rotation = await bench.start(bench.catalog.client(fail))
    for _ in range(30):
        await bench.check(rotation)
        try:
            phase = await rotation.run_once()
            if await bench.listed() == [made(2).key_id]:
                return
            if phase in {Phase.IDLE, Phase.MADE}:
                await rotation.rotate(0)
            await bench.check(rotation)
            bench.clock.now_ms += OVERLAP_MS
        except (CatalogUnavailable, OutcomeUnknown):
            continue
    raise AssertionError("the rotation does not come to an end")


async def test_lost_times_are_counted_anew(bench: Bench) -> None:
    rotation = await bench.start()
    await rotation.rotate(0)
    await bench.catalog.transact([], [Delete(rotation_key(N1))])
    assert await rotation.run_once() is Phase.ANNOUNCED
    bench.clock.now_ms += ANNOUNCE_MS
    assert await rotation.run_once() is Phase.OVERLAP
    await bench.catalog.transact([], [Delete(rotation_key(N1))])
    assert await rotation.run_once() is Phase.OVERLAP
    bench.clock.now_ms += OVERLAP_MS
    assert await rotation.run_once() is Phase.IDLE


async def test_task_goes_on_by_itself_and_ends_with_the_nodes_entry(bench: Bench) -> None:
    rotation = await bench.start()
    assert await rotation._look() is Phase.IDLE
    await rotation.rotate(0)
    await bench.catalog.transact([], [Delete(node_key(N1))])
    assert await rotation._look() is Phase.IDLE
    with pytest.raises(NotFound):
        await rotation.rotate(0)
    with pytest.raises(NotFound):
        await rotation.state(NodeId("n9"))


async def test_directory_that_cannot_be_written_is_a_clear_error(bench: Bench) -> None:
    rotation = await bench.start()
    rotation.files = KeyFiles(bench.directory / "node.pem" / "x")
    with pytest.raises(InvalidRequest):
        await rotation.rotate(0)


async def test_too_short_a_time_is_refused_before_anything_is_made(bench: Bench) -> None:
    rotation = await bench.start()
    with pytest.raises(InvalidRequest):
        await rotation.rotate(1)
    assert not (bench.directory / "node.pem.next").exists()
