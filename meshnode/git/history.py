"""The rounds a replica applied, one checksummed line each, oldest first. The last line is the replica's position.

    <first 16 hex digits of the SHA-256 of the JSON> <JSON of the round> LF

An append is durable when it returns, so a line that is cut short was never promised to anyone: it is ignored and
overwritten (no line end, or zeros where a block never reached the disk). A bad line anywhere else is damage. Generations follow each other without a gap.

Cost: one append and one fsync a round; the file is rewritten when it holds twice what is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import Generation
from meshnode.core.round import Round, decode_round, encode_round
from meshnode.git import durable
from meshnode.git.disk import read_file, sync_directory, write_durable

KEPT_BYTES_MAX: Final = 64 << 20
"""Rounds beyond this many bytes are forgotten too, the newest excepted: ten thousand edits take about 1 MB."""
_CHECK_EVERY: Final = 64
"""Appends between looks at the file's length."""
_TAIL_BYTES: Final = 16 << 10
_CHECKSUM_DIGITS: Final = 16


class History:
    """One replica's history file. Not safe for two writers at once: the caller holds the replica's lock."""

    def __init__(self, path: Path, rounds_kept: int, bytes_kept: int = KEPT_BYTES_MAX) -> None:
        self._path = path
        self._rounds_kept = rounds_kept
        self._bytes_kept = bytes_kept

    def append(self, round_: Round) -> None:
        """Add an applied round, durably."""
        is_new = not self._path.exists()
        descriptor = durable.create(self._path, os.O_RDWR)
        try:
            end, _ = _tail(descriptor)
            try:
                if end != os.fstat(descriptor).st_size:
                    durable.truncate(descriptor, self._path, end)
                durable.write(descriptor, self._path, _format_line(round_), end)
                durable.sync(descriptor, self._path)
            except OSError:
                durable.truncate(descriptor, self._path, end)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self._path.parent)
        if round_.generation % _CHECK_EVERY == 0:
            self._compact(round_.generation)

    def rewrite(self, rounds: Sequence[Round]) -> None:
        """Hold these rounds and no others, durably: what was here before does not lead to what comes next."""
        if rounds:
            write_durable(self._path, b"".join(map(_format_line, rounds)))
        elif self._path.exists():
            durable.unlink(self._path)
            sync_directory(self._path.parent)

    def last(self) -> Round | None:
        """The round applied last, None for none kept. Raises Corrupt."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            _, line = _tail(descriptor)
        finally:
            os.close(descriptor)
        return None if line is None else _parse_line(line, self._path)

    def after(self, generation: Generation, limit: int) -> list[Round]:
        """Rounds with generation+1, generation+2, ...; empty where that one is forgotten. Raises Corrupt."""
        lines = self._lines()
        if not lines:
            return []
        first = _parse_line(lines[0], self._path).generation
        if generation + 1 < first:
            return []
        rounds = [_parse_line(line, self._path) for line in lines[generation + 1 - first :][:limit]]
        for place, round_ in enumerate(rounds):
            if round_.generation != generation + 1 + place:
                raise Corrupt("history has a gap", generation=round_.generation, path=str(self._path))
        return rounds

    def at(self, generation: Generation) -> Round | None:
        """The round that made `generation`, None where it is forgotten or yet to come."""
        found = self.after(Generation(generation - 1), 1)
        return found[0] if found else None

    def find_request(self, request_key: str) -> Round | None:
        """The newest round with this request key. Raises Corrupt."""
        wanted = b'"request_key":' + json.dumps(request_key, ensure_ascii=False).encode()
        for line in reversed(self._lines(wanted)):
            if wanted in line:
                round_ = _parse_line(line, self._path)
                if round_.request_key == request_key:
                    return round_
        return None

    def _compact(self, newest: Generation) -> None:
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            first = _parse_line(file.readline().removesuffix(b"\n"), self._path).generation
        if newest - first < 2 * self._rounds_kept and size <= 2 * self._bytes_kept:
            return
        lines = self._lines()
        kept: list[bytes] = []
        kept_bytes = 0
        for line in reversed(lines[-self._rounds_kept :]):
            kept_bytes += len(line) + 1
            if kept and kept_bytes > self._bytes_kept:
                break
            kept.append(line)
        write_durable(self._path, b"".join(line + b"\n" for line in reversed(kept)))

    def _lines(self, wanted: bytes = b"") -> list[bytes]:
        """Whole lines, or none where `wanted` is in none; the checksums are checked when they are parsed."""
        data = read_file(self._path) or b""
        lines = data.split(b"\n")[:-1] if wanted in data else []
        while lines and b"\0" in lines[-1]:
            lines.pop()
        return lines


def _format_line(round_: Round) -> bytes:
    body = encode_round(round_)
    return _checksum(body) + b" " + body + b"\n"


def _parse_line(line: bytes, path: Path) -> Round:
    checksum, _, body = line.partition(b" ")
    if checksum != _checksum(body):
        raise Corrupt("history has a damaged line", path=str(path))
    return decode_round(body)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_CHECKSUM_DIGITS].encode()


def _tail(descriptor: int) -> tuple[int, bytes | None]:
    """The last whole line, and the offset behind it. Cut short by a crash: no line end, or zeros never written."""
    start = os.fstat(descriptor).st_size
    data = b""
    while True:
        whole = data.rfind(b"\n") + 1
        begin = data.rfind(b"\n", 0, whole - 1) + 1 if whole else 0
        if whole and (begin or not start):
            line = data[begin : whole - 1]
            if b"\0" not in line:
                return start + whole, line
            data = data[:begin]
            if begin:
                continue
        if not start:
            return 0, None
        length = min(max(_TAIL_BYTES, len(data)), start)
        start -= length
        data = os.pread(descriptor, length, start) + data
