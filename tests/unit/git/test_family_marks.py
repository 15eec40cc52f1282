"""A node's own note of which families have a partition for themselves, and who keeps it current."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.engine.family_notes import FamilyNotes
from meshnode.engine.supervisor import Supervisor
from meshnode.git.family_marks import NAME, add_family_marks, read_family_marks
from tests.unit.core.builders import a_record

ROOT = RepositoryId("a" * 32)
OTHER = RepositoryId("b" * 32)


def test_what_is_noted_is_read_and_a_newer_partition_takes_an_older_ones_place(tmp_path: Path) -> None:
    assert read_family_marks(tmp_path) == {}
    add_family_marks(tmp_path, {ROOT: PartitionId(256)})
    add_family_marks(tmp_path, {OTHER: PartitionId(257)})
    assert read_family_marks(tmp_path) == {ROOT: 256, OTHER: 257}
    add_family_marks(tmp_path, {ROOT: PartitionId(258), OTHER: PartitionId(256)})
    assert read_family_marks(tmp_path) == {ROOT: 258, OTHER: 257}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"v":2,"families":[]}',
        '{"v":1}',
        '{"v":1,"families":[["x",256]]}',
        f'{{"v":1,"families":[["{ROOT}",-1]]}}',
        f'{{"v":1,"families":[["{ROOT}",true]]}}',
        f'{{"v":1,"families":[["{ROOT}"]]}}',
        f'{{"v":1,"families":{{"{ROOT}":256}}}}',
    ],
)
def test_a_note_that_cannot_be_read_is_corrupt_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(Corrupt):
        read_family_marks(tmp_path)
    with pytest.raises(Corrupt):
        add_family_marks(tmp_path, {ROOT: PartitionId(256)})
    assert (tmp_path / NAME).read_text() == text


async def test_a_family_is_written_down_once_and_again_after_a_failure() -> None:
    written: list[dict[RepositoryId, PartitionId]] = []
    full = True

    async def write(families: Mapping[RepositoryId, PartitionId]) -> None:
        if full:
            raise OSError("disk full")
        written.append(dict(families))

    supervisor = Supervisor()
    notes = FamilyNotes(supervisor=supervisor, write=write)
    record = replace(a_record(5), partition=PartitionId(256))
    notes.note(record)
    await supervisor.drain("note-families")
    full = False
    other = replace(record, fork_root=OTHER, partition=PartitionId(257))
    notes.note(other)
    notes.note(other)
    await supervisor.drain("note-families")
    assert written == [{record.fork_root: PartitionId(256), OTHER: PartitionId(257)}]
    await supervisor.close()
    await asyncio.sleep(0)
