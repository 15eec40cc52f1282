"""Tells the programming language of a file by its name, with the file patterns of Pygments.

Suffixes that several languages claim are decided here. Vendored and generated paths, prose
and data do not count: the question is what a project is written in.

Source: pygments.lexers.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from pygments.lexers import get_all_lexers

_LEFT_OUT: Final = re.compile(
    r"(^|/)(node_modules|vendor|third_party|third-party|bower_components|dist|Godeps|\.git|\.venv|site-packages)/"
    r"|\.min\.(js|css)$|(^|/)(package-lock\.json|yarn\.lock|Cargo\.lock|go\.sum|poetry\.lock)$"
    r"|_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h)$"
)
_NO_LANGUAGES: Final = frozenset(
    {
        "Text only", "Text output", "Markdown", "reStructuredText", "JSON", "YAML", "TOML", "INI", "XML", "Diff",
        "Groff", "Properties", "Debian Control file", "Org Mode", "BibTeX", "PEM", "JSON5", "JSONBareObject",
    }
)  # fmt: skip
_CLEAR: Final = {
    ".bas": "VB.net", ".c": "C", ".cls": "TeX", ".cs": "C#", ".css": "CSS", ".d": "D", ".f": "Fortran", ".fs": "F#",
    ".h": "C", ".html": "HTML", ".inc": "PHP", ".java": "Java", ".js": "JavaScript", ".m": "Objective-C", ".md": "",
    ".php": "PHP", ".pl": "Perl", ".pm": "Perl", ".pro": "Prolog", ".py": "Python", ".r": "R", ".rb": "Ruby", ".s": "GAS",
    ".sh": "Bash", ".sql": "SQL", ".t": "Perl", ".tex": "TeX", ".ts": "TypeScript", ".txt": "", ".v": "Verilog",
}  # fmt: skip
"""Where several claim a suffix, what it nearly always is; "" for prose."""


def language_of(path: str) -> str:
    """The language of a file, "" for none that counts."""
    if _LEFT_OUT.search(path):
        return ""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    suffix = name[dot:] if dot > 0 else ""
    suffixes, names, patterns = _table()
    found = names.get(name) or _CLEAR.get(suffix.lower())
    if found is None:
        found = suffixes.get(suffix) or suffixes.get(suffix.lower())
    if found is None:
        found = next((language for pattern, language in patterns if pattern.match(name)), "")
    return "" if found in _NO_LANGUAGES else found


def count_languages(files: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Language, bytes and files, of (path, size) pairs; largest first."""
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for path, size in files:
        language = language_of(path)
        if language:
            sizes[language] = sizes.get(language, 0) + size
            counts[language] = counts.get(language, 0) + 1
    return sorted(((name, size, counts[name]) for name, size in sizes.items()), key=lambda entry: (-entry[1], entry[0]))


@cache
def _table() -> tuple[dict[str, str], dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Languages by suffix, by whole name, and by other patterns."""
    suffixes: dict[str, str] = {}
    names: dict[str, str] = {}
    others: list[tuple[re.Pattern[str], str]] = []
    for title, _, patterns, _ in get_all_lexers(plugins=False):
        for pattern in patterns:
            if re.fullmatch(r"\*\.[^*?\[]+", pattern):
                suffixes.setdefault(pattern[1:], title)
            elif not re.search(r"[*?\[]", pattern):
                names.setdefault(pattern, title)
            else:
                others.append((re.compile(fnmatch.translate(pattern)), title))
    return suffixes, names, others
