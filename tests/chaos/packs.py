"""Commits, packs and pushes as bytes, made without git: a client's work must cost less than the cluster's.

Every commit has the empty tree. Source: gitformat-pack(5), gitprotocol-pack(5).
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.history import Change, Ending
from tests.e2e.raw import ZERO, pkt

_COMMIT: Final = 1
_TREE: Final = 2
_KINDS: Final = {_COMMIT: b"commit", _TREE: b"tree"}
_CAPABILITIES: Final = "report-status side-band-64k delete-refs push-options object-format=sha1"


@dataclass(frozen=True)
class GitObject:
    """A whole object."""

    kind: int
    body: bytes

    @property
    def oid(self) -> str:
        """Its name."""
        return hashlib.sha1(self._whole()).hexdigest()

    def _whole(self) -> bytes:
        return _KINDS[self.kind] + b" %d\0" % len(self.body) + self.body

    def packed(self) -> bytes:
        """As an entry of a pack."""
        size = len(self.body)
        first = self.kind << 4 | size & 15
        size >>= 4
        head = bytearray()
        while size:
            head.append(first | 0x80)
            first = size & 0x7F
            size >>= 7
        head.append(first)
        return bytes(head) + zlib.compress(self.body, 1)

    def write_loose(self, repository: Path) -> None:
        """Put it into a bare repository."""
        path = repository / "objects" / self.oid[:2] / self.oid[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(self._whole(), 1))


EMPTY_TREE: Final = GitObject(_TREE, b"")


def make_commit(parent: str | None, message: str) -> GitObject:
    """A commit with the empty tree; the message makes it unlike any other."""
    lines = [f"tree {EMPTY_TREE.oid}"]
    if parent:
        lines.append(f"parent {parent}")
    who = "Chaos <chaos@example.com> 1700000000 +0000"
    lines += [f"author {who}", f"committer {who}", "", message, ""]
    return GitObject(_COMMIT, "\n".join(lines).encode())


def make_pack(objects: Sequence[GitObject]) -> bytes:
    """A pack of whole objects."""
    data = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(one.packed() for one in objects)
    return data + hashlib.sha1(data).digest()


def push_body(
    changes: Sequence[Change], objects: Sequence[GitObject], *, option: str = "", is_atomic: bool = False
) -> bytes:
    """The body of a receive-pack request; the push option makes two equal pushes two, and a repetition one."""
    capabilities = _CAPABILITIES + (" atomic" if is_atomic else "")
    lines = []
    for number, change in enumerate(changes):
        line = f"{change.expected or ZERO} {change.value or ZERO} {change.ref}"
        lines.append(pkt(line if number else f"{line}\0 {capabilities}"))
    pack = make_pack(objects) if any(change.value for change in changes) else b""
    return b"".join([*lines, b"0000", *([pkt(option)] if option else []), b"0000", pack])


def read_report(answer: bytes, changes: Sequence[Change]) -> tuple[dict[str, Ending], int, str]:
    """What a push's report says: endings by reference (left out where it does not say), generation, refusals."""
    text = answer.decode(errors="replace")
    endings = {}
    for change in changes:
        found = re.search(rf"(ok|ng) {re.escape(change.ref)}(?=[ \n])", text)
        if found is not None:
            endings[change.ref] = Ending.DONE if found[1] == "ok" else Ending.REFUSED
    said = re.search(r"generation (\d+)", text)
    reasons = "; ".join(sorted(set(re.findall(r"ng [^ \n]+ ([^\n]*)", text))))
    if len(endings) < len(changes) and not reasons:
        reasons = " ".join(text.split())[-150:]
    return endings, int(said[1]) if said else 0, reasons


def read_advertisement(answer: bytes) -> Mapping[str, str]:
    """References in a version 0 advertisement, without HEAD and peeled lines. Raises ValueError: it is cut short."""
    refs: dict[str, str] = {}
    offset, flushes = 0, 0
    while flushes < 2:
        digits = answer[offset : offset + 4]
        if len(digits) < 4:
            raise ValueError("the advertisement is cut short")
        size = int(digits, 16)
        if not size:
            flushes, offset = flushes + 1, offset + 4
            continue
        line = answer[offset + 4 : offset + size]
        offset += size
        if len(line) != size - 4:
            raise ValueError("the advertisement is cut short")
        oid, _, name = line.split(b"\0")[0].decode().rstrip("\n").partition(" ")
        if name.startswith("refs/") and not name.endswith("^{}"):
            refs[name] = oid
    return refs
