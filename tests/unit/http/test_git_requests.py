"""Requests of git's protocol with a transport that records: what it is asked, and what clients are told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from meshnode.base.errors import Draining, Overloaded, RepositoryNotFound
from meshnode.base.ids import Generation, RepositoryName
from meshnode.config import PushSettings
from meshnode.http.bounds import HttpBounds
from meshnode.ports import Consistency, ConsistencyLevel
from tests.unit.http.fakes import (
    FETCH,
    LAST_CHUNK,
    PUSH,
    REFS,
    FakeTransport,
    ask,
    chunk,
    config,
    get,
    post,
    serving,
    wire,
    within,
)

NO_CACHE = "no-cache, max-age=0, must-revalidate"

# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("version", "prefix"),
    [(0, b"001e# service=git-upload-pack\n0000"), (1, b"001e# service=git-upload-pack\n0000"), (2, b"")],
)
async def test_an_advertisement_has_the_service_header_below_version_2(version: int, prefix: bytes) -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        reply = await ask(server, get(REFS, Git_Protocol=f"version={version}"))
    assert reply.status == 200
    assert reply.body == prefix + b"0000"
    assert reply.headers["content-type"] == "application/x-git-upload-pack-advertisement"
    assert reply.headers["cache-control"] == NO_CACHE
    assert reply.headers["pragma"] == "no-cache"
    assert reply.headers["mesh-generation"] == "7"
    assert reply.headers["mesh-node"] == "n2"
    ((what, request),) = transport.requests
    assert what == "info_refs git-upload-pack"
    assert request.version == version


async def test_a_push_that_asks_for_version_2_gets_an_advertisement_of_version_0() -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        refs = "/demo/requests.git/info/refs?service=git-receive-pack"
        reply = await ask(server, get(refs, Git_Protocol="version=2"))
    assert reply.body.startswith(b"001f# service=git-receive-pack\n0000")
    assert transport.requests[0][1].version == 0


async def test_a_result_has_its_type_position_and_no_cache() -> None:
    async with serving(FakeTransport()) as server:
        reply = await ask(server, post(FETCH, 4), b"0000")
    assert reply.headers["content-type"] == "application/x-git-upload-pack-result"
    assert reply.headers["cache-control"] == NO_CACHE
    assert reply.headers["mesh-generation"] == "7"


async def test_the_request_carries_name_caller_version_and_consistency() -> None:
    transport = FakeTransport()
    async with serving(transport, config(anonymous="none", push=PushSettings(is_create_on_push=True))) as server:
        headers = {
            "Authorization": "Bearer demo-token",
            "Git_Protocol": "version=1",
            "Mesh_Consistency": "at-least=41",
        }
        await ask(server, post(PUSH, 0, **headers))
        await ask(server, post(FETCH, 0, **headers))
    (_, push), (_, fetch) = transport.requests
    assert push.name == RepositoryName("demo/requests")
    assert push.actor == "dora"
    assert push.version == 1
    assert push.consistency == Consistency(ConsistencyLevel.AT_LEAST, Generation(41))
    assert push.may_create
    assert not fetch.may_create


async def test_a_push_creates_nothing_where_the_setting_is_off() -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        await ask(server, post(PUSH, 0))
    assert not transport.requests[0][1].may_create


async def test_the_answer_may_begin_before_the_request_has_ended() -> None:
    async with serving(FakeTransport()) as server, wire(server) as connection:
        await connection.send(post(PUSH), chunk(b"one"))
        assert (await connection.head())[0] == 200
        assert await connection.chunk() == b"one"
        await connection.send(chunk(b"two"), LAST_CHUNK)
        assert await connection.chunk() == b"two"
        assert await connection.chunk() == b""


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving(FakeTransport()) as server, wire(server) as connection:
        for text in (b"one", b"two"):
            await connection.send(post(PUSH, len(text)), text)
            assert (await connection.reply()).body == text
        await connection.send(get("/demo/requests.git/HEAD"))
        assert (await connection.reply()).status == 404
        await connection.send(post(PUSH, 4, Content_Type="text/html"), b"0000")
        assert (await connection.reply()).status == 415
        await connection.send(get(REFS))
        assert (await connection.reply()).status == 200


async def test_a_connection_goes_on_after_an_answer_that_needed_only_half_of_the_request() -> None:
    async def hasty(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        assert body
        yield b"enough"

    async with serving(FakeTransport(hasty)) as server, wire(server) as connection:
        for _ in range(2):
            await connection.send(post(FETCH), chunk(bytes(300_000)), LAST_CHUNK)
            assert (await connection.reply()).body == b"enough"


async def test_a_client_of_http_1_0_gets_its_answer_and_the_end_of_the_connection() -> None:
    async with serving(FakeTransport()) as server:
        request = post(PUSH, 5, Connection="keep-alive").replace("HTTP/1.1", "HTTP/1.0")
        reply = await ask(server, request, b"hello")
    assert (reply.status, reply.body) == (200, b"hello")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "TRACE"])
async def test_other_methods_are_refused(method: str) -> None:
    transport = FakeTransport()
    async with serving(transport) as server, wire(server) as connection:
        await connection.send(get(REFS).replace("GET", method, 1))
        status, headers = await connection.head()
    assert status == 405
    assert "GET" in headers["allow"]
    assert transport.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/demo/%252e%252e/info/refs?service=git-upload-pack",
        "/demo/../../x/info/refs?service=git-upload-pack",
        "//demo/x/info/refs?service=git-upload-pack",
        "/demo/a%00b/info/refs?service=git-upload-pack",
        "/demo/a%0d%0aSet-Cookie:x/info/refs?service=git-upload-pack",
        "/demo/a\\b/info/refs?service=git-upload-pack",
        "/demo/" + "a/" * 300 + "x/info/refs?service=git-upload-pack",
        "/demo/" + "a" * 7_000 + "/info/refs?service=git-upload-pack",
        "/demo/" + "a" * 20_000 + "/info/refs?service=git-upload-pack",
        "/demo/\xff/info/refs?service=git-upload-pack",
        "http://127.0.0.1/demo/x/info/refs?service=git-upload-pack",
        "/demo/a\x00b/info/refs?service=git-upload-pack",
        "/demo/a\x1bb/info/refs?service=git-upload-pack",
    ],
)
async def test_a_hostile_path_gets_a_line_of_text_and_nothing_else(path: str, caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        reply = await ask(server, get(path))
    assert reply.status in {400, 404}
    assert reply.headers["content-type"].startswith("text/plain")
    assert len(reply.body) < 1_000
    assert "set-cookie" not in reply.headers
    assert transport.requests == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /demo/x/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /demo/x/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /demo/x/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_closed(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport()
    async with serving(transport) as server, wire(server) as connection:
        await connection.send(raw)
        assert (await connection.reply()).status == 400
        assert await connection.is_closed()
    assert transport.requests == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_without_a_token_git_is_asked_for_one() -> None:
    async with serving(FakeTransport(), config(anonymous="none")) as server:
        reply = await ask(server, get(REFS))
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith('Basic realm="')
    assert "token" in reply.text


async def test_a_token_without_the_right_is_refused_with_the_reason() -> None:
    async with serving(FakeTransport()) as server:
        reply = await ask(server, post(PUSH, 0, Authorization="Bearer reader-token"))
    assert reply.status == 403
    assert "scope=write" in reply.text
    assert "reader-token" not in reply.text


async def test_a_consistency_that_is_not_understood_is_refused() -> None:
    async with serving(FakeTransport()) as server:
        assert (await ask(server, get(REFS, Mesh_Consistency="latest"))).status == 400


async def test_the_transports_refusal_is_the_answer() -> None:
    async with serving(FakeTransport(refuse=RepositoryNotFound("no such repository", name="demo/requests"))) as server:
        missing = await ask(server, get(REFS))
    async with serving(FakeTransport(refuse=Draining("the node drains"))) as server:
        draining = await ask(server, post(FETCH, 4), b"0000")
    assert (missing.status, missing.text) == (404, "no such repository (name=demo/requests)\n")
    assert missing.headers["mesh-node"] == "n1"
    assert draining.status == 503
    assert draining.headers["retry-after"] == "1"


async def test_an_error_before_the_first_chunk_is_still_a_status() -> None:
    async def fail(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        raise Overloaded("busy", retry_after_ms=3_000)
        yield b""

    async with serving(FakeTransport(fail)) as server:
        reply = await ask(server, post(FETCH, 4), b"0000")
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")


async def test_a_defect_is_answered_without_its_text_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(FakeTransport(refuse=ValueError("a secret"))) as server:
        reply = await ask(server, get(REFS))
    assert (reply.status, reply.text) == (500, "internal error\n")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.name == "meshnode.http"]
    assert [record.message for record in errors] == ["git_request_failed"]
    assert errors[0].exc_info is not None


async def test_a_client_that_still_sends_sees_why_it_was_refused() -> None:
    """Without reading the rest away, closing would reset the connection and lose the answer."""
    transport = FakeTransport(refuse=Draining("the node drains"))
    async with serving(transport) as server, wire(server) as connection:
        await connection.send(post(PUSH))
        for _ in range(40):
            await connection.send(chunk(bytes(100_000)))
        await connection.send(LAST_CHUNK)
        reply = await connection.reply()
        assert await connection.is_closed()
    assert reply.status == 503
    assert reply.headers["connection"] == "close"


async def test_reading_a_refused_body_away_has_a_bound() -> None:
    transport = FakeTransport(refuse=Draining("the node drains"))
    bounds = HttpBounds(discard_bytes_max=1 << 20, discard_ms=60_000)
    async with serving(transport, bounds=bounds) as server, wire(server) as connection:
        await connection.send(post(PUSH, 1 << 40))
        with pytest.raises(ConnectionError):
            await within(connection.flood())
