"""A fetch's request: git gets exactly the bytes the client sent, and all of them only if every packet is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, cast

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.base.ids import HEAD, Generation, ObjectId, PartitionId, RefName, RefValue, RepositoryId
from meshnode.config import LimitSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.pktline import FLUSH, Marker, PacketParser, format_packet
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.upload_pack import UploadPackProtocol
from meshnode.ports import RefsSnapshot
from tests.fuzz.inputs import cuttings, finish_in_loop, stream

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
SNAPSHOT = RefsSnapshot(
    generation=Generation(1),
    refs={HEAD: RefValue("ref:refs/heads/a"), RefName("refs/heads/a"): RefValue("1" * 40)},
    peeled={RefName("refs/heads/a"): ObjectId("2" * 40)},
    names=(RefName("refs/heads/a"),),
)
ANSWER = b"packfile"

_TEXT = st.sampled_from(
    [
        "command=fetch",
        "command=ls-refs",
        "command=x",
        "agent=git/2.39",
        "object-format=sha1",
        "object-format=sha256",
        "server-option=o",
        "x=y",
        "thin-pack",
        "no-progress",
        "done",
        "peel",
        "symrefs",
    ]
)
_WANT = st.sampled_from([f"want {'1' * 40}", f"want {'1' * 40} side-band-64k", f"have {'2' * 40}", "ref-prefix refs/"])
_PACKET = (_TEXT | _WANT).flatmap(lambda text: st.sampled_from([text.encode(), text.encode() + b"\n"]))
EXAMPLES = st.builds(
    lambda opening, packets, tail: b"".join(map(format_packet, [*opening, *packets])) + tail,
    st.sampled_from(
        [(), (b"command=fetch",), (b"command=ls-refs\n", Marker.DELIMITER), (b"command=fetch", Marker.DELIMITER)]
    ),
    st.lists(_PACKET | st.sampled_from([Marker.DELIMITER, Marker.FLUSH, Marker.FLUSH]), max_size=8),
    st.sampled_from([b"", b"", FLUSH, b"00"]),
)


class _Git:
    """A git that reads its input to the end, then answers; what it was told is kept."""

    stderr_tail = ""

    def __init__(self) -> None:
        self.heard = b""
        self.is_ended = asyncio.Event()
        self.is_terminated = False
        self._answers = [ANSWER]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_ended.set()

    async def write(self, data: bytes) -> None:
        self.heard += data

    async def close_stdin(self) -> None:
        self.is_ended.set()

    def terminate(self) -> None:
        self.is_terminated = True
        self.is_ended.set()

    async def read(self, _: int) -> bytes:
        await self.is_ended.wait()
        return b"" if self.is_terminated or not self._answers else self._answers.pop()

    read_bulk = read

    async def wait(self) -> int:
        return 0


class _Commands:
    def __init__(self) -> None:
        self.git: _Git | None = None
        self.version = ""

    async def open(self, args: Sequence[str], *, environment: Mapping[str, str], **_: Any) -> _Git:
        assert args[:3] == ["upload-pack", "--strict", "--stateless-rpc"]
        self.version = environment["GIT_PROTOCOL"]
        self.git = _Git()
        return self.git


def check_fetch_request(data: bytes) -> None:
    for version in (2, 0):
        outcomes = [finish_in_loop(_serve(pieces, version)) for pieces in cuttings(data)]
        assert all(outcome == outcomes[0] for outcome in outcomes)
        heard, answer, refused = outcomes[0]
        if heard is not None and not refused:
            assert data.lower().startswith(heard.lower())
            assert _is_whole(heard)
            assert len(heard) == len(data) or heard.endswith((FLUSH, b"done", b"done\n")), "a clone ends with its end"
            assert answer == ANSWER
        if heard is None and not refused:
            assert answer == b"" or answer.endswith(FLUSH)


async def _serve(pieces: Sequence[bytes], version: int) -> tuple[bytes | None, bytes, str]:
    commands = _Commands()
    protocol = UploadPackProtocol(
        cast("GitCommands", cast("Any", commands)),
        lambda _: Path("/r"),
        LimitSettings(),
        "m/1",
        SharedAnswers(Path("/r"), 0),
    )
    answer = b""
    refused = ""
    try:
        async with aclosing(stream(pieces)) as body:
            async for chunk in protocol.serve(KEY, SNAPSHOT, version, body):
                answer += chunk
    except (InvalidRequest, Overloaded) as error:
        refused = type(error).__name__
    heard = None
    if commands.git is not None:
        assert commands.version == f"version={version}"
        assert commands.git.is_terminated == bool(refused)
        heard = commands.git.heard if not refused else b""
    return heard, answer, refused


def _is_whole(data: bytes) -> bool:
    parser = PacketParser()
    parser.feed(data)
    while parser.next() is not None:
        pass
    return not parser.rest()
