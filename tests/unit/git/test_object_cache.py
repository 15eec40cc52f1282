"""What is kept of objects: everything that cannot change, of one directory, within bounds."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.core.round import ReplicaKey
from meshnode.git.object_cache import ENTRY_BYTES, OBJECT_BYTES_MAX, TREE_BYTES_MAX, ObjectCache
from meshnode.ports import ObjectInfo, ObjectKind, RawObject

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
SOURCE = (KEY, (1, 1))
COMMIT = ObjectInfo(ObjectId("a" * 40), ObjectKind.COMMIT, 3)
TREE = ObjectInfo(ObjectId("b" * 40), ObjectKind.TREE, 4)


def test_content_is_found_by_its_id_and_by_every_name_it_was_read_under() -> None:
    cache = ObjectCache()
    cache.keep(SOURCE, f"{COMMIT.oid}^{{tree}}", TREE, b"tree")
    assert cache.info(SOURCE, f"{COMMIT.oid}^{{tree}}") == TREE
    assert cache.content(SOURCE, f"{COMMIT.oid}^{{tree}}") == RawObject(TREE, b"tree")
    assert cache.content(SOURCE, TREE.oid) == RawObject(TREE, b"tree")
    assert cache.info(SOURCE, COMMIT.oid) is None


def test_what_is_only_looked_up_has_no_content_until_it_is_read() -> None:
    cache = ObjectCache()
    cache.keep(SOURCE, COMMIT.oid, COMMIT, None)
    assert cache.info(SOURCE, COMMIT.oid) == COMMIT
    assert cache.content(SOURCE, COMMIT.oid) is None
    cache.keep(SOURCE, COMMIT.oid, COMMIT, b"abc")
    cache.keep(SOURCE, COMMIT.oid, COMMIT, None)
    assert cache.content(SOURCE, COMMIT.oid) == RawObject(COMMIT, b"abc")


def test_name_that_may_come_to_mean_something_else_is_not_kept() -> None:
    cache = ObjectCache()
    for name in ("aaaa", "a" * 39, "a" * 41, "main", f"{'a' * 39}~1"):
        cache.keep(SOURCE, name, COMMIT, b"abc")
        assert cache.info(SOURCE, name) is None
    assert cache.content(SOURCE, COMMIT.oid) == RawObject(COMMIT, b"abc")


def test_directory_in_the_place_of_another_knows_nothing_of_it() -> None:
    cache = ObjectCache()
    cache.keep(SOURCE, COMMIT.oid, COMMIT, b"abc")
    assert cache.info((KEY, (1, 2)), COMMIT.oid) is None
    assert cache.info((ReplicaKey(PartitionId(2), KEY.repository), (1, 1)), COMMIT.oid) is None


def test_nothing_is_kept_of_a_directory_that_is_not_there() -> None:
    cache = ObjectCache()
    cache.keep((KEY, None), COMMIT.oid, COMMIT, b"abc")
    assert cache.info((KEY, None), COMMIT.oid) is None


def test_large_content_is_not_kept_but_what_is_said_of_it() -> None:
    cache = ObjectCache()
    info = ObjectInfo(ObjectId("c" * 64), ObjectKind.BLOB, OBJECT_BYTES_MAX + 1)
    cache.keep(SOURCE, info.oid, info, bytes(info.size))
    assert cache.info(SOURCE, info.oid) == info
    assert cache.content(SOURCE, info.oid) is None


def test_trees_may_be_longer_than_other_contents() -> None:
    cache = ObjectCache()
    for size, is_kept in ((TREE_BYTES_MAX, True), (TREE_BYTES_MAX + 1, False)):
        info = ObjectInfo(ObjectId(f"{size:040x}"), ObjectKind.TREE, size)
        cache.keep(SOURCE, info.oid, info, bytes(size))
        assert (cache.content(SOURCE, info.oid) is not None) == is_kept


def blob(number: int) -> ObjectInfo:
    return ObjectInfo(ObjectId(f"{number:040x}"), ObjectKind.BLOB, 10)


def fill(cache: ObjectCache, numbers: Iterable[int]) -> None:
    for number in numbers:
        cache.keep(SOURCE, blob(number).oid, blob(number), bytes(10))


def test_what_is_asked_for_outlives_what_is_not() -> None:
    a_third = 10
    cache = ObjectCache(bytes_max=3 * a_third * (ENTRY_BYTES + 40 + 10))
    for turn in range(5):  # so many generations come and go
        fill(cache, range(turn * a_third, (turn + 1) * a_third))
        assert cache.content(SOURCE, blob(0).oid) == RawObject(blob(0), bytes(10))
    assert cache.info(SOURCE, blob(1).oid) is None
    assert cache.info(SOURCE, blob(5 * a_third - 1).oid) is not None


def test_what_is_kept_stays_within_its_bounds() -> None:
    cache = ObjectCache(bytes_max=100 * (ENTRY_BYTES + 40 + 10))
    gc.collect()
    before = sum(isinstance(one, ObjectInfo) for one in gc.get_objects())
    fill(cache, range(3_000))
    assert sum(isinstance(one, ObjectInfo) for one in gc.get_objects()) - before <= 100


def test_names_are_answered_in_order_from_all_generations() -> None:
    cache = ObjectCache(bytes_max=30 * (ENTRY_BYTES + 40 + 10))
    fill(cache, range(15))
    wanted = [14, 99, 6, 14, 98, 7]
    infos = cache.infos(SOURCE, [blob(number).oid for number in wanted])
    assert infos == [None if number > 90 else blob(number) for number in wanted]
    contents = cache.contents(SOURCE, [blob(number).oid for number in wanted])
    assert contents == [None if number > 90 else RawObject(blob(number), bytes(10)) for number in wanted]
