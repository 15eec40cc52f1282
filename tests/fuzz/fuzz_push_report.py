"""What a pusher is told: whatever the texts hold, the answer is well framed, a line each, and harmless on a terminal."""

from __future__ import annotations

from hypothesis import strategies as st

from meshnode.base.ids import RefName
from meshnode.config import PushSettings
from meshnode.git.pktline import Marker, Packet, PacketParser, chomp
from meshnode.git.receive_pack import MESSAGE_BYTES_MAX, REASON_BYTES_MAX, ReceivePackProtocol
from meshnode.ports import CommandResult, Push, PushCommand
from tests.fuzz.inputs import Draw

EXAMPLES = st.binary(max_size=200) | st.text(max_size=120).map(
    lambda text: b"\xff\x02" + text.encode("utf-8", "replace")
)
PROTOCOL = ReceivePackProtocol(PushSettings(), "meshnode/1")
CAPABILITIES = ("report-status", "report-status-v2", "side-band-64k", "quiet", "atomic")


def check_push_report(data: bytes) -> None:
    draw = Draw(data)
    capabilities = {name: "" for name in CAPABILITIES if draw.is_true()}
    names = [RefName(f"refs/heads/{place}" + _name(draw)) for place in range(draw.number(4))]
    results = [CommandResult(name=name, error=draw.text(300)) for name in names]
    push = Push(
        commands=tuple(PushCommand(name=name, old=None, new=None) for name in names),
        capabilities=capabilities,
        options=(),
        pack=None,
    )
    unpack_error = draw.text(300)
    progress = PROTOCOL.format_progress(push, draw.text(300))
    fatal = PROTOCOL.format_fatal(push if draw.is_true() else None, draw.text(300))
    messages = [draw.text(1_000) for _ in range(draw.number(3))]
    report = PROTOCOL.format_report(push, unpack_error, results, messages)
    status = b""
    for packet in _packets(report):
        if "side-band-64k" not in capabilities:
            status = report
        elif isinstance(packet, bytes):
            if packet[:1] == b"\1":
                status += packet[1:]
            else:
                _check_line(packet[1:], MESSAGE_BYTES_MAX)
                assert packet[:1] == b"\2"
    _check_status(
        status, results, is_wanted=bool(names) and bool({"report-status", "report-status-v2"} & capabilities.keys())
    )
    for packet in (*_packets(progress), *_packets(fatal)):
        assert isinstance(packet, bytes)
        _check_line(packet[1:] if packet[:1] < b" " else packet, MESSAGE_BYTES_MAX + 4)


def _name(draw: Draw) -> str:
    return draw.text(40).replace("\0", "").replace("\n", "")


def _check_status(status: bytes, results: list[CommandResult], *, is_wanted: bool) -> None:
    if not is_wanted:
        assert not status
        return
    lines = _packets(status)
    assert lines.pop() is Marker.FLUSH
    assert len(lines) == 1 + len(results)
    for line, result in zip(lines[1:], results, strict=True):
        assert isinstance(line, bytes)
        name = result.name.encode("utf-8", "surrogateescape")
        if result.error:
            assert line.startswith(b"ng " + name + b" ")
            _check_line(line[len(name) + 4 :], REASON_BYTES_MAX)
        else:
            assert line == b"ok " + name + b"\n"


def _check_line(line: bytes, bytes_max: int) -> None:
    text = chomp(line).decode()
    assert not text or text.isprintable()
    assert len(line) <= bytes_max + 1


def _packets(data: bytes) -> list[Packet]:
    parser = PacketParser()
    parser.feed(data)
    packets: list[Packet] = []
    while (packet := parser.next()) is not None:
        packets.append(packet)
    assert not parser.rest()
    return packets
