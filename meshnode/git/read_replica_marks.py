"""Which partitions a node has read replicas of, in its own words on its own disk: `<data>/read-replicas.json`.

A replica's files do not tell whether it votes. With the catalog lost, this file does: it is what the node had heard last,
a hint for the rebuild of where replicas were, never of what is published.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import PartitionId, parse_partition_id
from meshnode.core.decoding import Fields, decode
from meshnode.git.disk import read_file, write_durable

NAME: Final = "read-replicas.json"
FORMAT: Final = 1


def write_read_replica_marks(data: Path, partitions: Collection[PartitionId]) -> None:
    """Say so for whoever reads this disk without a catalog. Raises OSError as `git.disk` does."""
    text = json.dumps({"v": FORMAT, "partitions": sorted(partitions)}) + "\n"
    write_durable(data / NAME, text.encode())


def read_read_replica_marks(data: Path) -> tuple[PartitionId, ...]:
    """What the node said last; nothing where it never had any. Raises Corrupt."""
    found = read_file(data / NAME)
    return () if found is None else decode(found, "read replica marks", FORMAT, _partitions)


def _partitions(fields: Fields) -> tuple[PartitionId, ...]:
    numbers = fields.items("partitions")
    if not all(type(number) is int for number in numbers):
        raise Corrupt("a partition is no number")
    return tuple(parse_partition_id(number) for number in numbers)
