"""What stock git says: its output as bytes, which is what answers are compared with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def raw_git(path: Path, *args: str | bytes, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """Run git in `path`; its output."""
    return subprocess.run(
        ["git", *args],
        cwd=path,
        input=stdin,
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **(environment or {})},
    ).stdout
