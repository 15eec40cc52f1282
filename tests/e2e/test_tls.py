"""Nodes that speak TLS with each other: a cluster with certificates replicates, strangers get nowhere."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.cluster import Cluster, git, list_refs, running_cluster


def write_authority(directory: Path) -> None:
    """`ca.pem`, and a certificate for loopback with its key, in `node.crt` and `node.key`."""
    now = dt.datetime.now(dt.UTC)
    authority_key, node_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    root = (
        builder(authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    node = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")]), node_key)
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (directory / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (directory / "node.crt").write_bytes(node.public_bytes(serialization.Encoding.PEM))
    key = directory / "node.key"
    key.touch(mode=0o600)
    key.write_bytes(
        node_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    write_authority(directory)
    return directory


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Cluster]:
    environment = {
        "MESHNODE_TLS__CERT_FILE": str(certificates / "node.crt"),
        "MESHNODE_TLS__KEY_FILE": str(certificates / "node.key"),
        "MESHNODE_TLS__CA_FILE": str(certificates / "ca.pem"),
    }
    with running_cluster(tmp_path_factory.mktemp("tls") / "mesh", environment=environment) as running:
        yield running


def handshake(target: str, context: ssl.SSLContext) -> str | None:
    """Finish a TLS handshake and wait for the server's first byte; the TLS version."""
    host, _, port = target.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        # With TLS 1.3 a client's certificate is refused after its handshake: only a byte from the server tells.
        if not secure.recv(1):
            raise ConnectionResetError("the server closed the connection")
        return secure.version()


def test_a_push_is_on_every_node(secured: Cluster, name: str, source: Path) -> None:
    git("push", "--quiet", "--mirror", secured.url(1, name), cwd=source)
    paths = [next((secured.node_path(node) / "repositories").glob("*/*")) for node in secured.numbers]
    for node, path in zip(secured.numbers, paths, strict=True):
        assert list_refs(secured.url(node, name)) == list_refs(source)
        assert git("fsck", "--no-dangling", cwd=path).stdout == ""


def test_a_node_shows_its_certificate_to_one_who_has_one(secured: Cluster, certificates: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "node.crt", certificates / "node.key")
    context.set_alpn_protocols(["h2"])
    assert handshake(secured.grpc(1), context) in {"TLSv1.2", "TLSv1.3"}


def test_a_client_without_a_certificate_is_refused(secured: Cluster, certificates: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(secured.grpc(1), context)


def test_plaintext_gets_nothing(secured: Cluster) -> None:
    host, _, port = secured.grpc(2).rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        try:
            assert b"\x00\x00\x00\x04\x01" not in connection.recv(4096)
        except ConnectionError:
            return
