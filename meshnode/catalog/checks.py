"""What every catalog refuses before it does anything: the limits all three implementations share.

Rule: a request that one implementation would take and another would not is refused by all of them, so code that
runs on the memory catalog runs on etcd. The limits lie below etcd's own (128 operations and 1.5 MiB a request).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.ports import Compare, Delete, Put

KEYS_MAX: Final = 64
"""Keys of one get; compares, and writes, of one transaction."""
RANGE_LIMIT_MAX: Final = 10_000
"""Entries of one page: about 20 MB of records, below the 64 MiB an answer may have."""
KEY_BYTES_MAX: Final = 1_024
"""A repository name has at most 255 bytes, so no key of the table comes near."""
TRANSACTION_BYTES_MAX: Final = 1 << 20
"""Keys and values of one transaction; etcd stops at 1.5 MiB including its own framing."""
TTL_MS_MAX: Final = 24 * 3_600_000
"""A day; a longer lease is a mistake in units."""


def check_keys(keys: Sequence[str]) -> None:
    """Check the keys of a get. Raises InvalidRequest: more than 64, or one that is empty or too long."""
    if len(keys) > KEYS_MAX:
        raise InvalidRequest("too many keys in one get", keys=len(keys), keys_max=KEYS_MAX)
    for key in keys:
        _check_key(key)


def check_range(limit: int) -> None:
    """Check a page's size. Raises InvalidRequest: not 1 to 10,000."""
    if not 1 <= limit <= RANGE_LIMIT_MAX:
        raise InvalidRequest("a page holds 1 to 10000 entries", limit=limit)


def check_transaction(compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> None:
    """Check a transaction's size and that it writes each key once.

    Raises:
        InvalidRequest: more than 64 compares or 64 writes, over 1 MiB, a key written twice, a bad key, or a
            negative revision or lease.
    """
    if len(compares) > KEYS_MAX or len(writes) > KEYS_MAX:
        raise InvalidRequest(
            "too many keys in one transaction", compares=len(compares), writes=len(writes), keys_max=KEYS_MAX
        )
    for compare in compares:
        _check_key(compare.key)
        if compare.revision < 0:
            raise InvalidRequest("a revision is 0 or more", key=compare.key, revision=compare.revision)
    seen: set[str] = set()
    size = 0
    for write in writes:
        _check_key(write.key)
        if write.key in seen:
            raise InvalidRequest("a transaction writes a key once", key=write.key)
        seen.add(write.key)
        size += len(write.key)
        if isinstance(write, Put):
            size += len(write.value)
            if write.lease < 0:
                raise InvalidRequest("a lease is a positive number, or 0 for none", key=write.key, lease=write.lease)
    if size > TRANSACTION_BYTES_MAX:
        raise InvalidRequest("transaction is too large", bytes=size, bytes_max=TRANSACTION_BYTES_MAX)


def check_ttl(ttl_ms: int) -> None:
    """Check a lease's life. Raises InvalidRequest: not 1 ms to a day."""
    if not 1 <= ttl_ms <= TTL_MS_MAX:
        raise InvalidRequest("a lease lives 1 ms to a day", ttl_ms=ttl_ms)


def _check_key(key: str) -> None:
    if not key or "\0" in key or len(key.encode(errors="surrogatepass")) > KEY_BYTES_MAX or not _is_utf8(key):
        raise InvalidRequest("a key is 1 to 1024 bytes of UTF-8 without NUL", key=ascii(key[:100]))


def _is_utf8(key: str) -> bool:
    return key.isascii() or not any("\ud800" <= character <= "\udfff" for character in key)
