"""TLS files: all there, of the right kind, and the key private. Handshakes are in test_channel_tls.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.auth.tls import channel_credentials, server_credentials
from meshnode.base.errors import InvalidRequest
from tests.unit.auth.authority import Authority, Files


def test_no_files_mean_plaintext() -> None:
    assert server_credentials(Files()) is None
    assert channel_credentials(Files()) is None


def test_good_files_make_credentials_for_both_ends(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("n1")
    assert server_credentials(files) is not None
    assert channel_credentials(files) is not None


def test_some_of_the_files_are_not_enough(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("n1")
    for missing in ("cert_file", "key_file", "ca_file"):
        with pytest.raises(InvalidRequest, match="tls needs"):
            server_credentials(replace(files, **{missing: ""}))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    files = Authority(tmp_path).issue("n1")
    Path(files.key_file).chmod(mode)
    for make in (server_credentials, channel_credentials):
        with pytest.raises(InvalidRequest, match="open to group or others"):
            make(files)


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("n1")
    for name in ("cert_file", "key_file", "ca_file"):
        with pytest.raises(InvalidRequest, match=r"nowhere\.pem"):
            channel_credentials(replace(files, **{name: str(tmp_path / "nowhere.pem")}))


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("n1")
    swapped = [
        replace(files, cert_file=files.key_file),
        replace(files, ca_file=files.key_file),
        replace(files, key_file=files.cert_file),
    ]
    Path(files.cert_file).chmod(0o600)
    for wrong in swapped:
        with pytest.raises(InvalidRequest, match="not the PEM"):
            server_credentials(wrong)
