from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from meshnode.auth.answers import CallFailed
from meshnode.base.errors import NotFound
from meshnode.config import AuthSettings
from meshnode.wire.status import error_from_call
from tests.unit.rpc.harness import Caller, Site
from tests.unit.wire.samples import N1

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _check(caller: Caller, service: str = "") -> int:
    body = await caller.channel.unary(
        CHECK, health_pb2.HealthCheckRequest(service=service).SerializeToString(), timeout_ms=5_000
    )
    return health_pb2.HealthCheckResponse.FromString(body).status


async def test_health_follows_the_node_and_answers_while_it_drains() -> None:
    site = Site()
    async with site.calling("reader") as caller:
        assert await _check(caller) == SERVING
        assert await _check(caller, "mesh.v1.RefService") == SERVING
        site.activity.draining = True
        assert await _check(caller) == NOT_SERVING
        site.activity.draining, site.activity.ready = False, False
        assert await _check(caller, "mesh.v1.RefService") == NOT_SERVING


async def test_health_of_a_service_that_is_not_here_is_not_found() -> None:
    async with Site().calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await _check(caller, "no.such.Service")
    assert type(error_from_call(failed.value, N1)) is NotFound


async def test_watch_sends_each_change_once_and_ends_with_its_caller() -> None:
    site = Site()
    async with site.calling("reader") as caller:
        stream = caller.channel.stream(WATCH, health_pb2.HealthCheckRequest().SerializeToString(), timeout_ms=5_000)
        assert health_pb2.HealthCheckResponse.FromString(await anext(stream)).status == SERVING
        site.activity.ready = False
        assert health_pb2.HealthCheckResponse.FromString(await anext(stream)).status == NOT_SERVING
        await stream.aclose()
        async with asyncio.timeout(5):
            while site.admission.running:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)


async def test_health_and_nothing_else_is_open_where_introspection_is() -> None:
    site = Site(auth=AuthSettings(is_open_introspection=True))
    async with site.serving(), site.raw() as channel:
        body = await channel.unary_unary(CHECK)(b"", timeout=5)
        assert health_pb2.HealthCheckResponse.FromString(body).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/mesh.v1.RepositoryService/List")(b"", timeout=5)
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
        other = (("authorization", "Bearer a.b.c"),)
        body = await channel.unary_unary(CHECK)(b"", metadata=other, timeout=5)
        assert health_pb2.HealthCheckResponse.FromString(body).status == SERVING


async def test_health_asks_for_a_token_where_introspection_is_closed() -> None:
    site = Site()
    async with site.serving(), site.raw() as channel:
        for metadata in ((), (("authorization", "Bearer a.b.c"),)):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(CHECK)(b"", metadata=metadata, timeout=5)
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


# ---------------------------------------------------------------- a stock client


def _grpcurl() -> str:
    found = shutil.which("grpcurl", path=f"{Path.home()}/go/bin:/usr/local/bin:/usr/bin:/root/go/bin") or shutil.which(
        "grpcurl"
    )
    if found is None:
        pytest.fail(
            "grpcurl is missing; install it with "
            "`go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest` and put it on PATH"
        )
    return found


async def _curl(site: Site, *args: str, verb: tuple[str, ...]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        _grpcurl(),
        "-plaintext",
        *args,
        f"127.0.0.1:{site.port}",
        *verb,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()


def _header(site: Site, caller: str = "reader") -> str:
    token = site.signer(caller).request_token(audience=site.own, method="", first_body=None).token
    return f"authorization: Bearer {token}"


async def test_grpcurl_lists_our_services_and_no_others() -> None:
    site = Site(auth=AuthSettings(is_open_introspection=True))
    async with site.serving():
        code, output = await _curl(site, verb=("list",))
    assert code == 0, output
    assert set(output.split()) == {*site.servicers(), "grpc.health.v1.Health"}


async def test_grpcurl_describes_methods_with_their_kind() -> None:
    site = Site(auth=AuthSettings(is_open_introspection=True))
    async with site.serving():
        code, output = await _curl(site, verb=("describe", "mesh.v1.RefService.UpdateRefs"))
    assert code == 0, output
    assert "METHOD_KIND_MUTATOR" in output


async def test_grpcurl_calls_a_method_with_a_token() -> None:
    site = Site()
    async with site.serving():
        code, output = await _curl(
            site,
            "-H",
            _header(site),
            "-d",
            json.dumps({"repository": "project/repo", "patterns": ["refs/tags/"]}),
            verb=("mesh.v1.RefService/ListRefs",),
        )
    assert code == 0, output
    answer = json.loads(output)
    assert [ref["name"] for ref in answer["refs"]] == ["refs/tags/v1"]
    assert answer["position"] == {"generation": "42", "node": "n1"}


async def test_grpcurl_is_told_what_is_wrong() -> None:
    site = Site()
    async with site.serving():
        code, output = await _curl(site, verb=("list",))
        assert code != 0
        assert "no bearer token" in output
        code, output = await _curl(
            site, "-H", _header(site), "-d", '{"repository": "nope"}', verb=("mesh.v1.RefService/ListRefs",)
        )
    assert code != 0
    assert "InvalidArgument" in output
    assert "repository name must be" in output
