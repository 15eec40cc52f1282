"""Reads tag objects: pure functions from bytes to what they say.

    object <oid>
    type commit
    tag v1.0
    tagger <identity>            old tags have none

    message, with a signature at its end

Source: git's tag.c (parse_tag_buffer).
"""

from __future__ import annotations

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import ObjectId, parse_object_id
from meshnode.git.commit_object import parse_identity, split_object
from meshnode.git.signed_object import tag_signature
from meshnode.ports import Identity, ObjectKind, TagObject


def parse_tag(oid: ObjectId, data: bytes) -> TagObject:
    """Read a whole tag object. Raises Corrupt."""
    signature = tag_signature(data)
    signed = signature.payload if signature.text else data
    head, message_at = split_object(signed)
    lines = head.split(b"\n")
    try:
        target, kind = (
            line.removeprefix(name).decode("ascii")
            for line, name in zip(lines, (b"object ", b"type "), strict=False)
            if line.startswith(name)
        )
        return TagObject(
            oid=oid,
            target=parse_object_id(target),
            target_kind=ObjectKind(kind),
            name=next((line[4:] for line in lines[2:3] if line.startswith(b"tag ")), b""),
            tagger=tagger_of(head),
            message=signed[message_at:],
            signature=signature,
        )
    except (ValueError, InvalidRequest) as error:
        raise Corrupt("a tag cannot be read", oid=oid) from error


def tagger_of(head: bytes) -> Identity | None:
    """Who made a tag, by its headers."""
    return next((parse_identity(line[7:]) for line in head.split(b"\n") if line.startswith(b"tagger ")), None)
