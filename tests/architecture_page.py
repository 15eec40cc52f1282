"""Writes the folder list of docs/ARCHITECTURE.md from the modules' own first lines: `python -m tests.architecture_page`.

The text around the list is written by hand; the list stands between two markers.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ARCHITECTURE.md"
BEGIN, END = "<!-- folder list: begin -->", "<!-- folder list: end -->"
FLOORS = (
    "cli", "app", "rpc", "http", "client", "engine", "git", "catalog", "peer", "wire", "v1",
    "config", "telemetry", "auth", "ports", "core", "base",
)  # fmt: skip
"""Top floor first, as import-linter has them."""


def first_line(module: Path) -> str:
    """The first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n", 1)[0].rstrip(".")


def render() -> str:
    """The folder list in Markdown."""
    package = ROOT / "meshnode"
    lines: list[str] = []
    for floor in FLOORS:
        place = package / floor
        lines += [
            f"### {floor}/",
            "",
            first_line(place / "__init__.py") + ".",
            "",
            "| file | what it decides or does |",
            "|---|---|",
        ]
        modules = [
            path for path in sorted(place.rglob("*.py")) if path.name != "__init__.py" and "_pb2" not in path.name
        ]
        lines += [f"| {path.relative_to(place)} | {first_line(path).replace('|', ' or ')} |" for path in modules]
        lines.append("")
    return "\n".join(lines)


def page_with(listing: str) -> str:
    """The page with its list replaced."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{listing}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(render()), encoding="utf-8")
