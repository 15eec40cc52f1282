"""Checks that all that a write refers to is here, and is at every consistent replica too.

    new objects = what the tips reach and the references do not
    each of them in the push's own pack?  yes: every replica gets it
                                          no:  reachable from a reference after all? then every replica has it
                                               else: it lies here by chance -> refused

An object that only happens to lie here (its last reference was deleted, and no housekeeping drops objects) is missing
at a replica that was filled in full since. The client left it out because it saw a reference that is gone: when it
looks again, it brings the object along.

The walk stops at what references reach. Where the new commits' parents are tips of references themselves, only those
are named to git; else all references are, which costs 20 us each.

Source: git-rev-list(1), git's connected.c.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import ObjectId
from meshnode.git.command import GitCommands
from meshnode.git.disk import on_disk
from meshnode.git.layout import alternates_of
from meshnode.git.packs import open_pack, pack_names

CHECK_MS: Final = 3_600_000
"""The longest push that the configuration allows by default; its own deadline cancels earlier."""
REFERENCES_MIN: Final = 100
"""From here on a process that looks for the parents is cheaper than naming all references to git (measured)."""
BOUNDARY_OBJECTS_MAX: Final = 2_000
"""In a larger pack the walk itself is what costs."""
_OBJECT = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
_LINKS = re.compile(rb"^(?:parent|object) ([0-9a-f]{40,64})$", re.MULTILINE)
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NewPack:
    """The pack of a push, complete in its quarantine."""

    index: Path
    hash_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Connectivity:
    """One repository as the checks see it: with what is in the quarantine, if there is one."""

    commands: GitCommands
    git_dir: Path
    environment: dict[str, str]

    async def check(self, tips: Collection[ObjectId], pack: NewPack | None, references: Collection[str]) -> None:
        """Check what `tips` reach. `references` are the ids that references hold, with what their tags lead to.

        Raises:
            InvalidRequest: an object is missing, or lies here by chance; field `oid`.
        """
        if not tips:
            return
        names = set() if pack is None else await on_disk(lambda: set(pack_names(pack.index, pack.hash_bytes)))
        boundary = None if pack is None else await self._boundary(tips, pack, names, references)
        excluded = await self._all() if boundary is None else []
        stdin = [*sorted(tips), *(f"^{oid}" for oid in sorted(boundary or ()))]
        extra: set[bytes] = set()
        async with aclosing(self._walk(["--stdin", *excluded], stdin)) as walk:
            async for new in walk:
                extra |= await on_disk(_beside, new, names)
        if extra and pack is not None:
            await self._check_reachable(extra)

    async def check_commits(self, oids: Collection[ObjectId]) -> None:
        """Check that `oids` exist and are commits; one process, none for no ids. Raises InvalidRequest."""
        if not oids:
            return
        wanted = sorted(oids)
        for oid, (kind, _) in zip(wanted, await self._read(wanted, has_content=False), strict=True):
            if kind == "missing":
                raise InvalidRequest("objects are missing", oid=oid)
            if kind != "commit":
                raise not_a_commit(oid, kind)

    async def _boundary(
        self, tips: Collection[ObjectId], pack: NewPack, names: set[bytes], references: Collection[str]
    ) -> set[str] | None:
        """The ids that references hold and the pack's commits and tags stand on; None where that is not all."""
        if len(references) < REFERENCES_MIN or len(names) > BOUNDARY_OBJECTS_MAX:
            return None
        linked = {str(oid) for oid in tips}
        for kind, content in await self._read(await on_disk(_linking, pack, names)):
            if kind == "missing":
                return None
            linked |= {found.decode() for found in _LINKS.findall(content.partition(b"\n\n")[0])}
        outside = {oid for oid in linked if bytes.fromhex(oid) not in names}
        return outside if outside <= set(references) else None

    async def _check_reachable(self, extra: set[bytes]) -> None:
        """Check that references reach what the pack leaves out: a walk over everything, which is rarely needed."""
        left = set(extra)
        async with aclosing(self._walk(await self._all(), [])) as walk:
            async for known in walk:
                left -= set(await on_disk(_ids, known))
                if not left:
                    return
        raise InvalidRequest(
            "the push leans on objects that no reference leads to any more; fetch, then push again",
            oid=min(left).hex(),
            objects=len(left),
        )

    async def _all(self) -> list[str]:
        """Options that name all references. A fork's parents count: nobody prunes what the fork needs of them."""
        has_parents = bool(await on_disk(alternates_of, self.git_dir))
        return ["--not", "--all", *(["--alternate-refs"] if has_parents else [])]

    async def _walk(self, options: Sequence[str], stdin: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Whole lines of object ids, as git walks. Raises InvalidRequest where an object is missing."""
        if not stdin:
            options = [option for option in options if option != "--not"]
        process = await self.commands.open(
            ["rev-list", "--objects", "--no-object-names", *options],
            git_dir=self.git_dir,
            environment=self.environment,
            deadline_ms=CHECK_MS,
            stdin=bool(stdin),
        )
        async with process:
            process.feed("".join(f"{line}\n" for line in stdin).encode())
            rest = b""
            while chunk := await process.read(_READ_BYTES):
                lines, _, rest = (rest + chunk).rpartition(b"\n")
                yield lines
            if await process.wait() != 0:
                message = process.stderr_tail.strip()
                named = _OBJECT.findall(message)
                raise InvalidRequest(
                    "objects are missing",
                    oid=named[-1] if named else None,
                    detail=message.rpartition("\n")[2][-200:],
                )

    async def _read(self, oids: Sequence[str], *, has_content: bool = True) -> list[tuple[str, bytes]]:
        """Kind ("missing" for none) and content of objects; one process, none for no ids."""
        if not oids:
            return []
        completed = await self.commands.run(
            ["cat-file", "--batch" if has_content else "--batch-check", "--buffer"],
            git_dir=self.git_dir,
            stdin="".join(f"{oid}\n" for oid in oids).encode(),
            environment=self.environment,
        )
        try:
            found = list(_answers(completed.stdout, len(oids), has_content=has_content))
        except ValueError as error:
            detail = completed.stderr.decode(errors="replace")[-300:]
            raise Corrupt("git cannot look up objects", detail=detail) from error
        return found


def not_a_commit(oid: ObjectId, kind: str) -> InvalidRequest:
    """The refusal of a branch that would not name a commit."""
    return InvalidRequest("a branch must name a commit", oid=oid, kind=kind)


def _linking(pack: NewPack, names: set[bytes]) -> list[str]:
    """The commits and tags of a pack."""
    with open_pack(pack.index.with_suffix(".pack"), pack.index, pack.hash_bytes) as opened:
        found = [name.hex() for name in names]
        return sorted(oid for oid in found if opened.kind_of(ObjectId(oid)) in {"commit", "tag"})


def _answers(output: bytes, count: int, *, has_content: bool) -> list[tuple[str, bytes]]:
    """Kinds and contents out of what cat-file wrote. Raises ValueError."""
    found: list[tuple[str, bytes]] = []
    at = 0
    for _ in range(count):
        end = output.index(b"\n", at)
        facts = output[at:end].split(b" ")
        at = end + 1
        if facts[-1] == b"missing":
            found.append(("missing", b""))
            continue
        _, kind, size = facts
        content = output[at : at + int(size)] if has_content else b""
        if len(content) != (int(size) if has_content else 0):
            raise ValueError("cut short")
        at += int(size) + 1 if has_content else 0
        found.append((kind.decode(), content))
    return found


def _ids(lines: bytes) -> list[bytes]:
    return [bytes.fromhex(line.decode()) for line in lines.split(b"\n") if line]


def _beside(lines: bytes, names: set[bytes]) -> set[bytes]:
    """The ids in `lines` that are not in `names`."""
    return {oid for oid in _ids(lines) if oid not in names}
