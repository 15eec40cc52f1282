"""Messages between nodes: any bytes are refused, or give values whose ids are parsed; what was sent comes out the same."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import HEAD, Generation, NodeId, RoundId
from meshnode.core.refs import digest_of
from meshnode.core.round import Round, decode_round, encode_round
from meshnode.ports import (
    PackFix,
    RefsSnapshot,
    ReplicaDescription,
    ReplicaState,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
)
from meshnode.v1 import replication_pb2 as pb
from meshnode.wire.message import parse
from meshnode.wire.replicas import (
    SnapshotAssembler,
    description_message,
    description_of,
    snapshot_messages,
    snapshot_of,
)
from meshnode.wire.rounds import RoundAssembler, round_messages
from meshnode.wire.stage import StageReader, open_message, stage_messages, vote_message, vote_of
from tests.fuzz.inputs import Draw
from tests.fuzz.values import DIGESTS, GENERATIONS, IDS, KEYS, NAMES, NODES, OIDS, REF_NAMES, ROUNDS, WORDS
from tests.unit.wire.samples import KEY, N1

_FIXES = st.builds(
    PackFix, pack_id=OIDS, header=st.binary(min_size=12, max_size=12), body_end=st.integers(12, 1 << 40),
    tail=st.binary(max_size=30), index_bytes=st.integers(0, 1 << 40),
)  # fmt: skip
_OPENS = st.builds(
    StageOpen,
    key=KEYS,
    round_id=IDS.map(RoundId),
    object_format=st.sampled_from(["sha1", "sha256"]),
    coordinator=st.just(N1),
)
_STEPS = st.lists(
    st.one_of(
        st.binary(max_size=20).map(StageChunk), _FIXES.map(StageFix), st.binary(max_size=20).map(StageIndex),
        ROUNDS.map(StagePrepare),
    ),
    max_size=5,
)  # fmt: skip


def _framed(kind: int, messages: list[bytes]) -> bytes:
    return bytes([kind]) + b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def _snapshot(refs: dict[Any, Any], generation: Generation, name: Any, is_tagged: bool) -> bytes:
    peeled = {ref: value for ref, value in refs.items() if is_tagged and ref != HEAD and not value.startswith("ref:")}
    snapshot = snapshot_of(generation, refs, peeled, "sha1")
    state = ReplicaState(
        key=KEY, name=name, generation=generation, round_id=None, refs_digest=digest_of(refs), object_format="sha1",
        is_deleted=False,
    )  # fmt: skip
    return _framed(1, [message.SerializeToString() for message in snapshot_messages(state, snapshot)])


_DESCRIPTIONS = st.builds(
    ReplicaDescription, node=st.just(N1), generation=GENERATIONS, round_id=st.none() | IDS.map(RoundId),
    refs_digest=DIGESTS, digest_on_disk=st.none() | DIGESTS, object_digest=DIGESTS,
    problems=st.lists(WORDS, max_size=2).map(tuple), ref_count=st.integers(0, 99), size_bytes=st.integers(0, 99),
    consistent_since_ms=st.integers(0, 1 << 30).map(lambda seconds: seconds * 1_000), activity=WORDS,
    prepared=st.none() | st.lists(IDS.map(RoundId), max_size=2).map(tuple),
)  # fmt: skip

EXAMPLES = st.one_of(
    st.builds(
        lambda opening, steps: _framed(0, [open_message(opening), *(m for step in steps for m in stage_messages(step))]),
        _OPENS, _STEPS,
    ),
    st.builds(
        _snapshot, st.dictionaries(REF_NAMES | st.just(HEAD), OIDS, max_size=4), GENERATIONS, NAMES, st.booleans()
    ),
    ROUNDS.map(lambda round_: _framed(2, [message.SerializeToString() for message, _ in round_messages(round_)])),
    _DESCRIPTIONS.map(lambda description: _framed(3, [description_message(description).SerializeToString()])),
    st.builds(
        lambda vote, generation, reason: _framed(
            4, [pb.PrepareResponse(vote=vote, generation=generation, reason=reason).SerializeToString()]
        ),
        st.integers(0, 4), GENERATIONS, WORDS,
    ),
    NODES.map(lambda node: _framed(0, [node.encode()])),
)  # fmt: skip


def check_node_streams(data: bytes) -> None:
    draw = Draw(data)
    check = draw.pick((_check_stage, _check_snapshot, _check_rounds, _check_description, _check_vote))
    messages: list[bytes] = []
    while not draw.is_empty:
        messages.append(draw.take((1 << 16) - 1))
    try:
        check(messages)
    except (InvalidRequest, Corrupt):
        return


def _check_stage(messages: list[bytes]) -> None:
    opening, steps = _read_stage(messages)
    if opening is None:
        return
    again = [open_message(opening), *(message for step in steps for message in stage_messages(step))]
    assert _read_stage(again) == (opening, steps)
    for step in steps:
        if isinstance(step, StagePrepare):
            _check_round(step.round)
            assert step is steps[-1]


def _read_stage(messages: list[bytes]) -> tuple[StageOpen | None, list[StageMessage]]:
    """The steps up to the first message that is refused: what came before it was acted on already."""
    reader = StageReader()
    opening: StageOpen | None = None
    steps: list[StageMessage] = []
    try:
        for body in messages:
            message = parse(pb.PrepareRequest, body)
            if opening is None:
                opening = reader.read_open(message, N1)
            elif (step := reader.read(message)) is not None:
                steps.append(step)
    except InvalidRequest:
        pass
    return opening, steps


def _check_round(round_: Round) -> None:
    """A round that a peer sent can be kept in the journal, and sent on."""
    assert decode_round(encode_round(round_)) == round_
    assembler = RoundAssembler()
    pieces = [assembler.add(message, is_complete=is_last) for message, is_last in round_messages(round_)]
    assert pieces[-1] == round_


def _check_snapshot(messages: list[bytes]) -> None:
    state, snapshot = _read_snapshot(messages)
    assert state.key == KEY
    assert digest_of(snapshot.refs) == state.refs_digest
    assert snapshot.peeled.keys() <= snapshot.refs.keys()
    again = [message.SerializeToString() for message in snapshot_messages(state, snapshot)]
    assert _read_snapshot(again) == (state, snapshot)


def _read_snapshot(messages: list[bytes]) -> tuple[ReplicaState, RefsSnapshot]:
    assembler = SnapshotAssembler(KEY)
    for body in messages:
        assembler.add(parse(pb.ReadSnapshotResponse, body))
    return assembler.finish()


def _check_rounds(messages: list[bytes]) -> None:
    assembler = RoundAssembler()
    for place, body in enumerate(messages):
        round_ = assembler.add(parse(pb.Round, body), is_complete=place % 2 == 1 or len(messages) == 1)
        if round_ is not None:
            _check_round(round_)


def _check_description(messages: list[bytes]) -> None:
    for body in messages:
        described = description_of(parse(pb.DescribeReplicaResponse, body), NodeId("n1"))
        if described is not None:
            assert described.generation >= 0
            assert description_of(description_message(described), NodeId("n1")) == described


def _check_vote(messages: list[bytes]) -> None:
    for body in messages:
        vote = vote_of(parse(pb.PrepareResponse, body))
        assert vote_of(vote_message(vote)) == vote
