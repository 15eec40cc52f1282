"""A push is parsed as git's own receive-pack parses it, refused where it is hostile, and answered as asked."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, MeshError, Overloaded
from meshnode.base.ids import RefName
from meshnode.config import PushSettings
from meshnode.git.pktline import FLUSH, Band, Marker, PacketParser, format_band, format_packet
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.ports import CommandResult, Push, PushCommand
from tests.unit.git.sample import build_repository, git, read_snapshot

ZERO = "0" * 40
ONE = "1" * 40
TWO = "2" * 40
CAPABILITIES = "report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5"
PROTOCOL = ReceivePackProtocol(PushSettings(commands_max=5), "meshnode/test")


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def request_of(*commands: str, capabilities: str = CAPABILITIES, tail: bytes = b"") -> bytes:
    first, *others = commands
    lines = [f"{first}\0 {capabilities}", *others]
    return b"".join(format_packet(line.encode("utf-8", "surrogateescape")) for line in lines) + FLUSH + tail


async def read(*chunks: bytes, object_format: str = "sha1") -> Push:
    return await PROTOCOL.read_push(stream(*chunks), object_format)


async def pack_of(push: Push) -> bytes:
    assert push.pack is not None
    return b"".join([chunk async for chunk in push.pack])


def packets_of(data: bytes) -> list[bytes | Marker]:
    parser = PacketParser()
    parser.feed(data)
    packets = []
    while (packet := parser.next()) is not None:
        packets.append(packet)
    assert not parser.rest()
    return packets


def push_with(*capabilities: str) -> Push:
    command = PushCommand(name=RefName("refs/heads/a"), old=None, new=None)
    return Push(commands=(command,), capabilities=dict.fromkeys(capabilities, ""), options=(), pack=None)


def result_of(name: str, error: str = "") -> CommandResult:
    return CommandResult(name=RefName(name), error=error)


# ---------------------------------------------------------------- advertisement


def real_advertisement(path: Path) -> bytes:
    return subprocess.run(
        [
            *("git", "-c", "receive.advertisePushOptions=true", "-c", "safe.directory=*"),
            *("receive-pack", "--http-backend-info-refs", str(path)),
        ],
        capture_output=True,
        check=True,
        env=os.environ,
    ).stdout


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_advertisement_is_the_one_git_sends(tmp_path: Path, object_format: str) -> None:
    path = build_repository(tmp_path / "r.git", object_format=object_format)
    version = git("--version", path=path).decode().split()[2]
    ours = ReceivePackProtocol(PushSettings(), f"git/{version}").advertise(read_snapshot(path), "sha1")
    assert ours == real_advertisement(path)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_repository_yet_to_be_created_is_advertised_as_an_empty_one(tmp_path: Path, object_format: str) -> None:
    git("init", "-q", "--bare", f"--object-format={object_format}", "r.git", path=tmp_path)
    version = git("--version", path=tmp_path).decode().split()[2]
    protocol = ReceivePackProtocol(PushSettings(), f"git/{version}")
    real = real_advertisement(tmp_path / "r.git")
    assert protocol.advertise(None, object_format) == real
    assert protocol.advertise(read_snapshot(tmp_path / "r.git"), object_format) == real


# ---------------------------------------------------------------- commands


async def test_commands_capabilities_and_pack_are_told_apart() -> None:
    request = request_of(
        f"{ZERO} {ONE} refs/heads/new",
        f"{ONE} {TWO} refs/heads/moved",
        f"{TWO} {ZERO} refs/heads/gone",
        capabilities=CAPABILITIES + " atomic",
        tail=b"PACKrest",
    )
    push = await read(request[:30], request[30:100], request[100:], b" of the pack")
    assert [(command.name, command.old, command.new, command.refusal) for command in push.commands] == [
        ("refs/heads/new", None, ONE, ""),
        ("refs/heads/moved", ONE, TWO, ""),
        ("refs/heads/gone", TWO, None, ""),
    ]
    assert push.is_atomic
    assert push.capabilities["agent"] == "git/2.39.5"
    assert await pack_of(push) == b"PACKrest of the pack"


async def test_push_that_only_deletes_has_no_pack() -> None:
    push = await read(request_of(f"{ONE} {ZERO} refs/heads/a"))
    assert push.pack is None
    assert not push.is_atomic


async def test_probe_of_only_a_flush_is_a_push_of_nothing() -> None:
    push = await read(FLUSH)
    assert (push.commands, push.pack) == ((), None)
    assert PROTOCOL.format_report(push, "", [], []) == b""


async def test_options_follow_the_commands_where_negotiated() -> None:
    options = format_packet(b"ci.skip") + format_packet("grüße=1\n".encode()) + FLUSH
    capabilities = CAPABILITIES + " push-options"
    push = await read(request_of(f"{ZERO} {ONE} refs/heads/a", capabilities=capabilities, tail=options + b"PACK"))
    assert push.options == ("ci.skip", "grüße=1")
    assert await pack_of(push) == b"PACK"


async def test_shallow_lines_are_read_and_left_alone() -> None:
    shallow = format_packet(f"shallow {TWO}\n".encode())
    push = await read(shallow + request_of(f"{ZERO} {ONE} refs/heads/a", tail=b"PACK"))
    assert [command.name for command in push.commands] == ["refs/heads/a"]
    assert push.capabilities.keys() >= {"report-status-v2"}
    assert await pack_of(push) == b"PACK"


@pytest.mark.parametrize(
    "name",
    [
        "HEAD",
        "FETCH_HEAD",
        "config",
        "refs",
        "refs/",
        "refs/heads",
        "../../etc/passwd",
        "refs/heads/../../config",
        "refs/heads/.hidden",
        "refs/heads/a.lock",
        "refs/heads/a..b",
        "refs/heads/a b",
        "refs/heads/a\nb",
        "refs/heads/-ok\x7f",
        "refs/heads/a@{1}",
        "refs/heads/\udcff",
        "refs/heads/" + "x" * 1_100,
        "main",
    ],
)
async def test_hostile_name_is_refused_by_itself(name: str) -> None:
    push = await read(request_of(f"{ZERO} {ONE} refs/heads/good", f"{ZERO} {ONE} {name}"))
    good, bad = push.commands
    assert not good.refusal
    assert bad.refusal
    assert bad.name == name
    report = PROTOCOL.format_report(push, "", [result_of(bad.name, bad.refusal)], [])
    assert name.encode("utf-8", "surrogateescape") in report


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (b"", "before its flush"),
        (b"0000"[:2], "ends inside"),
        (request_of(f"{ZERO} {ONE} refs/heads/a")[:-4], "before its flush"),
        (request_of(f"{ZERO} {ONE} refs/heads/a", f"{ZERO} {TWO} refs/heads/a"), "twice"),
        (request_of(f"{ZERO[1:]} {ONE} refs/heads/a"), "object id"),
        (request_of(f"{ZERO} {ONE}1 refs/heads/a"), "object id"),
        (request_of(f"{'g' * 40} {ONE} refs/heads/a"), "object id"),
        (request_of(f"{'0' * 64} {'1' * 64} refs/heads/a"), "object id"),
        (request_of(f"{ZERO} {ONE} "), "malformed"),
        (request_of(f"{ZERO} {ONE}"), "malformed"),
        (request_of("hello"), "malformed"),
        (request_of(f"{ZERO} {ONE} refs/heads/" + "x" * 5_000), "malformed"),
        (request_of(f"{ZERO} {ONE} refs/heads/a", f"{ZERO} {ONE} refs/heads/b\0atomic"), "malformed"),
        (request_of("push-cert"), "certificates"),
        (format_packet(b"shallow nothing") + FLUSH, "object id"),
        (b"0001", "unexpected"),
        (request_of(f"{ZERO} {ONE} refs/heads/a", capabilities="object-format=sha256"), "object format"),
        (request_of(f"{ZERO} {ONE} refs/heads/a", capabilities="push-options", tail=b"0005a"), "before its flush"),
        (
            request_of(f"{ZERO} {ONE} refs/heads/a", capabilities="push-options", tail=b"0005\xff0000"),
            "not UTF-8",
        ),
    ],
)
async def test_request_that_cannot_be_understood_is_refused_whole(request_bytes: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        await read(request_bytes)


async def test_client_that_names_no_object_format_means_sha1() -> None:
    request = request_of(f"{'0' * 64} {'1' * 64} refs/heads/a", capabilities="report-status")
    with pytest.raises(InvalidRequest, match="object format"):
        await read(request, object_format="sha256")


async def test_more_commands_than_allowed_are_refused() -> None:
    commands = [f"{ZERO} {ONE} refs/heads/b{number}" for number in range(6)]
    assert len((await read(request_of(*commands[:5]))).commands) == 5
    with pytest.raises(Overloaded, match="too many references"):
        await read(request_of(*commands))


async def test_more_bytes_of_commands_than_allowed_are_refused() -> None:
    endless = format_packet(f"shallow {TWO}".encode()) * 2_000
    with pytest.raises(Overloaded, match="too long"):
        await read(endless + request_of(f"{ZERO} {ONE} refs/heads/a"))


@pytest.mark.parametrize("options", [[b"x"] * 257, [b"x" * 60_000] * 2])
async def test_more_options_than_allowed_are_refused(options: Sequence[bytes]) -> None:
    tail = b"".join(map(format_packet, options)) + FLUSH
    large = ReceivePackProtocol(PushSettings(), "a")
    with pytest.raises(Overloaded, match="options"):
        await large.read_push(
            stream(request_of(f"{ZERO} {ONE} refs/heads/a", capabilities="push-options", tail=tail)), "sha1"
        )


@given(st.binary(max_size=500))
async def test_hostile_bytes_give_a_push_or_an_error_of_ours(data: bytes) -> None:
    with contextlib.suppress(MeshError):
        await read(data)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.builds(
                lambda old, new, name, tail: f"{old} {new} ".encode() + name + tail,
                st.sampled_from([ZERO, ONE, "", "x", "1" * 64]),
                st.sampled_from([ZERO, TWO, "0"]),
                st.binary(max_size=40),
                st.sampled_from([b"", b"\n", b"\0atomic push-options", b"\0object-format=\xff"]),
            ),
        ),
        max_size=8,
    ),
    st.binary(max_size=50),
)
async def test_hostile_commands_give_a_push_that_can_be_answered_or_an_error_of_ours(
    lines: list[bytes], tail: bytes
) -> None:
    try:
        push = await read(b"".join(map(format_packet, lines)) + FLUSH + tail)
    except MeshError:
        return
    results = [result_of(command.name, command.refusal) for command in push.commands]
    packets_of(PROTOCOL.format_report(push, "", results, ["done"]))


# ---------------------------------------------------------------- answers


def test_report_without_bands_is_plain_packets() -> None:
    results = [result_of("refs/heads/a"), result_of("refs/heads/b", "not there")]
    report = PROTOCOL.format_report(push_with("report-status"), "", results, ["not shown"])
    assert packets_of(report) == [b"unpack ok\n", b"ok refs/heads/a\n", b"ng refs/heads/b not there\n", Marker.FLUSH]


def test_report_in_bands_has_messages_first_and_two_flushes() -> None:
    results = [result_of("refs/heads/a")]
    push = push_with("report-status-v2", "side-band-64k")
    *messages, data, end = packets_of(PROTOCOL.format_report(push, "", results, ["generation 7", "two\nlines"]))
    assert messages == [b"\x02generation 7\n", b"\x02two\n", b"\x02lines\n"]
    assert end is Marker.FLUSH
    assert isinstance(data, bytes)
    assert data[0] == Band.DATA.value
    assert packets_of(data[1:]) == [b"unpack ok\n", b"ok refs/heads/a\n", Marker.FLUSH]


def test_client_that_wants_no_report_gets_messages_only() -> None:
    assert PROTOCOL.format_report(push_with("side-band-64k"), "", [], ["hello"]) == b"000b\x02hello\n" + FLUSH
    assert PROTOCOL.format_report(push_with(), "", [], ["hello"]) == b""


@pytest.mark.parametrize("error", ["disk full\nok refs/heads/a", "\n", "\x1b[31m"])
def test_error_text_cannot_become_a_line_of_its_own_or_an_ok(error: str) -> None:
    results = [result_of("refs/heads/a", error)]
    unpack, line, _ = packets_of(PROTOCOL.format_report(push_with("report-status"), error, results, []))
    assert isinstance(unpack, bytes)
    assert isinstance(line, bytes)
    assert unpack != b"unpack ok\n"
    assert line.startswith(b"ng refs/heads/a ")
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line


def test_long_reason_is_cut_between_characters() -> None:
    results = [result_of("refs/heads/a", "ü" * 1_000)]
    _, line, _ = packets_of(PROTOCOL.format_report(push_with("report-status"), "", results, []))
    assert isinstance(line, bytes)
    assert line.decode().rstrip().endswith("ü")
    assert len(line) < 300


def test_report_of_many_commands_spans_several_bands() -> None:
    results = [result_of(f"refs/heads/{number:060d}") for number in range(3_000)]
    push = push_with("report-status", "side-band-64k")
    *bands, end = packets_of(PROTOCOL.format_report(push, "", results, []))
    assert end is Marker.FLUSH
    assert len(bands) > 1
    assert len(packets_of(b"".join(band[1:] for band in bands if isinstance(band, bytes)))) == 3_002


def test_progress_goes_to_band_2_unless_the_client_is_quiet_or_has_no_bands() -> None:
    assert PROTOCOL.format_progress(push_with("side-band-64k"), "50 %") == format_band(Band.PROGRESS, b"50 %\n")
    assert PROTOCOL.format_progress(push_with("side-band-64k", "quiet"), "50 %") == b""
    assert PROTOCOL.format_progress(push_with(), "50 %") == b""


def test_keep_alive_needs_bands_only() -> None:
    assert PROTOCOL.format_progress(push_with("side-band-64k", "quiet"), "") == b"0005\x01"
    assert PROTOCOL.format_progress(push_with(), "") == b""


def test_fatal_error_goes_to_band_3_or_an_error_packet() -> None:
    assert packets_of(PROTOCOL.format_fatal(push_with("side-band-64k"), "outcome unknown")) == [
        b"\x03outcome unknown\n"
    ]
    assert packets_of(PROTOCOL.format_fatal(push_with(), "outcome unknown")) == [b"ERR outcome unknown\n"]
    assert packets_of(PROTOCOL.format_fatal(None, "x" * 99_999))[0] == b"ERR " + b"x" * 4_096 + b"\n"
