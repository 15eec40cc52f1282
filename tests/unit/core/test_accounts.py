"""What a node's disk says travels as JSON and is believed only as it was written."""

from __future__ import annotations

import json

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId
from meshnode.core.accounts import NodeAccount, decode_node_account, encode_node_account

ACCOUNT = NodeAccount(
    node=NodeId("n1"),
    grpc_url="127.0.0.1:1",
    http_url="http://127.0.0.1:2",
    zone="default",
    weight=100,
    public_key="PEM",
    replicas=(),
    unreadable=("/data/\udcff/r: damaged",),
)


def test_a_path_that_is_no_text_does_not_make_an_export_unreadable() -> None:
    read = decode_node_account(encode_node_account(ACCOUNT))
    assert read.unreadable == ("/data/\\udcff/r: damaged",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 1.5),
        ("weight", "100"),
        ("weight", 1e999),
        ("node", 1),
        ("zone", None),
        ("unreadable", "abc"),
        ("v", True),
    ],
)
def test_a_field_of_another_type_is_corrupt(name: str, value: object) -> None:
    raw = json.loads(encode_node_account(ACCOUNT)) | {name: value}
    with pytest.raises(Corrupt, match="account cannot be decoded"):
        decode_node_account(json.dumps(raw))


def test_an_unknown_version_is_named() -> None:
    raw = json.loads(encode_node_account(ACCOUNT)) | {"v": 2}
    with pytest.raises(Corrupt, match=r"unknown format version \(version=2\)"):
        decode_node_account(json.dumps(raw))


def test_nesting_without_end_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="cannot be decoded"):
        decode_node_account("[" * 100_000)
