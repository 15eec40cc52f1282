"""Serves fetches: what can be said from memory is said from memory, packs are made by git.

    version 2   command=ls-refs -> the snapshot        command=fetch -> git upload-pack --stateless-rpc
    version 0,1 want ...                               everything    -> git upload-pack --stateless-rpc

Only the first packets of a request are looked at to tell these apart; the rest is streamed to git while git's answer
is streamed back. The process ends with the iterator: when the client is gone, git is too.

Answers made of references are kept a while, by snapshot and arguments: many clients ask the same of one generation.
So are packs for clients that have nothing yet (`shared_answers.py`): a storm of clones is one git's work.

Source: gitprotocol-v2(5), gitprotocol-pack(5), git's upload-pack.c and serve.c.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.config import LimitSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.advertisement import format_upload_advertisement
from meshnode.git.command import GitCommands
from meshnode.git.disk import on_disk
from meshnode.git.failure import failure_of
from meshnode.git.fetch_request import REQUEST_BYTES_MAX, FetchRequest, read_command, read_first, read_request
from meshnode.git.ls_refs import format_answer, parse_arguments
from meshnode.git.pktline import Marker, PacketReader
from meshnode.git.process import GitProcess
from meshnode.git.shared_answers import SharedAnswers, packs_bytes
from meshnode.ports import RefsSnapshot

CHUNK_BYTES: Final = 256 << 10
"""Pieces of an answer; larger ones gain nothing over loopback (measured)."""
_EAGER_BYTES: Final = 64 << 10
"""So much of an answer goes out as soon as git writes it; a longer one is a pack, which goes in large chunks."""
CACHE_BYTES_MAX: Final = 64 << 20
"""Rendered references kept in memory by one node."""
CACHE_ENTRIES_MAX: Final = 1_024
"""The same as a number, for the many small repositories."""
_LONG_LIST: Final = 2_000
"""References from which rendering (1 us each) leaves the loop for a thread."""
_CONFIG: Final = ("uploadpack.allowFilter=true",)

_Run = Callable[[ReplicaKey, int, FetchRequest, Callable[[int], None]], AsyncGenerator[bytes, None]]


class UploadPackProtocol:
    """The `FetchProtocol` port."""

    def __init__(
        self,
        commands: GitCommands,
        repository_path: Callable[[ReplicaKey], Path],
        limits: LimitSettings,
        agent: str,
        shared: SharedAnswers,
    ) -> None:
        """`agent` is what clients are told of this server, such as "meshnode/1.0"."""
        self._shared = shared
        self._commands = commands
        self._repository_path = repository_path
        self._limits = limits
        self._agent = agent
        self._rendered = _RenderedCache()

    def advertise(self, snapshot: RefsSnapshot, version: int) -> bytes:
        """Protocol 0 and 1: references; 2: capabilities. Without the HTTP service header.

        About 1 us a reference the first time; may be called in a thread.
        """
        known = self._rendered.find(snapshot, version)
        if known is None:
            known = format_upload_advertisement(snapshot, version=version, agent=self._agent)
            self._rendered.keep(snapshot, version, known)
        return known

    async def serve(
        self, key: ReplicaKey, snapshot: RefsSnapshot, version: int, body: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """Answer one stateless request, in chunks of at most 256 KiB.

        Raises:
            InvalidRequest: malformed request, unknown command.
            Overloaded: a request of over 64 MiB, or too many processes.
            DeadlineExceeded: the fetch took longer than `limits.fetch_ms_max`.
            Corrupt: git could not read the repository, and said so before it answered anything.
        """
        reader = PacketReader(body, bytes_max=REQUEST_BYTES_MAX)
        if version == 2:
            opening = await read_command(reader, snapshot.object_format)
            if opening is None:
                return
            command, packets = opening
            if command == b"ls-refs":
                answer = await self._list_references(snapshot, reader, has_arguments=Marker.DELIMITER in packets)
                for at in range(0, len(answer), CHUNK_BYTES):
                    yield answer[at : at + CHUNK_BYTES]
                return
        else:
            packets = [await read_first(reader)]
        request = await read_request(packets, reader, version)
        if request.fingerprint:
            path = self._repository_path(key)
            whole = self._shared.stream(
                (key, version, request.fingerprint),
                snapshot,
                make=lambda: _GitAnswer(self._run_git, key, version, request),
                expect_bytes=lambda: on_disk(packs_bytes, path),
                chunk_bytes=CHUNK_BYTES,
            )
        else:
            whole = _GitAnswer(self._run_git, key, version, request).chunks()
        async with contextlib.aclosing(whole) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _list_references(self, snapshot: RefsSnapshot, reader: PacketReader, *, has_arguments: bool) -> bytes:
        arguments: list[bytes] = []
        while has_arguments and (packet := await reader.read()) is not Marker.FLUSH:
            if not isinstance(packet, bytes):
                raise InvalidRequest("expected flush after ls-refs arguments")
            arguments.append(packet)
        wanted = parse_arguments(arguments)
        known = self._rendered.find(snapshot, wanted)
        if known is None:
            if len(snapshot.names) < _LONG_LIST:
                known = format_answer(snapshot, wanted)
            else:
                known = await asyncio.to_thread(format_answer, snapshot, wanted)
            self._rendered.keep(snapshot, wanted, known)
        return known

    async def _run_git(
        self, key: ReplicaKey, version: int, request: FetchRequest, on_end: Callable[[int], None]
    ) -> AsyncGenerator[bytes, None]:
        path = self._repository_path(key).absolute()
        process = await self._commands.open(
            ["upload-pack", "--strict", "--stateless-rpc", str(path)],
            git_dir=None,
            environment={"GIT_PROTOCOL": f"version={version}"},
            deadline_ms=self._limits.fetch_ms_max,
            config=_CONFIG,
        )
        async with process:
            # Owned by this generator: it ends before the process is left.
            pump = asyncio.create_task(_pump(process, request))
            try:
                sent = 0
                while chunk := await (process.read if sent < _EAGER_BYTES else process.read_bulk)(CHUNK_BYTES):
                    sent += len(chunk)
                    yield chunk
                returncode = await process.wait()
                if pump.done():
                    await pump
                if returncode < 0 or (returncode > 0 and sent == 0):
                    raise failure_of("serve the fetch", returncode, process.stderr_tail, path)
                on_end(returncode)
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)


async def _pump(process: GitProcess, request: FetchRequest) -> None:
    """Hand the request to git, checking its framing on the way; git stopping early is git's business.

    A request that breaks off or is malformed ends the process: an answer to half a request helps nobody.
    """
    try:
        async with contextlib.aclosing(request.pieces()) as pieces:
            async for piece in pieces:
                await process.write(piece)
        await process.close_stdin()
    except BrokenPipeError:
        return
    except BaseException:
        process.terminate()
        raise


class _GitAnswer:
    """One answer by git. Implements `shared_answers.Maker`."""

    def __init__(self, run: _Run, key: ReplicaKey, version: int, request: FetchRequest) -> None:
        self._chunks = run(key, version, request, self._note_end)
        self._returncode: int | None = None

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._chunks

    def is_whole(self) -> bool:
        return self._returncode == 0

    def _note_end(self, returncode: int) -> None:
        self._returncode = returncode


class _RenderedCache:
    """Bytes made of a snapshot, the last used ones, bounded in number and size; keeps no snapshot alive.

    For any thread: who has a long list to advertise may do that beside the loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[int, Hashable], tuple[weakref.ref[RefsSnapshot], bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, snapshot: RefsSnapshot, arguments: Hashable) -> bytes | None:
        key = (id(snapshot), arguments)
        with self._lock:
            found = self._entries.get(key)
            if found is None or found[0]() is not snapshot:  # an id comes again once its snapshot is gone
                return None
            self._entries.move_to_end(key)
            return found[1]

    def keep(self, snapshot: RefsSnapshot, arguments: Hashable, data: bytes) -> None:
        key = (id(snapshot), arguments)
        with self._lock:
            _, replaced = self._entries.pop(key, (None, b""))
            self._entries[key] = (weakref.ref(snapshot), data)
            self._bytes += len(data) - len(replaced)
            while self._bytes > CACHE_BYTES_MAX or len(self._entries) > CACHE_ENTRIES_MAX:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= len(dropped)
