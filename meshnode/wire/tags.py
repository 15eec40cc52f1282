"""Turns tag objects into their proto."""

from __future__ import annotations

from typing import Final

from meshnode.ports import TagObject
from meshnode.v1 import ref_pb2
from meshnode.wire.commits import identity_message, signature_number

MESSAGE_BYTES_MAX: Final = 1 << 20


def tag_object_message(tag: TagObject, *, message_bytes_max: int | None = None) -> ref_pb2.TagObject:
    """A tag object; with less of its message, and without its signature, where `message_bytes_max` is given."""
    message = ref_pb2.TagObject(
        target_oid=tag.target,
        target_kind=tag.target_kind.value,
        name=tag.name,
        tagger=None if tag.tagger is None else identity_message(tag.tagger),
        message=tag.message[: MESSAGE_BYTES_MAX if message_bytes_max is None else message_bytes_max],
        message_size=len(tag.message),
        signature_kind=signature_number(tag.signature.kind),
    )
    if message_bytes_max is None:
        message.signature = tag.signature.text
        message.payload = tag.signature.payload
    return message
