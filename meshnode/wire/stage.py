"""Turns the steps of a prepare stream (open, pack, fix, index, round) and its vote between proto and core.

    open  pack*  [fix+  index+]  round+        the last piece of a fix and of a round has `complete`

The order of the steps is checked here, so a participant never sees an index before the pack is complete, bytes
after the round, or a stream that calls itself complete in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_object_format, parse_round_id
from meshnode.ports import (
    PackFix,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
    VoteKind,
)
from meshnode.v1 import replication_pb2
from meshnode.wire.reads import generation_of
from meshnode.wire.rounds import RoundAssembler, key_message, key_of, round_messages

CHUNK_BYTES_MAX: Final = 1 << 20
"""Twice what the ports allow, an eighth of the message limit."""
TAIL_BYTES_MAX: Final = 512 << 20
"""Appended bases of a thin pack, in pieces of a chunk each; they are held in memory at both ends."""
PACK_HEADER_BYTES: Final = 12

_PACK_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_STEPS: Final = {
    "": ("open",),
    "open": ("pack", "fix", "round"),
    "pack": ("pack", "fix", "round"),
    "fix": ("fix",),
    "fixed": ("index",),
    "index": ("index", "round"),
    "round": ("round",),
    "end": (),
}
"""For each step, the steps that may follow it; `fixed` is a fix whose last piece came, `end` a whole round."""

_VOTES: Final = {
    VoteKind.GRANTED: replication_pb2.PrepareResponse.VOTE_GRANTED,
    VoteKind.STORED: replication_pb2.PrepareResponse.VOTE_STORED,
    VoteKind.REFUSED: replication_pb2.PrepareResponse.VOTE_REFUSED,
}
_VOTE_KINDS: Final = {number: kind for kind, number in _VOTES.items()}


def open_message(opening: StageOpen) -> bytes:
    """The first message of a prepare stream."""
    return replication_pb2.PrepareRequest(
        open=replication_pb2.PrepareRequest.Open(
            key=key_message(opening.key), round_id=opening.round_id, object_format=opening.object_format
        )
    ).SerializeToString()


def stage_messages(message: StageMessage) -> Iterator[bytes]:
    """What one step becomes on the wire: one message, or several for a round of many edits."""
    match message:
        case StageChunk(data):
            yield replication_pb2.PrepareRequest(pack=data).SerializeToString()
        case StageIndex(data):
            yield replication_pb2.PrepareRequest(index=data).SerializeToString()
        case StageFix(fix):
            for start in range(0, max(len(fix.tail), 1), CHUNK_BYTES_MAX):
                piece = replication_pb2.PrepareRequest.Fix(
                    pack_id=fix.pack_id,
                    header=fix.header,
                    body_end=fix.body_end,
                    tail=fix.tail[start : start + CHUNK_BYTES_MAX],
                    index_bytes=fix.index_bytes,
                )
                is_last = start + CHUNK_BYTES_MAX >= len(fix.tail)
                yield replication_pb2.PrepareRequest(fix=piece, complete=is_last).SerializeToString()
        case StagePrepare(round_):
            for round_piece, is_complete in round_messages(round_):
                yield replication_pb2.PrepareRequest(round=round_piece, complete=is_complete).SerializeToString()


class StageReader:
    """Reads the messages of one prepare stream in order."""

    def __init__(self) -> None:
        self._step = ""
        self._rounds = RoundAssembler()
        self._tail: list[bytes] = []

    @property
    def is_complete(self) -> bool:
        """Whether the round came; nothing may follow it."""
        return self._step == "end"

    def read_open(self, message: replication_pb2.PrepareRequest, coordinator: NodeId) -> StageOpen:
        """Read the first message; `coordinator` is the node that signed the call. Raises InvalidRequest."""
        if message.WhichOneof("step") != "open":
            raise InvalidRequest("a prepare stream begins with its opening")
        self._advance("open")
        return StageOpen(
            key=key_of(message.open.key),
            round_id=parse_round_id(message.open.round_id),
            object_format=parse_object_format(message.open.object_format),
            coordinator=coordinator,
        )

    def read(self, message: replication_pb2.PrepareRequest) -> StageMessage | None:
        """Read a further message; None for a piece of a fix or a round that is not complete yet.

        Raises:
            InvalidRequest: out of order, too large, or a value that its parser refuses.
        """
        step = message.WhichOneof("step") or ""
        self._advance(step)
        if message.complete and step not in {"round", "fix"}:
            raise InvalidRequest("a prepare stream ends with its round", step=step)
        match step:
            case "pack":
                return StageChunk(_bounded(message.pack))
            case "index":
                return StageIndex(_bounded(message.index))
            case "fix":
                return self._add_fix(message)
            case _:
                round_ = self._rounds.add(message.round, is_complete=message.complete)
                if round_ is None:
                    return None
                self._step = "end"
                return StagePrepare(round_)

    def _add_fix(self, message: replication_pb2.PrepareRequest) -> StageFix | None:
        self._tail.append(_bounded(message.fix.tail))
        if len(self._tail) > TAIL_BYTES_MAX // CHUNK_BYTES_MAX:
            raise InvalidRequest("pack tail is too long", tail_bytes_max=TAIL_BYTES_MAX)
        if not message.complete:
            return None
        self._step = "fixed"
        return StageFix(_fix_of(message.fix, b"".join(self._tail)))

    def _advance(self, step: str) -> None:
        if step not in _STEPS[self._step]:
            raise InvalidRequest("prepare stream is out of order", after=self._step, step=step)
        self._step = step


def vote_message(vote: Vote) -> replication_pb2.PrepareResponse:
    """A vote for the coordinator."""
    return replication_pb2.PrepareResponse(
        vote=_VOTES[vote.kind], generation=vote.generation, reason=vote.reason[:1_000]
    )


def vote_of(message: replication_pb2.PrepareResponse) -> Vote:
    """A participant's vote. Raises InvalidRequest for one that says nothing: silence is never consent."""
    kind = _VOTE_KINDS.get(message.vote)
    if kind is None:
        raise InvalidRequest("peer answered without a vote", vote=int(message.vote))
    return Vote(kind=kind, generation=generation_of(message.generation), reason=message.reason[:1_000])


def _fix_of(message: replication_pb2.PrepareRequest.Fix, tail: bytes) -> PackFix:
    if not _PACK_ID.match(message.pack_id):
        raise InvalidRequest("not a pack id", pack=message.pack_id[:100])
    if len(message.header) != PACK_HEADER_BYTES or message.body_end < PACK_HEADER_BYTES:
        raise InvalidRequest("pack header must be 12 bytes", header_bytes=len(message.header))
    return PackFix(
        pack_id=message.pack_id,
        header=message.header,
        body_end=generation_of(message.body_end),
        tail=tail,
        index_bytes=generation_of(message.index_bytes),
    )


def _bounded(data: bytes) -> bytes:
    if len(data) > CHUNK_BYTES_MAX:
        raise InvalidRequest("chunk is too large", chunk_bytes=len(data), chunk_bytes_max=CHUNK_BYTES_MAX)
    return data
