"""Guesses a license by its wording: each known one has phrases that no other one has all of.

Names of files come first, as people choose them; then white space, case and punctuation are taken away and the
phrases are looked for. The first license whose phrases are all there is it, so those that quote others come first.

Source: the license texts; names of files as in the SPDX practice of LICENSE, COPYING and UNLICENSE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

TEXT_BYTES_MAX: Final = 256 << 10
"""The longest known text, of the GPL, has 35 KB."""
_FILE: Final = re.compile(rb"(licen[sc]e|copying|unlicense|copyright|ofl|patents)([-._ ].*)?\Z", re.IGNORECASE)
_RANK: Final = (b"license", b"licence", b"copying", b"unlicense")
_NOISE: Final = re.compile(r"[^a-z0-9.]+")

_PHRASES: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("AGPL-3.0", ("gnu affero general public license", "version 3 19 november 2007")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3 29 june 2007")),
    ("LGPL-2.1", ("gnu lesser general public license", "version 2.1 february 1999")),
    ("GPL-3.0", ("gnu general public license", "version 3 29 june 2007")),
    ("GPL-2.0", ("gnu general public license", "version 2 june 1991")),
    ("Apache-2.0", ("apache license", "version 2.0 january 2004")),
    ("MPL-2.0", ("mozilla public license", "2.0", "incompatible with secondary licenses")),
    ("EPL-2.0", ("eclipse public license v 2.0",)),
    ("EUPL-1.2", ("european union public licence v. 1.2",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("CC-BY-SA-4.0", ("attribution sharealike 4.0 international",)),
    ("CC-BY-4.0", ("attribution 4.0 international",)),
    ("BSL-1.0", ("boost software license version 1.0",)),
    ("OFL-1.1", ("sil open font license version 1.1",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("WTFPL", ("do what the fuck you want to public license",)),
    ("Zlib", ("this software is provided as is without any express or implied warranty", "altered source versions")),
    (
        "BSD-4-Clause",
        ("redistribution and use in source and binary forms", "all advertising materials mentioning features"),
    ),
    (
        "BSD-3-Clause",
        ("redistribution and use in source and binary forms", "may be used to endorse or promote products"),
    ),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms", "redistributions in binary form must")),
    (
        "0BSD",
        (
            "permission to use copy modify and or distribute this software for any purpose",
            "all warranties",
            "!above copyright notice",
        ),
    ),
    (
        "ISC",
        ("permission to use copy modify and or distribute this software for any purpose", "above copyright notice"),
    ),
    ("MIT", ("permission is hereby granted free of charge to any person obtaining a copy", "shall be included in all")),
    (
        "MIT-0",
        (
            "permission is hereby granted free of charge to any person obtaining a copy",
            "the software is provided as is",
        ),
    ),
)
"""A phrase that starts with "!" must not be there."""


def license_file(names: Iterable[bytes]) -> bytes | None:
    """Which of the names in a tree's root is the license; None for none of them."""
    found = [name for name in names if _FILE.match(name)]
    return min(found, key=lambda name: (_rank(name), len(name), name), default=None)


def guess_license(text: bytes) -> str:
    """The SPDX identifier whose wording this is; "" where it is none that is known here."""
    words = " ".join(_NOISE.sub(" ", text[:TEXT_BYTES_MAX].decode("utf-8", "replace").lower()).split())
    for identifier, phrases in _PHRASES:
        if all(_has(words, phrase) for phrase in phrases):
            return identifier
    return ""


def _has(words: str, phrase: str) -> bool:
    return phrase[1:] not in words if phrase.startswith("!") else phrase in words


def _rank(name: bytes) -> int:
    lower = name.lower()
    return next((at for at, start in enumerate(_RANK) if lower.startswith(start)), len(_RANK))
