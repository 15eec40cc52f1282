"""Ids and names: what a parser lets through is safe as path, key and argument, and is let through unchanged again."""

from __future__ import annotations

import contextlib
import os.path

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import (
    HEAD,
    REF_NAME_BYTES_MAX,
    REPOSITORY_NAME_BYTES_MAX,
    parse_node_id,
    parse_object_id,
    parse_partition_id,
    parse_ref_name,
    parse_ref_value,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.base.paths import PATH_BYTES_MAX, parse_tree_path
from meshnode.config.checks import parse_address
from tests.fuzz.inputs import Draw
from tests.fuzz.values import IDS, NAMES, OIDS, REF_NAMES

_SPECIAL = st.sampled_from("./-@{~^:?*[\\ \t\n\r\x7f\0aZ9_\u2028\x85é").map(str)
_MADE = st.lists(_SPECIAL | st.sampled_from(["refs/", "heads/", ".git", ".lock", "..", "a/b"]), max_size=12).map(
    "".join
)
EXAMPLES = st.one_of(IDS, NAMES, OIDS, REF_NAMES, _MADE, st.text(max_size=20)).map(lambda text: text.encode())


def check_ids(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _check_repository_name(text)
    _check_ref_name(text)
    _check_tree_path(data)
    for parse, lengths in (
        (parse_repository_id, (32,)),
        (parse_round_id, (32,)),
        (parse_object_id, (40, 64)),
        (parse_refs_digest, (64,)),
    ):
        try:
            parsed = parse(text)
        except InvalidRequest:
            continue
        assert parsed == text
        assert len(text) in lengths
        assert set(text) <= set("0123456789abcdef")
    try:
        assert set(parse_node_id(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not text.startswith("-")
    except InvalidRequest:
        pass
    with contextlib.suppress(InvalidRequest):
        assert parse_ref_value(text) == text
    try:
        host, port = parse_address(text)
        assert host.isascii()
        assert 0 <= port <= 65_535
    except InvalidRequest:
        pass
    number = Draw(data).number(1 << 24) - 1
    try:
        assert 0 <= parse_partition_id(number) <= 65_535
    except InvalidRequest:
        assert not 0 <= number <= 65_535


def _check_repository_name(text: str) -> None:
    try:
        name = parse_repository_name(text)
    except InvalidRequest:
        return
    assert text in {name, f"{name}.git"}
    assert parse_repository_name(name) == name
    assert os.path.normpath(f"/x/{name}") == f"/x/{name}"
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= REPOSITORY_NAME_BYTES_MAX
    assert not any(segment.startswith("-") or segment in {"", ".", ".."} for segment in name.split("/"))


def _check_ref_name(text: str) -> None:
    """As git-check-ref-format(1) has it, rule by rule."""
    try:
        name = parse_ref_name(text)
    except InvalidRequest:
        return
    assert name == text
    if name == HEAD:
        return
    encoded = name.encode()
    assert len(encoded) <= REF_NAME_BYTES_MAX
    components = name.split("/")
    assert components[0] == "refs"
    assert len(components) >= 3
    assert not any(part == "" or part.startswith(".") or part.endswith(".lock") for part in components)
    assert ".." not in name
    assert "@{" not in name
    assert not name.endswith(".")
    assert not any(byte < 0x21 or byte == 0x7F or byte in b"~^:?*[\\" for byte in encoded)


def _check_tree_path(data: bytes) -> None:
    try:
        path = parse_tree_path(data)
    except InvalidRequest:
        return
    assert path == data
    assert len(path) <= PATH_BYTES_MAX
    assert not path or os.path.normpath(b"/x/" + path) == b"/x/" + path
    assert 0 not in path
