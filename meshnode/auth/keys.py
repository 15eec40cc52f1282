"""Makes, stores and uses RSA keys: one private key per node or application, public keys of everyone else.

    key id = first 16 hex digits of SHA-256 over the DER SubjectPublicKeyInfo

Rule: a key is parsed once and kept as an object (parsing a PEM for each signature costs 37 ms instead of 0.25),
and a private key that others could read is refused, not used.
Source: RFC 8017 (RSASSA-PKCS1-v1_5), RFC 5280 (SubjectPublicKeyInfo).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from meshnode.base.errors import InvalidRequest

KEY_BITS: Final = 2048
"""Size of keys made here, and the smallest accepted."""

KEY_BITS_MAX: Final = 4096
"""A larger key would only slow the event loop: signing costs about the cube of the size."""

PEM_BYTES_MAX: Final = 16_384

_PADDING: Final = padding.PKCS1v15()
_HASH: Final = hashes.SHA256()


class PublicKey:
    """Somebody's public key."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        self.key_id = _key_id(key)

    @classmethod
    def parse(cls, pem: str) -> PublicKey:
        """Read a PEM SubjectPublicKeyInfo. Raises InvalidRequest: not RSA of 2,048 to 4,096 bits, or not a PEM."""
        if len(pem) > PEM_BYTES_MAX:
            raise InvalidRequest("public key is too long", bytes_max=PEM_BYTES_MAX)
        try:
            key = serialization.load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidRequest("public key cannot be read") from error
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidRequest("public key is not an RSA key")
        _check_bits(key.key_size)
        return cls(key)

    def pem(self) -> str:
        """The key as it is kept: every PEM of one key reads the same."""
        return _public_pem(self._key)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`; about 20 microseconds."""
        try:
            self._key.verify(signature, data, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A caller's own key."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        _check_bits(key.key_size)
        public = key.public_key()
        self._key = key
        self.key_id = _key_id(public)
        self.public_pem = _public_pem(public)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make an RSA-2048 key; takes 20 to 500 ms of CPU."""
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS))

    def sign(self, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 over `data`; about 250 microseconds, the interpreter lock released."""
        return self._key.sign(data, _PADDING, _HASH)

    def public_key(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key())

    def private_pem(self) -> bytes:
        """PKCS #8 in PEM, unencrypted: for a file of mode 0600 and nothing else."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def load_private_key(path: Path) -> PrivateKey:
    """Read a private key from a PEM file.

    Raises:
        InvalidRequest: the file is missing or unreadable, group or others may read it, it is encrypted, not RSA,
            or not of 2,048 to 4,096 bits.
    """
    try:
        check_private_mode(path)
        pem = path.read_bytes()
    except OSError as error:
        raise InvalidRequest("private key cannot be read", file=str(path), detail=error.strerror) from error
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidRequest("private key cannot be read", file=str(path)) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidRequest("private key is not an RSA key", file=str(path))
    return PrivateKey(key)


def load_or_create_private_key(path: Path) -> PrivateKey:
    """Read the key at `path`, or make one there: durable on return, mode 0600, never half written.

    Of two processes that start at once, one makes the key and both use it.

    Raises:
        InvalidRequest: as `load_private_key`, or the file cannot be made.
    """
    if path.exists():
        return load_private_key(path)
    key = PrivateKey.generate()
    try:
        is_mine = write_private_file(path, key.private_pem())
    except OSError as error:
        raise InvalidRequest("private key cannot be made", file=str(path), detail=error.strerror) from error
    return key if is_mine else load_private_key(path)


def write_private_file(path: Path, data: bytes) -> bool:
    """Make a new file of mode 0600 in one step, durably; False where there is one already, which then stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike rename, a link never takes the place of what is there
        except FileExistsError:
            return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def check_private_mode(path: Path) -> None:
    """Check that a secret's file is for its owner alone.

    Raises:
        InvalidRequest: group or others have any right to it. OSError: it cannot be looked at.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise InvalidRequest(
            "file of a secret is open to group or others; set its mode to 0600", file=str(path), mode=f"{mode:04o}"
        )


def _key_id(key: rsa.RSAPublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(der).hexdigest()[:16]


def _public_pem(key: rsa.RSAPublicKey) -> str:
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")


def _check_bits(bits: int) -> None:
    if not KEY_BITS <= bits <= KEY_BITS_MAX:
        raise InvalidRequest("rsa key has a size out of range", bits=bits, bits_min=KEY_BITS, bits_max=KEY_BITS_MAX)
