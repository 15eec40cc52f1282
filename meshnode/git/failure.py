"""Decides what a git process that failed means: damage, a request git refuses, or a process that was killed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError

COMPLAINT_CHARS_MAX: Final = 500
"""Of git's last words that travel with an error."""
_DAMAGE = re.compile(
    r"does not appear to be a git repository|not a git repository|unable to read|unable to stream|failed to read|is corrupt"
    r"|bad object|inflate"
)
"""Words of git's last message that tell of the repository; all its other ones tell of the request."""


def failure_of(what: str, returncode: int, stderr: str, path: Path) -> MeshError:
    """The error for a git process that could not do `what` ("serve the fetch") in the repository at `path`."""
    lines = [line for line in stderr.splitlines() if not line.startswith("hint:")]  # for whoever could set options
    complaint = "\n".join(lines).strip()[-COMPLAINT_CHARS_MAX:].replace(str(path), "the repository")
    if returncode < 0:
        return MeshError(f"git was killed before it could {what}", signal=-returncode)
    if _DAMAGE.search(complaint):
        return Corrupt(f"git could not {what}", complaint=complaint)
    return InvalidRequest(f"git refused to {what}", complaint=complaint)
