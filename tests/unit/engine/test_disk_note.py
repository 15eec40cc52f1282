"""Notes on a node's disk: written when something changes, the newest last, and in nobody's way."""

from __future__ import annotations

import asyncio

from meshnode.engine.disk_note import DiskNote
from meshnode.engine.supervisor import Supervisor


async def test_newest_value_is_written_last_however_slow_the_disk_is() -> None:
    supervisor, gate, written = Supervisor(), asyncio.Event(), list[str]()

    async def write(value: str) -> None:
        await gate.wait()
        written.append(value)

    note = DiskNote[str](name="test", supervisor=supervisor, write=write)
    for value in ("a", "b", "b", "c"):
        note.note(value)
        await asyncio.sleep(0)
    gate.set()
    await supervisor.drain("note-test")
    assert written[-1] == "c"
    assert len(written) <= 3, "what did not change is not written again"
    note.note("c")
    await supervisor.drain("note-test")
    assert written[-1] == "c"
    assert written.count("c") == 1
    await supervisor.close()


async def test_write_that_fails_is_made_good_by_the_next_change() -> None:
    supervisor, written, failures = Supervisor(), list[int](), [OSError("full")]

    async def write(value: int) -> None:
        if failures:
            raise failures.pop()
        written.append(value)

    note = DiskNote[int](name="test", supervisor=supervisor, write=write)
    note.note(1)
    await supervisor.drain("note-test")
    assert written == []
    note.note(2)
    await supervisor.drain("note-test")
    assert written == [2]
    await supervisor.close()
