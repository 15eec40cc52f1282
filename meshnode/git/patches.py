r"""Mailboxes of patches, applied to an index of their own as `git am --3way` does it.

    mailbox -> mailsplit -> each: mailinfo (who, subject, text, patch) -> apply --cached -> tree
                                                                       \-> apply --cached --3way -> tree, or conflicts

Source: git-mailsplit(1), git-mailinfo(1), git-apply(1), git's builtin/am.c.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.base.ids import ObjectId
from meshnode.git.disk import disk_errors, on_disk
from meshnode.git.workshop import GitWorkshop
from meshnode.ports import ConflictStage, MergeConflict, MergedTree, MergeNote, Patch

MAILBOX_BYTES_MAX: Final = 256 << 20
_FACTS: Final = ("Author", "Email", "Subject", "Date")
_APPLIED: Final = frozenset({0, 1, 128})


@dataclass(frozen=True, slots=True)
class GitPatches:
    """Implements `ports.Patches` in one workshop."""

    workshop: GitWorkshop
    bytes_max: int = MAILBOX_BYTES_MAX

    async def split(self, mailbox: AsyncIterator[bytes], count_max: int) -> list[Patch]:
        """Take a mailbox in, and apart."""
        box, folder = self.workshop.path / "mailbox", self.workshop.path / "mails"
        with disk_errors():
            folder.mkdir()
            file: BinaryIO = box.open("wb")
        try:
            size = 0
            async for piece in mailbox:
                size += len(piece)
                if size > self.bytes_max:
                    raise Overloaded("the mailbox is too large", bytes_max=self.bytes_max)
                await on_disk(file.write, piece)
            await on_disk(file.flush)
        finally:
            with contextlib.suppress(OSError):  # what could not be written is written once more, and was reported
                file.close()
        done = await self.workshop.git(
            ["mailsplit", "-b", f"-o{folder}", str(box)], what="take the mailbox apart", config=("core.safecrlf=false",)
        )
        count = int(done.stdout.decode().strip() or 0)
        if count > count_max:
            raise Overloaded("too many patches for one operation", patches=count, patches_max=count_max)
        names = sorted(path.name for path in folder.iterdir())
        return [await self._read(folder, name, number) for number, name in enumerate(names, start=1)]

    async def apply(self, tree: ObjectId, patch: Patch) -> MergedTree:
        """Apply a patch to a tree, merging where it does not fit as it is. Raises InvalidRequest."""
        index = {"GIT_INDEX_FILE": str(self.workshop.path / "index")}
        await self.workshop.git(["read-tree", tree], what="read a tree", environment=index)
        plain = await self.workshop.git(
            ["apply", "--cached", "--whitespace=nowarn", patch.path],
            what="apply the patch",
            environment=index,
            expected=_APPLIED,
        )
        if plain.returncode == 0:
            return MergedTree(tree=await self._write_tree(index))
        merged = await self.workshop.git(
            ["apply", "--cached", "--3way", "--whitespace=nowarn", patch.path],
            what="apply the patch",
            environment=index,
            expected=_APPLIED,
        )
        if merged.returncode == 0:
            return MergedTree(tree=await self._write_tree(index))
        conflicts = await self._conflicts(index)
        words = (plain.stderr or merged.stderr).decode(errors="replace").strip()
        if not conflicts:
            raise InvalidRequest("the patch does not apply", patch=patch.number, complaint=words[-300:])
        note = MergeNote(kind="CONFLICT (patch)", paths=tuple(one.path for one in conflicts), text=words[-4_000:])
        return MergedTree(tree=tree, conflicts=tuple(conflicts), notes=(note,))

    # ------------------------------------------------------------ inside

    async def _read(self, folder: Path, name: str, number: int) -> Patch:
        text, patch = folder / f"{name}.text", folder / f"{name}.patch"
        mail = await on_disk((folder / name).read_bytes)
        done = await self.workshop.git(
            ["mailinfo", str(text), str(patch)],
            what="read a mail",
            stdin=mail,
            config=("i18n.commitEncoding=UTF-8",),
        )
        facts: dict[str, str] = {}
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(": ")
            if key in _FACTS:
                facts.setdefault(key, value)
        if not facts.get("Email") and not facts.get("Author"):
            raise InvalidRequest("a patch has no author", patch=number)
        if not await on_disk(lambda: patch.stat().st_size):
            raise InvalidRequest("a mail has no patch", patch=number)
        body = await on_disk(text.read_bytes)
        message = await self._cleaned(facts.get("Subject", "").encode() + b"\n\n" + body)
        return Patch(number=number, author=await self._author(facts, number), message=message, path=str(patch))

    async def _author(self, facts: dict[str, str], number: int) -> bytes:
        """The author's line, with name, address and date read as git reads them."""
        given = {
            "GIT_AUTHOR_NAME": facts.get("Author", ""),
            "GIT_AUTHOR_EMAIL": facts.get("Email", ""),
            "GIT_AUTHOR_DATE": facts.get("Date", ""),
        }
        if not given["GIT_AUTHOR_DATE"] or any("\0" in value for value in given.values()):
            raise InvalidRequest("a patch has no date or a senseless author", patch=number)
        done = await self.workshop.git(
            ["var", "GIT_AUTHOR_IDENT"], what="read the author of a patch", environment=given
        )
        return done.stdout.strip()

    async def _cleaned(self, message: bytes) -> bytes:
        done = await self.workshop.git(["stripspace"], what="clean a message", stdin=message)
        return done.stdout

    async def _write_tree(self, index: dict[str, str]) -> ObjectId:
        done = await self.workshop.git(["write-tree"], what="write a tree", environment=index)
        return ObjectId(done.stdout.decode().strip())

    async def _conflicts(self, index: dict[str, str]) -> Sequence[MergeConflict]:
        done = await self.workshop.git(["ls-files", "--unmerged", "-z"], what="list conflicts", environment=index)
        stages: dict[bytes, list[ConflictStage]] = {}
        for line in done.stdout.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, oid, number = facts.decode("ascii").split(" ")
            stages.setdefault(path, []).append(ConflictStage(number=int(number), mode=mode, oid=ObjectId(oid)))
        return [MergeConflict(path=path, stages=tuple(found)) for path, found in stages.items()]
