"""Page tokens of walks: how far a listing came, and the commits that its revisions stood for on the first page.

A token goes with one question: with another one it is refused, as it would skip commits of something else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest, ReplicaBehind
from meshnode.base.ids import Generation, ObjectId, parse_object_id
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token

SKIP_DIGITS_MAX: Final = 12
_PLACE: Final = re.compile(rf"([0-9]{{1,{SKIP_DIGITS_MAX}}})\.([0-9a-f]{{16}})\.([0-9a-f,]*)\.([0-9a-f,]*)")


@dataclass(frozen=True, slots=True)
class WalkToken:
    """Where a walk goes on."""

    generation: Generation
    """A replica at or past it has the commits."""
    question: str
    """Digest of what was asked for."""
    skip: int
    include: tuple[ObjectId, ...]
    exclude: tuple[ObjectId, ...]

    def format(self) -> str:
        """The token as clients see it."""
        place = f"{self.skip}.{self.question}.{','.join(self.include)}.{','.join(self.exclude)}"
        return format_page_token(PageToken(self.generation, place))

    def check(self, question: str, generation: Generation) -> None:
        """Check that the token goes with a question, and that a replica at `generation` can go on.

        Raises:
            InvalidRequest: it belongs to another question. ReplicaBehind: another replica gave it.
        """
        if self.question != question:
            raise InvalidRequest("page token belongs to another listing")
        if generation < self.generation:
            raise ReplicaBehind(
                "this replica is behind the one that gave the page token",
                generation=generation,
                page_generation=self.generation,
            )


def parse_walk_token(text: str) -> WalkToken | None:
    """Read a token; "" is None: the first page. Raises InvalidRequest for anything this module did not make."""
    token = parse_page_token(text)
    if token is None:
        return None
    place = _PLACE.fullmatch(token.last)
    if place is None:
        raise InvalidRequest("page token is not one this server gave")
    include, exclude = (
        tuple(parse_object_id(oid) for oid in part.split(",") if part) for part in (place.group(3), place.group(4))
    )
    found = WalkToken(token.generation, place.group(2), int(place.group(1)), include, exclude)
    if found.format() != text:  # zeros before a number, commas without an id
        raise InvalidRequest("page token is not one this server gave")
    return found


def digest_of_question(request: Message) -> str:
    """What tells one listing from another: the request without its page and consistency."""
    question = type(request)()
    question.CopyFrom(request)
    for field in ("page_token", "page_size", "consistency"):
        question.ClearField(field)
    return hashlib.blake2b(question.SerializeToString(deterministic=True), digest_size=8).hexdigest()
