"""Archives, bundles, searches and counts of a replica, by git. Implements `ports.Contents`.

A bundle is git's own header over a pack that git makes: `git bundle create` would read the references of the moment
from files, and an answer must stand on one snapshot.

Source: git-archive(1), git-grep(1), git-ls-tree(1), git-count-objects(1), gitformat-bundle(5).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId, RefName
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.grep_output import GrepOutput
from meshnode.git.queries import Queries
from meshnode.ports import ArchiveFormat, ContentMatch, ContentSearch, ObjectCounts, TreeFile

ARCHIVE_MS: Final = 3_600_000
SEARCH_MS: Final = 60_000
"""A search is for somebody who waits."""
LIST_MS: Final = 60_000
_NO_MATCH: Final = 1


class GitContents:
    """Whole trees and replicas."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def archive(
        self, key: ReplicaKey, treeish: ObjectId, archive_format: ArchiveFormat, prefix: str, paths: Sequence[TreePath]
    ) -> AsyncGenerator[bytes, None]:
        """The archive's bytes."""
        chunks = self._queries.stream(
            key,
            ["archive", f"--format={archive_format.value}", f"--prefix={prefix}", treeish, "--", *_literal(paths)],
            what="make an archive",
            deadline_ms=ARCHIVE_MS,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def bundle(
        self,
        key: ReplicaKey,
        references: Sequence[tuple[RefName, ObjectId]],
        known: Collection[ObjectId],
        object_format: str,
    ) -> AsyncGenerator[bytes, None]:
        """Header and pack."""
        lines = ["# v3 git bundle\n@object-format=sha256\n" if object_format == "sha256" else "# v2 git bundle\n"]
        lines += [f"-{oid} \n" for oid in known]
        lines += [f"{oid} {name}\n" for name, oid in references]
        yield "".join([*lines, "\n"]).encode()
        wanted = [f"{oid}\n" for _, oid in references] + [f"^{oid}\n" for oid in known]
        chunks = self._queries.stream(
            key,
            ["pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q"],
            what="make a bundle",
            deadline_ms=ARCHIVE_MS,
            stdin="".join(wanted).encode(),
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def search(
        self, key: ReplicaKey, tree: ObjectId, search: ContentSearch
    ) -> AsyncGenerator[ContentMatch, None]:
        """Lines as `git grep` finds them."""
        args = ["grep", "-z", "-I", "--full-name", "--line-number", "--column", "--no-color"]
        args += ["--extended-regexp" if search.is_regex else "--fixed-strings"]
        args += ["--ignore-case"] * search.ignore_case + ["--word-regexp"] * search.whole_word
        if search.context_lines:
            args.append(f"--context={search.context_lines}")
        if search.limit_per_file:
            args.append(f"--max-count={search.limit_per_file}")
        args += ["-e", os.fsdecode(search.pattern), tree, "--", *_literal(search.paths)]
        chunks = self._queries.stream(
            key, args, what="search", deadline_ms=SEARCH_MS, expected=(0, _NO_MATCH), config=("grep.threads=1",)
        )
        output = GrepOutput(tree)
        async with aclosing(chunks):
            async for chunk in chunks:
                for match in output.feed(chunk):
                    yield match
        output.end()

    async def files(self, key: ReplicaKey, tree: ObjectId) -> AsyncGenerator[TreeFile, None]:
        """Files as `git ls-tree` lists them."""
        records = self._queries.records(
            key, ["ls-tree", "-r", "-l", "-z", "--full-tree", tree], what="list a tree", deadline_ms=LIST_MS
        )
        async with aclosing(records):
            async for record in records:
                facts, _, path = record.partition(b"\t")
                mode, kind, oid, size = facts.split()
                if kind == b"blob":
                    yield TreeFile(path, ObjectId(oid.decode()), int(size), mode == b"120000")

    async def count_objects(self, key: ReplicaKey) -> ObjectCounts:
        """What `git count-objects` counts; sizes in KiB there, in bytes here."""
        done = await self._queries.run(key, ["count-objects", "-v"], what="count objects", deadline_ms=LIST_MS)
        counts = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines() if ": " in line)
        try:
            return ObjectCounts(
                loose=int(counts["count"]),
                packed=int(counts["in-pack"]),
                packs=int(counts["packs"]),
                loose_bytes=1024 * int(counts["size"]),
                pack_bytes=1024 * int(counts["size-pack"]),
            )
        except (KeyError, ValueError) as error:
            raise Corrupt("git counted something else", complaint=done.stderr.decode(errors="replace")[:200]) from error


def _literal(paths: Sequence[TreePath]) -> list[str]:
    return [f":(top,literal){os.fsdecode(path)}" for path in paths]
