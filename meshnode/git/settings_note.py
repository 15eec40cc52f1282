"""The cluster's settings as a node heard of them last, in its own words on its own disk: `<data>/cluster-settings.json`.

They are in no replica. With the catalog lost, the note with the highest version is what the cluster ran by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from meshnode.core.shared_settings import SharedSettings, decode_shared_settings
from meshnode.git.disk import read_file, write_durable

NAME: Final = "cluster-settings.json"


def write_settings_note(data: Path, entry: bytes) -> None:
    """Keep the catalog's entry as it is. Raises OSError as `git.disk` does."""
    write_durable(data / NAME, entry)


def read_settings_note(data: Path) -> SharedSettings | None:
    """What the node heard last; None where it never heard of any. Raises Corrupt."""
    found = read_file(data / NAME)
    return None if found is None else decode_shared_settings(found)
