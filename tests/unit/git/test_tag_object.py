"""Tag objects are read as they are stored; what is none is damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.tag_object import parse_tag
from meshnode.ports import Identity, ObjectKind

OID, TARGET = ObjectId("1" * 40), b"2" * 40
HEAD = b"object " + TARGET + b"\ntype tree\ntag v 1\n"
PGP = b"-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n"


def test_headers_message_and_signature_are_told_apart() -> None:
    found = parse_tag(OID, HEAD + b"tagger T <t> 5 +0100\n\nfirst\n\nobject x\n" + PGP)
    assert (found.target, found.target_kind, found.name) == (TARGET.decode(), ObjectKind.TREE, b"v 1")
    assert found.tagger == Identity(b"T", b"t", 5, "+0100")
    assert found.message == b"first\n\nobject x\n"
    assert found.signature.text == PGP


@pytest.mark.parametrize("rest", [b"", b"\n", b"\nmessage"])
def test_old_tags_have_no_tagger(rest: bytes) -> None:
    found = parse_tag(OID, HEAD + rest)
    assert (found.tagger, found.message) == (None, rest[1:])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\nx",
        b"object x\ntype tree\n\n",
        b"object " + TARGET + b"\ntype thing\n\n",
        b"type tree\nobject " + TARGET + b"\n\n",
        b"object \xff" + TARGET + b"\ntype tree\n\n",
        PGP + HEAD,
    ],
)
def test_an_object_that_is_no_tag_is_damage(data: bytes) -> None:
    with pytest.raises(Corrupt):
        parse_tag(OID, data)


@given(st.binary(max_size=200))
def test_no_object_breaks_the_reader_but_as_damage(data: bytes) -> None:
    for candidate in (data, HEAD + data, HEAD.replace(b"tree", data)):
        try:
            parse_tag(OID, candidate)
        except Corrupt:
            continue
