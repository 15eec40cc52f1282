"""Listings written straight into bytes say what messages would."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from meshnode.ports import EntryKind, LfsPointer, TreePage, TreeRun
from meshnode.v1 import tree_pb2
from meshnode.wire.trees import entries_bytes, entry_message

_MODES = (b"100644", b"100755", b"100664", b"120000", b"40000", b"040000", b"160000", b"0", b"7777777777")
_SIZES = (0, 1, 127, 128, 16_383, 16_384, 2**31, 2**63)


def random_page(chance: random.Random, oid_bytes: int) -> TreePage:
    runs = []
    sizes: dict[bytes, int] = {}
    pointers: dict[bytes, LfsPointer] = {}
    for _ in range(chance.randrange(5)):
        rows = []
        for _ in range(chance.randrange(1, 9)):
            oid = chance.randbytes(oid_bytes)
            rows.append(
                (chance.choice(_MODES), chance.randbytes(chance.choice((1, 5, 70, 127, 128, 300, 17_000))), oid)
            )
            if chance.random() < 0.7:
                sizes[oid] = chance.choice(_SIZES)
            if chance.random() < 0.3:
                pointers[oid] = LfsPointer("f" * 64, chance.choice(_SIZES))
        runs.append(TreeRun(chance.choice((b"", b"a/", b"d" * 130 + b"/")), rows))
    return TreePage([*runs], None, sizes, pointers, [])


def messages(page: TreePage, prefix: bytes) -> tree_pb2.ListEntriesResponse:
    answer = tree_pb2.ListEntriesResponse()
    for entry in page.entries():
        oid = bytes.fromhex(entry.oid)
        described = entry._replace(
            size=page.sizes.get(oid, 0) if entry.kind.is_blob else 0,
            lfs=page.pointers.get(oid) if entry.kind in {EntryKind.FILE, EntryKind.EXECUTABLE} else None,
        )
        answer.entries.append(entry_message(described, prefix))
    return answer


@pytest.mark.parametrize("oid_bytes", [20, 32])
def test_bytes_are_those_of_the_messages(oid_bytes: int) -> None:
    for seed in range(40):
        page = random_page(random.Random(seed), oid_bytes)
        for prefix in (b"", b"below/", b"x" * 200 + b"/"):
            assert b"".join(entries_bytes(page, prefix)) == messages(page, prefix).SerializeToString()
            bare = replace(page, sizes={}, pointers={})
            assert b"".join(entries_bytes(bare, prefix)) == messages(bare, prefix).SerializeToString()


def test_directory_has_no_size_though_a_file_of_the_same_id_has_one() -> None:
    oid = b"o" * 20
    page = TreePage([TreeRun(b"", [(b"40000", b"d", oid), (b"100644", b"f", oid)])], None, {oid: 7}, {}, [])
    answer = tree_pb2.ListEntriesResponse.FromString(b"".join(entries_bytes(page)))
    assert [entry.size for entry in answer.entries] == [0, 7]


def test_every_run_is_a_piece_of_its_own() -> None:
    page = random_page(random.Random(7), 20)
    assert len(list(entries_bytes(page))) == len(page.runs)
