"""Takes signatures out of commits and tags: what was signed, and the signature. Verifies nothing.

A commit has its signature in a header, which is left out of what was signed, and so is the one of its other object
format. A tag has it at the end of its message.

Source: git's commit.c (parse_buffer_signed_by_header), gpg-interface.c (parse_signed_buffer).
"""

from __future__ import annotations

from meshnode.git.commit_object import is_armor, signature_header, signature_kind
from meshnode.ports import Signature, SignatureKind

UNSIGNED = Signature(SignatureKind.NONE, b"", b"")


def commit_signature(data: bytes, oid_chars: int) -> Signature:
    """The signature of a commit object whose ids have so many hex digits."""
    wanted = signature_header(oid_chars) + b" "
    signature: list[bytes] = []
    payload: list[bytes] = []
    target = payload
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at:end]
        if line == b"\n":  # the message
            payload.append(data[at:])
            break
        if line.startswith(b" ") and target is signature:
            line = line[1:]
        elif line.startswith(wanted):
            target, line = signature, line[len(wanted) :]
        elif line.startswith(b"gpgsig"):
            target = []
        elif not line.startswith(b" "):
            target = payload
        target.append(line)
        at = end
    if not signature:
        return UNSIGNED
    return Signature(signature_kind(signature[0]), b"".join(signature), b"".join(payload))


def tag_signature(data: bytes) -> Signature:
    """The signature of a tag object: from the last line that begins one to the end."""
    at, match = 0, -1
    while at < len(data):
        if is_armor(data, at):
            match = at
        at = data.find(b"\n", at) + 1 or len(data)
    if match < 0:
        return UNSIGNED
    return Signature(signature_kind(data[match:]), data[match:], data[:match])
