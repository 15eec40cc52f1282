"""Content of pushed objects and git's answers about it: read, or refused, never an error of Python; cutting is no matter."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.commit_object import parse_commit, parse_identity
from meshnode.git.grep_output import LINE_BYTES_MAX, GrepOutput
from meshnode.git.lfs import parse_lfs_pointer
from meshnode.ports import ContentMatch
from meshnode.wire.commits import commit_message
from tests.fuzz.inputs import Draw, cuttings

OID = ObjectId("a" * 40)
_WHO = st.sampled_from(
    [b"A <a@b> 1700000000 +0100", b"A <a@b> 99999999999999999999 +0000", b"<> -1 +", b"A", b"A <a", b"\xff\xfe <x> 1 -12",
     b"A <a> b> 1 +0000", b"> < 1 +0", b" <> 1 +99999999999"]
)  # fmt: skip
_HEADER = st.one_of(
    _WHO.map(lambda who: b"author " + who),
    _WHO.map(lambda who: b"committer " + who),
    st.sampled_from(
        [b"tree " + b"b" * 40, b"parent " + b"c" * 40, b"parent x", b"encoding \xff", b"encoding ISO-8859-1",
         b"gpgsig -----BEGIN PGP SIGNATURE-----\n x\n ", b"gpgsig-sha256 y", b" more", b""]
    ),
)  # fmt: skip
_GREP = st.lists(
    st.sampled_from(
        [OID.encode() + b":p", b"\x001\x002\x00", b"\x003\x00", b"text\n", b"--\n", b"\n", b"x" * (LINE_BYTES_MAX + 5)]
    ),
    max_size=8,
)
EXAMPLES = st.one_of(
    st.lists(_HEADER, max_size=6).map(
        lambda lines: b"\0tree " + b"b" * 40 + b"\n" + b"\n".join(lines) + b"\n\nmessage"
    ),
    st.sampled_from([b"1", b"01", b"9" * 20]).map(
        lambda size: (
            b"\1version https://git-lfs.github.com/spec/v1\noid sha256:" + b"d" * 64 + b"\nsize " + size + b"\n"
        )
    ),
    _GREP.map(lambda pieces: b"\2" + b"".join(pieces)),
    st.lists(st.sampled_from([OID.encode() + b":p", b"\x001\x002\x00text\n"]), max_size=4).map(
        lambda pieces: b"\2" + b"".join(pieces)
    ),
)


def check_git_objects(data: bytes) -> None:
    draw = Draw(data)
    kind, body = draw.number(3), draw.rest()
    match kind:
        case 0:
            _check_commit(body)
        case 1:
            pointer = parse_lfs_pointer(body)
            assert pointer is None or (len(pointer.oid) == 64 and 0 <= pointer.size < 10**19)
        case _:
            _check_grep(body)


def _check_commit(body: bytes) -> None:
    identity = parse_identity(body)
    assert b">" not in identity.email
    try:
        commit = parse_commit(OID, body, size=len(body), message_bytes_max=10)
    except Corrupt:
        return
    assert len(commit.tree) == 40
    assert all(len(parent) == 40 for parent in commit.parents)
    assert len(commit.message) <= 10
    assert body.endswith(commit.message) or commit.message_size > 10
    assert commit_message(commit).SerializeToString()


def _check_grep(body: bytes) -> None:
    outcomes = [_grep(pieces) for pieces in cuttings(body)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    for match in outcomes[0][0]:
        assert len(match.line) <= LINE_BYTES_MAX
        assert b"\n" not in match.line


def _grep(pieces: Sequence[bytes]) -> tuple[list[ContentMatch], bool]:
    output = GrepOutput(OID)
    found: list[ContentMatch] = []
    try:
        for piece in pieces:
            found += output.feed(piece)
        output.end()
    except Corrupt:
        return [], True
    return found, False
