"""Public keys as the catalog or an operator gives them: refused as InvalidRequest, or an RSA key of an allowed size."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import strategies as st

from meshnode.auth.keys import PublicKey, load_private_key
from meshnode.base.errors import InvalidRequest
from tests.fuzz.inputs import Draw, damaged, directory
from tests.fuzz.keys import key

_ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
EXAMPLES = st.binary(max_size=40)


def check_public_key(data: bytes) -> None:
    draw = Draw(data)
    is_private = draw.is_true()
    pem = draw.pick(_private() if is_private else _public())
    for _ in range(draw.number(3)):
        pem = damaged(pem, draw)
    if is_private:
        _check_private(pem)
    else:
        _check_public(pem, draw.rest())


def _check_public(pem: bytes, signature: bytes) -> None:
    try:
        parsed = PublicKey.parse(pem.decode("utf-8", "surrogateescape"))
    except InvalidRequest:
        return
    assert len(parsed.key_id) == 16
    assert not parsed.verify(signature, b"data")


def _check_private(pem: bytes) -> None:
    path = directory("keys") / "node.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    try:
        private = load_private_key(path)
    except InvalidRequest:
        return
    assert private.public_key().verify(private.sign(b"data"), b"data")


@cache
def _public() -> tuple[bytes, ...]:
    others = (ec.derive_private_key(12_345, ec.SECP256R1()).public_key(), _ED25519.public_key())
    encoded = [
        one.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo) for one in others
    ]
    return (key("n1").public_pem.encode(), *encoded)


@cache
def _private() -> tuple[bytes, ...]:
    encoded = _ED25519.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (key("n1").private_pem(), encoded)
