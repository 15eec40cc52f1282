"""Speaks git-receive-pack's side of a push: advertisement, commands, options, report.

    client:  commands and capabilities, flush, [options, flush], [pack]
    server:  [side-band: progress, keep-alives], unpack result, one line a command, flush

Nothing here touches a repository. A command that cannot be done is refused by itself (`PushCommand.refusal`); a
request that cannot be understood is refused whole. Not offered, and refused when sent anyway: push certificates.
The `shallow` lines of a shallow client are read and left alone: its push is good if everything it refers to is
here, which the connectivity check finds out.

Source: gitprotocol-pack(5), gitprotocol-capabilities(5), git's builtin/receive-pack.c and send-pack.c.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest, Overloaded
from meshnode.base.ids import HEAD, ObjectId, RefName, is_zero, parse_object_id, parse_ref_name
from meshnode.config import PushSettings
from meshnode.git.advertisement import encode_name, format_receive_advertisement
from meshnode.git.pktline import FLUSH, Band, Marker, PacketReader, chomp, format_band, format_packet
from meshnode.ports import CommandResult, Push, PushCommand, RefsSnapshot

NAME_BYTES_MAX: Final = 4_096
"""Longest name that is answered with a refusal of its own; PATH_MAX, so git never made such a reference."""
OPTIONS_MAX: Final = 256
OPTION_BYTES_MAX: Final = 65_536
"""All push options together."""
_COMMAND_BYTES: Final = 1_200
"""Budget of one command: two sha256 ids and a name of 1,024 bytes."""
_CAPABILITY_BYTES: Final = 65_536
REASON_BYTES_MAX: Final = 256
MESSAGE_BYTES_MAX: Final = 4_096


class ReceivePackProtocol:
    """The `PushProtocol` port."""

    def __init__(self, push: PushSettings, agent: str) -> None:
        """`agent` is what clients are told of this server, such as "meshnode/1.0"."""
        self._settings = push
        self._agent = agent

    def advertise(self, snapshot: RefsSnapshot | None, object_format: str) -> bytes:
        """The reference advertisement without the HTTP service header; None: a repository yet to be created."""
        return format_receive_advertisement(snapshot, object_format=object_format, agent=self._agent)

    async def read_push(self, body: AsyncIterator[bytes], object_format: str) -> Push:
        """Parse commands and options; the pack is left in the stream.

        A body that is only a flush (a client probing its credentials) is a push of no commands.

        Raises:
            InvalidRequest: malformed pkt-lines or ids, another object format, duplicate names, a certificate.
            Overloaded: more commands, options or bytes of them than the configured limits.
        """
        commands_max = self._settings.commands_max
        reader = PacketReader(body, bytes_max=commands_max * _COMMAND_BYTES + _CAPABILITY_BYTES)
        capabilities: dict[str, str] = {}
        commands: list[PushCommand] = []
        while (line := await _read_line(reader)) is not None:
            if line.startswith(b"shallow "):
                parse_object_id(line[len(b"shallow ") :].decode("ascii", "replace"), object_format=object_format)
                continue
            if not commands:
                line, _, text = line.partition(b"\0")
                capabilities = _parse_capabilities(text)
            if len(commands) == commands_max:
                raise Overloaded("the push changes too many references", commands_max=commands_max)
            commands.append(_parse_command(line, object_format))
        if commands:
            _check_object_format(capabilities, object_format)
        _check_duplicates(commands)
        options = await _read_options(reader) if "push-options" in capabilities else ()
        return Push(
            commands=tuple(commands),
            capabilities=capabilities,
            options=options,
            pack=reader.rest() if any(command.new is not None for command in commands) else None,
        )

    def format_report(
        self, push: Push, unpack_error: str, results: Sequence[CommandResult], messages: Sequence[str]
    ) -> bytes:
        """`report-status(-v2)` and `remote:` lines as the client asked for them, with the final flush.

        b"" for a push of no commands and for a client that asked for neither report nor side-band.
        """
        if not push.commands:
            return b""
        report = b""
        if push.capabilities.keys() & {"report-status", "report-status-v2"}:
            report = _format_status(unpack_error, results)
        if not _has_bands(push):
            return report
        lines = b"".join(_format_message(message) for message in messages)
        return lines + (format_band(Band.DATA, report) if report else b"") + FLUSH

    def format_progress(self, push: Push, message: str) -> bytes:
        """A `remote:` line, or a keep-alive for message ""; b"" for a client without side-band or asking for quiet."""
        if not _has_bands(push):
            return b""
        if not message:
            return format_band(Band.DATA, b"")
        return b"" if "quiet" in push.capabilities else _format_message(message)

    def format_fatal(self, push: Push | None, message: str) -> bytes:
        """An error that promises nothing about the outcome: side-band 3, or an `ERR` pkt-line."""
        text = _one_line(message, MESSAGE_BYTES_MAX)
        if push is not None and _has_bands(push):
            return format_band(Band.FATAL, text + b"\n")
        return format_packet(b"ERR " + text + b"\n")


def _has_bands(push: Push) -> bool:
    return "side-band-64k" in push.capabilities


async def _read_line(reader: PacketReader) -> bytes | None:
    """The next text packet; None for the flush that ends a list."""
    packet = await reader.read()
    if packet is None:
        raise InvalidRequest("the push ends before its flush")
    if packet is Marker.FLUSH:
        return None
    if isinstance(packet, Marker):
        raise InvalidRequest("unexpected pkt-line in a push", marker=packet.name.lower())
    return chomp(packet)


async def _read_options(reader: PacketReader) -> tuple[str, ...]:
    options: list[str] = []
    size = 0
    while (line := await _read_line(reader)) is not None:
        size += len(line)
        if len(options) == OPTIONS_MAX or size > OPTION_BYTES_MAX:
            raise Overloaded("too many push options", options_max=OPTIONS_MAX, bytes_max=OPTION_BYTES_MAX)
        try:
            options.append(line.decode())
        except UnicodeDecodeError as error:
            raise InvalidRequest("a push option is not UTF-8") from error
    return tuple(options)


def _parse_capabilities(text: bytes) -> dict[str, str]:
    words = text.decode("utf-8", "replace").split()
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _check_object_format(capabilities: dict[str, str], object_format: str) -> None:
    wanted = capabilities.get("object-format", "sha1")
    if wanted != object_format:
        raise InvalidRequest(
            "the client's object format is not the repository's", client=wanted[:20], repository=object_format
        )


def _check_duplicates(commands: Sequence[PushCommand]) -> None:
    seen: set[RefName] = set()
    for command in commands:
        if command.name in seen:
            raise InvalidRequest("the push names a reference twice", ref=_for_people(command.name))
        seen.add(command.name)


def _parse_command(line: bytes, object_format: str) -> PushCommand:
    if line.startswith(b"push-cert"):
        raise InvalidRequest("push certificates are not supported")
    old, new, name = [*line.split(b" ", 2), b"", b""][:3]
    if not name or b"\0" in name or len(name) > NAME_BYTES_MAX:
        raise InvalidRequest("malformed push command", command=line[:200].decode("utf-8", "backslashreplace"))
    text = name.decode("utf-8", "surrogateescape")
    return PushCommand(
        name=RefName(text),
        old=_parse_side(old, object_format),
        new=_parse_side(new, object_format),
        refusal=_find_refusal(text),
    )


def _parse_side(text: bytes, object_format: str) -> ObjectId | None:
    oid = parse_object_id(text.decode("ascii", "replace").lower(), object_format=object_format)
    return None if is_zero(oid) else oid


def _find_refusal(name: str) -> str:
    if name == HEAD or not name.startswith("refs/"):
        return "only references below refs/ can be pushed to"
    try:
        parse_ref_name(name)
    except InvalidRequest as error:
        return error.message
    return ""


def _format_status(unpack_error: str, results: Sequence[CommandResult]) -> bytes:
    lines = [b"unpack " + (_reason(unpack_error) if unpack_error else b"ok")]
    for result in results:
        name = encode_name(result.name)
        lines.append(b"ng %b %b" % (name, _reason(result.error)) if result.error else b"ok " + name)
    return b"".join(format_packet(line + b"\n") for line in lines) + FLUSH


def _reason(error: str) -> bytes:
    return _one_line(error, REASON_BYTES_MAX) or b"refused"


def _format_message(message: str) -> bytes:
    return b"".join(
        format_band(Band.PROGRESS, _one_line(line, MESSAGE_BYTES_MAX) + b"\n")
        for line in message[:MESSAGE_BYTES_MAX].splitlines()
    )


def _one_line(text: str, bytes_max: int) -> bytes:
    """Printable text of at most `bytes_max` bytes: no line feeds, no terminal escapes, no half characters."""
    printable = "".join(character if character.isprintable() else " " for character in text[:bytes_max])
    return printable.strip().encode()[:bytes_max].decode(errors="ignore").encode()


def _for_people(name: str) -> str:
    return encode_name(name)[:200].decode("utf-8", "backslashreplace")
