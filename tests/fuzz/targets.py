"""Finds the targets: each `fuzz_<name>.py` has `check_<name>(data)` and `EXAMPLES`, a strategy for inputs that get far.

    input -> check_<name>(input) -> None, or any exception: the property does not hold

Nothing of the product is imported before a target is loaded: the engine instruments what is imported then.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
"""<target>/<name>: kept inputs; those called crash-* failed once, and never may again."""
INPUT_BYTES_MAX = 4_096


@dataclass(frozen=True)
class Target:
    """One property over all inputs."""

    name: str
    check: Callable[[bytes], None]
    examples: SearchStrategy[bytes]


def names() -> list[str]:
    """Every target's name."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def load(name: str) -> Target:
    """Import a target. Raises ModuleNotFoundError for an unknown one."""
    module = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    return Target(name, getattr(module, f"check_{name}"), module.EXAMPLES)


def kept(name: str) -> list[Path]:
    """The inputs kept for a target."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
