"""Makes a history that looks like a project's, the same for the same shape, through `git fast-import`.

    main      o---o---o---M---o---o---M---o        M: merge of a topic branch
                   \\     /     \\     /
    topics          o---o       o---o              branches stay behind as references
    tags      annotated and light ones along main, some with names beyond ASCII

Dates count up from a fixed day and content comes from a seeded generator, so two runs give equal object ids.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_EPOCH_S = 1_600_000_000
_AUTHORS = ("Ada Lovelace", "Grete Hermann", "Łukasz Żółty", "山田太郎", "Zoë O'Neill")
_WORDS = ("alpha", "brook", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "karst", "ledge")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large a history is."""

    commits: int = 2_000
    branches: int = 90
    tags: int = 60
    """Half of them annotated."""
    files: int = 200
    """Paths that commits change."""
    noise_bytes: int = 0
    """Incompressible bytes each commit adds, to make packs large."""
    seed: int = 1


SMALL = Shape(commits=60, branches=12, tags=8, files=20)
"""For tests: made in well under a second."""

DEMO = Shape()
"""About 2,000 commits and 150 references."""


def make_repository(path: Path, shape: Shape) -> Path:
    """Make a bare repository at `path` with a history of `shape`; returns `path`."""
    _git(path.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    with subprocess.Popen(
        ["git", "-C", str(path), "fast-import", "--quiet", "--done"], stdin=subprocess.PIPE, bufsize=1 << 20
    ) as importer:
        assert importer.stdin is not None
        for piece in _stream(shape):
            importer.stdin.write(piece)
        importer.stdin.close()
        if importer.wait() != 0:
            raise RuntimeError(f"fast-import failed with {importer.returncode}")
    _git(path, "repack", "-adq")
    _git(path, "pack-refs", "--all")
    return path


def _git(directory: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(directory), *args], check=True)


def _stream(shape: Shape) -> Iterator[bytes]:
    chance = random.Random(shape.seed)
    mark = 0
    main_marks: list[int] = []
    topics_left = shape.branches
    commits_each = max(1, shape.commits // (2 * max(1, shape.branches)))
    while mark < shape.commits:
        for _ in range(commits_each):
            mark += 1
            yield _commit(chance, shape, mark, "refs/heads/main", parent=main_marks[-1] if main_marks else None)
            main_marks.append(mark)
        if topics_left > 0:
            topics_left -= 1
            name = _topic_name(shape.branches - topics_left)
            base = main_marks[max(0, len(main_marks) - 1 - chance.randrange(5))]
            tip = base
            for _ in range(commits_each):
                mark += 1
                yield _commit(chance, shape, mark, f"refs/heads/{name}", parent=tip)
                tip = mark
            if chance.random() < 0.7:
                mark += 1
                yield _commit(chance, shape, mark, "refs/heads/main", parent=main_marks[-1], merged=tip)
                main_marks.append(mark)
    for number in range(topics_left):
        yield f"reset refs/heads/late/{number:05d}\nfrom :{chance.choice(main_marks)}\n\n".encode()
    for number in range(shape.tags):
        target = main_marks[(number * 7919) % len(main_marks)]
        if number % 2:
            yield f"reset refs/tags/light/v0.{number}\nfrom :{target}\n\n".encode()
        else:
            yield _tag(number, target)
    yield b"done\n"


def _topic_name(number: int) -> str:
    word = _WORDS[number % len(_WORDS)]
    return f"topic/größe-{number:05d}" if number % 10 == 9 else f"topic/{word}-{number:05d}"


def _tag(number: int, target: int) -> bytes:
    message = f"release {number}\n\nnotes for release {number}\n"
    who = f"Release Bot <release@example.com> {_EPOCH_S + 100_000 + number} +0000"
    name = f"v1.{number}" if number % 8 else f"v1.{number}-ünïcode"
    return f"tag {name}\nfrom :{target}\ntagger {who}\n{_data(message)}\n".encode()


def _commit(chance: random.Random, shape: Shape, mark: int, ref: str, *, parent: int | None, merged: int = 0) -> bytes:
    author = _AUTHORS[mark % len(_AUTHORS)]
    when = _EPOCH_S + 60 * mark
    message = f"{'merge' if merged else 'change'} {mark}: {' '.join(chance.choices(_WORDS, k=5))}\n"
    lines = [f"commit {ref}\nmark :{mark}\nauthor {author} <dev{mark % 7}@example.com> {when} +0100\n"]
    lines.append(f"committer Committer <committer@example.com> {when} +0000\n{_data(message)}")
    if parent is not None:
        lines.append(f"from :{parent}\n")
    if merged:
        lines.append(f"merge :{merged}\n")
    for _ in range(2):
        path = _path(chance.randrange(shape.files))
        body = "".join(f"{chance.choice(_WORDS)} {chance.randrange(1000)}\n" for _ in range(30))
        lines.append(f"M 100644 inline {path}\n{_data(f'{mark}{chr(10)}{body}')}")
    pieces = ["".join(lines).encode()]
    if shape.noise_bytes:
        noise = chance.randbytes(shape.noise_bytes)
        pieces.append(f"M 100644 inline bin/{mark:07d}.dat\ndata {len(noise)}\n".encode() + noise + b"\n")
    return b"".join(pieces) + b"\n"


def _path(number: int) -> str:
    folder = ("src", "docs", "daten/übersicht")[number % 3]
    return f"{folder}/{_WORDS[number % len(_WORDS)]}/file{number:04d}.txt"


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"
