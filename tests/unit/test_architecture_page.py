"""The architecture page lists what is there."""

from __future__ import annotations

from tests.architecture_page import PAGE, page_with, render


def test_the_folder_list_is_the_tree() -> None:
    current = PAGE.read_text(encoding="utf-8")
    assert current == page_with(render()), "run: python -m tests.architecture_page"


def test_every_module_says_what_it_does() -> None:
    empty = [line for line in render().splitlines() if line.endswith("|  |") or line == "."]
    assert empty == []
