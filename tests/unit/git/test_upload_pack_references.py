"""What is said of references from memory equals what git says, byte for byte."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.base.ids import HEAD, Generation, PartitionId, RefName, RefValue, RepositoryId, symbolic
from meshnode.config import LimitSettings
from meshnode.core.round import ReplicaKey
from meshnode.git import ls_refs
from meshnode.git.command import GitCommands
from meshnode.git.pktline import DELIMITER, FLUSH, Marker, Packet, format_packet
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.upload_pack import CACHE_BYTES_MAX, CACHE_ENTRIES_MAX, UploadPackProtocol
from meshnode.ports import RefsSnapshot
from tests.unit.git.sample import build_repository, git, read_snapshot

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))
CONFIG = ("-c", "uploadpack.allowFilter=true", "-c", "safe.directory=*")


@functools.cache
def installed_version() -> str:
    return git("--version", path=Path("/")).decode().split()[2]


def protocol_of(path: Path) -> UploadPackProtocol:
    return UploadPackProtocol(
        GitCommands(), lambda _: path, LimitSettings(), f"git/{installed_version()}", SharedAnswers(path, 0)
    )


def real_advertisement(path: Path, version: int) -> bytes:
    """What git sends, less what is not the same in all its versions."""
    told = git(
        *CONFIG,
        "upload-pack",
        "--http-backend-info-refs",
        str(path),
        path=path,
        environment={"GIT_PROTOCOL": f"version={version}"},
    )
    told = told.replace(format_packet(b"object-info\n"), b"")
    return re.sub(rb"[0-9a-f]{4}0+ capabilities\^\{\}\0[^\n]*\n", b"", told)


def real_answer(path: Path, request: bytes) -> bytes:
    return git(
        *CONFIG,
        "upload-pack",
        "--stateless-rpc",
        str(path),
        path=path,
        stdin=request,
        environment={"GIT_PROTOCOL": "version=2"},
    )


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def our_answer(path: Path, snapshot: RefsSnapshot, request: bytes) -> bytes:
    parts = [part async for part in protocol_of(path).serve(KEY, snapshot, 2, stream(request))]
    return b"".join(parts)


def ls_refs_request(arguments: Sequence[str], object_format: str = "sha1") -> bytes:
    opening = [b"command=ls-refs\n", b"agent=git/test", f"object-format={object_format}".encode()]
    lines = b"".join(format_packet(line) for line in opening)
    return lines + DELIMITER + b"".join(format_packet(f"{text}\n".encode()) for text in arguments) + FLUSH


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_repository(tmp_path_factory.mktemp(request.param) / "r.git", object_format=request.param)


@pytest.fixture
def unborn(tmp_path: Path) -> Path:
    git("init", "-q", "--bare", "-b", "main", "r.git", path=tmp_path)
    return tmp_path / "r.git"


@pytest.mark.parametrize("version", [0, 1, 2])
def test_advertisement_is_the_one_git_sends(repository: Path, version: int) -> None:
    assert protocol_of(repository).advertise(read_snapshot(repository), version) == real_advertisement(
        repository, version
    )


@pytest.mark.parametrize("version", [0, 1, 2])
def test_advertisement_of_an_empty_repository_is_the_one_git_sends(unborn: Path, version: int) -> None:
    assert protocol_of(unborn).advertise(read_snapshot(unborn), version) == real_advertisement(unborn, version)


def test_advertisement_of_a_detached_head_is_the_one_git_sends(tmp_path: Path) -> None:
    path = build_repository(tmp_path / "r.git")
    git("update-ref", "--no-deref", "HEAD", "refs/heads/main~1", path=path)
    assert protocol_of(path).advertise(read_snapshot(path), 0) == real_advertisement(path, 0)


def test_head_that_leads_nowhere_is_left_out_as_git_does(tmp_path: Path) -> None:
    path = build_repository(tmp_path / "r.git")
    git("symbolic-ref", "HEAD", "refs/heads/gone", path=path)
    assert protocol_of(path).advertise(read_snapshot(path), 0) == real_advertisement(path, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["peel"],
        ["symrefs"],
        ["unborn"],
        ["peel", "symrefs", "unborn"],
        ["peel", "symrefs", "ref-prefix refs/heads/", "ref-prefix refs/tags/"],
        ["peel", "symrefs", "unborn", "ref-prefix HEAD", "ref-prefix refs/heads/"],
        ["ref-prefix refs/heads/topic/ü"],
        ["ref-prefix refs/tags/v", "ref-prefix refs/tags/", "ref-prefix refs/tags/v1.0"],
        ["ref-prefix refs/tags/", "ref-prefix refs/heads/", "ref-prefix refs/heads/topic", "ref-prefix H"],
        ["ref-prefix main", "ref-prefix refs/main", "ref-prefix refs/tags/main", "ref-prefix refs/heads/main"],
        ["symrefs", "ref-prefix refs/remotes/"],
        ["ref-prefix nothing/at/all"],
        ["peel", "ref-prefix "],
    ],
)
async def test_ls_refs_answers_what_git_answers(repository: Path, arguments: list[str]) -> None:
    snapshot = read_snapshot(repository)
    request = ls_refs_request(arguments, snapshot.object_format)
    assert await our_answer(repository, snapshot, request) == real_answer(repository, request)


@pytest.mark.parametrize(
    "arguments", [[], ["symrefs"], ["symrefs", "unborn"], ["unborn"], ["symrefs", "unborn", "ref-prefix x"]]
)
async def test_ls_refs_of_an_empty_repository_answers_what_git_answers(unborn: Path, arguments: list[str]) -> None:
    request = ls_refs_request(arguments)
    assert await our_answer(unborn, read_snapshot(unborn), request) == real_answer(unborn, request)


async def test_ls_refs_without_arguments_section_answers_what_git_answers(repository: Path) -> None:
    snapshot = read_snapshot(repository)
    opening = [b"command=ls-refs", f"object-format={snapshot.object_format}".encode()]
    request = b"".join(format_packet(line) for line in opening) + FLUSH
    assert await our_answer(repository, snapshot, request) == real_answer(repository, request)


async def test_references_of_a_long_list_answer_what_git_answers(tmp_path: Path) -> None:
    path = build_repository(tmp_path / "r.git")
    oid = git("rev-parse", "main", path=path).decode().strip()
    git(
        "update-ref",
        "--stdin",
        path=path,
        stdin="".join(f"create refs/heads/b{number} {oid}\n" for number in range(3_000)).encode(),
    )
    git("pack-refs", "--all", path=path)
    snapshot = read_snapshot(path)
    request = ls_refs_request(["peel", "symrefs", "ref-prefix refs/heads/b2", "ref-prefix refs/heads/b1"])
    assert await our_answer(path, snapshot, request) == real_answer(path, request)


async def test_answers_of_one_snapshot_are_kept_and_of_the_next_are_not(repository: Path) -> None:
    protocol = protocol_of(repository)
    snapshot = read_snapshot(repository)
    first = protocol.advertise(snapshot, 0)
    assert protocol.advertise(snapshot, 0) is first
    moved = replace(snapshot, refs={HEAD: symbolic(RefName("refs/heads/main"))}, names=(), generation=Generation(2))
    assert protocol.advertise(moved, 0) != first
    assert protocol.advertise(snapshot, 0) is first


def test_too_many_prefixes_mean_everything() -> None:
    few = ls_refs.parse_arguments([b"ref-prefix b\n", b"ref-prefix a\n", b"ref-prefix a\n"])
    assert few.prefixes == (b"a", b"b")
    many = ls_refs.parse_arguments([b"ref-prefix %d" % number for number in range(ls_refs.PREFIXES_MAX)])
    assert many.prefixes == ()


def test_symbolic_references_in_a_loop_lead_nowhere() -> None:
    loop = RefName("refs/heads/loop")
    snapshot = RefsSnapshot(
        generation=Generation(1), refs={HEAD: symbolic(loop), loop: symbolic(loop)}, peeled={}, names=(loop,)
    )
    answer = ls_refs.format_answer(snapshot, ls_refs.LsRefs(has_symrefs=True))
    assert answer == FLUSH


def test_unknown_version_is_refused(repository: Path) -> None:
    with pytest.raises(InvalidRequest):
        protocol_of(repository).advertise(read_snapshot(repository), 3)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"zzzz",
        b"0003",
        b"fff1",
        b"00",
        FLUSH[:3],
        format_packet(b"command=ls-refs\n"),
        format_packet(b"command=ls-refs\n") + b"0002",
        format_packet(b"command=ls-refs\n") + DELIMITER + format_packet(b"peel"),
        format_packet(b"command=ls-refs\n") + DELIMITER + DELIMITER,
        format_packet(b"command=ls-refs\n") + DELIMITER + format_packet(b"everything") + FLUSH,
        format_packet(b"command=object-info\n") + FLUSH,
        format_packet(b"command=fetch\n") + format_packet(b"command=ls-refs\n") + FLUSH,
        format_packet(b"command=fetch") + format_packet(b"object-format=sha999") + FLUSH,
        format_packet(b"agent=only") + FLUSH,
        format_packet(b"colour=blue") + format_packet(b"command=fetch\n") + FLUSH,
        format_packet(b"command=fetch") + format_packet(b"server-option=x") * 70 + FLUSH,
        DELIMITER,
    ],
)
async def test_malformed_request_of_version_2_is_refused(repository: Path, request_bytes: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await our_answer(repository, read_snapshot(repository), request_bytes)


async def test_empty_request_of_version_2_has_an_empty_answer(repository: Path) -> None:
    assert await our_answer(repository, read_snapshot(repository), FLUSH) == b""


async def test_client_of_another_object_format_is_refused(repository: Path) -> None:
    snapshot = read_snapshot(repository)
    other = "sha1" if snapshot.object_format == "sha256" else "sha256"
    with pytest.raises(InvalidRequest, match="object format"):
        await our_answer(repository, snapshot, ls_refs_request([], other))


SMALL = RefsSnapshot(
    generation=Generation(1),
    refs={HEAD: symbolic(RefName("refs/heads/a")), RefName("refs/heads/a"): RefValue("1" * 40)},
    peeled={},
    names=(RefName("refs/heads/a"),),
)
PACKETS = st.one_of(
    st.binary(max_size=20),
    st.binary(max_size=20).map(lambda tail: b"ref-prefix " + tail),
    st.sampled_from([b"command=ls-refs\n", b"agent=x", b"object-format=sha1", b"peel", b"symrefs", b"unborn\n"]),
    st.sampled_from(Marker),
)


@given(st.lists(PACKETS, max_size=12), st.booleans(), st.binary(max_size=6))
async def test_hostile_request_for_references_gives_an_answer_or_an_error_of_ours(
    packets: list[Packet], is_command_first: bool, tail: bytes
) -> None:
    opening: list[Packet] = [b"command=ls-refs\n"] if is_command_first else []
    request = b"".join(map(format_packet, [*opening, *packets])) + tail
    with contextlib.suppress(MeshError):
        answer = await our_answer(Path("/nonexistent"), SMALL, request)
        assert answer == b"" or answer.endswith(FLUSH)


def test_kept_answers_are_bounded_in_number(repository: Path) -> None:
    protocol = protocol_of(repository)
    snapshots = [replace(SMALL, generation=Generation(number)) for number in range(CACHE_ENTRIES_MAX + 10)]
    first = [protocol.advertise(snapshot, 0) for snapshot in snapshots]
    assert protocol.advertise(snapshots[-1], 0) is first[-1]
    again = protocol.advertise(snapshots[0], 0)
    assert again == first[0]
    assert again is not first[0]


def test_kept_answers_are_bounded_in_size(repository: Path) -> None:
    protocol = protocol_of(repository)
    names = [RefName(f"refs/heads/{number:0900d}") for number in range(12_000)]
    refs = {name: RefValue("1" * 40) for name in names}
    large = [replace(SMALL, refs=refs, names=names, generation=Generation(number)) for number in range(7)]
    first = [protocol.advertise(snapshot, 1) for snapshot in large]
    assert sum(map(len, first)) > CACHE_BYTES_MAX
    assert protocol.advertise(large[-1], 1) is first[-1]
    assert protocol.advertise(large[0], 1) is not first[0]
