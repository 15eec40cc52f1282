"""Reads a scenario's changes like a disk that keeps only what was synced, and finds steps called done too early.

    a rename must not give a name that is kept to bytes, or to a directory, that were not synced
    at a step's mark, bytes and names below `repositories`, `damaged` and `deleted` are synced
    so they are when the mark goes that a replica is being filled, and when a pack goes that was combined with others

`kill -9` does not lose what the kernel holds; a power cut does. This is what shows the difference. Most removals may
be lost, since the next start repeats them; not those of references (an old loose file hides the packed value) and of
that mark. A commit graph is made of the rest and may be lost. What git writes is synced by git itself (`core.fsync`), but not the names of
references: it renames its locks and leaves their directories to us.

Source: fsync(2), ext4(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from meshnode.git.stores import APPLY_REFS, PREPARE_OBJECTS
from tests.crash.points import Point

UNSETTLED: Final = frozenset({PREPARE_OBJECTS, APPLY_REFS})
"""Steps that promise nothing yet: the next one syncs for both."""
_KEPT: Final = ("repositories", "damaged", "deleted")
_RELIES: Final = re.compile(r"repositories/\d+/\w+/(mesh/filling|objects/pack/pack-\w+\.idx)")
_LASTING_REMOVAL: Final = re.compile(r"repositories/\d+/\w+/(mesh/filling|refs/.*(?<!\.lock))")


class Disk:
    """What is not durable yet."""

    def __init__(self) -> None:
        self.bytes: set[str] = set()
        """Files written since they were last synced."""
        self.names: set[str] = set()
        """Paths that came or went since their directory was last synced."""
        self.complaints: list[str] = []

    def see(self, number: int, point: Point) -> None:
        """Take in one change or mark."""
        match point.kind:
            case "create" | "make_directory":
                self.names.add(point.path)
            case "write" | "truncate":
                self.bytes.add(point.path)
            case "sync":
                self.bytes.discard(point.path)
                self.names = {path for path in self.names if _parent(path) != point.path}
            case "rename":
                self._rename(number, point)
            case "unlink" | "remove_tree" | "remove_directory":
                self._remove(number, point)
            case "update-ref" | "pack-objects":
                self.names.update(point.names)
            case "index-pack" | "commit-graph" | "voted":
                pass
            case "mark":
                self._check(number, point)
            case kind:
                raise AssertionError(f"a change of an unknown kind: {kind}")

    def _rename(self, number: int, point: Point) -> None:
        source, target = point.path, point.target
        self.names.discard(source)
        if target.startswith(_KEPT):
            moved = sorted(path for path in self.bytes | self.names if _is_in(path, source))
            self.complaints += [f"{number}: {point}: {path} is not synced" for path in moved]
        self.bytes = {_moved(path, source, target) for path in self.bytes}
        self.names = {_moved(path, source, target) for path in self.names} | {target}

    def _remove(self, number: int, point: Point) -> None:
        path = point.path
        if _RELIES.fullmatch(path):
            self._check(number, point)
        self.bytes = {one for one in self.bytes if not _is_in(one, path)}
        self.names = {one for one in self.names if not _is_in(one, path)}
        if _LASTING_REMOVAL.fullmatch(path):
            self.names.add(path)

    def _check(self, number: int, point: Point) -> None:
        if point.path not in UNSETTLED:
            self.complaints += [
                f"{number}: at {point}: {path} is not synced"
                for path in sorted(self.bytes | self.names)
                if path.startswith(_KEPT)
            ]


def check_order(points: Iterable[Point]) -> list[str]:
    """What a power cut could undo that was called done; empty where nothing."""
    disk = Disk()
    for number, point in enumerate(points, start=1):
        disk.see(number, point)
    return disk.complaints


def _is_in(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _moved(path: str, source: str, target: str) -> str:
    return target + path[len(source) :] if _is_in(path, source) else path


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "."
