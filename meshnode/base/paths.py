"""Paths inside trees, and the only function that turns outside bytes into one.

A checked path means to git what it means to us: no part of it climbs, is taken as relative to something, or ends an
argument. Its bytes need not be UTF-8.

Source: git's tree.c and `verify_path`; gitrevisions(7) for what "./" would mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType

from meshnode.base.errors import InvalidRequest, TooLarge

TreePath = NewType("TreePath", bytes)
"""Parts joined by "/", from the root of a tree; b"" is the root."""

PATH_BYTES_MAX: Final = 4_096
"""PATH_MAX of Linux: what is longer cannot be checked out."""

DIRECTORIES_MAX: Final = 10_000
"""Directories above all paths of one question."""

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


def directories_above(paths: Iterable[TreePath]) -> list[TreePath]:
    """The directories that lead to some paths, the root among them, in byte order.

    Raises:
        TooLarge: they are more than 10,000.
    """
    found = {ROOT}
    for path in paths:
        parent = TreePath(path.rpartition(b"/")[0])
        while parent not in found:
            found.add(parent)
            parent = TreePath(parent.rpartition(b"/")[0])
        if len(found) > DIRECTORIES_MAX:
            raise TooLarge("paths lie in too many directories", directories_max=DIRECTORIES_MAX)
    return sorted(found)


def shown(path: bytes) -> str:
    """A path for messages and fields of errors."""
    return path.decode(errors="backslashreplace")


def name_in(tree: str, path: bytes) -> str:
    """How the object at `path` below a tree is named to `ports.Objects`."""
    return f"{tree}:{path.decode(errors='surrogateescape')}"
