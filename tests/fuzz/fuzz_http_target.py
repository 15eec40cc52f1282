"""Request lines and headers of git's HTTP: understood or refused; whatever name comes out can be no other place."""

from __future__ import annotations

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, MeshError, Unauthenticated
from meshnode.base.ids import parse_repository_name
from meshnode.http.identity import parse_token
from meshnode.http.status import LINE_MAX, Refused, answer_of
from meshnode.http.target import Step, Target, parse_consistency, parse_protocol_version, parse_target
from meshnode.ports import ConsistencyLevel, GitService
from tests.fuzz.inputs import Draw

METHODS = ("GET", "POST", "HEAD", "PUT")

_PART = st.sampled_from(
    [
        "/a",
        "/b.git",
        "/project/repo.git",
        "/..",
        "/%2e%2e",
        "%2F",
        "/%00",
        "/HEAD",
        "/objects/info/packs",
        "//",
        "%",
        "\\",
    ]
)
_END = st.sampled_from(
    [
        "/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack", "/git-upload-pack",
        "/git-receive-pack", "/info/refs", "/info/refs?service=x", "/info/refs?service=git-upload-pack&service=",
    ]
)  # fmt: skip
_HEADER = st.sampled_from(
    ["version=2", "version=1:x=y", "any", "verified", "at-least=42", "at-least=-1", "Basic Z2l0OnRva2Vu", "Bearer abc",
     "basic bm9jb2xvbg==", "Basic *"]
)  # fmt: skip
EXAMPLES = st.builds(
    lambda method, header, parts, end: bytes([method, len(header)]) + (header + "".join(parts) + end).encode(),
    st.integers(0, 3),
    _HEADER,
    st.lists(_PART, max_size=3),
    _END,
)


def check_http_target(data: bytes) -> None:
    draw = Draw(data)
    method, header = draw.pick(METHODS), draw.text(200)
    line = draw.rest().decode("utf-8", "surrogateescape")
    for service in GitService:
        version = parse_protocol_version([header], service)
        assert version in {0, 1, 2}
        assert version != 2 or service is GitService.UPLOAD_PACK
    _check_consistency(header)
    _check_token(header)
    try:
        target = parse_target(method, line)
    except InvalidRequest as error:
        _check_answer(error, {403, 404, 405} if isinstance(error, Refused) else {400})
        return
    assert parse_repository_name(target.name) == target.name
    assert method == target.step.value
    again = f"/{target.name}.git/" + (
        f"info/refs?service={target.service.value}" if target.step is Step.ADVERTISE else target.service.value
    )
    assert parse_target(method, again) == Target(target.name, target.service, target.step)


def _check_consistency(header: str) -> None:
    try:
        consistency = parse_consistency(header)
    except InvalidRequest as error:
        _check_answer(error, {400})
        return
    assert header.strip().startswith(consistency.level.value.replace("_", "-")[:3])
    assert consistency.generation >= 0
    assert consistency.generation == 0 or consistency.level is ConsistencyLevel.AT_LEAST


def _check_token(header: str) -> None:
    try:
        token = parse_token(header)
    except Unauthenticated as error:
        _check_answer(error, {401})
        return
    assert token


def _check_answer(error: MeshError, statuses: set[int]) -> None:
    answer = answer_of(error, realm="meshnode")
    assert answer.status in statuses
    assert answer.line.isascii()
    assert answer.line.isprintable()
    assert len(answer.line) <= LINE_MAX
    assert not any("\n" in value or "\r" in value for value in answer.headers.values())
