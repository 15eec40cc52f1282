"""Paths inside trees, and the only function that turns outside bytes into one.

A checked path means to git what it means to us: no part of it climbs, is taken as relative to something, or ends an
argument. Its bytes need not be UTF-8.

Source: git's tree.c and `verify_path`; gitrevisions(7) for what "./" would mean.
"""

from __future__ import annotations

from typing import Final, NewType

from meshnode.base.errors import InvalidRequest

TreePath = NewType("TreePath", bytes)
"""Parts joined by "/", from the root of a tree; b"" is the root."""

PATH_BYTES_MAX: Final = 4_096
"""PATH_MAX of Linux: what is longer cannot be checked out."""

ROOT: Final = TreePath(b"")


def parse_tree_path(raw: bytes) -> TreePath:
    """Check a path; b"" is the root.

    Raises:
        InvalidRequest: it has an empty, "." or ".." part (a slash at an end makes an empty one), a NUL, or over
            4,096 bytes.
    """
    if len(raw) > PATH_BYTES_MAX:
        raise InvalidRequest("path is too long", bytes_max=PATH_BYTES_MAX)
    if raw and (b"\0" in raw or any(part in {b"", b".", b".."} for part in raw.split(b"/"))):
        raise InvalidRequest(
            "path must be parts joined by '/', none of them empty, '.' or '..'", path=repr(raw[:200])[2:-1]
        )
    return TreePath(raw)


def shown(path: bytes) -> str:
    """A path for messages and fields of errors."""
    return path.decode(errors="backslashreplace")


def name_in(tree: str, path: bytes) -> str:
    """How the object at `path` below a tree is named to `ports.Objects`."""
    return f"{tree}:{path.decode(errors='surrogateescape')}"
