"""Patches that are there as a whole: they say what they say piece by piece, are kept by their text, and limits cut them alike."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import MeshError
from meshnode.git.diff_parts import DiffParts
from meshnode.git.patch_reader import PatchReader, WholePatch
from meshnode.git.patch_text import ENTRY_BYTES, TEXT_BYTES_MAX, TEXT_COST, PatchMemory, parse_change
from meshnode.ports import DiffLimits, DiffPart, DiffSummary
from tests.unit.git.test_diffs import Disk, changed, some_content

TEXT = b"\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1,2 +1,3 @@ def f()\n x\n-y\n+z\n+w\n@@ -9 +10 @@\n-a\n+b"


def outputs(tmp_path: Path) -> list[bytes]:
    """What git writes about some pairs of trees."""
    disk = Disk(tmp_path)
    found = []
    for seed in range(12):
        chance = random.Random(seed)
        content = some_content(chance)
        old, new = disk.tree(content), disk.tree(changed(chance, content))
        found.append(disk.stock(old, new, "-z", "--raw", "-p", "-M"))
    return found


def parts(
    pieces: list[bytes], limits: DiffLimits, memory: PatchMemory | None = None
) -> tuple[list[DiffPart], DiffSummary]:
    reader = PatchReader(memory)
    taker = DiffParts(reader.files, limits)
    portions = []
    for piece in pieces:
        portions += taker.take(reader.feed(piece))
    portions += taker.take(reader.end())
    rest, summary = taker.end()
    found = [copy.deepcopy(part) for portion in [*portions, *rest] for part in portion]
    for part in found:
        if part.end is not None and not part.end.is_counted:  # as far as it came
            part.end = replace(part.end, additions=0, deletions=0)
    return found, summary


def test_whole_patches_say_what_their_pieces_say_within_any_limits(tmp_path: Path) -> None:
    memory = PatchMemory()
    chance = random.Random(1)
    wholes = 0
    for output in outputs(tmp_path):
        reader = PatchReader()
        wholes += sum(isinstance(event, WholePatch) for event in reader.feed(output))
        for limits in (
            DiffLimits(),
            DiffLimits(lines_max=chance.randrange(1, 90)),
            DiffLimits(bytes_max=chance.randrange(1, 900)),
            DiffLimits(file_lines_max=chance.randrange(1, 30), file_bytes_max=chance.randrange(1, 400)),
            DiffLimits(files_max=chance.randrange(1, 6)),
        ):
            wanted = parts([bytes([byte]) for byte in output], limits)
            assert parts([output], limits) == wanted
            for _ in range(3):
                cuts = sorted(chance.choices(range(len(output) + 1), k=5))
                pieces = [output[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(output)])]
                assert parts(pieces, limits, memory) == wanted
    assert wholes > 20


def test_equal_text_is_read_once_and_least_used_ones_go() -> None:
    texts = [TEXT + b"%04d" % number for number in range(4)]
    memory = PatchMemory(3 * (ENTRY_BYTES + TEXT_COST * len(texts[0])))
    first = [memory.read(text) for text in texts[:3]]
    assert memory.read(bytes(bytearray(texts[0]))) is first[0]
    memory.read(texts[3])
    assert memory.read(texts[0]) is first[0]
    assert memory.read(texts[2]) is first[2]
    again = memory.read(texts[1])
    assert again == first[1]
    assert again is not first[1]


def test_long_text_is_not_kept() -> None:
    memory = PatchMemory()
    long = TEXT + b"x" * TEXT_BYTES_MAX
    assert memory.read(long) == memory.read(long)
    assert memory.read(long) is not memory.read(long)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b"-1,2", b"-1,9"),
        TEXT.replace(b"-1,2", b"-1,1"),
        TEXT.replace(b"-1,2 +1,3", b"-x +y"),
        TEXT.replace(b"\n x", b"\n?x"),
        TEXT.replace(b"\n x", b"\n"),
        TEXT + b"\n",
        TEXT + b"\n+more",
        TEXT.removesuffix(b"\n-a\n+b"),
    ],
)
def test_text_that_does_not_hold_together_is_refused_each_time(text: bytes) -> None:
    memory = PatchMemory()
    for read in (memory.read, memory.read, parse_change):
        with pytest.raises(MeshError):
            read(text)
