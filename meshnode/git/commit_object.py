r"""Reads commit objects: pure functions from bytes to what they say.

    tree <oid>                          a header has continuation lines, which begin with a space
    parent <oid>                        identities are "name <address> seconds zone"; old and broken tools wrote
    author <identity>                   others, and git reads what it can of them: so does this
    committer <identity>
    gpgsig -----BEGIN ...\n ...
    encoding ISO-8859-1

    message

Source: git's commit.c (parse_commit_buffer), ident.c (split_ident_line), gpg-interface.c.
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.ports import Commit, Identity, SignatureKind

_DATE: Final = re.compile(rb"\s*([0-9]+)\s*([+-][0-9]{1,10})")
_HEX: Final = re.compile(rb"[0-9a-f]+")
_ARMOR: Final = (
    (b"-----BEGIN PGP SIGNATURE-----", SignatureKind.PGP),
    (b"-----BEGIN PGP MESSAGE-----", SignatureKind.PGP),
    (b"-----BEGIN SSH SIGNATURE-----", SignatureKind.SSH),
    (b"-----BEGIN SIGNED MESSAGE-----", SignatureKind.X509),
)
_ARMORS: Final = tuple(armor for armor, _ in _ARMOR)
_SIGNATURE_HEADERS: Final = {40: b"gpgsig", 64: b"gpgsig-sha256"}
"""By the length of an object id in hex: an object may carry the signature of its other format too."""
SECONDS_DIGITS_MAX: Final = 18
"""More do not fit 64 bits for sure; git takes such a date for none."""
NOBODY: Final = Identity(b"", b"", 0, "")


def parse_commit(oid: ObjectId, data: bytes, *, size: int, message_bytes_max: int) -> Commit:
    """Read a commit of `size` bytes from `data`, which holds all of its headers and what is wanted of its message.

    Raises:
        Corrupt: it has no tree, or its parents are no object ids.
    """
    head, message_at = split_object(data)
    lines = head.split(b"\n")
    tree = _value(oid, lines[0], b"tree ")
    parents: list[ObjectId] = []
    while len(lines) > len(parents) + 1 and lines[len(parents) + 1].startswith(b"parent "):
        parents.append(_value(oid, lines[len(parents) + 1], b"parent "))
    author = committer = NOBODY
    encoding = ""
    signature = SignatureKind.NONE
    wanted = signature_header(len(oid))
    for line in reversed(lines[len(parents) + 1 :]):  # the first of a kind counts, so it comes last here
        name, _, value = line.partition(b" ")
        if name == b"author":
            author = parse_identity(value)
        elif name == b"committer":
            committer = parse_identity(value)
        elif name == b"encoding":
            encoding = value.decode("ascii", errors="replace")
        elif name == wanted:
            signature = signature_kind(value)
    return Commit(
        oid=oid,
        tree=tree,
        parents=tuple(parents),
        author=author,
        committer=committer,
        message=data[message_at : message_at + message_bytes_max],
        message_size=max(0, size - message_at),
        encoding=encoding,
        signature=signature,
    )


def split_object(data: bytes) -> tuple[bytes, int]:
    """The headers of a commit or tag, and where its message begins."""
    end = data.find(b"\n\n")
    if end < 0:
        return data.removesuffix(b"\n"), len(data)
    return data[:end], end + 2


def parse_identity(value: bytes) -> Identity:
    """Read an identity; what cannot be read is empty."""
    name, _, rest = value.partition(b"<")
    email, closing, _ = rest.partition(b">")
    if not closing:
        return NOBODY
    date = _DATE.match(value, value.rindex(b">") + 1)
    if date is None or len(date.group(1)) > SECONDS_DIGITS_MAX:
        return Identity(name.rstrip(), email, 0, "")
    return Identity(name.rstrip(), email, int(date.group(1)), date.group(2).decode("ascii"))


def signature_header(oid_chars: int) -> bytes:
    """The header that holds the signature of a commit whose ids have so many hex digits."""
    return _SIGNATURE_HEADERS[oid_chars]


def is_armor(data: bytes, at: int) -> bool:
    """Whether a signature begins at this place."""
    return data.startswith(_ARMORS, at)


def signature_kind(text: bytes) -> SignatureKind:
    """The kind of a signature, by its first line."""
    return next((kind for armor, kind in _ARMOR if text.startswith(armor)), SignatureKind.OTHER)


def _value(oid: ObjectId, line: bytes, start: bytes) -> ObjectId:
    value = line.removeprefix(start)
    if not line.startswith(start) or len(value) != len(oid) or not _HEX.fullmatch(value):
        raise Corrupt("a commit cannot be read", oid=oid)
    return ObjectId(value.decode("ascii"))
