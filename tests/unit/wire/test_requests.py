from __future__ import annotations

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import HEAD, Generation, RefName, RefValue, RepositoryName
from meshnode.core.nodes import Node, NodeState, OnlineNode
from meshnode.ports import Consistency, ConsistencyLevel, GitService, RefChange, RefsSnapshot, TransportRequest
from meshnode.v1 import cluster_pb2, common_pb2, transport_pb2
from meshnode.v1.ref_pb2 import RefUpdate
from meshnode.wire import reads, records, refs, transport
from tests.unit.wire.samples import N1, N2, N3, branch, oid, some_partition, some_record, some_snapshot, value

MAIN = RefName("refs/heads/main")
ZERO = "0" * 40


@pytest.mark.parametrize("level", list(ConsistencyLevel))
def test_consistency_comes_back_equal(level: ConsistencyLevel) -> None:
    demand = Consistency(level, Generation(7 if level is ConsistencyLevel.AT_LEAST else 0))
    assert reads.consistency_of(reads.consistency_message(demand)) == demand


def test_unset_consistency_is_verified() -> None:
    assert reads.consistency_of(common_pb2.Consistency()) == Consistency()


@pytest.mark.parametrize(
    "message",
    [
        common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_ANY, generation=4),
        common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_AT_LEAST, generation=1 << 63),
        common_pb2.Consistency.FromString(b"\x08\x63"),
    ],
)
def test_senseless_consistency_is_refused(message: common_pb2.Consistency) -> None:
    with pytest.raises(InvalidRequest):
        reads.consistency_of(message)


def test_object_formats_have_numbers_and_names() -> None:
    for name in ("sha1", "sha256"):
        assert reads.object_format_of(reads.object_format_number(name)) == name
    assert reads.object_format_of(0) == "sha1"
    with pytest.raises(InvalidRequest):
        reads.object_format_of(9)


def test_request_key_is_bounded_in_bytes() -> None:
    assert reads.request_key_of("k" * 128) == "k" * 128
    with pytest.raises(InvalidRequest):
        reads.request_key_of("é" * 65)
    with pytest.raises(InvalidRequest):
        reads.request_key_of("a\0b")


def test_page_size_has_a_default_and_a_limit() -> None:
    assert reads.page_size_of(0, default=100, largest=1_000) == 100
    assert reads.page_size_of(1_000, default=100, largest=1_000) == 1_000
    with pytest.raises(InvalidRequest):
        reads.page_size_of(1_001, default=100, largest=1_000)


def test_repository_shows_belief_and_observation_side_by_side() -> None:
    message = records.repository_message(some_record(), some_partition(), {N1, N3}, {N2: "unreachable"})
    seen = [(replica.node, replica.consistent, replica.online, replica.activity) for replica in message.replicas]
    assert seen == [("n1", True, True, ""), ("n2", True, False, "unreachable"), ("n3", False, True, "")]
    assert (message.name, message.generation, message.round_id) == ("project/repo", 42, "b" * 32)


def test_node_message_names_keys_by_id_and_survives_a_bad_one() -> None:
    node = Node(
        node=N1, grpc_url="h:1", http_url="", zone="z", weight=5, state=NodeState.DRAINING, public_keys=("junk",)
    )
    online = OnlineNode(node=N1, version="0.1.0", started_at_ms=1)
    message = records.node_message(node, online)
    assert (message.online, message.version, message.state) == (True, "0.1.0", cluster_pb2.NODE_STATE_DRAINING)
    assert list(message.key_ids) == ["unreadable"]
    assert not records.node_message(node, None).online


def test_node_state_must_be_named() -> None:
    assert records.node_state_of(cluster_pb2.NODE_STATE_DISABLED) is NodeState.DISABLED
    for number in (0, 99):
        with pytest.raises(InvalidRequest):
            records.node_state_of(number)


def test_transport_header_of_a_node_comes_back_as_forwarded() -> None:
    request = TransportRequest(
        name=RepositoryName("a/b"),
        actor="user:ann",
        version=2,
        consistency=Consistency(ConsistencyLevel.AT_LEAST, Generation(3)),
        is_forwarded=True,
        may_create=True,
    )
    header = transport.header_message(request)
    assert transport.request_of(header, caller="node:n1", is_from_node=True) == request


@pytest.mark.parametrize(
    "header",
    [
        transport_pb2.TransportHeader(repository="a/b", forwarded=True),
        transport_pb2.TransportHeader(repository="a/b", actor="root"),
        transport_pb2.TransportHeader(repository="a/b", may_create=True),
        transport_pb2.TransportHeader(repository="a/b", protocol_version=3),
        transport_pb2.TransportHeader(repository="a"),
        transport_pb2.TransportHeader(),
    ],
)
def test_header_that_claims_too_much_is_refused(header: transport_pb2.TransportHeader) -> None:
    with pytest.raises(InvalidRequest):
        transport.request_of(header, caller="app:ci", is_from_node=False)


def test_application_acts_under_its_own_name() -> None:
    header = transport_pb2.TransportHeader(repository="a/b")
    assert transport.request_of(header, caller="app:ci", is_from_node=False).actor == "app:ci"


def test_git_services_go_by_their_own_names() -> None:
    assert transport.service_of("git-upload-pack") is GitService.UPLOAD_PACK
    with pytest.raises(InvalidRequest):
        transport.service_of("git-upload-archive")


def test_references_show_symbolic_and_peeled_values() -> None:
    snapshot = some_snapshot()
    head = refs.reference_message(snapshot, HEAD)
    assert (head.symbolic_target, head.oid) == (branch(0), oid(1))
    tag = refs.reference_message(snapshot, RefName("refs/tags/v1"))
    assert (tag.oid, tag.peeled_oid) == (oid(999_999), oid(1))


def test_unborn_and_circular_references_lead_nowhere() -> None:
    snapshot = RefsSnapshot(generation=Generation(1), refs={HEAD: RefValue("ref:HEAD")}, peeled={})
    assert refs.resolve(snapshot, HEAD) is None
    assert refs.resolve(snapshot, MAIN) is None
    assert refs.reference_message(snapshot, HEAD).oid == ""


def test_updates_become_changes() -> None:
    updates = [
        RefUpdate(name="refs/heads/a", new_oid=oid(1)),
        RefUpdate(name="refs/heads/b", expected_oid=ZERO, new_oid=oid(2)),
        RefUpdate(name="refs/heads/c", expected_oid=oid(3), new_oid=ZERO),
        RefUpdate(name="HEAD", new_symbolic_target="refs/heads/main"),
    ]
    assert refs.changes_of(updates) == [
        RefChange(name=RefName("refs/heads/a"), expected=None, new=value(1)),
        RefChange(name=RefName("refs/heads/b"), expected="", new=value(2)),
        RefChange(name=RefName("refs/heads/c"), expected=value(3), new=""),
        RefChange(name=HEAD, expected=None, new=RefValue("ref:refs/heads/main")),
    ]


@pytest.mark.parametrize(
    "updates",
    [
        [],
        [RefUpdate(name="refs/heads/a", new_oid="")],
        [RefUpdate(name="refs/heads/a", new_oid="A" * 40)],
        [RefUpdate(name="refs/heads/a", expected_oid="", new_oid=oid(1))],
        [RefUpdate(name="heads/a", new_oid=oid(1))],
        [RefUpdate(name="HEAD", new_oid=oid(1))],
        [RefUpdate(name="HEAD", new_symbolic_target="refs/tags/v1")],
        [RefUpdate(name="HEAD", new_symbolic_target="refs/heads/a", expected_oid=oid(1))],
        [RefUpdate(name="refs/heads/a", new_symbolic_target="refs/heads/b")],
        [RefUpdate(name="refs/heads/a", new_oid=oid(1))] * 2,
        [RefUpdate(name=f"refs/heads/{number}", new_oid=oid(1)) for number in range(10_001)],
    ],
)
def test_senseless_updates_are_refused(updates: list[RefUpdate]) -> None:
    with pytest.raises(InvalidRequest):
        refs.changes_of(updates)
