"""The catalog of a cluster of machines: etcd v3, 3.4 and from 3.5.3 on, over messages of our own.

Rule: reads are linearizable, several keys come from one transaction and so from one revision; a transaction is
sent at most once. What etcd's failures prove is decided in `etcd_errors`, who is asked in `etcd_members`.
Source: docs/adr/0003-etcd-stubs-of-our-own.md, https://etcd.io/docs/v3.4/learning/api_guarantees/
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from meshnode.base.errors import Corrupt, NotFound
from meshnode.catalog.checks import check_keys, check_range, check_transaction, check_ttl
from meshnode.catalog.etcd_errors import AlreadyDone
from meshnode.catalog.etcd_members import EtcdMembers, Method
from meshnode.catalog.etcd_settings import read_etcd_settings
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb
from meshnode.catalog.etcd_watch import watch_range
from meshnode.config import CatalogSettings
from meshnode.ports import Compare, Delete, Entry, Put, WatchEvent

_RANGE: Final = Method("/etcdserverpb.KV/Range", pb.RangeResponse)
_ANY_KEY: Final = "-"
"""Any key that the user may read; there need not be one."""
_TXN: Final = Method("/etcdserverpb.KV/Txn", pb.TxnResponse)
_LEASE_GRANT: Final = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
_LEASE_REVOKE: Final = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
_LEASE_KEEP_ALIVE: Final = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse)
"""A stream in etcd's description; one message each way is a unary call to both ends."""

_EVERYTHING: Final = b"\0"
_shuffle: Final = random.SystemRandom().shuffle


class EtcdCatalog:
    """Port `Catalog` on an etcd cluster."""

    def __init__(self, members: EtcdMembers, prefix: str) -> None:
        self._members = members
        self._prefix = prefix.encode()

    @classmethod
    async def open(cls, settings: CatalogSettings, *, shuffle: Callable[[list[Any]], None] = _shuffle) -> EtcdCatalog:
        """Check the settings and begin to connect. Members that do not answer are no error yet.

        Args:
            settings: `url` is etcd://host:port,host:port; the request deadline covers connecting, logging in and
                every attempt.
            shuffle: order of the members this client prefers, in place.

        Raises:
            InvalidRequest: the settings do not fit together, or a file they name cannot be read.
        """
        checked = read_etcd_settings(settings)
        return cls(EtcdMembers(checked, shuffle), checked.prefix)

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read up to 64 keys at one revision. See `ports.Catalog`."""
        check_keys(keys)
        if not keys:
            return []
        reads = [pb.RequestOp(request_range=pb.RangeRequest(key=self._key(key))) for key in keys]
        answer = await self._members.ask(_TXN, pb.TxnRequest(success=reads))
        found = [
            self._entry(response.response_range.kvs[0]) if response.response_range.kvs else None
            for response in answer.responses
        ]
        if len(found) != len(keys) or any(e is not None and e.key != key for e, key in zip(found, keys, strict=True)):
            raise Corrupt("etcd answered for other keys than were asked for", keys=len(keys), answers=len(found))
        return found

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read a page of entries in key order. See `ports.Catalog`."""
        check_range(limit)
        start, end = self._range(prefix)
        if after and after >= prefix:
            start = self._key(after) + b"\0"
        if end != _EVERYTHING and start >= end:
            return []
        answer = await self._members.ask(_RANGE, pb.RangeRequest(key=start, range_end=end, limit=limit))
        entries = [self._entry(found) for found in answer.kvs]
        if not all(entry.key.startswith(prefix) for entry in entries):
            raise Corrupt("etcd answered for another range than was asked for", prefix=prefix)
        return entries

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply all writes if all compares hold. See `ports.Catalog`."""
        check_transaction(compares, writes)
        request = pb.TxnRequest(
            compare=[
                pb.Compare(
                    result=pb.Compare.EQUAL,
                    target=pb.Compare.MOD,
                    key=self._key(compare.key),
                    mod_revision=compare.revision,
                )
                for compare in compares
            ],
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=self._key(write.key), value=write.value, lease=write.lease))
                if isinstance(write, Put)
                else pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=self._key(write.key)))
                for write in writes
            ],
        )
        if not writes:
            # Without an operation etcd takes a transaction for one that may be answered from a member's own, old, state.
            look = pb.RequestOp(request_range=pb.RangeRequest(key=self._key(_ANY_KEY)))
            request.success.append(look)
            request.failure.append(look)
            answer = await self._members.ask(_TXN, request)
        else:
            answer = await self._members.change(_TXN, request)
        return int(answer.header.revision) if answer.succeeded else None

    def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield hints, the first one "" as soon as the watch stands. See `ports.Catalog`."""
        start, end = self._range(prefix)
        return watch_range(self._members, start, end, len(self._prefix))

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease. etcd counts in seconds, rounded up here, and has a minimum of its own (about two)."""
        check_ttl(ttl_ms)
        # The number is ours, so that asking twice makes one lease.
        lease = secrets.randbits(62) + 1
        request = pb.LeaseGrantRequest(ttl_s=-(-ttl_ms // 1_000), id=lease)
        try:
            await self._members.ask(_LEASE_GRANT, request)
        except AlreadyDone:
            return lease
        return lease

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it has ended."""
        answer = await self._members.ask(_LEASE_KEEP_ALIVE, pb.LeaseKeepAliveRequest(id=lease))
        return answer.ttl_s > 0

    async def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys."""
        try:
            await self._members.ask(_LEASE_REVOKE, pb.LeaseRevokeRequest(id=lease))
        except NotFound:
            return

    async def close(self) -> None:
        """Close connections; watches end."""
        await self._members.close()

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _range(self, prefix: str) -> tuple[bytes, bytes]:
        """The half-open range of keys below `prefix`."""
        start = self._key(prefix)
        return start or b"\0", _range_end(start)

    def _entry(self, found: pb.KeyValue) -> Entry:
        try:
            return Entry(found.key[len(self._prefix) :].decode(), found.value, found.mod_revision)
        except UnicodeDecodeError as error:
            raise Corrupt("a key of the catalog is no text", key=ascii(found.key)[:200]) from error


def _range_end(prefix: bytes) -> bytes:
    """The first key after all that start with `prefix`; etcd's word for "no end" where there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else _EVERYTHING
