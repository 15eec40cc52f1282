from __future__ import annotations

import pytest

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.base.ids import Generation, RepositoryName
from meshnode.http.status import Refused
from meshnode.http.target import Step, Target, parse_consistency, parse_protocol_version, parse_target
from meshnode.ports import Consistency, ConsistencyLevel, GitService

NAME = RepositoryName("demo/requests")


@pytest.mark.parametrize("name", ["demo/requests.git", "demo/requests", "%64emo/requests%2egit", "demo%2Frequests"])
def test_the_name_is_found_with_and_without_git_and_decoded_once(name: str) -> None:
    target = parse_target("GET", f"/{name}/info/refs?service=git-upload-pack")
    assert target == Target(NAME, GitService.UPLOAD_PACK, Step.ADVERTISE)


@pytest.mark.parametrize("service", GitService)
def test_a_post_to_a_service_is_an_exchange(service: GitService) -> None:
    assert parse_target("POST", f"/demo/requests.git/{service.value}") == Target(NAME, service, Step.EXCHANGE)


HOSTILE = [
    "/../../etc/passwd",
    "/demo/../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc",
    "/demo/%2e%2e",
    "/demo/%252e%252e",
    "//etc/passwd",
    "/demo//requests",
    "/%2Fetc/passwd",
    "/demo/a%00b",
    "/demo/a%0ab",
    "/demo/a%1b[31m",
    "/demo/a\\b",
    "/demo/a%5cb",
    "/demo/a%zz",
    "/demo/a%",
    "/demo/%ff%fe",
    "/demo/a:b",
    "/demo/-option",
    "/demo/x.lock",
    "/demo/x.git/y",
    "/only",
    "",
    "/" + "/".join(["a"] * 300),
    "/demo/" + "a" * 4_000,
]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("rest", [("GET", "/info/refs?service=git-upload-pack"), ("POST", "/git-receive-pack")])
def test_a_hostile_name_is_refused(path: str, rest: tuple[str, str]) -> None:
    method, suffix = rest
    with pytest.raises(InvalidRequest) as caught:
        parse_target(method, path + suffix)
    assert not isinstance(caught.value, Refused) or caught.value.status == 404


@pytest.mark.parametrize("target", ["http://other/demo/requests.git/info/refs", "*", "demo/requests.git/info/refs"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequest, match="not a path"):
        parse_target("GET", target)


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/demo/requests.git/info/refs", 403, "smart HTTP only"),
        ("/demo/requests.git/HEAD", 404, "smart HTTP only"),
        ("/demo/requests.git/objects/info/packs", 404, "smart HTTP only"),
        ("/demo/requests.git/objects/ab/cdef", 404, "smart HTTP only"),
        ("/demo/requests.git", 404, "/project/repo.git"),
        ("/", 404, "/project/repo.git"),
        ("/demo/requests.git/info/refs?service=git-upload-archive", 403, "no such service"),
        ("/demo/requests.git/info/refs?service=git-upload-pack&service=git-receive-pack", 403, "no such service"),
    ],
)
def test_what_is_not_served_is_named(target: str, status: int, words: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_target("GET", target)
    assert caught.value.status == status
    assert words in caught.value.message


def test_a_query_of_many_fields_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="too many fields"):
        parse_target("GET", "/demo/requests.git/info/refs?" + "&".join(["a=b"] * 100))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("HEAD", "/demo/requests.git/info/refs?service=git-upload-pack", "GET"),
        ("POST", "/demo/requests.git/info/refs?service=git-upload-pack", "GET"),
        ("GET", "/demo/requests.git/git-upload-pack", "POST"),
    ],
)
def test_another_method_is_refused_with_the_one_allowed(method: str, path: str, allowed: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_target(method, path)
    assert caught.value.status == 405
    assert caught.value.headers == {"Allow": allowed}


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ([], 0),
        (["version=0"], 0),
        (["version=1"], 1),
        (["version=2"], 2),
        (["version=3"], 0),
        (["version=2x"], 0),
        (["version"], 0),
        (["something=else:version=2:more"], 2),
        (["version=1:version=2"], 2),
        (["version=1", "version=2"], 2),
        (["x" * 300 + ":version=2"], 0),
    ],
)
def test_the_highest_known_version_wins(headers: list[str], version: int) -> None:
    assert parse_protocol_version(headers, GitService.UPLOAD_PACK) == version


def test_a_push_that_asks_for_version_2_gets_version_0() -> None:
    assert parse_protocol_version(["version=2"], GitService.RECEIVE_PACK) == 0
    assert parse_protocol_version(["version=1"], GitService.RECEIVE_PACK) == 1


@pytest.mark.parametrize(
    ("header", "consistency"),
    [
        (None, Consistency()),
        ("verified", Consistency()),
        (" any ", Consistency(ConsistencyLevel.ANY)),
        ("at-least=12", Consistency(ConsistencyLevel.AT_LEAST, Generation(12))),
    ],
)
def test_a_consistency_is_understood(header: str | None, consistency: Consistency) -> None:
    assert parse_consistency(header) == consistency


@pytest.mark.parametrize(
    "header", ["", "Verified", "at-least", "at-least=", "at-least=-1", "at-least=" + "9" * 19, "any;"]
)
def test_a_consistency_that_is_not_understood_is_refused(header: str) -> None:
    with pytest.raises(MeshError, match="mesh-consistency"):
        parse_consistency(header)
