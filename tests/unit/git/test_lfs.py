from __future__ import annotations

import pytest

from meshnode.git.lfs import parse_lfs_pointer
from meshnode.ports import LfsPointer

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n"


@pytest.mark.parametrize(
    "content",
    [
        POINTER,
        POINTER.rstrip("\n"),
        POINTER.replace("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"),
        POINTER.replace("oid", f"ext-0-foo sha256:{OID}\next-1-bar sha256:{OID}\noid"),
    ],
)
def test_pointers(content: str) -> None:
    assert parse_lfs_pointer(content.encode()) == LfsPointer(OID, 12345)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "version https://git-lfs.github.com/spec/v1\n",
        POINTER + "more\n",
        "\n" + POINTER,
        POINTER.replace("\n", "\r\n"),
        POINTER.replace("sha256", "sha1"),
        POINTER.replace(OID, OID[1:]),
        POINTER.replace(OID, OID.upper()),
        POINTER.replace("12345", "-1"),
        POINTER.replace("12345", ""),
        POINTER.replace("12345", "9" * 20),
        POINTER.replace("spec/v1", "spec/v9"),
        f"oid sha256:{OID}\nsize 1\n",
        POINTER.replace("oid", f"ext-0-{'x' * 900} sha256:{OID}\noid"),
    ],
)
def test_everything_else_is_a_file(content: str) -> None:
    assert parse_lfs_pointer(content.encode()) is None
