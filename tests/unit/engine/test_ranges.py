"""What lies below a prefix is read whole, however many pages that takes."""

from __future__ import annotations

import pytest

from meshnode.catalog.memory import MemoryCatalog
from meshnode.engine.ranges import PAGE, read_all
from meshnode.ports import Put


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7])
async def test_all_below_a_prefix_and_nothing_beside_it(count: int) -> None:
    catalog = MemoryCatalog()
    wanted = [f"b/{number:06d}" for number in range(count)]
    for key in ("a/z", *wanted, "b0", "c/a"):
        await catalog.transact([], [Put(key, key.encode())])
    found = await read_all(catalog, "b/")
    assert [(entry.key, entry.value) for entry in found] == [(key, key.encode()) for key in wanted]
