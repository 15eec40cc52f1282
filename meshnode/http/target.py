"""Decides what a request line and its headers ask for. Pure: text in, values out, nothing else touched.

    GET  /<name>[.git]/info/refs?service=<service>   advertisement
    POST /<name>[.git]/git-upload-pack               fetch
    POST /<name>[.git]/git-receive-pack              push
    GET  /healthz /readyz /metrics                   for machines

A path is percent-decoded exactly once and its repository name goes through `parse_repository_name`, so nothing
that could name another place (`..`, `%2e%2e`, a backslash, control characters, a second slash) comes further than here.
The files that dumb HTTP would fetch are answered with a sentence.

Source: gitprotocol-http(5), gitprotocol-v2(5), http-backend.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation, RepositoryName, parse_repository_name
from meshnode.http.status import Refused
from meshnode.ports import Consistency, ConsistencyLevel, GitService

HEALTH: Final = "/healthz"
READY: Final = "/readyz"
RESTING: Final = "the node drains: new work is refused"
"""What `/readyz` says of a node that could work and is not to: it has been started as far as it goes."""
METRICS: Final = "/metrics"

_INFO_REFS: Final = "/info/refs"
_QUERY_FIELDS_MAX: Final = 8
_PROTOCOL_BYTES_MAX: Final = 255
"""Git sends `version=2`; a longer list of keys is not looked at."""

_DUMB: Final = re.compile(r"/(?:HEAD|config|packed-refs|objects/.*|info/[^/]+|refs/.*)\Z", re.DOTALL)
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AT_LEAST: Final = re.compile(r"at-least=([0-9]{1,18})\Z")

SMART_ONLY: Final = "smart HTTP only: use git 1.6.6 or newer"


class Step(Enum):
    """The two kinds of request that a fetch or a push is made of."""

    ADVERTISE = "GET"
    EXCHANGE = "POST"


@dataclass(frozen=True, slots=True)
class Target:
    """A request of git's protocol."""

    name: RepositoryName
    service: GitService
    step: Step


def parse_target(method: str, raw_target: str) -> Target:
    """What a request line asks for; the paths for machines are not this function's.

    Raises:
        InvalidRequest: not a repository's name, or not a path at all.
        Refused: 403 for dumb HTTP and unknown services, 404 for what no repository serves, 405 for the method.
    """
    raw_path, _, query = raw_target.partition("?")
    path = _decode(raw_path)
    if path.endswith(_INFO_REFS):
        _check_method(method, Step.ADVERTISE)
        service = _parse_service(query)
        return Target(_parse_name(path.removesuffix(_INFO_REFS)), service, Step.ADVERTISE)
    for service in GitService:
        suffix = "/" + service.value
        if path.endswith(suffix):
            _check_method(method, Step.EXCHANGE)
            return Target(_parse_name(path.removesuffix(suffix)), service, Step.EXCHANGE)
    if _DUMB.search(path):
        raise Refused(404, SMART_ONLY)
    raise Refused(404, "nothing here; a repository is at /project/repo.git")


def parse_protocol_version(headers: Iterable[str], service: GitService) -> int:
    """The highest version that `Git-Protocol` asks for and git knows, 0 where none is.

    A push has no version 2: the one that asks for it gets version 0, as from receive-pack.

    Source: determine_protocol_version_server in protocol.c.
    """
    version = 0
    for header in headers:
        for item in header[:_PROTOCOL_BYTES_MAX].split(":"):
            key, _, value = item.strip().partition("=")
            if key == "version" and value in {"0", "1", "2"}:
                version = max(version, int(value))
    return 0 if version == 2 and service is GitService.RECEIVE_PACK else version


def parse_consistency(header: str | None) -> Consistency:
    """The demand in `Mesh-Consistency`: `verified` (also None), `at-least=<generation>` or `any`.

    Raises InvalidRequest for anything else: a demand that is not understood must not be weakened.
    """
    text = "verified" if header is None else header.strip()
    if text == "verified":
        return Consistency()
    if text == "any":
        return Consistency(ConsistencyLevel.ANY)
    found = _AT_LEAST.match(text)
    if found is None:
        raise InvalidRequest("mesh-consistency must be verified, at-least=<generation> or any", value=text[:100])
    return Consistency(ConsistencyLevel.AT_LEAST, Generation(int(found[1])))


def _decode(raw_path: str) -> str:
    if not raw_path.startswith("/") or _ESCAPE.search(raw_path):
        raise InvalidRequest("the request target is not a path")
    try:
        return unquote_to_bytes(raw_path.encode("utf-8", "surrogateescape")).decode()
    except UnicodeError as error:
        raise InvalidRequest("the path is not utf-8") from error


def _parse_name(path: str) -> RepositoryName:
    return parse_repository_name(path[1:])


def _parse_service(query: str) -> GitService:
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError as error:
        raise InvalidRequest("too many fields in the query", fields_max=_QUERY_FIELDS_MAX) from error
    values = [value for key, value in fields if key == "service"]
    if not values:
        raise Refused(403, SMART_ONLY)
    known = {service.value: service for service in GitService}
    if len(values) != 1 or values[0] not in known:
        raise Refused(403, "no such service; git-upload-pack and git-receive-pack are served")
    return known[values[0]]


def _check_method(method: str, step: Step) -> None:
    if method != step.value:
        raise Refused(405, f"this path takes {step.value} only", headers={"Allow": step.value})
