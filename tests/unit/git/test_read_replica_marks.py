"""What a node writes down of its read replicas, for the day its catalog is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.partition import Partition
from meshnode.engine.read_replica_notes import ReadReplicaNotes
from meshnode.engine.supervisor import Supervisor
from meshnode.git.read_replica_marks import NAME, read_read_replica_marks, write_read_replica_marks

N1, N4 = NodeId("n1"), NodeId("n4")


def test_what_was_written_last_is_read_and_nothing_where_nothing_was(tmp_path: Path) -> None:
    assert read_read_replica_marks(tmp_path) == ()
    write_read_replica_marks(tmp_path, frozenset({PartitionId(7), PartitionId(3)}))
    assert read_read_replica_marks(tmp_path) == (3, 7)
    write_read_replica_marks(tmp_path, frozenset())
    assert read_read_replica_marks(tmp_path) == ()


@pytest.mark.parametrize("text", ["", "[]", '{"v": 2, "partitions": []}', '{"v": 1, "partitions": ["7"]}'])
def test_a_damaged_note_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(Corrupt):
        read_read_replica_marks(tmp_path)


async def test_the_note_follows_the_cluster_and_is_written_when_it_changes() -> None:
    written: list[frozenset[PartitionId]] = []

    async def write(partitions: frozenset[PartitionId]) -> None:
        written.append(partitions)
        if len(written) == 2:
            raise OSError("no space left on device")

    supervisor = Supervisor()
    notes = ReadReplicaNotes(own=N4, supervisor=supervisor, write=write)
    plain = Partition(partition=PartitionId(7), replicas=(N1,))
    reading = Partition(partition=PartitionId(7), replicas=(N1,), read_replicas=(N4,))
    voting = Partition(partition=PartitionId(7), replicas=(N1, N4), read_replicas=(N4,))
    for partition in (plain, plain, reading, reading, voting, reading):
        notes.note([partition])
        await supervisor.drain("note-read-replicas")
    await supervisor.close()
    assert written == [frozenset(), {7}, {7}], "what failed is written with the next change"
