"""The etcd catalog over TLS and with users, against a real member."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshnode.base.errors import CatalogUnavailable, Forbidden, OutcomeUnknown, Unauthenticated
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.config import CatalogSettings
from meshnode.ports import Put
from tests.contract.etcd_cluster import ClusterTls, EtcdCluster

DEADLINE_MS = 2_000
RESUME_S = 15.0


@asynccontextmanager
async def connected(settings: CatalogSettings) -> AsyncIterator[EtcdCatalog]:
    catalog = await EtcdCatalog.open(settings)
    try:
        yield catalog
    finally:
        await catalog.close()


async def insist(attempt: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(RESUME_S):
        while True:
            try:
                await attempt()
            except (CatalogUnavailable, OutcomeUnknown):
                continue
            return


# ---------------------------------------------------------------- TLS


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Files of a certificate and its key, for servers and clients."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        cert_file, key_file = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert_file, key_file

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory, "authority")
    cert_file, key_file = authority.issue("server")
    client_cert_file, client_key_file = authority.issue("client")
    cluster = EtcdCluster(
        directory / "etcd",
        size=1,
        tls=ClusterTls(
            ca_file=authority.file,
            cert_file=cert_file,
            key_file=key_file,
            client_cert_file=client_cert_file,
            client_key_file=client_key_file,
        ),
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def tls_settings(cluster: EtcdCluster) -> CatalogSettings:
    assert cluster.tls is not None
    return CatalogSettings(
        url=cluster.url,
        deadline_ms=DEADLINE_MS,
        ca_file=str(cluster.tls.ca_file),
        cert_file=str(cluster.tls.client_cert_file),
        key_file=str(cluster.tls.client_key_file),
    )


async def test_a_member_with_tls_serves_a_client_of_its_authority(tls_cluster: EtcdCluster) -> None:
    async with connected(tls_settings(tls_cluster)) as catalog:
        await insist(lambda: catalog.transact([], [Put("a", b"1")]))
        assert all(await catalog.get(["a"]))
        async with asyncio.timeout(RESUME_S):
            assert (await anext(catalog.watch("a"))).key == ""


async def test_a_client_without_tls_or_certificate_gets_no_answer_within_the_deadline(
    tls_cluster: EtcdCluster,
) -> None:
    whole = tls_settings(tls_cluster)
    for settings in (replace(whole, ca_file="", cert_file="", key_file=""), replace(whole, cert_file="", key_file="")):
        async with connected(replace(settings, deadline_ms=500)) as catalog, asyncio.timeout(RESUME_S):
            with pytest.raises(CatalogUnavailable):
                await catalog.get(["a"])


async def test_a_member_of_another_authority_is_not_believed(tls_cluster: EtcdCluster, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    settings = replace(tls_settings(tls_cluster), ca_file=str(stranger.file), deadline_ms=500)
    async with connected(settings) as catalog:
        with pytest.raises(CatalogUnavailable, match="no etcd member can be reached"):
            await catalog.get(["a"])


# ---------------------------------------------------------------- users


@pytest.fixture
async def locked_cluster(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    """One member with authentication on: user `mesh`, password `open sesame`, allowed below /mesh/."""
    cluster = EtcdCluster(tmp_path / "etcd", size=1)
    try:
        cluster.start()
        await cluster.leader()
        for command in (
            "user add root:toor",
            "user grant-role root root",
            "role add mesh",
            "role grant-permission --prefix=true mesh readwrite /mesh/",
            "auth enable",
        ):
            await cluster.control(*command.split())
            if command == "role add mesh":
                await cluster.control("user", "add", "mesh:open sesame")
                await cluster.control("user", "grant-role", "mesh", "mesh")
        yield cluster
    finally:
        cluster.close()


def user_settings(cluster: EtcdCluster, directory: Path, password: str, prefix: str = "/mesh/") -> CatalogSettings:
    file = directory / "password"
    file.write_text(password + "\n")
    file.chmod(0o600)
    return CatalogSettings(
        url=cluster.url, deadline_ms=DEADLINE_MS, username="mesh", password_file=str(file), prefix=prefix
    )


async def test_a_user_with_its_password_reads_writes_watches_and_leases_below_its_prefix(
    locked_cluster: EtcdCluster, tmp_path: Path
) -> None:
    async with connected(user_settings(locked_cluster, tmp_path, "open sesame")) as catalog:
        lease = await catalog.open_lease(60_000)
        await catalog.transact([], [Put("a", b"1", lease)])
        assert await catalog.keep_lease(lease)
        assert all(await catalog.get(["a"]))
        assert [entry.key for entry in await catalog.range("")] == ["a"]
        async with asyncio.timeout(RESUME_S):
            assert (await anext(catalog.watch(""))).key == ""
        await catalog.close_lease(lease)


async def test_a_wrong_password_is_told_as_such_and_at_once(locked_cluster: EtcdCluster, tmp_path: Path) -> None:
    async with connected(user_settings(locked_cluster, tmp_path, "guessed")) as catalog:
        for ask in (catalog.get(["a"]), catalog.transact([], [Put("a", b"")]), anext(aiter(catalog.watch("")))):
            with pytest.raises(Unauthenticated, match="refused the user or the password") as refusal:
                await ask
            assert "guessed" not in str(refusal.value)


async def test_without_a_user_a_locked_etcd_asks_for_one(locked_cluster: EtcdCluster) -> None:
    async with connected(CatalogSettings(url=locked_cluster.url, deadline_ms=DEADLINE_MS)) as catalog:
        with pytest.raises(Unauthenticated, match="asks for a user"):
            await catalog.get(["a"])


async def test_keys_outside_the_users_prefix_are_forbidden(locked_cluster: EtcdCluster, tmp_path: Path) -> None:
    async with connected(user_settings(locked_cluster, tmp_path, "open sesame", prefix="/other/")) as catalog:
        with pytest.raises(Forbidden):
            await catalog.get(["a"])
        with pytest.raises(Forbidden):
            await catalog.transact([], [Put("a", b"")])
        with pytest.raises(Forbidden):
            await anext(aiter(catalog.watch("")))


async def test_a_token_that_a_restart_forgot_is_renewed_and_watches_go_on(
    locked_cluster: EtcdCluster, tmp_path: Path
) -> None:
    async with connected(user_settings(locked_cluster, tmp_path, "open sesame")) as catalog:
        hints = catalog.watch("")
        async with asyncio.timeout(RESUME_S):
            assert (await anext(hints)).key == ""
        locked_cluster.members[0].kill()
        locked_cluster.members[0].start()
        await insist(lambda: catalog.transact([], [Put("a", b"1")]))
        async with asyncio.timeout(RESUME_S):
            assert (await anext(hints)).key == "a"


async def test_a_user_is_no_hindrance_where_authentication_is_off_and_needed_once_it_is_on(tmp_path: Path) -> None:
    cluster = EtcdCluster(tmp_path / "etcd", size=1)
    try:
        cluster.start()
        await cluster.leader()
        async with connected(user_settings(cluster, tmp_path, "open sesame")) as catalog:
            await insist(lambda: catalog.transact([], [Put("a", b"1")]))
            for command in ("user add root:toor", "user grant-role root root", "auth enable"):
                await cluster.control(*command.split())
            with pytest.raises(Unauthenticated, match="refused the user or the password"):
                await catalog.get(["a"])
    finally:
        cluster.close()
