"""Which fork families have a partition for themselves, in a node's own words on its own disk: `<data>/families.json`.

A replica's directory tells where its family was created, for good. With the catalog lost, this file tells where it lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.core.decoding import Fields, decode
from meshnode.core.families import format_families, newest_families, parse_families
from meshnode.git.disk import read_file, write_durable

NAME: Final = "families.json"
FORMAT: Final = 1


def add_family_marks(data: Path, families: Mapping[RepositoryId, PartitionId]) -> None:
    """Add to what was noted before; a family that is there keeps the higher number, which is the newer one.

    Raises Corrupt where the file cannot be read, OSError as `git.disk` does.
    """
    known = read_family_marks(data)
    wanted = newest_families((known, families))
    if wanted != known:
        text = json.dumps({"v": FORMAT, "families": format_families(wanted)}) + "\n"
        write_durable(data / NAME, text.encode())


def read_family_marks(data: Path) -> dict[RepositoryId, PartitionId]:
    """What the node noted; nothing where it never heard of any. Raises Corrupt."""
    found = read_file(data / NAME)
    return {} if found is None else decode(found, "family marks", FORMAT, _families)


def _families(fields: Fields) -> dict[RepositoryId, PartitionId]:
    return parse_families(fields.items("families"))
