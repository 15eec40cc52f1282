from __future__ import annotations

import json
from collections.abc import Iterator

import grpc
import pytest

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import (
    Corrupt,
    InvalidRequest,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    RefConflict,
)
from meshnode.base.ids import NodeId
from meshnode.wire.status import (
    ERROR_KEY,
    RETRY_KEY,
    error_from_call,
    error_of,
    is_turned_away,
    promises_nothing_written,
    status_of,
)

N2 = NodeId("n2")


def _tree(root: type[MeshError]) -> Iterator[type[MeshError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from _tree(child)


@pytest.mark.parametrize("kind", list(_tree(MeshError)))
def test_every_error_comes_back_equal(kind: type[MeshError]) -> None:
    error = kind("something is the matter", text="é\n", number=3, share=0.5, is_true=True, nothing=None)
    status = status_of(error)
    back = error_of(status.code, status.detail, dict(status.trailing))
    assert type(back) is kind
    assert (back.message, back.fields) == (error.message, error.fields)
    assert status.code.name == kind.code


def test_error_derived_elsewhere_travels_as_its_nearest_class() -> None:
    class Special(RefConflict):
        pass

    status = status_of(Special("special"))
    assert type(error_of(status.code, status.detail, dict(status.trailing))) is RefConflict


def test_unknown_exception_is_internal_and_its_text_stays_here() -> None:
    status = status_of(ValueError("secret"))
    assert status.code is grpc.StatusCode.INTERNAL
    assert "secret" not in repr(status)


@pytest.mark.parametrize(("wanted", "told"), [({"retry_after_ms": 70}, "70"), ({}, "500")])
def test_overload_says_when_to_come_back(wanted: dict[str, int], told: str) -> None:
    assert dict(status_of(Overloaded("full", **wanted)).trailing)[RETRY_KEY] == told


def test_long_messages_and_many_fields_are_cut_below_the_metadata_limit() -> None:
    error = InvalidRequest("x" * 10_000, **{f"f{number}": "\udcffé" * 1_000 for number in range(50)})
    status = status_of(error)
    size = len(status.detail.encode()) + sum(len(value) for _, value in status.trailing)
    assert size < 30_000
    assert len(json.loads(dict(status.trailing)[ERROR_KEY])["fields"]) == 8


@pytest.mark.parametrize(
    "packed",
    [b"", b"nonsense", b"[]", b'{"type":"Exception","message":"m","fields":{}}', b'{"type":"NotFound"}', "text"],
)
def test_foreign_answer_falls_back_on_its_code(packed: str | bytes) -> None:
    assert type(error_of(grpc.StatusCode.NOT_FOUND, "gone", {ERROR_KEY: packed})) is NotFound
    assert type(error_of(grpc.StatusCode.DATA_LOSS, "", {})) is Corrupt


def test_error_that_contradicts_its_code_is_not_believed() -> None:
    trailing = dict(status_of(InvalidRequest("no")).trailing)
    assert type(error_of(grpc.StatusCode.UNAVAILABLE, "", trailing)) is PeerUnavailable


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_foreign_answer_that_promises_nothing_is_no_promise(code: grpc.StatusCode) -> None:
    assert not promises_nothing_written(error_of(code, "", {}))


def test_caller_is_turned_away_by_what_another_node_may_not_suffer_from() -> None:
    turning = {kind.__name__ for kind in _tree(MeshError) if is_turned_away(kind("not here, not now"))}
    assert turning == {"CatalogUnavailable", "Draining", "Overloaded", "QuorumLost", "ReplicaBehind"}


def test_call_without_a_verified_answer_is_peer_unavailable_whatever_it_says() -> None:
    trailing = dict(status_of(InvalidRequest("forged")).trailing)
    failed = CallFailed(grpc.StatusCode.INVALID_ARGUMENT, "forged", trailing, was_answered=False)
    error = error_from_call(failed, N2)
    assert type(error) is PeerUnavailable
    assert error.fields["node"] == "n2"
    assert not promises_nothing_written(error)


def test_call_that_was_never_sent_promises_that_nothing_was_written() -> None:
    failed = CallFailed(
        grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: x", {}, was_answered=False
    )
    assert promises_nothing_written(error_from_call(failed, N2))


def test_answered_error_keeps_its_promise_but_not_its_talk_of_untouched_bodies() -> None:
    sent = status_of(PeerUnavailable("deeper down", is_untouched=True))
    failed = CallFailed(sent.code, sent.detail, dict(sent.trailing), was_answered=True)
    assert not promises_nothing_written(error_from_call(failed, N2))
    unknown = status_of(OutcomeUnknown("asked the catalog in vain", round="b" * 32))
    failed = CallFailed(unknown.code, unknown.detail, dict(unknown.trailing), was_answered=True)
    error = error_from_call(failed, N2)
    assert type(error) is OutcomeUnknown
    assert error.fields == {"round": "b" * 32}
