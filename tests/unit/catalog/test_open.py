"""Choosing a catalog by its URL, and what is refused before a network is asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.catalog.etcd_settings import read_etcd_settings
from meshnode.catalog.open import open_catalog
from meshnode.catalog.sqlite import SqliteCatalog
from meshnode.config import CatalogSettings


async def test_a_sqlite_url_opens_the_file_it_names(tmp_path: Path) -> None:
    catalog = await open_catalog(CatalogSettings(url=f"sqlite://{tmp_path}/with%20space.db"))
    assert isinstance(catalog, SqliteCatalog)
    assert (tmp_path / "with space.db").exists()
    await catalog.close()


async def test_an_etcd_url_opens_without_a_member_in_reach() -> None:
    catalog = await open_catalog(CatalogSettings(url="etcd://127.0.0.1:1,[::1]:2,etcd-0.example:2379"))
    assert isinstance(catalog, EtcdCatalog)
    await catalog.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "a catalog is sqlite"),
        ("mysql://localhost/", "a catalog is sqlite"),
        ("/var/lib/catalog.db", "a catalog is sqlite"),
        ("sqlite://catalog.db", "absolute"),
        ("sqlite://", "absolute"),
        ("sqlite:///", "absolute"),
        ("sqlite:///var/lib/", "absolute"),
        ("etcd://", "host:port"),
        ("etcd://localhost", "host:port"),
        ("etcd://localhost:0", "host:port"),
        ("etcd://localhost:70000", "host:port"),
        ("etcd://a:1,,b:2", "host:port"),
        ("etcd://a:1/b:2", "host:port"),
        ("etcd://mesh:secret@a:1", "username and password_file, not into the url$"),
        ("etcd://::1:2379", "host:port"),
        ("etcd://a:1,a:1", "named twice"),
        ("etcd://" + ",".join(f"a:{port}" for port in range(1, 18)), "too many"),
    ],
)
async def test_a_bad_url_is_refused_with_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await open_catalog(CatalogSettings(url=url))


def test_a_sqlite_catalog_does_not_bring_grpc_along(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from meshnode.catalog.open import open_catalog
from meshnode.config import CatalogSettings
async def main():
    catalog = await open_catalog(CatalogSettings(url="sqlite://" + sys.argv[1]))
    await catalog.close()
asyncio.run(main())
assert not [name for name in sys.modules if name.startswith(("grpc", "meshnode.catalog.etcd"))]
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "catalog.db")], check=True)


ETCD = CatalogSettings(url="etcd://127.0.0.1:2379")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (replace(ETCD, cert_file="c"), "both cert_file and key_file"),
        (replace(ETCD, key_file="k"), "both cert_file and key_file"),
        (replace(ETCD, cert_file="c", key_file="k"), "needs ca_file"),
        (replace(ETCD, ca_file="/nowhere/ca.pem"), "cannot be read"),
        (replace(ETCD, username="mesh"), "both username and password_file"),
        (replace(ETCD, password_file="p"), "both username and password_file"),
        (replace(ETCD, username="mesh", password_file="/nowhere/password"), "cannot be read"),
        (replace(ETCD, deadline_ms=0), "deadline"),
    ],
)
def test_etcd_settings_that_do_not_fit_together_are_refused(settings: CatalogSettings, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read_etcd_settings(settings)


@pytest.mark.parametrize(("mode", "is_refused"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_password_that_others_can_read_is_refused(tmp_path: Path, mode: int, *, is_refused: bool) -> None:
    file = tmp_path / "password"
    file.write_text("secret with spaces \r\n")
    file.chmod(mode)
    settings = replace(ETCD, username="mesh", password_file=str(file))
    if is_refused:
        with pytest.raises(InvalidRequest, match="can be read by others") as refusal:
            read_etcd_settings(settings)
        assert "secret" not in str(refusal.value)
    else:
        checked = read_etcd_settings(settings)
        assert checked.password == "secret with spaces "
        assert "secret" not in repr(checked)


def test_a_password_in_no_known_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        read_etcd_settings(replace(ETCD, username="mesh", password_file=str(file)))
