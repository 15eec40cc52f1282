"""Decides how a command ends: the exit codes, in one table, and the one line an error is told in.

Rule: an error is one line on standard error - a fact, then what to do - and never a traceback. What a caller
can do about it decides the exit code, as it decides the class of an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    DeadlineExceeded,
    Draining,
    Fact,
    Fenced,
    Forbidden,
    InvalidRequest,
    InvariantViolated,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    QuorumLost,
    ReadOnly,
    RefConflict,
    ReplicaBehind,
    RepositoryExists,
    RepositoryNotFound,
    TooLarge,
    Unauthenticated,
)


class ExitCode(IntEnum):
    """How a command ended; scripts may rely on these."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    REFUSED = 5
    UNKNOWN = 6
    SETUP = 7
    DEFECT = 70
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "done",
    ExitCode.CHECK_FAILED: "a check failed (doctor, config check, repo verify, repo scrub)",
    ExitCode.USAGE: "the command or a value in it is wrong",
    ExitCode.NOT_FOUND: "no such repository, node or file",
    ExitCode.UNREACHABLE: "no node, no quorum or no catalog; nothing was written, try again",
    ExitCode.REFUSED: "refused: keys do not match, not allowed, the name is taken, or another write came first",
    ExitCode.UNKNOWN: "the write may have taken effect; look before you repeat it",
    ExitCode.SETUP: "a node cannot be set up or started here (port in use, bad config, crash)",
    ExitCode.DEFECT: "a defect of this program; please report it",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}


class CommandError(MeshError):
    """A command cannot go on: a fact for people, what to do about it, and the exit code."""

    def __init__(
        self, message: str, *, advice: str, exit_code: ExitCode, log_lines: Sequence[str] = (), **fields: Fact
    ) -> None:
        super().__init__(message, **fields)
        self.advice = advice
        self.exit_code = exit_code
        self.log_lines = tuple(log_lines)
        """Last lines of a node's log, shown above the error."""


_BY_ERROR: Final[tuple[tuple[type[MeshError], ExitCode, str], ...]] = (
    (InvalidRequest, ExitCode.USAGE, "correct the value and run the command again"),
    (Unauthenticated, ExitCode.REFUSED, "use a key the cluster knows; `meshnode doctor` checks keys and clocks"),
    (Forbidden, ExitCode.REFUSED, "use a key whose role allows this"),
    (RepositoryNotFound, ExitCode.NOT_FOUND, "`meshnode repo list` shows the names"),
    (NotFound, ExitCode.NOT_FOUND, "`meshnode node list` and `meshnode repo list` show what there is"),
    (RepositoryExists, ExitCode.REFUSED, "choose another name, or delete that repository first"),
    (RefConflict, ExitCode.REFUSED, "look at the current state, then run the command again"),
    (Fenced, ExitCode.REFUSED, "another change came first; look at the current state, then run the command again"),
    (ReplicaBehind, ExitCode.UNREACHABLE, "wait for the repair; `meshnode repo show` follows it"),
    (ReadOnly, ExitCode.UNREACHABLE, "start the missing nodes or wait for the repair; `meshnode cluster status`"),
    (QuorumLost, ExitCode.UNREACHABLE, "start the missing nodes, then run the command again"),
    (CatalogUnavailable, ExitCode.UNREACHABLE, "check the catalog with `meshnode doctor`, then run it again"),
    (PeerUnavailable, ExitCode.UNREACHABLE, "check that the nodes run with `meshnode doctor`"),
    (Draining, ExitCode.UNREACHABLE, "ask another node, or `meshnode node enable` this one"),
    (OutcomeUnknown, ExitCode.UNKNOWN, "look whether it took effect before you repeat it"),
    (DeadlineExceeded, ExitCode.UNREACHABLE, "run the command again"),
    (Overloaded, ExitCode.UNREACHABLE, "wait a moment, then run the command again"),
    (TooLarge, ExitCode.USAGE, "ask for less at once"),
    (Corrupt, ExitCode.CHECK_FAILED, "run `meshnode repo verify` to see which replica is damaged"),
    (InvariantViolated, ExitCode.DEFECT, "keep the nodes' logs and report this"),
)


def exit_code_of(error: MeshError) -> ExitCode:
    """The exit code of an error."""
    return _entry(error)[0]


def advice_of(error: MeshError) -> str:
    """What to do about an error."""
    return _entry(error)[1]


def format_error(error: MeshError) -> str:
    """One line: the fact, its values, what to do. Control characters of foreign texts become spaces.

    A list of facts, one a line below a first line that ends in a colon, is joined by semicolons.
    """
    facts = str(error).replace(":\n", ": ").replace("\n", ";")
    line = f"error: {facts}; {advice_of(error)}"
    return " ".join("".join(character if character.isprintable() else " " for character in line).split())


def format_exit_codes() -> str:
    """The table of exit codes for `--help`, one a line."""
    return "\n".join(f"{code.value:>5}  {meaning}" for code, meaning in EXIT_CODE_MEANINGS.items())


def printable(text: str) -> str:
    """The text with control characters replaced: names come from other machines, terminals obey escapes."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _entry(error: MeshError) -> tuple[ExitCode, str]:
    if isinstance(error, CommandError):
        return error.exit_code, error.advice
    for kind, code, advice in _BY_ERROR:
        if isinstance(error, kind):
            return code, advice
    return ExitCode.DEFECT, "the nodes' logs say more; please report it"
