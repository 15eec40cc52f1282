"""receive-pack's commands: a push or a refusal, the same however cut; names come out safe; formatted back, the same."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.base.ids import parse_object_id, parse_ref_name
from meshnode.config import PushSettings
from meshnode.git.pktline import FLUSH, format_packet
from meshnode.git.receive_pack import OPTION_BYTES_MAX, OPTIONS_MAX, ReceivePackProtocol
from meshnode.ports import CommandResult, Push
from tests.fuzz.inputs import cuttings, finish, stream
from tests.fuzz.values import OIDS, REF_NAMES

COMMANDS_MAX = 20
PROTOCOL = ReceivePackProtocol(PushSettings(commands_max=COMMANDS_MAX), "meshnode/1")
ZERO = "0" * 40

_NAME = REF_NAMES | st.sampled_from(["HEAD", "refs/heads/..", "refs/heads/a b", "refs/x.lock/y", "config", "refs//x"])
_COMMAND = st.tuples(OIDS | st.just(ZERO), OIDS | st.just(ZERO), _NAME).map(" ".join)
_SHALLOW = OIDS.map(lambda oid: f"shallow {oid}")
_CAPABILITIES = st.lists(
    st.sampled_from(
        [
            "report-status",
            "report-status-v2",
            "side-band-64k",
            "atomic",
            "push-options",
            "quiet",
            "object-format=sha1",
            "object-format=sha256",
            "agent=git/2.39",
            "delete-refs",
            "ofs-delta",
        ]
    ),
    max_size=5,
).map(" ".join)


def _push(drawn: tuple[list[str], list[str], str, list[str], bytes, str]) -> bytes:
    shallow, commands, capabilities, options, pack, end = drawn
    lines = [line.encode() + end.encode() for line in (*shallow, *commands)]
    if commands:
        lines[len(shallow)] = f"{commands[0]}\0{capabilities}{end}".encode()
    data = b"".join(map(format_packet, lines)) + FLUSH
    if "push-options" in capabilities:
        data += b"".join(format_packet(option.encode()) for option in options) + FLUSH
    return data + pack


EXAMPLES = st.tuples(
    st.lists(_SHALLOW, max_size=1),
    st.lists(_COMMAND, max_size=4),
    _CAPABILITIES,
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=3),
    st.binary(max_size=20),
    st.sampled_from(["", "\n"]),
).map(_push)


def check_push_request(data: bytes) -> None:
    for object_format in ("sha1", "sha256"):
        outcomes = [finish(_read(pieces, object_format)) for pieces in cuttings(data)]
        assert all(outcome == outcomes[0] for outcome in outcomes)
        if not isinstance(outcomes[0], str):
            _check_push(outcomes[0][0], outcomes[0][1], object_format)


async def _read(pieces: Sequence[bytes], object_format: str) -> tuple[Push, bytes | None] | str:
    try:
        push = await PROTOCOL.read_push(stream(pieces), object_format)
    except (InvalidRequest, Overloaded) as error:
        return f"{type(error).__name__} {error}"
    pack = None if push.pack is None else b"".join([piece async for piece in push.pack])
    return Push(commands=push.commands, capabilities=push.capabilities, options=push.options, pack=None), pack


def _check_push(push: Push, pack: bytes | None, object_format: str) -> None:
    assert len(push.commands) <= COMMANDS_MAX
    assert len(push.options) <= OPTIONS_MAX
    assert sum(map(len, push.options)) <= OPTION_BYTES_MAX
    assert len({command.name for command in push.commands}) == len(push.commands)
    assert (pack is None) == all(command.new is None for command in push.commands)
    for command in push.commands:
        if not command.refusal:
            assert parse_ref_name(command.name).startswith("refs/")
        for side in (command.old, command.new):
            assert side is None or parse_object_id(side, object_format=object_format)
    formatted = _format(push, object_format) + (pack or b"")
    again = finish(_read([formatted], object_format))
    assert again == (push, pack)
    results = [CommandResult(name=command.name, error=command.refusal) for command in push.commands]
    report = PROTOCOL.format_report(push, "", results, ["done"])
    assert not push.commands or not report or report.endswith(FLUSH)


def _format(push: Push, object_format: str) -> bytes:
    zero = "0" * (40 if object_format == "sha1" else 64)
    words = [f"{name}={value}" if value else name for name, value in push.capabilities.items()]
    data = b""
    for place, command in enumerate(push.commands):
        text = f"{command.old or zero} {command.new or zero} {command.name}"
        line = text.encode("utf-8", "surrogateescape")
        data += format_packet(line + (b"\0" + " ".join(words).encode() if place == 0 else b"") + b"\n")
    data += FLUSH
    if "push-options" in push.capabilities:
        data += b"".join(format_packet(option.encode() + b"\n") for option in push.options) + FLUSH
    return data
