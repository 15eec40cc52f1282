"""A node's own note of the cluster's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt
from meshnode.core.shared_settings import SharedSettings, encode_shared_settings
from meshnode.git.settings_note import NAME, read_settings_note, write_settings_note

SETTINGS = SharedSettings(version=3, values={"scrub.slots": 2}, changed_at_ms=7, changed_by="app:operator")


def test_what_was_heard_last_is_read_back(tmp_path: Path) -> None:
    assert read_settings_note(tmp_path) is None
    write_settings_note(tmp_path, encode_shared_settings(SharedSettings(version=2)))
    write_settings_note(tmp_path, encode_shared_settings(SETTINGS))
    assert read_settings_note(tmp_path) == SETTINGS


def test_what_is_no_note_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(Corrupt):
        read_settings_note(tmp_path)
