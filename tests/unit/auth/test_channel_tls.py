"""Mutual TLS: both ends show a certificate of the same authority, or nothing is said."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from meshnode.auth.channel import CallFailed
from meshnode.auth.tls import channel_credentials, server_credentials
from tests.unit.auth.authority import Authority
from tests.unit.auth.echo import Echo, channel_to, running

SOON_MS = 20_000


async def test_both_ends_of_one_authority_talk(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = server_credentials(authority.issue("n2"))
    async with running(Echo(), server) as target:
        async with channel_to(target, credentials=channel_credentials(authority.issue("n1"))) as channel:
            assert await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS) == b"question"


async def test_certificate_of_another_authority_is_refused_by_either_end(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    echo = Echo()
    async with running(echo, server_credentials(authority.issue("n2"))) as target:
        async with channel_to(target, credentials=channel_credentials(stranger.issue("n1"))) as channel:
            with pytest.raises(CallFailed) as failure:
                await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS)
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE
    assert not failure.value.was_answered
    assert not echo.reached.is_set()


async def test_caller_without_a_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    echo = Echo()
    nameless = grpc.ssl_channel_credentials(root_certificates=authority.ca_file.read_bytes())
    async with running(echo, server_credentials(authority.issue("n2"))) as target:
        async with channel_to(target, credentials=nameless) as channel:
            with pytest.raises(CallFailed):
                await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS)
    assert not echo.reached.is_set()


async def test_plaintext_caller_of_a_tls_server_is_refused(tmp_path: Path) -> None:
    echo = Echo()
    async with running(echo, server_credentials(Authority(tmp_path).issue("n2"))) as target:
        async with channel_to(target) as channel:
            with pytest.raises(CallFailed):
                await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS)
    assert not echo.reached.is_set()
