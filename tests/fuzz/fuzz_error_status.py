"""Errors from other nodes: whatever the status carries becomes an error of ours that can be told on, any way there is."""

from __future__ import annotations

import json
from typing import Any

import grpc
from hypothesis import strategies as st

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import MeshError, Overloaded
from meshnode.base.ids import NodeId
from meshnode.cli.outcome import format_error
from meshnode.http.status import LINE_MAX, answer_of
from meshnode.wire.status import ERROR_KEY, RETRY_KEY, error_from_call, retry_after_ms, status_of
from tests.fuzz.inputs import Draw

CODES = tuple(grpc.StatusCode)
ANSWER_MS_MAX = 24 * 3_600_000
_KINDS = st.sampled_from(
    ["Overloaded", "RefConflict", "OutcomeUnknown", "PeerUnavailable", "Corrupt", "MeshError", "Exception", "x"]
)
_FACT: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        float("inf"),
        float("nan"),
        1e300,
        1 << 80,
        "",
        "x\ny\x1b[0m",
        "\ud800",
        "y" * 2_000,
        [],
        {},
    ]
)
_BODY = st.fixed_dictionaries(
    {"type": _KINDS, "message": _FACT | st.text(max_size=20),
     "fields": st.dictionaries(st.sampled_from(["retry_after_ms", "is_untouched", "path", "ref"]), _FACT, max_size=3)}
)  # fmt: skip
EXAMPLES = st.builds(
    lambda code, answered, body: bytes([code, answered]) + json.dumps(body).encode(),
    st.integers(0, len(CODES) - 1), st.integers(0, 1), _BODY,
)  # fmt: skip


def check_error_status(data: bytes) -> None:
    draw = Draw(data)
    code, was_answered = draw.pick(CODES), draw.is_true()
    packed = draw.rest()
    detail = packed[:100].decode("utf-8", "replace")
    error = error_from_call(CallFailed(code, detail, {ERROR_KEY: packed}, was_answered=was_answered), NodeId("n1"))
    again = status_of(error)
    assert len(again.detail) <= 10_000
    assert again.detail.encode().decode() == again.detail
    trailing = dict(again.trailing)
    carried = trailing[ERROR_KEY]
    assert isinstance(carried, bytes)
    assert len(carried) < 7_000
    assert isinstance(error, Overloaded) == (RETRY_KEY in trailing)
    received = error_from_call(CallFailed(again.code, again.detail, trailing, was_answered=True), NodeId("n2"))
    assert type(received) is type(error)
    assert received.nothing_written == error.nothing_written
    answer = answer_of(error, realm="meshnode")
    assert answer.line.isascii()
    assert len(answer.line) <= LINE_MAX
    assert all(len(value) < 200 and value.isprintable() for value in answer.headers.values())
    assert format_error(error).isprintable()
    if isinstance(error, Overloaded):
        assert 0 < retry_after_ms(error) <= ANSWER_MS_MAX
    _check_told(error)


def _check_told(error: MeshError) -> None:
    assert str(error).encode()
    json.dumps(error.fields).encode()
