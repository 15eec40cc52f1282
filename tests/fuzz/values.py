"""Strategies for the values that well-formed inputs are made of."""

from __future__ import annotations

from hypothesis import strategies as st

from meshnode.base.ids import (
    HEAD,
    Generation,
    NodeId,
    ObjectId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.record import Record, RepositoryState
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey, Round, WriteKind

HEX = "0123456789abcdef"
IDS = st.text(HEX, min_size=32, max_size=32)
NODES = st.sampled_from(["n1", "n2", "n3", "node-with-a-name"]).map(NodeId)
GENERATIONS = st.integers(0, (1 << 63) - 1).map(Generation)
DIGESTS = st.text(HEX, min_size=64, max_size=64).map(RefsDigest)
OIDS = st.integers(1, 1 << 32).map(lambda number: ObjectId(f"{number:040x}"))
REF_NAMES = st.sampled_from(
    ["refs/heads/main", "refs/heads/a/b", "refs/tags/v1", "refs/heads/ä", "refs/heads/äb", "refs/notes/x", "refs/é/z"]
).map(RefName)
REF_VALUES = OIDS.map(RefValue) | REF_NAMES.map(lambda name: RefValue(f"ref:{name}"))
NAMES = st.sampled_from(["a/b", "project/repo", "x/y/z-1.2_3"]).map(RepositoryName)
WORDS = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)
KEYS = st.builds(ReplicaKey, st.integers(0, 65_535).map(PartitionId), IDS.map(RepositoryId))

EDITS = st.lists(
    st.builds(RefEdit, REF_NAMES | st.just(HEAD), st.none() | REF_VALUES, st.none() | REF_VALUES),
    max_size=4,
    unique_by=lambda edit: edit.name,
).map(tuple)

ROUNDS = st.builds(
    Round,
    round_id=IDS.map(RoundId),
    repository=IDS.map(RepositoryId),
    home=st.integers(0, 65_535).map(PartitionId),
    kind=st.sampled_from(WriteKind),
    base_generation=GENERATIONS,
    base_round_id=st.none() | IDS.map(RoundId),
    edits=EDITS,
    refs_digest=DIGESTS,
    name=NAMES,
    object_format=st.sampled_from(["sha1", "sha256"]),
    coordinator=NODES,
    request_key=WORDS,
    actor=WORDS,
    fork_root=IDS.map(RepositoryId),
    fork_parent=st.none() | IDS.map(RepositoryId),
    fork_generation=st.none() | st.integers(1, 1 << 40).map(Generation),
    has_pack=st.booleans(),
    created_at_ms=st.integers(0, 1 << 45),
)

RECORDS = st.builds(
    Record,
    repository=IDS.map(RepositoryId),
    name=NAMES,
    partition=st.integers(0, 65_535).map(PartitionId),
    home=st.integers(0, 65_535).map(PartitionId),
    generation=GENERATIONS,
    round_id=st.none() | IDS.map(RoundId),
    refs_digest=DIGESTS,
    inconsistent=st.frozensets(NODES),
    state=st.sampled_from(RepositoryState),
    object_format=st.sampled_from(["sha1", "sha256"]),
    recent=st.lists(IDS.map(RoundId), max_size=4).map(tuple),
    fork_root=IDS.map(RepositoryId),
    fork_parent=st.none() | IDS.map(RepositoryId),
    fence=st.integers(0, 1 << 31),
    returned=st.lists(NODES, max_size=3).map(tuple),
)
