"""What the catalog keeps of a request that changed names, so that its repetition is recognised.

A create, fork, rename or delete names a repository by its name, and a name may belong to another repository by the
time the request is repeated. The round is found by who asked, what for, and the request key; never by the name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from meshnode.base.ids import Generation, RepositoryId, RoundId, parse_repository_id, parse_round_id
from meshnode.core.decoding import decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, REQUESTS, encode_json
from meshnode.core.round import WriteKind

KEPT_MS: Final = 24 * 3_600_000
"""How long a request is recognised. Clients repeat within minutes, jobs perhaps the next morning; a mark takes 300
bytes, so a thousand creates an hour are 7 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestMark:
    """The round by which a request took effect."""

    repository: RepositoryId
    round_id: RoundId
    generation: Generation
    at_ms: int
    """When, by the coordinator's wall clock."""

    def is_forgotten(self, now_ms: int) -> bool:
        """Whether nobody repeats this request any more."""
        return now_ms - self.at_ms > KEPT_MS


def request_mark_key(kind: WriteKind, names: tuple[str, ...], *, request_key: str, actor: str) -> str | None:
    """Key of the mark of a request; None where the caller gave nothing to recognise it by."""
    if not request_key:
        return None
    digest = hashlib.sha256()
    for part in (kind.value, *names, actor, request_key):
        digest.update(f"{len(part)}:{part}".encode())
    return REQUESTS + digest.hexdigest()


def encode_request_mark(mark: RequestMark) -> bytes:
    """The mark as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "repository": mark.repository,
            "round_id": mark.round_id,
            "generation": mark.generation,
            "at_ms": mark.at_ms,
        }
    )


@lru_cache(DECODED_MAX)
def decode_request_mark(value: bytes) -> RequestMark:
    """The mark of its JSON. Raises Corrupt."""
    return decode(
        value,
        "request mark",
        FORMAT_VERSION,
        lambda fields: RequestMark(
            repository=fields.parsed("repository", parse_repository_id),
            round_id=fields.parsed("round_id", parse_round_id),
            generation=Generation(fields.number("generation")),
            at_ms=fields.number("at_ms"),
        ),
    )
