"""Errors become statuses and lines; callers become names."""

from __future__ import annotations

import base64

import pytest

from meshnode.auth.users import UserVerifier, issue_user_token
from meshnode.base import errors
from meshnode.base.errors import Forbidden, MeshError, Overloaded, Unauthenticated
from meshnode.base.ids import RepositoryName
from meshnode.config import AuthSettings
from meshnode.http.identity import Gate, parse_token
from meshnode.http.status import Refused, answer_of
from meshnode.ports import GitService
from tests.unit.auth.parties import CLUSTER, StillClock, key, registry
from tests.unit.http.fakes import FakeUsers

NAME = RepositoryName("demo/requests")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidRequest, 400),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.RepositoryNotFound, 404),
        (errors.NotFound, 404),
        (errors.RepositoryExists, 409),
        (errors.RefConflict, 409),
        (errors.Fenced, 409),
        (errors.TooLarge, 413),
        (errors.Overloaded, 429),
        (errors.ReplicaBehind, 503),
        (errors.ReadOnly, 503),
        (errors.QuorumLost, 503),
        (errors.CatalogUnavailable, 503),
        (errors.PeerUnavailable, 503),
        (errors.Draining, 503),
        (errors.OutcomeUnknown, 504),
        (errors.DeadlineExceeded, 504),
        (errors.Corrupt, 500),
        (errors.InvariantViolated, 500),
        (errors.MeshError, 500),
    ],
)
def test_every_error_has_its_status(kind: type[MeshError], status: int) -> None:
    answer = answer_of(kind("something is the case"), realm="test")
    assert answer.status == status
    assert answer.line == "something is the case"
    assert ("Retry-After" in answer.headers) == (status in {429, 503})
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert answer.is_defect == (status == 500)


def test_every_error_of_the_tree_is_in_the_table_above() -> None:
    marks = [mark for mark in test_every_error_has_its_status.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    listed = {kind for kind, _ in marks[0].args[1]}
    tree = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MeshError)}
    assert listed == tree


def test_a_class_derived_elsewhere_counts_as_the_nearest_one() -> None:
    class Special(errors.QuorumLost):
        pass

    assert answer_of(Special("no"), realm="test").status == 503


def test_facts_are_in_the_line_and_retry_times_in_the_header() -> None:
    answer = answer_of(Overloaded("too many", places=16, retry_after_ms=1_200), realm="test")
    assert answer.line == "too many (places=16)"
    assert answer.headers["Retry-After"] == "2"


def test_a_full_node_is_unavailable_rather_than_asked_too_often() -> None:
    assert answer_of(Overloaded("full", limit="packs_per_node"), realm="test").status == 503


def test_what_is_not_ours_stays_hidden() -> None:
    answer = answer_of(ValueError("secret"), realm="test")
    assert (answer.status, answer.line, answer.is_defect) == (500, "internal error", True)


def test_a_defects_facts_stay_hidden() -> None:
    assert answer_of(errors.Corrupt("damaged", path="/var/lib"), realm="test").line == "damaged"


def test_a_line_cannot_command_a_terminal_or_grow_without_end() -> None:
    line = answer_of(errors.InvalidRequest("bad", name="a\x1b[31m\r\nx" + "\u202e" * 900), realm="test").line
    assert line.isprintable()
    assert line.isascii()
    assert len(line) == 500


def test_http_itself_names_status_and_headers() -> None:
    answer = answer_of(Refused(405, "no", headers={"Allow": "GET"}), realm="test")
    assert (answer.status, answer.line, dict(answer.headers)) == (405, "no", {"Allow": "GET"})


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("header", ["Bearer writer-token", "bearer  writer-token", basic("anyone:writer-token")])
def test_a_token_is_found_in_either_scheme(header: str) -> None:
    assert parse_token(header) == "writer-token"


def test_a_basic_token_may_hold_colons() -> None:
    assert parse_token(basic("user:a:b")) == "a:b"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic /w==", basic("no-colon"), basic("user:"), "Digest x"],
)
def test_other_credentials_are_refused(header: str) -> None:
    with pytest.raises(Unauthenticated):
        parse_token(header)


@pytest.mark.parametrize(
    ("anonymous", "service", "is_let_in"),
    [
        ("none", GitService.UPLOAD_PACK, False),
        ("none", GitService.RECEIVE_PACK, False),
        ("read", GitService.UPLOAD_PACK, True),
        ("read", GitService.RECEIVE_PACK, False),
        ("write", GitService.UPLOAD_PACK, True),
        ("write", GitService.RECEIVE_PACK, True),
    ],
)
def test_without_a_token_the_policy_decides(anonymous: str, service: GitService, is_let_in: bool) -> None:
    gate = Gate(FakeUsers(), AuthSettings(anonymous_http=anonymous))
    if is_let_in:
        assert gate.check_access(None, NAME, service) == "anonymous"
    else:
        with pytest.raises(Unauthenticated):
            gate.check_access(None, NAME, service)


def test_a_bad_token_is_refused_even_where_none_is_needed() -> None:
    with pytest.raises(Unauthenticated):
        Gate(FakeUsers(), AuthSettings(anonymous_http="write")).check_access(
            "Bearer wrong", NAME, GitService.UPLOAD_PACK
        )


def test_a_token_counts_for_its_scope_and_its_repositories() -> None:
    gate = Gate(FakeUsers(), AuthSettings(anonymous_http="none"))
    assert gate.check_access("Bearer reader-token", NAME, GitService.UPLOAD_PACK) == "rita"
    assert gate.check_access("Bearer demo-token", NAME, GitService.RECEIVE_PACK) == "dora"
    with pytest.raises(Forbidden, match="scope=write"):
        gate.check_access("Bearer reader-token", NAME, GitService.RECEIVE_PACK)
    with pytest.raises(Forbidden, match="repository=other/repo"):
        gate.check_access("Bearer demo-token", RepositoryName("other/repo"), GitService.UPLOAD_PACK)


def test_a_real_token_as_a_password_opens_the_gate() -> None:
    clock = StillClock()
    gate = Gate(UserVerifier(registry(), frozenset({CLUSTER}), clock), AuthSettings(anonymous_http="none"))
    token = issue_user_token(
        application="web",
        key=key("web"),
        clock=clock,
        audience=CLUSTER,
        user="ada",
        scopes={"read"},
        repository="demo/*",
    )
    assert gate.check_access(basic(f"git:{token}"), NAME, GitService.UPLOAD_PACK) == "ada"
    with pytest.raises(Forbidden):
        gate.check_access(basic(f"git:{token}"), NAME, GitService.RECEIVE_PACK)
    with pytest.raises(Unauthenticated):
        gate.check_access(basic(f"git:{token[:-4]}AAAA"), NAME, GitService.UPLOAD_PACK)


def test_facts_about_our_own_house_stay_inside() -> None:
    error = errors.CatalogUnavailable("no etcd member can be reached", endpoints="10.0.0.7:2379", tries=3)
    assert answer_of(error, realm="test").line == "no etcd member can be reached (tries=3)"
