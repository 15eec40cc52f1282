"""What happened in a run, line by line; two runs of one seed tell the same story, byte for byte."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Final

NODE: ContextVar[str] = ContextVar("node", default="-")
"""On whose behalf the current task runs; tasks inherit it."""

_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Story(logging.Handler):
    """Lines of time, node and fact; also takes in the engine's own log where the level lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.defects: list[str] = []
        """Errors the engine logged that no fault explains."""
        self.is_over = False

    def tell(self, node: str, what: str) -> None:
        """Add a line."""
        now_ms = round(asyncio.get_running_loop().time() * 1000)
        self.lines.append(f"{now_ms:>7} {node:<3} {what}")

    def emit(self, record: logging.LogRecord) -> None:
        """Add a log record; a failed task or a broken invariant is a defect."""
        if self.is_over:
            return
        facts = " ".join(f"{name}={value}" for name, value in sorted(record.__dict__.items()) if name not in _PLAIN)
        error = record.exc_info[1] if record.exc_info else None
        line = f"{record.getMessage()} {facts}" + (f" [{type(error).__name__}: {error}]" if error else "")
        self.tell(NODE.get(), line)
        is_defect = record.getMessage() == "task_failed" or "InvariantViolated" in type(error).__name__
        if is_defect or "I9" in line or " I4:" in line:
            self.defects.append(line)
