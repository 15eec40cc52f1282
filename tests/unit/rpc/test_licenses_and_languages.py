"""Guesses: what a license's wording and a file's name say."""

from __future__ import annotations

import pytest

from meshnode.rpc.languages import count_languages, language_of
from meshnode.rpc.licenses import guess_license, license_file

MIT = b"""Permission is hereby granted, free of charge, to any person obtaining a copy of this software ...
The above copyright notice and this permission notice shall be
included in all copies. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY"""


@pytest.mark.parametrize(
    ("text", "spdx_id"),
    [
        (MIT, "MIT"),
        (MIT.upper(), "MIT"),
        (b"                    GNU GENERAL PUBLIC LICENSE\n                       Version 2, June 1991\n", "GPL-2.0"),
        (b"GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n", "GPL-3.0"),
        (b"GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n", "LGPL-3.0"),
        (b"GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007\n", "AGPL-3.0"),
        (b"  Apache License\n  Version 2.0, January 2004\n  http://www.apache.org/licenses/\n", "Apache-2.0"),
        (
            b"Redistribution and use in source and binary forms, with or without\n 2. Redistributions in binary form must",
            "BSD-2-Clause",
        ),
        (
            (
                b"Redistribution and use in source and binary forms ... Redistributions in binary form must\n"
                b"may be used to endorse or promote products"
            ),
            "BSD-3-Clause",
        ),
        (
            b"Permission to use, copy, modify, and/or distribute this software for any purpose. the above copyright notice",
            "ISC",
        ),
        (b"This is free and unencumbered software released into the public domain.", "Unlicense"),
        (b"All rights reserved.", ""),
        (b"", ""),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_license_is_known_by_its_wording(text: bytes, spdx_id: str) -> None:
    assert guess_license(text) == spdx_id


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([b"README", b"LICENSE", b"COPYING"], b"LICENSE"),
        ([b"LICENSE.md", b"LICENSE"], b"LICENSE"),
        ([b"COPYING.LESSER", b"COPYING"], b"COPYING"),
        ([b"licence.txt"], b"licence.txt"),
        ([b"licenses.py", b"copyingmachine"], None),
        ([], None),
    ],
)
def test_file_of_the_license_is_known_by_its_name(names: list[bytes], chosen: bytes | None) -> None:
    assert license_file(names) == chosen


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "Python"),
        ("x.c", "C"),
        ("x.h", "C"),
        ("x.cpp", "C++"),
        ("x.ts", "TypeScript"),
        ("x.R", "R"),
        ("CMakeLists.txt", "CMake"),
        ("notes.txt", ""),
        ("README.md", ""),
        ("vendor/x.py", ""),
        ("a/node_modules/b.js", ""),
        ("x_pb2.py", ""),
        ("no-suffix", ""),
        (".hidden", ""),
        ("Makefile", "Makefile"),
    ],
)
def test_language_is_known_by_the_name(path: str, language: str) -> None:
    assert language_of(path) == language


def test_languages_are_counted_largest_first() -> None:
    assert count_languages([("a.py", 10), ("b.py", 5), ("c.rs", 100), ("d.md", 1_000)]) == [
        ("Rust", 100, 1),
        ("Python", 15, 2),
    ]
