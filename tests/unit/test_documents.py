"""What the documents say of the program: every setting is described, every link leads somewhere, targets exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from meshnode.config import Config

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENTS = [_ROOT / "README.md", _ROOT / "deploy/README.md", *sorted((_ROOT / "docs").rglob("*.md"))]


def settings() -> set[str]:
    found = set()
    for section in dataclasses.fields(Config):
        module = __import__("meshnode.config", fromlist=["*"])
        kind = getattr(module, str(section.type)) if isinstance(section.type, str) else section.type
        found |= {f"{section.name}.{key.name}" for key in dataclasses.fields(kind)}
    return found


def test_every_setting_is_in_the_operations_guide_and_no_other() -> None:
    text = (_ROOT / "docs/OPERATIONS.md").read_text()
    described = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", text, re.MULTILINE))
    assert described == settings()


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(_ROOT)}: {target}"
        for document in _DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for document in _DOCUMENTS
        for name in re.findall(r"(?:`|^    )make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert named <= targets
