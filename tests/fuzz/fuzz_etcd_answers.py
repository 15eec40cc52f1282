"""What etcd answers: entries under the keys that were asked for, or an error of ours; no timeout proves anything."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.message import DecodeError, Message
from hypothesis import strategies as st

from meshnode.base.errors import MeshError
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.catalog.etcd_errors import Verdict, judge, refusal
from meshnode.catalog.etcd_members import EtcdMembers
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb
from meshnode.ports import Compare, Put
from tests.fuzz.fuzz_error_status import CODES
from tests.fuzz.inputs import Draw, finish

PREFIX = "/m/"
KEYS = ("records/a", "records/b")
_NAMES = st.sampled_from([b"/m/records/a", b"/m/records/b", b"/m/records/c", b"/m/\xff", b"/m", b"", b"/m/names/a"])
_ENTRY = st.builds(pb.KeyValue, key=_NAMES, value=st.binary(max_size=5), mod_revision=st.integers(-1, 9))
_HEADER = st.builds(pb.ResponseHeader, revision=st.integers(-1, 99))
_RANGE = st.builds(pb.RangeResponse, header=_HEADER, kvs=st.lists(_ENTRY, max_size=3))
_TXN = st.builds(
    pb.TxnResponse,
    header=_HEADER,
    succeeded=st.booleans(),
    responses=st.lists(
        _RANGE.map(lambda found: pb.ResponseOp(response_range=found)) | st.just(pb.ResponseOp()), max_size=3
    ),
)
EXAMPLES = st.one_of(
    _TXN.map(lambda message: b"\0" + message.SerializeToString()),
    _RANGE.map(lambda message: b"\1" + message.SerializeToString()),
    _TXN.map(lambda message: b"\2" + message.SerializeToString()),
    st.sampled_from(["etcdserver: no leader", "etcdserver: request timed out", "permission denied", "x"]).map(
        lambda text: b"\3\x0e" + text.encode()
    ),
)


class _Members:
    """Etcd's members, whoever they are: every call is answered with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def ask(self, method: Any, _: Message) -> Any:
        return method.answer.FromString(self._body)

    change = ask


def check_etcd_answers(data: bytes) -> None:
    draw = Draw(data)
    kind = draw.number(4)
    if kind == 3:
        _check_failure(draw)
        return
    catalog = EtcdCatalog(cast("EtcdMembers", cast("Any", _Members(draw.rest()))), PREFIX)
    try:
        match kind:
            case 0:
                found = finish(catalog.get(KEYS))
                assert len(found) == len(KEYS)
                assert all(entry is None or entry.key == key for key, entry in zip(KEYS, found, strict=True))
            case 1:
                listed = [entry.key for entry in finish(catalog.range("records/", limit=2))]
                assert all(key.startswith("records/") for key in listed)
            case _:
                finish(catalog.transact([Compare("a", 1)], [Put("a", b"x")]))
    except (MeshError, DecodeError):
        return


def _check_failure(draw: Draw) -> None:
    code, details = draw.pick(CODES), draw.rest().decode("utf-8", "replace")
    verdict = judge(code, details)
    if verdict is Verdict.REFUSED:
        assert refusal(code, details) is not None
    if details.startswith(("etcdserver: request timed out", "etcdserver: leader changed")):
        assert verdict is Verdict.UNKNOWN
