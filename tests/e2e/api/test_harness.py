"""The histories that the API's answers are compared on reach every replica as they are."""

from __future__ import annotations

from pathlib import Path

from meshnode.v1 import ref_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import HISTORY, ODDITIES
from tests.e2e.cluster import list_refs


def test_oddities_are_listed_as_git_lists_them(api: Api, oddities: Path) -> None:
    check_same(api, ODDITIES, oddities)


def test_history_is_listed_as_git_lists_it(api: Api, history: Path) -> None:
    check_same(api, HISTORY, history)


def check_same(api: Api, name: str, path: Path) -> None:
    wanted = {ref: oid for ref, oid in list_refs(path).items() if ref != "HEAD" and not ref.endswith("^{}")}
    for node in (1, 2, 3):
        answer = api.call(
            "RefService/ListRefs", ref_pb2.ListRefsRequest(repository=name), ref_pb2.ListRefsResponse, node=node
        )
        assert {ref.name: ref.oid for ref in answer.refs} == wanted
