"""Git's wire formats: pushes and fetches as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId, RefName
from meshnode.core.round import ReplicaKey
from meshnode.ports.replicas import RefsSnapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class PushCommand:
    """One line of a push: what the client wants a reference to be. None: does not exist."""

    name: RefName
    old: ObjectId | None
    new: ObjectId | None
    refusal: str = ""
    """Why this command alone cannot be done (hostile name, wrong oid length); "" if it can be tried."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A parsed receive-pack request; `pack` is what follows the commands, to be read once."""

    commands: tuple[PushCommand, ...]
    capabilities: Mapping[str, str]
    options: tuple[str, ...]
    pack: AsyncIterator[bytes] | None
    """None where no command needs objects (deletions only, or nothing at all)."""

    @property
    def is_atomic(self) -> bool:
        """Whether all commands succeed or none."""
        return "atomic" in self.capabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """How one command of a push ended: `error` "" is ok."""

    name: RefName
    error: str = ""


class PushProtocol(Protocol):
    """git-receive-pack's wire format, both ways (gitprotocol-pack(5))."""

    def advertise(self, snapshot: RefsSnapshot | None, object_format: str) -> bytes:
        """The reference advertisement without the HTTP service header; None: a repository yet to be created."""
        ...

    async def read_push(self, body: AsyncIterator[bytes], object_format: str) -> Push:
        """Parse commands and options; the pack is left in the stream.

        Raises:
            InvalidRequest: malformed pkt-lines, unknown capability values, duplicate names.
            Overloaded: more commands, options or bytes of them than the configured limits.
        """
        ...

    def format_report(
        self, push: Push, unpack_error: str, results: Sequence[CommandResult], messages: Sequence[str]
    ) -> bytes:
        """`report-status(-v2)` and `remote:` lines as the client asked for them, with the final flush."""
        ...

    def format_progress(self, push: Push, message: str) -> bytes:
        """A `remote:` line, or a keep-alive for message ""; b"" for a client without side-band."""
        ...

    def format_fatal(self, push: Push | None, message: str) -> bytes:
        """An error that promises nothing about the outcome: side-band 3, or an `ERR` pkt-line."""
        ...


class FetchProtocol(Protocol):
    """git-upload-pack's wire format; the packs themselves are made by git."""

    def advertise(self, snapshot: RefsSnapshot, version: int) -> bytes:
        """Protocol 0 and 1: references; 2: capabilities. Without the HTTP service header."""
        ...

    def serve(
        self, key: ReplicaKey, snapshot: RefsSnapshot, version: int, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answer one stateless request. `ls-refs` comes from the snapshot, `fetch` from a git process that
        ends when the iterator is closed.

        Raises:
            InvalidRequest: malformed request, unknown command.
        """
        ...
