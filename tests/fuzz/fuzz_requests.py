"""Fields of API requests: refused as InvalidRequest, or values within their bounds that are the same when sent on."""

from __future__ import annotations

from google.protobuf.message import Message
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, parse_ref_name, parse_ref_value
from meshnode.v1 import common_pb2, event_pb2, ref_pb2, transport_pb2
from meshnode.wire.events import POINTS_MAX, heartbeat_of, resume_of
from meshnode.wire.message import parse
from meshnode.wire.reads import (
    ACTOR_BYTES_MAX,
    REQUEST_KEY_BYTES_MAX,
    actor_of,
    consistency_message,
    consistency_of,
    page_size_of,
    request_key_of,
)
from meshnode.wire.refs import UPDATES_MAX, changes_of
from meshnode.wire.transport import header_message, request_of
from tests.fuzz.inputs import Draw
from tests.fuzz.values import IDS, NAMES, OIDS, REF_NAMES, WORDS

_NUMBERS = st.integers(0, (1 << 64) - 1) | st.integers(0, 3)
_CONSISTENCY = st.builds(common_pb2.Consistency, level=st.integers(0, 5), generation=_NUMBERS)
_OID = OIDS | st.sampled_from(["", "0" * 40, "x"])
_UPDATE = st.builds(
    ref_pb2.RefUpdate, name=REF_NAMES | st.just("HEAD"), new_oid=_OID, new_symbolic_target=REF_NAMES | st.just("")
) | st.builds(ref_pb2.RefUpdate, name=REF_NAMES, new_oid=_OID, expected_oid=_OID)
_HEADER = st.builds(
    transport_pb2.TransportHeader, repository=NAMES, consistency=_CONSISTENCY, protocol_version=st.integers(0, 3),
    forwarded=st.booleans(), actor=WORDS, may_create=st.booleans(),
)  # fmt: skip
_POINT = st.builds(event_pb2.ResumePoint, repository_id=IDS, generation=_NUMBERS)
_WATCH = st.builds(
    event_pb2.WatchRequest,
    resume=st.none() | st.lists(_POINT, max_size=3).map(lambda points: event_pb2.Resume(points=points)),
    heartbeat_ms=st.sampled_from([0, 1, 1_000, 300_000, 300_001]),
)


def _as_bytes(kind: int, flag: bool, message: Message) -> bytes:
    return bytes([kind, flag]) + message.SerializeToString()


EXAMPLES = st.one_of(
    st.builds(_as_bytes, st.just(0), st.booleans(), _CONSISTENCY),
    st.builds(_as_bytes, st.just(1), st.booleans(), _HEADER),
    st.builds(
        _as_bytes, st.just(2), st.booleans(),
        st.lists(_UPDATE, max_size=3).map(lambda updates: ref_pb2.UpdateRefsRequest(updates=updates)),
    ),
    st.builds(_as_bytes, st.just(3), st.booleans(), _WATCH),
    WORDS.map(lambda text: b"\4\0" + text.encode()),
)  # fmt: skip


def check_requests(data: bytes) -> None:
    draw = Draw(data)
    kind, flag = draw.number(5), draw.is_true()
    body = draw.rest()
    try:
        match kind:
            case 0:
                consistency = consistency_of(parse(common_pb2.Consistency, body))
                assert consistency_of(consistency_message(consistency)) == consistency
            case 1:
                _check_header(parse(transport_pb2.TransportHeader, body), is_from_node=flag)
            case 2:
                _check_updates(parse(ref_pb2.UpdateRefsRequest, body))
            case 3:
                request = parse(event_pb2.WatchRequest, body)
                assert 1_000 <= heartbeat_of(request) <= 300_000
                assert len(resume_of(request) or {}) <= POINTS_MAX
            case _:
                _check_text(body)
    except InvalidRequest:
        return


def _check_header(header: transport_pb2.TransportHeader, *, is_from_node: bool) -> None:
    request = request_of(header, caller="app:ci", is_from_node=is_from_node)
    if not is_from_node:
        assert request.actor == "app:ci"
        assert not request.is_forwarded
        assert not request.may_create
    again = request_of(header_message(request), caller="node:n1", is_from_node=True)
    assert again.is_forwarded
    assert (again.name, again.actor, again.version, again.consistency, again.may_create) == (
        request.name, request.actor, request.version, request.consistency, request.may_create,
    )  # fmt: skip


def _check_updates(request: ref_pb2.UpdateRefsRequest) -> None:
    changes = changes_of(request.updates)
    assert 1 <= len(changes) <= UPDATES_MAX
    assert len({change.name for change in changes}) == len(changes)
    for change in changes:
        assert parse_ref_name(change.name) == change.name
        assert (change.name == HEAD) == change.new.startswith("ref:")
        assert not change.new or parse_ref_value(change.new) == change.new


def _check_text(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape")
    assert 1 <= page_size_of(len(body), default=100, largest=1_000) <= 1_000
    for check, bytes_max in ((request_key_of, REQUEST_KEY_BYTES_MAX), (actor_of, ACTOR_BYTES_MAX)):
        checked = check(text)
        assert len(checked.encode()) <= bytes_max
        assert "\n" not in checked
