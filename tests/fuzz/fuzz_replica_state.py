"""What a replica's disk and a node's export say of it: Corrupt, or understood to the letter and for this replica."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import PartitionId, RepositoryId, RoundId
from meshnode.core.accounts import NodeAccount, ReplicaAccount, decode_node_account, encode_node_account
from meshnode.core.round import ReplicaKey
from meshnode.git.state import decode_state, encode_state
from meshnode.ports import ReplicaState
from tests.fuzz.fuzz_catalog_values import CHANGES, changed, check_ids_in
from tests.fuzz.inputs import Draw
from tests.fuzz.values import DIGESTS, GENERATIONS, IDS, KEYS, NAMES, NODES, ROUNDS, WORDS
from tests.unit.wire.samples import KEY

_FORMATS = st.sampled_from(["sha1", "sha256"])
_STATES = st.builds(
    ReplicaState, key=st.just(KEY), name=NAMES, generation=GENERATIONS, round_id=st.none() | IDS.map(RoundId),
    refs_digest=DIGESTS, object_format=_FORMATS, is_deleted=st.booleans(), fork_parent=st.none() | IDS,
)  # fmt: skip
_ACCOUNTS = st.builds(
    ReplicaAccount, key=KEYS, name=NAMES, generation=GENERATIONS, round_id=st.none() | IDS.map(RoundId),
    refs_digest=DIGESTS, digest_on_disk=st.none() | DIGESTS, object_format=_FORMATS, is_deleted=st.booleans(),
    fork_parent=st.none() | IDS.map(RepositoryId), fork_root=st.none() | IDS.map(RepositoryId),
    recent=st.lists(IDS.map(RoundId), max_size=2).map(tuple), prepared=st.lists(ROUNDS, max_size=1).map(tuple),
    begun=st.none() | IDS.map(RoundId), trouble=WORDS,
)  # fmt: skip
_NODES = st.builds(
    NodeAccount, node=NODES, grpc_url=WORDS, http_url=WORDS, zone=WORDS, weight=st.integers(0, 100), public_key=WORDS,
    replicas=st.lists(_ACCOUNTS, max_size=2).map(tuple), unreadable=st.lists(WORDS, max_size=2).map(tuple),
    families=st.dictionaries(IDS.map(RepositoryId), st.integers(0, 65_535).map(PartitionId), max_size=2),
)  # fmt: skip
EXAMPLES = st.one_of(
    st.builds(lambda state, change: b"\0" + changed(json.loads(encode_state(state)), change), _STATES, CHANGES),
    st.builds(lambda node, change: b"\1" + changed(json.loads(encode_node_account(node)), change), _NODES, CHANGES),
)


def check_replica_state(data: bytes) -> None:
    draw = Draw(data)
    is_account, text = draw.is_true(), draw.rest()
    try:
        if is_account:
            _check_account(decode_node_account(text.decode("utf-8", "surrogateescape")))
        else:
            _check_state(decode_state(text, KEY))
    except Corrupt:
        return


def _check_state(state: ReplicaState) -> None:
    encoded = encode_state(state)
    assert state.key == KEY
    assert decode_state(encoded, KEY) == state
    check_ids_in(json.loads(encoded))
    other = ReplicaKey(KEY.home, RepositoryId("f" * 32))
    try:
        decode_state(encoded, other)
    except Corrupt:
        return
    raise AssertionError("the state of one replica was taken for another's")


def _check_account(account: NodeAccount) -> None:
    encoded = encode_node_account(account)
    assert decode_node_account(encoded) == account
    check_ids_in({"node": json.loads(encoded)["node"]})
    for replica in json.loads(encoded)["replicas"]:
        check_ids_in(replica)
