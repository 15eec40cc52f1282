"""Values of the catalog: refused as Corrupt, or understood to the letter, every id and name fit for its use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import (
    Generation,
    PartitionId,
    parse_node_id,
    parse_partition_id,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core import control, joining, repository_config, request_marks, rotation, shared_settings
from meshnode.core.applications import Application, KeyDrop, Role, decode_application, encode_application
from meshnode.core.cluster import ClusterSettings, decode_settings, encode_settings
from meshnode.core.nodes import Node, NodeState, OnlineNode, decode_node, decode_online, encode_node, encode_online
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.record import decode_record, encode_record
from meshnode.core.round import decode_round, encode_round
from tests.fuzz.inputs import Draw
from tests.fuzz.values import KEYS, NODES, RECORDS, ROUNDS, WORDS

_CODECS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (decode_record, encode_record),
    (decode_round, encode_round),
    (decode_partition, encode_partition),
    (decode_node, encode_node),
    (decode_online, encode_online),
    (decode_application, encode_application),
    (decode_settings, encode_settings),
    (control.decode_control, control.encode_control),
    (control.decode_progress, control.encode_progress),
    (control.decode_usage, control.encode_usage),
    (joining.decode_invitation, joining.encode_invitation),
    (rotation.decode_times, rotation.encode_times),
    (request_marks.decode_request_mark, request_marks.encode_request_mark),
    (shared_settings.decode_shared_settings, shared_settings.encode_shared_settings),
    (repository_config.decode_repository_config, repository_config.encode_repository_config),
)

_NODE_LISTS = st.lists(NODES, max_size=3, unique=True).map(tuple)
_COUNTS = st.integers(0, 1 << 40)
_MOVES = st.builds(
    control.PartitionProgress, partition=st.integers(0, 65_535).map(PartitionId), step=WORDS, node=st.none() | NODES,
    predecessor=st.none() | NODES, repositories=_COUNTS, left=_COUNTS, size_bytes=_COUNTS, since_ms=_COUNTS,
)  # fmt: skip
_VALUES: tuple[st.SearchStrategy[Any], ...] = (
    RECORDS,
    ROUNDS,
    st.builds(Partition, partition=KEYS.map(lambda key: key.home), replicas=_NODE_LISTS, joining=_NODE_LISTS,
        family=st.none() | KEYS.map(lambda key: key.repository)),
    st.builds(
        Node, node=NODES, grpc_url=WORDS, http_url=WORDS, zone=WORDS, weight=st.integers(0, 1 << 20),
        state=st.sampled_from(NodeState), public_keys=st.lists(WORDS, max_size=2).map(tuple),
    ),
    st.builds(OnlineNode, node=NODES, version=WORDS, started_at_ms=st.integers(0, 1 << 45)),
    st.builds(
        Application, application=WORDS, role=st.sampled_from(Role),
        public_keys=st.lists(WORDS, max_size=2).map(tuple),
        drops=st.lists(st.builds(KeyDrop, WORDS, st.integers(0, 1 << 45)), max_size=2).map(tuple),
    ),
    st.builds(
        ClusterSettings, cluster_id=WORDS, partition_count=st.integers(1, 65_536),
        replication_factor=st.integers(1, 9),
    ),
    st.builds(control.MoveControl, is_paused=st.booleans()),
    st.builds(
        control.MoveProgress, planner=NODES, at_ms=_COUNTS, waiting=_COUNTS, moves=st.lists(_MOVES, max_size=2).map(tuple),
        done_bytes=_COUNTS, left_ms=st.integers(-1, 1 << 40), blocked=st.lists(WORDS, max_size=2).map(tuple),
    ),
    st.builds(
        control.NodeUsage, node=NODES, at_ms=_COUNTS, disk_bytes=_COUNTS, free_bytes=_COUNTS,
        partitions=st.dictionaries(st.integers(0, 65_535).map(PartitionId), _COUNTS, max_size=3),
    ),
    st.builds(
        joining.Invitation, invitation=st.just("0123456789abcdef"), verify_key=st.just("a" * 64),
        answer_key=st.just("b" * 64), node=st.none() | NODES, zone=WORDS, weight=_COUNTS, created_at_ms=_COUNTS,
        expires_at_ms=_COUNTS, created_by=WORDS, state=st.sampled_from(joining.InvitationState),
        used_by=st.none() | NODES, used_key=WORDS,
    ),
    st.builds(
        rotation.RotationTimes, node=NODES, switch_at_ms=_COUNTS, drop_at_ms=_COUNTS, is_finish_wanted=st.booleans(),
    ),
    st.builds(
        request_marks.RequestMark, repository=KEYS.map(lambda key: key.repository),
        round_id=ROUNDS.map(lambda round_: round_.round_id), generation=_COUNTS.map(Generation), at_ms=_COUNTS,
    ),
    st.builds(
        shared_settings.SharedSettings, version=_COUNTS, changed_at_ms=_COUNTS, changed_by=WORDS,
        values=st.dictionaries(
            WORDS, st.booleans() | _COUNTS | WORDS | st.lists(WORDS, max_size=2).map(tuple), max_size=3
        ),
    ),
    st.builds(
        repository_config.RepositoryConfig, version=_COUNTS, denies_deletes=st.booleans(),
        denies_non_fast_forwards=st.booleans(), input_bytes_max=_COUNTS,
    ),
)  # fmt: skip

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1.5,
        "",
        "1",
        "\ud800",
        [],
        {},
        [[]],
        float("inf"),
        float("nan"),
        1 << 64,
        "x" * 300,
        ["a", 1],
        "../..",
    ]
)


def changed(raw: dict[str, Any], draw: tuple[int, Any, int]) -> bytes:
    """The JSON with one value replaced, or left out, or nested too deep."""
    place, odd, how = draw
    names = sorted(raw)
    name = names[place % len(names)]
    match how:
        case 0:
            raw[name] = odd
        case 1:
            del raw[name]
        case _:
            pass
    text = json.dumps(raw)
    if how == 2:
        text = text.replace(json.dumps(raw[name]), "[" * 3_000, 1)
    return text.encode()


CHANGES = st.tuples(st.integers(0, 30), ODD, st.integers(0, 6))


def _examples(place: int) -> st.SearchStrategy[bytes]:
    encode = _CODECS[place][1]
    return st.builds(
        lambda value, change: bytes([place]) + changed(json.loads(encode(value)), change), _VALUES[place], CHANGES
    )


EXAMPLES = st.one_of(*map(_examples, range(len(_CODECS))))

_ADDED = {"read_replicas": [], "read_replicas_wanted": 0, "returned": [], "family": None, "drops": []}
"""Fields that older writers did not know, and what they are where they are not there."""


def check_catalog_values(data: bytes) -> None:
    draw = Draw(data)
    decode, encode = draw.pick(_CODECS)
    text = draw.rest()
    try:
        value = decode(text)
    except Corrupt:
        return
    encoded = encode(value)
    assert decode(encoded) == value
    raw, again = json.loads(text), json.loads(encoded)
    for name, found in again.items():
        if name in _ADDED and name not in raw:
            assert found == _ADDED[name]
            continue
        if name == "home" and name not in raw:
            assert found == raw["partition"], "where it was created is where it lives"
            continue
        given = raw[name]
        if name == "inconsistent":
            given = sorted(given)
        elif name == "partitions":
            given = [{"partition": item["partition"], "bytes": item["bytes"]} for item in given]
            given.sort(key=lambda item: item["partition"])
        elif name == "drops":
            given = [{"public_key": item["public_key"], "at_ms": item["at_ms"]} for item in given]
        elif name == "values":  # of a configuration: an older node's has fewer keys
            given = {**found, **given}
        elif name == "moves":
            given = [{field: item[field] for field in moved} for item, moved in zip(given, found, strict=True)]
        assert given == found, name
        assert type(given) is type(found), name
    check_ids_in(again)


def check_ids_in(raw: dict[str, Any]) -> None:
    """Hold every id and name of a value against its parser."""
    for name, parse in (
        ("repository", parse_repository_id),
        ("fork_root", parse_repository_id),
        ("fork_parent", parse_repository_id),
        ("family", parse_repository_id),
        ("round_id", parse_round_id),
        ("base_round_id", parse_round_id),
        ("name", parse_repository_name),
        ("partition", parse_partition_id),
        ("home", parse_partition_id),
        ("node", parse_node_id),
        ("coordinator", parse_node_id),
    ):
        value = raw.get(name)
        if value is not None:
            assert parse(value) == value
    for value in (raw.get("generation"), raw.get("base_generation"), raw.get("fence")):
        assert value is None or Generation(value) >= 0
