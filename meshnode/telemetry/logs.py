"""Writes what happens as JSON lines: one line an event, a constant name, values in fields.

    {"time":"2026-01-02T03:04:05.678Z","level":"info","logger":"meshnode.engine","event":"round_published",
     "node":"n1","repository":"...","round":"...","votes":2}

Rule: levels mean who must act (error: a human), tokens and passwords never reach a line, and where a request is
known its id, node, repository and round are on every line of it (context variables, `bound`). Logging is set up in
one place, `configure_logging`; everyone else takes `logger(name)`, or the standard library's loggers with `extra`,
and a field given with an event wins over what is bound.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import IO, Any, Final

from meshnode.telemetry.redaction import redact

ROOT: Final = "meshnode"

FIELD_CHARACTERS_MAX: Final = 2_000
"""A stranger's value must not fill the disk."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

CONTEXT: Final[dict[str, ContextVar[str]]] = {
    name: ContextVar(f"meshnode_{name}", default="") for name in ("request_id", "node", "repository", "round")
}

_FIXED: Final = frozenset({"time", "level", "logger", "event", "traceback"})
"""What a field cannot pass for; it gets an underscore."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "fields"}


class EventLogger:
    """A logger whose calls take an event's name and its fields."""

    def __init__(self, target: logging.Logger) -> None:
        self._target = target

    def debug(self, event: str, /, **fields: object) -> None:
        """For whoever looks for a defect."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Something happened as it should."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Something went wrong and the program deals with it."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """A human must look."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, error: BaseException, /, **fields: object) -> None:
        """A human must look: an error nobody expected, with its traceback."""
        self._log(logging.ERROR, event, fields, error)

    def _log(self, level: int, event: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
        if self._target.isEnabledFor(level):
            self._target.log(level, event, extra={"fields": fields}, exc_info=error)


def logger(name: str) -> EventLogger:
    """The logger of a module: `logger(__name__)`."""
    return EventLogger(logging.getLogger(name))


@contextmanager
def bound(**names: str) -> Iterator[None]:
    """Put `request_id`, `node`, `repository` or `round` on every line logged inside, tasks begun there included."""
    tokens: list[tuple[ContextVar[str], Token[str]]] = [
        (CONTEXT[name], CONTEXT[name].set(value)) for name, value in names.items()
    ]
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def bind(**names: str) -> None:
    """As `bound`, for the rest of this task (a node's id, at start)."""
    for name, value in names.items():
        CONTEXT[name].set(value)


class JsonFormatter(logging.Formatter):
    """Makes a line of a record; never raises, whatever the fields are."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, secrets taken out."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        for name, variable in CONTEXT.items():
            value = variable.get()
            if value:
                line[name] = value
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        fields = getattr(record, "fields", None)
        for name, value in {**extra, **(fields if isinstance(fields, Mapping) else {})}.items():
            line[f"{name}_" if name in _FIXED else name] = _plain(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = redact(self.formatException(record.exc_info))[-8 * FIELD_CHARACTERS_MAX :]
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"), default=str)


class _Surviving(logging.StreamHandler[Any]):
    """Loses a line that cannot be written (a full disk, a closed stream), and nothing else.

    The library's way, a traceback on standard error for each lost line, would fill what is left of the disk. Lines
    that were lost are counted, and reported as soon as one can be written again.
    """

    _unreported = 0

    def emit(self, record: logging.LogRecord) -> None:
        lost = self._unreported
        try:
            super().emit(record)
        except OSError:  # the file could not even be opened again
            self.handleError(record)
        if lost and self._unreported == lost:
            self._unreported = 0
            super().emit(_lost_record(lost))
            self._unreported += lost if self._unreported else 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        del record
        self._unreported += 1
        _LOST.lines += 1


class _StreamHandler(_Surviving):
    pass


class _FileHandler(_Surviving, logging.FileHandler):
    pass


class _Lost:
    lines = 0


_LOST: Final = _Lost()


def lines_lost() -> int:
    """Lines that this process could not write to its log, since it started."""
    return _LOST.lines


def _lost_record(lost: int) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": __name__,
            "levelno": logging.ERROR,
            "levelname": "ERROR",
            "msg": "log_lines_lost",
            "fields": {"lines": lost},
        }
    )


def configure_logging(level: str, *, file: str = "", stream: IO[str] | None = None) -> logging.Handler:
    """Send everything this process logs to `file`, else `stream`, else standard error, as JSON lines.

    Calling it again replaces what it set before. Close the returned handler at exit (or `close_logging`).
    The file is opened for appending and may be rotated by copy-and-truncate.
    """
    handler: logging.Handler
    if file:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _FileHandler(path, encoding="utf-8", errors="backslashreplace")
    else:
        handler = _StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    close_logging()
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(max(LEVELS[level], logging.WARNING))  # libraries: only what went wrong
    logging.getLogger(ROOT).setLevel(LEVELS[level])
    logging.captureWarnings(capture=True)
    return handler


def close_logging() -> None:
    """Take back what `configure_logging` set up."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler.formatter, JsonFormatter):
            root.removeHandler(handler)
            handler.close()
    logging.captureWarnings(capture=False)


def _plain(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if type(value) is str:
        return redact(value[:FIELD_CHARACTERS_MAX], name=name)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(name, item) for item in list(value)[:100]]
    if isinstance(value, Mapping):
        return {_text(key): _plain(str(key), item) for key, item in list(value.items())[:100]}
    return redact(_text(value), name=name)


def _event(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except (TypeError, ValueError):  # a library's arguments do not fit its format
        return _text(record.msg)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not lose the line
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return redact(text[:FIELD_CHARACTERS_MAX])
