"""Commits and tags as git stores them: made from what callers say, and taken apart.

Names are cleaned as git cleans them, so that the same people, times and messages give the same ids; what git would
refuse or change beyond that is refused here, with a reason.

Source: git's commit.c, ident.c (`fmt_ident`, `strbuf_addstr_without_crud`), git-commit-tree(1), git-mktag(1).
"""

from __future__ import annotations

import codecs
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import ObjectId, parse_object_id
from meshnode.ports import CommitFacts, NewCommit, NewTag, Person

NAME_BYTES_MAX: Final = 1_024
MESSAGE_BYTES_MAX: Final = 1 << 20
SECONDS_MAX: Final = (1 << 53) - 1
"""Far beyond any date git can show, and exact in JSON."""
OFFSET_MINUTES_MAX: Final = 24 * 60 - 1
_CRUD: Final = "".join(map(chr, range(33))) + ".,:;<>\"\\'"
_REFUSED: Final = set("<>\n\0")


def format_person(person: Person) -> bytes:
    """`Name <email> seconds zone`. Raises InvalidRequest."""
    name, email = _cleaned("name", person.name), _cleaned("email", person.email)
    if not name:
        raise InvalidRequest("a person needs a name", email=email)
    if not 0 <= person.seconds <= SECONDS_MAX or abs(person.offset_minutes) > OFFSET_MINUTES_MAX:
        raise InvalidRequest("time is out of range", seconds=person.seconds, offset_minutes=person.offset_minutes)
    sign = "-" if person.offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(person.offset_minutes), 60)
    return f"{name} <{email}> {person.seconds} {sign}{hours:02}{minutes:02}".encode()


def format_commit(commit: NewCommit) -> bytes:
    """A commit's content. Raises InvalidRequest."""
    lines = [b"tree " + commit.tree.encode()]
    lines += [b"parent " + parent.encode() for parent in commit.parents]
    lines += [b"author " + _line(commit.author), b"committer " + _line(commit.committer)]
    message = commit.message if commit.is_message_kept else checked_message(commit.message)
    return b"\n".join(lines) + b"\n\n" + message


def format_tag(tag: NewTag) -> bytes:
    """A tag object's content. Raises InvalidRequest."""
    lines = [f"object {tag.target}", f"type {tag.kind.value}", f"tag {tag.name}"]
    head = "\n".join(lines).encode() + b"\ntagger " + format_person(tag.tagger)
    return head + b"\n\n" + checked_message(tag.message)


def checked_message(message: bytes) -> bytes:
    """A message that ends in a line feed. Raises InvalidRequest for one that is empty, too long, or holds a NUL."""
    if not message.strip():
        raise InvalidRequest("a message is needed")
    if len(message) > MESSAGE_BYTES_MAX:
        raise InvalidRequest("message is too long", bytes_max=MESSAGE_BYTES_MAX)
    if b"\0" in message:
        raise InvalidRequest("a message cannot hold a NUL")
    return message if message.endswith(b"\n") else message + b"\n"


def parse_commit(oid: ObjectId, data: bytes) -> CommitFacts:
    """What a commit says. Raises Corrupt."""
    head, _, message = data.partition(b"\n\n")
    tree = author = b""
    encoding = ""
    parents: list[ObjectId] = []
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"tree" and not tree:
            tree = value
        elif name == b"parent":
            parents.append(parse_object_id(value.decode("ascii", "replace")))
        elif name == b"author" and not author:
            author = value
        elif name == b"encoding":
            encoding = value.decode("ascii", "replace")
    if not tree or not author:
        raise Corrupt("commit lacks its tree or author", oid=oid)
    return CommitFacts(
        oid=oid,
        tree=ObjectId(tree.decode()),
        parents=tuple(parents),
        author=_in_utf8(author, encoding),
        message=_in_utf8(message, encoding),
    )


def _line(who: Person | bytes) -> bytes:
    return who if isinstance(who, bytes) else format_person(who)


def _cleaned(what: str, text: str) -> str:
    if _REFUSED & set(text):
        raise InvalidRequest(f"a person's {what} cannot hold '<', '>', line breaks or NUL", value=text[:100])
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"a person's {what} is not UTF-8") from error
    if size > NAME_BYTES_MAX:
        raise InvalidRequest(f"a person's {what} is too long", bytes_max=NAME_BYTES_MAX)
    return text.strip(_CRUD)


def _in_utf8(data: bytes, encoding: str) -> bytes:
    """As git re-encodes it: left alone where the encoding is unknown or the bytes do not fit it."""
    if not encoding or encoding.lower() in {"utf-8", "utf8"}:
        return data
    try:
        return codecs.decode(data, encoding).encode()
    except (LookupError, UnicodeError, TypeError, AttributeError, ValueError):
        return data
