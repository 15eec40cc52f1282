"""ls-refs: for any prefixes, in any bytes, the references that a plain comparison of bytes selects, in git's order."""

from __future__ import annotations

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, Generation, ObjectId, RefName, RefValue
from meshnode.git.ls_refs import format_answer, parse_arguments
from meshnode.git.pktline import FLUSH, format_packet
from meshnode.git.snapshot import snapshot_of
from meshnode.ports import RefsSnapshot

_NAMES = (
    "refs/heads/a", "refs/heads/a/b", "refs/heads/ab", "refs/heads/ä", "refs/heads/äb", "refs/heads/\U0001f600",
    "refs/heads/\uffee", "refs/tags/v1", "refs/tags/v2", "refs/é/x",
)  # fmt: skip
REFS = {RefName(name): RefValue(f"{place + 1:040x}") for place, name in enumerate(_NAMES)}
SNAPSHOT: RefsSnapshot = snapshot_of(
    Generation(1),
    {HEAD: RefValue("ref:refs/heads/a"), RefName("refs/tags/sym"): RefValue("ref:refs/tags/none")} | REFS,
    {RefName("refs/tags/v1"): ObjectId("f" * 40)},
    "sha1",
)

_PREFIX = st.builds(
    lambda name, end: b"ref-prefix " + name.encode()[:end], st.sampled_from(["HEAD", *_NAMES]), st.integers(0, 16)
)
EXAMPLES = st.lists(_PREFIX | st.sampled_from([b"peel", b"symrefs", b"unborn", b"x", b"ref-prefix "]), max_size=6).map(
    b"\n".join
)


def check_ls_refs(data: bytes) -> None:
    arguments = data.split(b"\n")
    try:
        wanted = parse_arguments(arguments)
    except InvalidRequest:
        assert any(not a.startswith(b"ref-prefix ") and a not in {b"peel", b"symrefs", b"unborn"} for a in arguments)
        return
    prefixes = [argument.removeprefix(b"ref-prefix ") for argument in arguments if argument.startswith(b"ref-prefix ")]
    assert format_answer(SNAPSHOT, wanted) == _expected(prefixes, set(arguments))
    assert parse_arguments([argument + b"\n" for argument in reversed(arguments)]) == wanted


def _expected(prefixes: list[bytes], flags: set[bytes]) -> bytes:
    lines: list[bytes] = []
    for name in ["HEAD", *sorted(REFS, key=str.encode)]:
        if prefixes and not any(name.encode().startswith(prefix) for prefix in prefixes):
            continue
        line = f"{REFS[RefName('refs/heads/a' if name == 'HEAD' else name)]} {name}"
        if name == "HEAD" and b"symrefs" in flags:
            line += " symref-target:refs/heads/a"
        if name == "refs/tags/v1" and b"peel" in flags:
            line += f" peeled:{'f' * 40}"
        lines.append(format_packet(line.encode() + b"\n"))
    return b"".join(lines) + FLUSH
