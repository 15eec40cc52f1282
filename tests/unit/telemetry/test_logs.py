"""Log lines: JSON, complete, and without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.telemetry.logs import JsonFormatter, bind, bound, close_logging, configure_logging, logger

EVENTS = logger("meshnode.engine")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where lines go while a test runs."""
    root, ours = logging.getLogger(), logging.getLogger("meshnode")
    levels = root.level, ours.level
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    yield stream
    close_logging()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_has_time_level_logger_event_and_fields(lines: io.StringIO) -> None:
    EVENTS.info("round_published", generation=7, peers=["n1", "n2"], note=None, share=0.5)
    (line,) = parsed(lines)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "meshnode.engine",
        "event": "round_published",
        "generation": 7,
        "peers": ["n1", "n2"],
        "note": None,
        "share": 0.5,
    }


def test_each_level_is_named_and_those_below_the_set_one_are_left_out(lines: io.StringIO) -> None:
    EVENTS.debug("d")
    EVENTS.info("i")
    EVENTS.warning("w")
    EVENTS.error("e")
    assert [(line["level"], line["event"]) for line in parsed(lines)] == [
        ("info", "i"),
        ("warning", "w"),
        ("error", "e"),
    ]


def test_what_is_bound_is_on_every_line_inside_and_on_none_outside(lines: io.StringIO) -> None:
    with bound(request_id="r1", node="n1", repository="a/b"):
        with bound(repository="c/d", round="x"):
            EVENTS.info("inner")
        EVENTS.info("outer")
    EVENTS.info("after")
    inner, outer, after = parsed(lines)
    assert (inner["request_id"], inner["node"], inner["repository"], inner["round"]) == ("r1", "n1", "c/d", "x")
    assert (outer["repository"], "round" in outer) == ("a/b", False)
    assert "request_id" not in after


async def test_tasks_keep_what_was_bound_where_they_began(lines: io.StringIO) -> None:
    async def work(name: str) -> None:
        bind(request_id=name)
        await asyncio.sleep(0)
        EVENTS.info("worked", name=name)

    with bound(node="n1"):
        await asyncio.gather(work("a"), work("b"))
    EVENTS.info("after")
    first, second, after = parsed(lines)
    assert [(line["node"], line["request_id"]) for line in (first, second)] == [("n1", "a"), ("n1", "b")]
    assert "node" not in after
    assert "request_id" not in after


def test_unknown_context_is_a_defect_and_not_a_silent_field() -> None:
    with pytest.raises(KeyError), bound(user="ada"):
        pass


def test_field_wins_over_what_is_bound_but_cannot_pass_for_the_level(lines: io.StringIO) -> None:
    with bound(repository="a/b", node="n1"):
        EVENTS.info("event", level="error", repository="c/d")
        logging.getLogger("meshnode.engine").warning("plain", extra={"repository": "e/f", "event": "x"})
    first, second = parsed(lines)
    assert (first["level"], first["level_"], first["repository"], first["node"]) == ("info", "error", "c/d", "n1")
    assert (second["event"], second["event_"], second["repository"]) == ("plain", "x", "e/f")


def test_line_breaks_in_values_do_not_make_lines(lines: io.StringIO) -> None:
    EVENTS.info("pushed", ref="refs/heads/a\n{}\u2028\x85", lone="\ud800")
    assert lines.getvalue().count("\n") == 1
    assert lines.getvalue().isascii()
    assert parsed(lines)[0]["ref"] == "refs/heads/a\n{}\u2028\x85"


def test_unexpected_error_is_logged_with_its_traceback_and_without_its_secrets(lines: io.StringIO) -> None:
    try:
        raise ValueError("header was Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln")
    except ValueError as error:
        EVENTS.exception("request_failed", error, method="Get")
    (line,) = parsed(lines)
    assert line["level"] == "error"
    assert "ValueError: header was Bearer [redacted]" in line["traceback"]
    assert "test_logs.py" in line["traceback"]


def test_secret_in_a_field_or_event_never_reaches_the_line(lines: io.StringIO) -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhcHA6d2ViIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    event = f"got {token}"
    EVENTS.info(event, authorization="Basic dXNlcjpwYXNz", headers={"Authorization": "x", "a": f"Bearer {token}"})
    EVENTS.warning("nested", items=[{"password": "hunter2"}, f"token={token}"], url="https://ada:hunter2@host/x.git")
    text = lines.getvalue()
    for secret in (token, token[:30], "dXNlcjpwYXNz", "hunter2"):
        assert secret not in text
    assert "host/x.git" in text


def test_libraries_are_heard_from_warning_on_in_the_same_form(lines: io.StringIO) -> None:
    library = logging.getLogger("somelibrary")
    library.info("chatter")
    library.warning("disk %s", "full", extra={"path": "/x"})
    (line,) = parsed(lines)
    assert (line["logger"], line["event"], line["path"]) == ("somelibrary", "disk full", "/x")


def test_warnings_of_python_become_lines(lines: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", stream=lines)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        close_logging()
    assert "old ways" in parsed(lines)[0]["event"]


def test_lines_go_to_a_file_that_is_appended_to(tmp_path: Path, lines: io.StringIO) -> None:
    path = tmp_path / "logs" / "node.log"
    for event in ("first", "second"):
        configure_logging("debug", file=str(path))
        EVENTS.debug(event)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["first", "second"]
    assert lines.getvalue() == ""


def test_long_values_are_cut(lines: io.StringIO) -> None:
    EVENTS.info("event", text="x" * 100_000, many=list(range(10_000)))
    assert len(lines.getvalue()) < 4_000


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_value_that_cannot_be_written_does_not_lose_the_line(lines: io.StringIO) -> None:
    EVENTS.info("event", rude=Rude(), nan=float("nan"))
    (line,) = parsed(lines)
    assert line["rude"] == "<Rude: RuntimeError>"
    assert line["nan"] == "nan"


def test_message_whose_arguments_do_not_fit_is_still_a_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d of", ("many",), None)
    assert json.loads(JsonFormatter().format(record))["event"] == "%d of"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(), st.dictionaries(st.text(), ANY, max_size=4))
def test_whatever_is_logged_is_one_line_of_json(event: str, fields: dict[str, Any]) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, event, None, None)
    record.fields = fields
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line, parse_constant=pytest.fail)["level"] == "info"
