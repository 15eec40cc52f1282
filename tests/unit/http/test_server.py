"""The server's life, the pages for machines, and the log."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import Any

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.config import LimitSettings, ListenSettings
from meshnode.http.server import HttpServer
from tests.unit.http.fakes import (
    FETCH,
    LAST_CHUNK,
    OWN,
    PUSH,
    REFS,
    FakeActivity,
    FakeTransport,
    FakeUsers,
    ask,
    chunk,
    config,
    get,
    hold,
    metrics,
    post,
    serving,
    until,
    wire,
    within,
)

# ---------------------------------------------------------------- machines


async def test_machines_find_health_readiness_and_metrics() -> None:
    async with serving(FakeTransport()) as server:
        assert (await ask(server, get("/healthz"))).text == "ok\n"
        assert (await ask(server, get("/readyz"))).status == 200
        page = await ask(server, get("/metrics"))
        async with wire(server) as connection:
            await connection.send(get("/healthz").replace("GET", "HEAD", 1))
            assert (await connection.head())[0] == 200
    assert 'meshnode_queue_length{queue="http_packs"} 0.0' in page.text
    assert page.headers["content-type"].startswith("text/plain; version=")


async def test_a_node_that_starts_asks_nobody_for_a_token_and_serves_no_replica() -> None:
    """Until the catalog is read no key is known: a 401 would make git forget a password that is good."""
    transport, activity = FakeTransport(), FakeActivity(ready=False)
    async with serving(transport, activity=activity) as server:
        for request in (get(REFS), post(FETCH, 0), post(PUSH, 0)):
            reply = await ask(server, request)
            assert (reply.status, reply.text) == (503, "this node starts; ask another one\n")
            assert reply.headers["retry-after"] == "1"
        assert transport.requests == []
        activity.ready = True
        assert (await ask(server, get(REFS))).status == 200


async def test_a_node_that_is_not_ready_says_why() -> None:
    activity = FakeActivity(ready=False, draining=True)
    async with serving(FakeTransport(), activity=activity) as server:
        reply = await ask(server, get("/readyz"))
        assert (await ask(server, get("/healthz"))).status == 200
    assert reply.status == 503
    assert reply.text.splitlines() == [
        "the node drains: new work is refused",
        "start-up checks are not done, or the catalog did not answer lately",
    ]


async def test_draining_node_lets_what_has_begun_go_on_for_a_while_and_then_takes_nothing() -> None:
    """A client that posts without asking for references first must not keep it at work for ever."""
    transport, activity = FakeTransport(), FakeActivity()
    async with serving(transport, activity=activity) as server:
        activity.draining, activity.resting = True, LimitSettings().drain_ms
        assert (await ask(server, get(REFS))).status == 503
        for request in (post(FETCH, 4), post(PUSH, 4)):
            assert (await ask(server, request, b"0000")).status == 200
        began = len(transport.requests)
        assert began == 2
        activity.resting += 1
        for request in (post(FETCH, 4), post(PUSH, 4)):
            reply = await ask(server, request, b"0000")
            assert (reply.status, reply.text) == (503, "this node is out of service; ask another one\n")
            assert reply.headers["retry-after"] == "1"
        assert len(transport.requests) == began
        activity.draining, activity.resting = False, 0
        assert (await ask(server, post(PUSH, 4), b"0000")).status == 200


async def test_only_served_requests_of_git_are_work() -> None:
    transport = FakeTransport()
    async with serving(transport) as server, wire(server) as busy:
        await busy.send(post(PUSH), chunk(b"one"))
        await busy.head()
        assert (await ask(server, get("/readyz"))).status == 200
        assert server.git_requests_in_flight == 1
        await busy.send(LAST_CHUNK)
        while await busy.chunk():
            pass
        await until(lambda: server.git_requests_in_flight == 0)


# ---------------------------------------------------------------- life and death


async def test_stopping_waits_for_what_is_in_flight_and_takes_nothing_new() -> None:
    transport = FakeTransport()
    async with serving(transport) as server, wire(server) as busy, wire(server) as resting:
        await resting.send(get("/healthz"))
        await resting.reply()
        await busy.send(post(PUSH), chunk(b"one"))
        await busy.head()
        stopping = asyncio.create_task(server.stop(60_000))
        await asyncio.sleep(0)
        await resting.send(get("/readyz"))
        assert (await resting.reply()).text == "the server stops\n"
        await resting.send(get(REFS))
        assert (await resting.reply()).status == 503
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", server.port)
        assert not stopping.done()
        await busy.send(chunk(b"two"), LAST_CHUNK)
        assert [await busy.chunk() for _ in range(3)] == [b"one", b"two", b""]
        await within(stopping)
    assert transport.ends == ["end"]


async def test_stopping_cuts_off_what_does_not_end_in_time() -> None:
    transport = FakeTransport(hold)
    async with serving(transport) as server, wire(server) as connection:
        await connection.send(post(FETCH, 4), b"0000")
        await connection.head()
        assert await connection.chunk() == b"first"
        await within(server.stop(1))
        assert server.requests_in_flight == 0
        assert transport.ends == ["CancelledError"]
        assert await connection.is_closed()


async def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    server = HttpServer(FakeTransport(), FakeActivity(), metrics(), FakeUsers(), config(), OWN)
    await server.stop(0)
    await server.start()
    await server.stop(0)
    await server.stop(0)


async def test_an_address_that_is_taken_is_a_clear_error() -> None:
    async with serving(FakeTransport()) as server:
        settings = config()
        object.__setattr__(settings, "listen", ListenSettings(http=f"127.0.0.1:{server.port}"))
        second = HttpServer(FakeTransport(), FakeActivity(), metrics(), FakeUsers(), settings, OWN)
        with pytest.raises(InvalidRequest, match="cannot listen"):
            await second.start()


@pytest.mark.parametrize(
    ("address", "anonymous", "is_good"),
    [
        ("127.0.0.1:0", "write", True),
        ("[::1]:0", "write", True),
        ("localhost:0", "read", True),
        ("0.0.0.0:0", "none", True),
        ("0.0.0.0:0", "read", False),
        ("node.example:0", "write", False),
        ("127.0.0.1", "none", False),
        ("127.0.0.1:70000", "none", False),
    ],
)
def test_anonymous_access_needs_loopback_and_an_address_a_port(address: str, anonymous: str, is_good: bool) -> None:
    settings = config(anonymous=anonymous)
    object.__setattr__(settings, "listen", ListenSettings(http=address))
    arguments = (FakeTransport(), FakeActivity(), metrics(), FakeUsers(), settings, OWN)
    if is_good:
        HttpServer(*arguments)
    else:
        with pytest.raises(InvalidRequest):
            HttpServer(*arguments)


# ---------------------------------------------------------------- the log


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["fields"]
    return found


async def test_each_request_leaves_a_line_with_its_facts_and_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="meshnode.access")
    body = gzip.compress(b"0000")
    async with serving(FakeTransport()) as server:
        await ask(server, post(FETCH, len(body), Content_Encoding="gzip", Authorization="Bearer writer-token"), body)
        await ask(server, get("/demo/requests.git/info/refs"))
    good, refused = [record for record in caplog.records if record.name == "meshnode.access"]
    facts = fields_of(good)
    assert (facts["actor"], facts["repository"], facts["method"]) == ("walt", "demo/requests", "upload-pack")
    assert (facts["bytes_in"], facts["bytes_out"], facts["http_status"]) == (len(body), 4, 200)
    assert (facts["node"], facts["forwarded_to"], facts["generation"]) == ("n1", "n2", 7)
    assert facts["duration_ms"] >= 0
    assert (fields_of(refused)["http_status"], fields_of(refused)["forwarded_to"]) == (403, "")
    assert (good.levelname, refused.levelname) == ("INFO", "INFO")
    assert "writer-token" not in caplog.text + repr(facts)


async def test_a_cut_answer_is_marked_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="meshnode.access")
    transport = FakeTransport(hold)
    async with serving(transport) as server:
        async with wire(server) as connection:
            await connection.send(post(FETCH, 4), b"0000")
            await connection.head()
            connection.reset()
        await until(lambda: server.requests_in_flight == 0)
    (line,) = [fields_of(record) for record in caplog.records if record.name == "meshnode.access"]
    assert (line["http_status"], line["outcome"]) == (499, "CANCELLED")
    assert line["is_aborted"]


async def test_requests_and_refusals_are_counted_without_names() -> None:
    limits = LimitSettings(packs_per_repository=1, queue_wait_ms=1)
    transport = FakeTransport(hold)
    async with serving(transport, config(limits=limits)) as server, wire(server) as first:
        await ask(server, get(REFS))
        await first.send(post(FETCH, 4), b"0000")
        await first.head()
        await ask(server, post(PUSH, 4), b"0000")
        text = (await ask(server, get("/metrics"))).text
    assert 'meshnode_requests_total{method="info-refs/upload-pack",server="http",status="200"} 1.0' in text
    assert 'meshnode_requests_total{method="receive-pack",server="http",status="429"} 1.0' in text
    assert 'meshnode_refused_total{limit="packs_per_repository"} 1.0' in text
    assert 'meshnode_packs_in_flight{service="upload-pack"} 1.0' in text
    assert 'meshnode_requests_in_flight{server="http"} 1.0' in text
    assert "demo/requests" not in text
