"""Makes gRPC credentials from `[tls]`: mutual TLS, where both ends show a certificate of the same authorities.

Rule: a private key that others could read is refused; None means plaintext, which the settings' checks allow only
on loopback or by an explicit word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import grpc

from meshnode.auth.keys import check_private_mode
from meshnode.base.errors import InvalidRequest

PEM_BYTES_MAX: Final = 1 << 20


class TlsFiles(Protocol):
    """What is needed of `config.TlsSettings`."""

    @property
    def cert_file(self) -> str:
        """PEM certificate chain."""
        ...

    @property
    def key_file(self) -> str:
        """PEM private key."""
        ...

    @property
    def ca_file(self) -> str:
        """PEM authorities."""
        ...


@dataclass(frozen=True, slots=True)
class _Pems:
    chain: bytes
    key: bytes
    authorities: bytes


def server_credentials(settings: TlsFiles) -> grpc.ServerCredentials | None:
    """Credentials of a server that asks every caller for a certificate; None without TLS.

    Raises:
        InvalidRequest: a file is missing, unreadable or no PEM, or the key's file is open to others.
    """
    pems = _load(settings)
    if pems is None:
        return None
    return grpc.ssl_server_credentials(
        [(pems.key, pems.chain)], root_certificates=pems.authorities, require_client_auth=True
    )


def channel_credentials(settings: TlsFiles) -> grpc.ChannelCredentials | None:
    """Credentials of a channel that shows this node's certificate; None without TLS. Raises as above."""
    pems = _load(settings)
    if pems is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=pems.authorities, private_key=pems.key, certificate_chain=pems.chain
    )


def _load(settings: TlsFiles) -> _Pems | None:
    files = (settings.cert_file, settings.key_file, settings.ca_file)
    if not any(files):
        return None
    if not all(files):
        raise InvalidRequest("tls needs cert_file, key_file and ca_file")
    key = _read(settings.key_file, b"PRIVATE KEY-----", is_secret=True)
    return _Pems(
        chain=_read(settings.cert_file, b"-----BEGIN CERTIFICATE-----"),
        key=key,
        authorities=_read(settings.ca_file, b"-----BEGIN CERTIFICATE-----"),
    )


def _read(file: str, mark: bytes, *, is_secret: bool = False) -> bytes:
    path = Path(file)
    try:
        if is_secret:
            check_private_mode(path)
        with path.open("rb") as stream:
            data = stream.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidRequest("tls file cannot be read", file=file, detail=error.strerror) from error
    if mark not in data or len(data) > PEM_BYTES_MAX:
        raise InvalidRequest("tls file is not the PEM it should be", file=file)
    return data
