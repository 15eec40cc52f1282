"""The access line: one shape, the right level, no secret, and a request that survives a log that cannot be written."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshnode.telemetry.access import Access, AccessLog, counting_git_time, git_time_here
from meshnode.telemetry.logs import close_logging, configure_logging, lines_lost, logger

FIELDS = {
    "time", "level", "logger", "event", "server", "method", "kind", "node", "caller", "actor", "peer", "request_id",
    "repository", "consistency", "generation", "forwarded_to", "is_forwarded", "bytes_in", "bytes_out", "duration_ms",
    "git_ms", "outcome", "http_status", "detail", "is_aborted", "git_version", "facts",
}  # fmt: skip


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    levels = logging.getLogger().level, logging.getLogger("meshnode").level
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    yield stream
    close_logging()
    logging.getLogger().setLevel(levels[0])
    logging.getLogger("meshnode").setLevel(levels[1])


def access(**fields: Any) -> Access:
    return Access(
        **{"server": "grpc", "method": "/mesh.v1.RefService/ListRefs", "kind": "accessor", "node": "n1", **fields}
    )


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_documented_table_has_every_field_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "OPERATIONS.md").read_text()
    section = page.partition("## The access log")[2].partition("\n## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert documented == FIELDS


def test_every_line_has_every_field(lines: io.StringIO) -> None:
    log = AccessLog()
    log.note(access())
    log.note(access(server="http", method="unknown", kind="", outcome="INVALID_ARGUMENT", http_status=400))
    assert [set(line) for line in parsed(lines)] == [FIELDS, FIELDS]


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({}, "info"),
        ({"outcome": "CANCELLED"}, "info"),
        ({"outcome": "NOT_FOUND"}, "warning"),
        ({"outcome": "PERMISSION_DENIED"}, "warning"),
        ({"outcome": "UNAVAILABLE", "is_introspection": True}, "warning"),
        ({"outcome": "INTERNAL"}, "error"),
        ({"outcome": "INVALID_ARGUMENT", "kind": ""}, "info"),
        ({"outcome": "UNAUTHENTICATED", "http_status": 401}, "warning"),
        ({"outcome": "UNAUTHENTICATED", "http_status": 401, "is_challenge": True}, "info"),
    ],
)
def test_what_failed_is_above_what_went_well(lines: io.StringIO, fields: dict[str, Any], level: str) -> None:
    AccessLog().note(access(**fields))
    assert [line["level"] for line in parsed(lines)] == [level]


def test_a_level_that_leaves_out_what_went_well_loses_no_failure() -> None:
    for level, wanted in (("debug", 3), ("info", 2), ("warning", 1), ("error", 0)):
        stream = io.StringIO()
        configure_logging(level, stream=stream)
        log = AccessLog()
        for one in (access(), access(is_introspection=True), access(outcome="UNAVAILABLE")):
            log.note(one)
        assert len(parsed(stream)) == wanted
        close_logging()


def test_no_secret_reaches_a_line(lines: io.StringIO) -> None:
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2ln"
    AccessLog().note(
        access(detail=f"bad token={jwt}", repository=jwt, facts={"token": "s3cret", "url": "http://a:b@c/"})
    )
    assert "c2ln" not in lines.getvalue()
    assert "s3cret" not in lines.getvalue()
    assert "a:b@" not in lines.getvalue()


def test_who_else_wants_to_know_is_told(lines: io.StringIO) -> None:
    seen: list[Access] = []
    AccessLog(on_access=seen.append).note(access(repository="team/one"))
    assert [one.repository for one in seen] == ["team/one"]
    assert len(parsed(lines)) == 1


class Full(io.StringIO):
    """A stream on a disk without room."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_log_that_cannot_be_written_harms_no_request_and_says_later_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream, before = Full(), lines_lost()
    configure_logging("info", stream=stream)
    log = AccessLog()
    for _ in range(3):
        log.note(access())
    stream.is_full = False
    log.note(access(repository="team/later"))
    log.note(access())
    close_logging()
    found = parsed(stream)
    assert [line["event"] for line in found] == ["request_served", "log_lines_lost", "request_served"]
    assert (found[1]["lines"], found[1]["level"], lines_lost() - before) == (3, "error", 3)
    assert capsys.readouterr().err == ""


def test_a_closed_stream_harms_no_request_either(tmp_path: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    stream.close()
    before = lines_lost()
    AccessLog().note(access())
    assert lines_lost() == before + 1
    close_logging()
    handler = configure_logging("info", file=str(tmp_path / "logs" / "node.log"))
    handler.close()
    assert isinstance(handler, logging.FileHandler)
    handler.baseFilename = str(tmp_path)  # cannot be opened again: it is a directory
    logger("meshnode.test").info("lost")
    assert lines_lost() == before + 2
    close_logging()


def test_git_processes_count_where_their_request_is() -> None:
    assert git_time_here() is None
    with counting_git_time() as outer:
        assert git_time_here() is outer
        with counting_git_time() as inner:
            assert git_time_here() is inner
        assert git_time_here() is outer
    assert git_time_here() is None
