"""The one module that changes the disk: nobody else does, and nobody arms it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import meshnode
from tests.contract.replica_fixtures import (
    git_disk,
    source,
)

__all__ = ["git_disk", "source"]

PACKAGE = Path(meshnode.__file__).parent
CHANGING = {
    "fsync", "fdatasync", "ftruncate", "link", "mkdir", "mkdtemp", "pwrite", "removedirs", "rename", "renames",
    "rmdir", "rmtree", "symlink_to", "touch", "truncate", "unlink", "write_bytes", "write_text",
}  # fmt: skip
"""Names of functions and methods that change a file or a name."""
OF_THE_SYSTEM = {"remove", "replace"}
"""The same, where it is the module `os` that has them: they mean other things too."""


def calls(path: Path) -> Iterator[tuple[str, str, int]]:
    """Owner, name and line of every call by attribute, and uses of O_CREAT."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "O_CREAT":
            yield "os", "O_CREAT", node.lineno


def test_nothing_else_in_the_adapter_changes_the_disk() -> None:
    found = [
        f"{path.name}:{line}: {owner}.{name}"
        for path in sorted((PACKAGE / "git").glob("*.py"))
        if path.name != "durable.py"
        for owner, name, line in calls(path)
        if owner != "durable" and (name in {*CHANGING, "O_CREAT"} or (owner == "os" and name in OF_THE_SYSTEM))
    ]
    assert found == []


def test_nothing_in_the_product_can_arm_it() -> None:
    found = [
        str(path)
        for path in sorted(PACKAGE.rglob("*.py"))
        for owner, name, _ in calls(path)
        if name == "observe" and "durable" in owner
    ]
    assert found == []
    text = (PACKAGE / "git" / "durable.py").read_text()
    assert "environ" not in text.partition('"""')[2].partition('"""')[2]
