"""Keys on disk: made once, private, and refused where they are not what they should be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshnode.auth.keys import (
    PrivateKey,
    PublicKey,
    load_or_create_private_key,
    load_private_key,
    write_private_file,
)
from meshnode.base.errors import InvalidRequest
from tests.unit.auth.parties import key


def write(path: Path, pem: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(pem)
    path.chmod(mode)
    return path


def pem_of(made: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_key_is_made_once_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.pem"
    made = load_or_create_private_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_private_key(path).key_id == made.key_id
    assert [entry.name for entry in path.parent.iterdir()] == ["node.pem"]


def test_two_processes_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    path = tmp_path / "node.pem"
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(load_or_create_private_key, [path, path]))
    assert made[0].key_id == made[1].key_id == load_private_key(path).key_id


def test_secret_file_never_replaces_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert write_private_file(path, b"first")
    assert not write_private_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_key_id_is_the_start_of_the_digest_of_the_public_key() -> None:
    public = serialization.load_pem_public_key(key("n1").public_pem.encode())
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert key("n1").key_id == sha256(der).hexdigest()[:16]
    assert PublicKey.parse(key("n1").public_pem).key_id == key("n1").key_id == key("n1").public_key().key_id


def test_signature_verifies_only_over_the_same_bytes_with_the_same_key() -> None:
    signature = key("n1").sign(b"data")
    assert key("n1").public_key().verify(signature, b"data")
    assert not key("n1").public_key().verify(signature, b"date")
    assert not key("n2").public_key().verify(signature, b"data")
    assert not key("n1").public_key().verify(b"", b"data")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o660, 0o666])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "node.pem", key("n1").private_pem(), mode)
    with pytest.raises(InvalidRequest, match="open to group or others"):
        load_private_key(path)
    with pytest.raises(InvalidRequest, match="open to group or others"):
        load_or_create_private_key(path)


def test_key_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    curve = write(tmp_path / "ec.pem", pem_of(ec.generate_private_key(ec.SECP256R1())))
    small = write(tmp_path / "small.pem", pem_of(rsa.generate_private_key(public_exponent=65_537, key_size=1024)))
    locked = write(tmp_path / "locked.pem", pem_of(rsa.generate_private_key(65_537, 2048), b"password"))
    noise = write(tmp_path / "noise.pem", b"not a key")
    for path, reason in ((curve, "not an RSA key"), (small, "size out of range"), (locked, "read"), (noise, "read")):
        with pytest.raises(InvalidRequest, match=reason):
            load_private_key(path)


def test_missing_key_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"nowhere\.pem"):
        load_private_key(tmp_path / "nowhere.pem")


def test_key_in_an_impossible_place_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidRequest, match="cannot be made"):
        load_or_create_private_key(tmp_path / "file" / "node.pem")


def test_public_key_of_another_kind_or_size_is_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    small = rsa.generate_private_key(public_exponent=65_537, key_size=1024).public_key()
    for public, reason in ((curve, "not an RSA key"), (small, "size out of range")):
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(InvalidRequest, match=reason):
            PublicKey.parse(pem.decode())
    with pytest.raises(InvalidRequest, match="cannot be read"):
        PublicKey.parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(InvalidRequest, match="too long"):
        PublicKey.parse("A" * 20_000)


def test_representation_of_a_key_shows_nothing_secret() -> None:
    assert "PRIVATE" not in repr(key("n1"))
    assert isinstance(key("n1"), PrivateKey)
