"""Tells pointers of git-lfs from other files, by their content alone.

    version https://git-lfs.github.com/spec/v1
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
    size 12345

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.ports import LfsPointer

POINTER_BYTES_MAX: Final = 1_023
""""Pointer files MUST be less than 1024 bytes"."""
_POINTER: Final = re.compile(
    rb"version (?:https://git-lfs\.github\.com/spec/v1|https://hawser\.github\.com/spec/v1|http://git-media\.io/v/2)\n"
    rb"(?:ext-[0-9]-[^ \n]+ sha256:[0-9a-f]{64}\n)*"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size ([0-9]{1,19})\n?\Z"
)


def parse_lfs_pointer(content: bytes) -> LfsPointer | None:
    """Read a pointer; None where the content is none."""
    found = _POINTER.match(content) if len(content) <= POINTER_BYTES_MAX else None
    return None if found is None else LfsPointer(found[1].decode(), int(found[2]))
