"""A fetch is git's own answer, streamed both ways; git ends with the client, the deadline or the request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, DeadlineExceeded, InvalidRequest, MeshError
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.config import LimitSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.pktline import DELIMITER, FLUSH, PacketParser, format_packet
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.upload_pack import UploadPackProtocol
from meshnode.ports import RefsSnapshot
from tests.unit.git.conftest import Run
from tests.unit.git.processes import children
from tests.unit.git.sample import build_repository, git, read_snapshot

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))


class Served:
    """A repository behind the protocol under test."""

    def __init__(self, path: Path, *, fetch_ms_max: int = 30_000, cache_bytes: int = 0) -> None:
        self.path = path
        self.counted: list[str] = []
        self.shared = SharedAnswers(path, cache_bytes, self.counted.append)
        self.snapshot: RefsSnapshot = read_snapshot(path)
        self.protocol = UploadPackProtocol(
            GitCommands(), lambda _: path, LimitSettings(fetch_ms_max=fetch_ms_max), "meshnode/test", self.shared
        )

    def serve(self, body: AsyncIterator[bytes], version: int = 2) -> AsyncGenerator[bytes, None]:
        return self.protocol.serve(KEY, self.snapshot, version, body)

    async def answer(self, *chunks: bytes, version: int = 2) -> bytes:
        return b"".join([part async for part in self.serve(stream(*chunks), version)])


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_repository(tmp_path_factory.mktemp("fetch") / "r.git")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of 8 MB that cannot be compressed: more than all pipes hold."""
    path = build_repository(tmp_path_factory.mktemp("large") / "r.git")
    blob = git("hash-object", "-w", "--stdin", path=path, stdin=os.urandom(8 << 20)).decode().strip()
    tree = git("mktree", path=path, stdin=f"100644 blob {blob}\tnoise\n".encode()).decode().strip()
    oid = git("commit-tree", tree, "-m", "noise", path=path).decode().strip()
    git("update-ref", "refs/heads/main", oid, path=path)
    return path


def tip(path: Path, name: str = "main") -> str:
    return git("rev-parse", name, path=path).decode().strip()


def fetch_request(*arguments: str) -> bytes:
    opening = format_packet(b"command=fetch") + format_packet(b"agent=git/test") + DELIMITER
    return opening + b"".join(format_packet(f"{text}\n".encode()) for text in arguments) + FLUSH


def clone_request(path: Path) -> bytes:
    return fetch_request("no-progress", "ofs-delta", f"want {tip(path)}", "done")


def pack_in(answer: bytes) -> bytes:
    """The pack of an answer in side-bands."""
    parser = PacketParser()
    parser.feed(answer)
    pack = b""
    while (packet := parser.next()) is not None:
        if isinstance(packet, bytes) and packet[:1] == b"\x01":
            pack += packet[1:]
    return pack


def check_pack(pack: bytes, wanted: str, directory: Path) -> None:
    """Let git index the pack in an empty repository and find `wanted` complete in it."""
    git("init", "-q", "--bare", "check.git", path=directory)
    git("index-pack", "--stdin", "--strict", path=directory / "check.git", stdin=pack)
    git("rev-list", "--objects", wanted, path=directory / "check.git")


async def until_no_children() -> None:
    async with asyncio.timeout(10):
        while children():  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.005)


def test_fetch_of_version_2_is_a_pack_git_can_use(repository: Path, tmp_path: Path, run: Run) -> None:
    async def scenario() -> None:
        answer = await Served(repository).answer(clone_request(repository))
        assert answer.startswith(format_packet(b"packfile\n"))
        check_pack(pack_in(answer), tip(repository), tmp_path)

    run(scenario())


@pytest.mark.parametrize("version", [0, 1])
def test_fetch_of_version_0_and_1_is_a_pack_git_can_use(
    repository: Path, tmp_path: Path, run: Run, version: int
) -> None:
    async def scenario() -> None:
        want = f"want {tip(repository, 'topic/one')} side-band-64k ofs-delta no-progress\n".encode()
        request = format_packet(want) + FLUSH + format_packet(b"done\n")
        answer = await Served(repository).answer(request, version=version)
        assert answer.startswith(format_packet(b"NAK\n"))
        check_pack(pack_in(answer), tip(repository, "topic/one"), tmp_path)

    run(scenario())


async def test_request_may_arrive_byte_by_byte(repository: Path, tmp_path: Path) -> None:
    request = clone_request(repository)
    answer = await Served(repository).answer(*(request[at : at + 1] for at in range(len(request))))
    check_pack(pack_in(answer), tip(repository), tmp_path)


async def test_filter_and_depth_are_honoured(repository: Path) -> None:
    served = Served(repository)
    whole = await served.answer(clone_request(repository))
    bare = await served.answer(fetch_request(f"want {tip(repository)}", "filter blob:none", "no-progress", "done"))
    shallow = await served.answer(fetch_request(f"want {tip(repository)}", "deepen 1", "no-progress", "done"))
    assert b"shallow-info" in shallow
    assert len(pack_in(bare)) < len(pack_in(whole))
    assert len(pack_in(shallow)) < len(pack_in(whole))


async def test_negotiation_round_without_done_gives_acknowledgments(repository: Path) -> None:
    answer = await Served(repository).answer(
        fetch_request(f"want {tip(repository)}", f"have {tip(repository, 'main~2')}", f"have {'1' * 40}")
    )
    assert f"ACK {tip(repository, 'main~2')}".encode() in answer


async def test_client_that_wants_nothing_gets_nothing(repository: Path) -> None:
    assert await Served(repository).answer(FLUSH, version=0) == b""


async def test_complaint_of_git_is_passed_on(repository: Path) -> None:
    answer = await Served(repository).answer(fetch_request(f"want {'1' * 40}", "done"))
    assert b"ERR upload-pack: not our ref" in answer


@pytest.mark.parametrize(
    ("version", "request_bytes"),
    [
        (0, b""),
        (0, format_packet(b"hello")),
        (0, b"0001"),
        (0, b"zzzz"),
        (0, format_packet(b"want nothing") + FLUSH),
        (2, fetch_request("want nothing")),
        (2, fetch_request("colour blue")),
        (2, fetch_request("deepen -1")),
        (2, fetch_request("deepen-not nothing")),
        (2, fetch_request("filter nothing", "done")),
        (2, fetch_request("shallow 123")),
        (2, fetch_request("have 123")),
        (2, fetch_request("done")[:-4]),
        (2, fetch_request("done")[:-4] + b"zzzz"),
        (2, fetch_request("done")[:-4] + b"00"),
    ],
)
async def test_malformed_fetch_is_refused(repository: Path, version: int, request_bytes: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await Served(repository).answer(request_bytes, version=version)


async def test_repository_that_git_cannot_open_is_corrupt(repository: Path, tmp_path: Path) -> None:
    served = Served(repository)
    broken = UploadPackProtocol(
        GitCommands(),
        lambda _: tmp_path / "gone.git",
        LimitSettings(),
        "meshnode/test",
        SharedAnswers(tmp_path, 1 << 30),
    )
    with pytest.raises(Corrupt, match="could not serve") as caught:
        async for _ in broken.serve(KEY, served.snapshot, 2, stream(clone_request(repository))):
            pass
    assert str(tmp_path) not in str(caught.value)


async def test_damage_found_while_packing_is_told_to_the_client_by_git(tmp_path: Path) -> None:
    path = build_repository(tmp_path / "r.git")
    blob = tip(path, "main:file")
    (path / "objects" / blob[:2] / blob[2:]).unlink()
    answer = await Served(path).answer(clone_request(path))
    assert b"\x03aborting due to possible repository corruption" in answer


def test_large_answer_and_slow_reader_lose_nothing(large: Path, tmp_path: Path, run: Run) -> None:
    async def scenario() -> None:
        parts = []
        async for part in Served(large).serve(stream(clone_request(large))):
            await asyncio.sleep(0)
            parts.append(part)
        assert max(map(len, parts)) <= 256 << 10
        check_pack(pack_in(b"".join(parts)), tip(large), tmp_path)

    run(scenario())


def test_request_and_answer_larger_than_the_pipes_flow_at_once(repository: Path, run: Run) -> None:
    """Without reading while writing, git and this side would wait for each other."""

    async def scenario() -> None:
        want = format_packet(f"want {tip(repository)} multi_ack_detailed side-band-64k\n".encode()) + FLUSH
        known = [format_packet(f"have {tip(repository)}\n".encode()) * 500] * 150
        answer = await Served(repository).answer(want, *known, FLUSH, version=0)
        assert sum(map(len, known)) > 3 << 20
        assert len(answer) > 3 << 20

    run(scenario())


def test_git_dies_when_the_client_goes_away(large: Path, run: Run) -> None:
    async def scenario() -> None:
        answer = Served(large).serve(stream(clone_request(large)))
        await anext(answer)
        assert children()
        await answer.aclose()
        assert not children()

    run(scenario())


def test_git_dies_when_the_reader_is_cancelled(large: Path, run: Run) -> None:
    async def scenario() -> None:
        started = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield fetch_request(f"want {tip(large)}", f"have {'1' * 40}")[:-4]
            started.set()
            await asyncio.Event().wait()

        async def read_all() -> None:
            async with contextlib.aclosing(Served(large).serve(endless())) as answer:
                async for _ in answer:
                    pass

        task = asyncio.ensure_future(read_all())
        await started.wait()
        assert len(children()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not children()

    run(scenario())


def test_git_dies_at_the_deadline(large: Path, run: Run) -> None:
    async def scenario() -> None:
        answer = Served(large, fetch_ms_max=300).serve(stream(clone_request(large)))
        await anext(answer)
        await until_no_children()  # nobody reads: only the deadline can end it
        with pytest.raises(DeadlineExceeded):
            async for _ in answer:
                pass

    run(scenario())


def test_request_that_breaks_off_ends_git_and_is_the_error_seen(repository: Path, run: Run) -> None:
    class ClientGone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield clone_request(repository)[:-4]
        raise ClientGone

    async def scenario() -> None:
        with pytest.raises(ClientGone):
            async for _ in Served(repository).serve(broken()):
                pass
        assert not children()

    run(scenario())


async def test_error_of_git_does_not_wait_for_a_client_that_keeps_its_request_open(repository: Path) -> None:
    async def open_ended() -> AsyncIterator[bytes]:
        yield fetch_request(f"want {'1' * 40}", "done")
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        parts = [part async for part in Served(repository).serve(open_ended())]
    assert b"not our ref" in b"".join(parts)


async def test_git_killed_from_outside_is_an_error_even_after_output(large: Path) -> None:
    answer = Served(large).serve(stream(clone_request(large)))
    await anext(answer)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(MeshError, match="killed"):
        async for _ in answer:
            pass


async def test_clones_of_the_same_have_one_pack_whoever_asks(large: Path, tmp_path: Path) -> None:
    served = Served(large, cache_bytes=1 << 30)
    request = clone_request(large)
    first = served.serve(stream(request))
    opening = await anext(first)
    other = request.replace(b"0012agent=git/test", b"0015agent=git/another")
    assert other != request
    second, third = await asyncio.gather(served.answer(other), served.answer(request))
    assert second == third == opening + b"".join([part async for part in first])
    check_pack(pack_in(second), tip(large), tmp_path)
    assert served.counted == ["made", "shared", "shared"]
    assert not children()
    served.snapshot = read_snapshot(large)  # another generation
    assert pack_in(await served.answer(request))
    assert served.counted[3:] == ["made"]


@pytest.mark.parametrize("version", [0, 2])
async def test_only_clones_are_shared_and_only_whole_answers(repository: Path, version: int) -> None:
    served = Served(repository, cache_bytes=1 << 30)
    if version == 2:
        lines = (f"want {tip(repository)}", f"have {tip(repository)}", "done")
        update, wrong = fetch_request(*lines), fetch_request(f"want {'1' * 40}", "done")
        clone = clone_request(repository)
    else:
        want = f"want {tip(repository)} side-band-64k no-progress agent=git/test\n".encode()
        have = format_packet(f"have {tip(repository)}\n".encode())
        update = format_packet(want) + FLUSH + have + format_packet(b"done\n")
        clone = format_packet(want) + FLUSH + format_packet(b"done\n")
        wrong = format_packet(f"want {'1' * 40}\n".encode()) + FLUSH + format_packet(b"done\n")
    for _ in range(2):
        assert await served.answer(update, version=version)
    assert served.counted == []
    for _ in range(2):
        assert b"not our ref" in await served.answer(wrong, version=version)
    assert served.counted == ["made", "made"]
    answers = {await served.answer(clone, version=version) for _ in range(2)}
    assert len(answers) == 1
    assert served.counted[2:] == ["made", "shared"]
