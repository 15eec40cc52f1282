"""Makes a repository of everything that differs from the usual, for comparing answers with git's.

    main        paths with spaces, quotes, tabs, line breaks, non-ASCII and non-UTF-8 bytes; symlinks, a submodule,
                an executable, mode changes, CRLF, binary files, an empty file, renames, copies, an empty commit
    octopus     a merge of three branches          crisscross-a, -b   each merged into the other twice over
    unrelated   another root                       conflict-a, -b     both change the same lines
    latin1      a commit message that says i18n.commitEncoding ISO-8859-1; huge: a tree of 50,000 entries

Dates count up from a fixed day, so ids are the same in every run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HUGE_ENTRIES = 50_000
_EPOCH_S = 1_500_000_000
_PEOPLE = ("Ada Lovelace <ada@example.org>", "Łukasz Żółty <lukasz@example.org>", "山田 <yamada@example.jp>")

ODD_PATHS = (
    b"with space.txt",
    b'quo"te.txt',
    b"tab\there.txt",
    b"line\nbreak.txt",
    "ünï/cødé/文件.txt".encode(),
    b"latin1-\xe9\xe8.txt",
    b"-dash.txt",
    b":colon.txt",
    b"back\\slash.txt",
    b"*star?.txt",
)
"""As git stores them."""


class _Import:
    """A fast-import stream."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.mark = 0

    def commit(
        self,
        branch: str,
        message: bytes,
        changes: dict[bytes, bytes | None],
        *,
        parents: tuple[str, ...] = (),
        modes: dict[bytes, bytes] | None = None,
        extra: tuple[bytes, ...] = (),
        encoding: bytes = b"",
    ) -> str:
        """Add a commit; `changes` are contents by path, None deletes. Returns its mark."""
        self.mark += 1
        mark = self.mark
        when = _EPOCH_S + 3_600 * mark
        who = _PEOPLE[mark % len(_PEOPLE)].encode()
        lines = [b"commit refs/heads/" + branch.encode(), b"mark :%d" % mark]
        lines += [b"author %s %d +0%d00" % (who, when, mark % 10), b"committer %s %d +0000" % (who, when + 60)]
        if encoding:
            lines.append(b"encoding " + encoding)
        lines.append(b"data %d\n%s" % (len(message), message))
        lines += [(b"from " if at == 0 else b"merge ") + parent.encode() for at, parent in enumerate(parents)]
        for path, content in changes.items():
            if content is None:
                lines.append(b"D " + _quoted(path))
                continue
            mode = (modes or {}).get(path, b"100644")
            if mode == b"160000":
                lines.append(b"M 160000 %s %s" % (content, _quoted(path)))
            else:
                lines.append(b"M %s inline %s\ndata %d\n%s" % (mode, _quoted(path), len(content), content))
        lines += extra
        self.parts.append(b"\n".join(lines) + b"\n\n")
        return f":{mark}"


def make_oddities(path: Path, *, object_format: str = "sha1") -> Path:
    """Make the bare repository at `path`; returns `path`."""
    stream = _Import()
    submodule = b"1" * (64 if object_format == "sha256" else 40)
    numbered = b"".join(b"line %d\n" % number for number in range(200))
    tip = stream.commit("main", b"first\n", {odd: b"content of " + odd + b"\n" for odd in ODD_PATHS})
    tip = stream.commit(
        "main",
        b"links, modes, kinds\n\nWith a body of\nseveral lines.\n\nSigned-off-by: Ada Lovelace <ada@example.org>\n",
        {
            b"link": b"with space.txt",
            b"vendor/module": submodule,
            b"run.sh": b"#!/bin/sh\necho hello\n",
            b"data.bin": bytes(range(256)) * 40,
            b"crlf.txt": b"one\r\ntwo\r\nthree\r\n",
            b"empty.txt": b"",
            b"no-newline.txt": b"no newline at the end",
            b"src/numbers.txt": numbered,
            b"src/deep/er/file.py": b"import os\n\n\ndef main():\n    return os.getcwd()\n",
            b".gitattributes": b"*.bin -diff\n*.py diff=python text\ncrlf.txt text eol=crlf\n*.lfs filter=lfs -text\n",
            b"big.lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 12345\n",
            b"LICENSE": _MIT,
        },
        parents=(tip,),
        modes={b"link": b"120000", b"vendor/module": b"160000", b"run.sh": b"100755"},
    )
    tip = stream.commit(
        "main",
        b"renames and copies\n",
        {b"src/copy.txt": numbered.replace(b"line 7\n", b"line seven\n")},
        parents=(tip,),
        extra=(b"R crlf.txt src/crlf-moved.txt", b"R run.sh bin/run.sh"),
    )
    tip = stream.commit("main", b"empty commit\n", {}, parents=(tip,))
    tip = stream.commit(
        "main",
        b"mode change and edits\n",
        {
            b"bin/run.sh": b"#!/bin/sh\necho hello\n",
            b"src/numbers.txt": numbered.replace(b"line 100\n", b"line  one hundred \n").replace(b"line 150\n", b""),
            b"data.bin": bytes(range(255, -1, -1)) * 40,
            b"no-newline.txt": b"no newline at the end\nnow with one\n",
            b"link": b"empty.txt",
        },
        parents=(tip,),
        modes={b"link": b"120000", b"bin/run.sh": b"100644"},
    )
    tip = stream.commit(
        "latin1",
        "Grüße aus Köln\n".encode("latin-1"),
        {b"gruss.txt": b"hallo\n"},
        parents=(tip,),
        encoding=b"ISO-8859-1",
    )
    tip = stream.commit("main", b"", {b"src/no-message.txt": b"x\n"}, parents=(":5",))
    topics = [
        stream.commit(f"topic-{name}", b"topic\n", {b"topic/" + name.encode(): b"x\n"}, parents=(":3",))
        for name in ("a", "b", "c")
    ]
    stream.commit("octopus", b"octopus\n", {}, parents=(tip, *topics), extra=())
    left = stream.commit("crisscross-a", b"left\n", {b"left": b"1\n"}, parents=(tip,))
    right = stream.commit("crisscross-b", b"right\n", {b"right": b"1\n"}, parents=(tip,))
    left2 = stream.commit("crisscross-a", b"left takes right\n", {b"right": b"1\n"}, parents=(left, right))
    right2 = stream.commit("crisscross-b", b"right takes left\n", {b"left": b"1\n"}, parents=(right, left))
    stream.commit("crisscross-a", b"left on\n", {b"left": b"2\n"}, parents=(left2,))
    stream.commit("crisscross-b", b"right on\n", {b"right": b"2\n"}, parents=(right2,))
    stream.commit(
        "conflict-a", b"a\n", {b"src/numbers.txt": numbered.replace(b"line 9\n", b"line A\n")}, parents=(tip,)
    )
    stream.commit(
        "conflict-b", b"b\n", {b"src/numbers.txt": numbered.replace(b"line 9\n", b"line B\n")}, parents=(tip,)
    )
    stream.commit("unrelated", b"another root\n", {b"other.txt": b"other\n"})
    stream.commit("huge", b"huge tree\n", {b"many/%05d.txt" % number: b"x\n" for number in range(HUGE_ENTRIES)})
    _run(
        path.parent, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}", str(path)
    )
    _run(path, "fast-import", "--quiet", "--force", stdin=b"".join(stream.parts))
    _run(path, "tag", "light", "main~1")
    _run(path, "tag", "-a", "-m", "a tag\n\nwith a body\n", "v1.0", "main~2")
    _run(path, "tag", "-a", "-m", "a tag of a tag", "nested", "v1.0")
    _run(path, "tag", "-a", "-m", "a tag of a tree", "tree-tag", "main^{tree}")
    _run(path, "repack", "-adq")
    _run(path, "pack-refs", "--all")
    return path


def _quoted(path: bytes) -> bytes:
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n").replace(b"\t", b"\\t")
    return b'"' + escaped + b'"'


def _run(path: Path, *args: str, stdin: bytes = b"") -> bytes:
    fixed = {
        "GIT_COMMITTER_NAME": "Ada Lovelace",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_COMMITTER_DATE": f"{_EPOCH_S} +0000",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return subprocess.run(
        ["git", *args], cwd=path, input=stdin, check=True, stdout=subprocess.PIPE, env=os.environ | fixed
    ).stdout


_MIT = b"""MIT License

Copyright (c) 2026 Ada Lovelace

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
