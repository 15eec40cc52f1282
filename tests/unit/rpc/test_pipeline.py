from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.auth.answers import CallFailed
from meshnode.auth.tokens import TokenSigner
from meshnode.base.errors import (
    Corrupt,
    DeadlineExceeded,
    Draining,
    InvalidRequest,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.config import AuthSettings
from meshnode.rpc.method import CallerRole, Kind, Method, methods_of
from meshnode.rpc.server import SERVICES
from meshnode.v1 import cluster_pb2, ref_pb2, replication_pb2, repository_pb2, transport_pb2
from meshnode.wire.rounds import key_message
from meshnode.wire.status import ERROR_KEY, RETRY_KEY, error_from_call
from tests.unit.rpc.fakes import FakeReads, FakeReplication, FakeTransport, FakeWrites
from tests.unit.rpc.harness import APPLICATIONS, Caller, Site, key_of
from tests.unit.wire.samples import KEY, N1

GET = repository_pb2.GetRequest(name="project/repo")
BRANCH = ref_pb2.GetDefaultBranchRequest(repository="project/repo")
SET_BRANCH = ref_pb2.SetDefaultBranchRequest(repository="project/repo", name="refs/heads/main", request_key="k")
METHODS = [method for service in SERVICES.values() for method in methods_of(service)]


async def _refusal(caller: Caller, path: str, body: bytes, *, timeout_ms: int = 5_000) -> MeshError:
    with pytest.raises(CallFailed) as failed:
        await caller.channel.unary(path, body, timeout_ms=timeout_ms)
    assert failed.value.was_answered
    return error_from_call(failed.value, N1)


async def _raw_code(site: Site, path: str, body: bytes, token: str = "") -> grpc.StatusCode:
    metadata = (("authorization", token),) if token else ()
    async with site.raw() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async for _ in channel.stream_stream(path)(_once(body), metadata=metadata, timeout=5):
                pass
    return failed.value.code()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_call_is_answered_and_signed() -> None:
    async with Site().calling("reader") as caller:
        answer = await caller.call("RepositoryService/Get", GET, repository_pb2.GetResponse)
    assert answer.repository.name == "project/repo"
    assert answer.position.node == "n1"


@pytest.mark.parametrize(
    "error",
    [
        ReplicaBehind("replica is behind", generation=3),
        Overloaded("full", retry_after_ms=70),
        Corrupt("pack is damaged: é\n", path="x"),
        RepositoryNotFound("no such repository", repository="project/repo"),
    ],
)
async def test_error_of_a_servicer_reaches_a_signed_caller_equal(error: MeshError) -> None:
    async with Site(reads=FakeReads(error=error)).calling("reader") as caller:
        back = await _refusal(caller, "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString())
    assert type(back) is type(error)
    assert (back.message, back.fields) == (error.message, error.fields)


async def test_unknown_exception_is_internal_and_tells_nothing() -> None:
    site = Site(writes=FakeWrites(error=KeyError("secret")))
    async with site.calling("writer") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.call("RefService/SetDefaultBranch", SET_BRANCH, ref_pb2.SetDefaultBranchResponse)
    assert failed.value.code is grpc.StatusCode.INTERNAL
    assert failed.value.was_answered
    assert "secret" not in str(failed.value) + str(failed.value.trailing)


async def test_overload_tells_plain_grpc_clients_when_to_come_back() -> None:
    site = Site(reads=FakeReads(error=Overloaded("full", retry_after_ms=70)))
    async with site.calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.call("RefService/GetDefaultBranch", BRANCH, ref_pb2.GetDefaultBranchResponse)
    assert failed.value.trailing[RETRY_KEY] == "70"
    assert ERROR_KEY in failed.value.trailing


# ---------------------------------------------------------------- tokens and roles


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
async def test_every_method_refuses_a_call_without_a_token_and_serves_on(method: Method) -> None:
    site = Site()
    async with site.calling("reader") as caller:
        for token in ("", "Bearer ", "Bearer a.b.c", "Basic Zm9vOmJhcg=="):
            assert await _raw_code(site, method.path, b"", token) is grpc.StatusCode.UNAUTHENTICATED
        await caller.call("RepositoryService/Get", GET, repository_pb2.GetResponse)


_LENGTH_DELIMITED = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
async def test_every_method_refuses_malformed_bytes_and_serves_on(method: Method) -> None:
    site = Site()
    async with site.serving():
        async with site.connected("n2" if method.role is CallerRole.NODE else "operator") as caller:
            for body in (b"\xff\xff\xff", b"\x0a\xffx", b"\x0a\x02\xc3\x28"):
                with pytest.raises(CallFailed) as failed:
                    await caller.stream(method.path, body)
                # Where the first field is no text, well-formed bytes in its place are an unknown field.
                assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT, body
                assert failed.value.was_answered
                first = method.input.DESCRIPTOR.fields_by_number.get(1)
                if body.startswith(b"\x0a\xff") and (first is None or first.type not in _LENGTH_DELIMITED):
                    break
        async with site.connected("reader") as caller:
            await caller.call("RepositoryService/Get", GET, repository_pb2.GetResponse)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_no_bytes_to_any_method_end_in_an_internal_error(method: Method) -> None:
    """One server for all of them: it must take the next call as well."""
    with asyncio.Runner() as runner:
        site = Site().calling("n2")
        caller = runner.run(site.__aenter__())

        @settings(max_examples=8)
        @given(body=st.binary(max_size=60))
        def check(body: bytes) -> None:
            code, was_answered = runner.run(_ending(caller, method, body))
            assert was_answered
            assert code is not grpc.StatusCode.INTERNAL

        try:
            check()
        finally:
            runner.run(site.__aexit__(None, None, None))


async def _ending(caller: Caller, method: Method, body: bytes) -> tuple[grpc.StatusCode, bool]:
    """How a call ends, and whether the server said so."""
    try:
        await caller.stream(method.path, body)
    except CallFailed as failed:
        return failed.code, failed.was_answered
    return grpc.StatusCode.OK, True


@pytest.mark.parametrize("caller_name", [*APPLICATIONS, "n2"])
async def test_each_role_may_call_what_the_proto_says_and_nothing_else(caller_name: str) -> None:
    ranks = {"reader": 1, "writer": 2, "operator": 3, "n2": 4}
    needed = {
        CallerRole.INVITED: 0,
        CallerRole.READER: 1,
        CallerRole.WRITER: 2,
        CallerRole.ADMINISTRATOR: 3,
        CallerRole.NODE: 4,
    }
    async with Site().calling(caller_name) as caller:
        for method in METHODS:
            code = grpc.StatusCode.OK
            try:
                await caller.stream(method.path, b"\xff")
            except CallFailed as failed:
                code = failed.code
            is_forbidden = code is grpc.StatusCode.PERMISSION_DENIED
            assert is_forbidden is (ranks[caller_name] < needed[method.role]), (method.path, code)


async def test_token_of_a_write_is_good_once_and_of_a_read_again_and_again() -> None:
    site = Site()
    async with site.serving():
        signer = site.signer("writer")
        for path, body, times in (
            ("/mesh.v1.RefService/SetDefaultBranch", SET_BRANCH.SerializeToString(), 1),
            ("/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString(), 3),
        ):
            signed = signer.request_token(audience="n1", method=path, first_body=body)
            metadata = (("authorization", f"Bearer {signed.token}"),)
            async with site.raw() as channel:
                for _ in range(times):
                    await channel.unary_unary(path)(body, metadata=metadata, timeout=5)
                if times == 1:
                    with pytest.raises(grpc.aio.AioRpcError, match="used before"):
                        await channel.unary_unary(path)(body, metadata=metadata, timeout=5)
    assert len(site.writes.calls) == 1


async def test_token_of_another_body_method_or_audience_is_refused() -> None:
    site = Site()
    path, body = "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString()
    async with site.serving():
        for audience, method, signed_body in (("n1", path, b"x"), ("n1", "/x/Y", body), ("n2", path, body)):
            signed = site.signer("reader").request_token(audience=audience, method=method, first_body=signed_body)
            code = await _raw_code(site, path, body, f"Bearer {signed.token}")
            assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_expired_token_is_refused() -> None:
    site = Site(auth=AuthSettings(skew_ms=0))
    path, body = "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString()

    class Yesterday:
        def monotonic_ms(self) -> int:
            return 0

        def wall_ms(self) -> int:
            return site.clock.wall_ms() - 86_400_000

        async def sleep(self, duration_ms: int) -> None:
            assert duration_ms

    async with site.serving():
        signer = TokenSigner("app:reader", key_of("reader"), Yesterday())
        signed = signer.request_token(audience="n1", method=path, first_body=body)
        assert await _raw_code(site, path, body, f"Bearer {signed.token}") is grpc.StatusCode.UNAUTHENTICATED


async def test_stream_whose_first_message_is_not_the_signed_one_is_refused() -> None:
    site = Site()
    path = "/mesh.v1.TransportService/UploadPack"
    header = transport_pb2.TransportChunk(header=transport_pb2.TransportHeader(repository="project/repo"))
    async with site.serving():
        signed = site.signer("reader").request_token(audience="n1", method=path, first_body=b"other")
        code = await _raw_code(site, path, header.SerializeToString(), f"Bearer {signed.token}")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert site.transport.requests == []


async def test_unknown_method_is_unimplemented() -> None:
    site = Site()
    async with site.serving(), site.raw() as channel:
        for path in ("/mesh.v1.RefService/Nothing", "/grpc.testing.Echo/Echo"):
            # Unary: gRPC refuses before it reads a message, and a stream's write that is cut off reports the cut.
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(path)(b"", timeout=5)
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


# ---------------------------------------------------------------- limits, draining, deadlines


async def test_calls_beyond_the_limit_are_refused_while_nodes_still_get_through() -> None:
    gate = asyncio.Event()
    site = Site(reads=FakeReads(gate=gate), calls_max=1)
    async with site.calling("reader") as caller, site.connected("n2") as node:
        waiting = asyncio.ensure_future(
            caller.call("RefService/GetDefaultBranch", BRANCH, ref_pb2.GetDefaultBranchResponse)
        )
        await _until(lambda: len(site.reads.asked) == 1)
        error = await _refusal(caller, "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString())
        commit = replication_pb2.CommitRequest(key=key_message(KEY), round_id="b" * 32, generation=42)
        done = await node.call("ReplicationService/Commit", commit, replication_pb2.CommitResponse)
        gate.set()
        await waiting
    assert type(error) is Overloaded
    assert done.generation == 42
    assert site.admission.running == 0


async def test_draining_node_refuses_new_work_and_finishes_rounds() -> None:
    site = Site()
    site.activity.draining = True
    async with site.calling("reader") as caller, site.connected("n2") as node:
        error = await _refusal(caller, "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString())
        commit = replication_pb2.CommitRequest(key=key_message(KEY), round_id="b" * 32, generation=42)
        await node.call("ReplicationService/Commit", commit, replication_pb2.CommitResponse)
    assert type(error) is Draining


async def test_read_that_takes_too_long_is_refused_and_stopped() -> None:
    site = Site(reads=FakeReads(gate=asyncio.Event()), unary_ms_max=50)
    async with site.calling("reader") as caller:
        error = await _refusal(caller, "/mesh.v1.RefService/GetDefaultBranch", BRANCH.SerializeToString())
    assert type(error) is DeadlineExceeded
    assert site.admission.running == 0


async def test_write_that_takes_too_long_is_answered_as_unknown() -> None:
    site = Site(replication=FakeReplication(gate=asyncio.Event()), unary_ms_max=50)
    commit = replication_pb2.CommitRequest(key=key_message(KEY), round_id="b" * 32, generation=42)
    async with site.calling("n2") as node:
        error = await _refusal(node, "/mesh.v1.ReplicationService/Commit", commit.SerializeToString())
    assert type(error) is OutcomeUnknown


async def test_callers_deadline_is_answered_before_it_is_over() -> None:
    site = Site(reads=FakeReads(gate=asyncio.Event()))
    async with site.calling("reader") as caller:
        path = "/mesh.v1.RefService/GetDefaultBranch"
        error = await _refusal(caller, path, BRANCH.SerializeToString(), timeout_ms=1_000)
    assert type(error) is DeadlineExceeded


# ---------------------------------------------------------------- streams and clients that go away


async def test_client_that_goes_away_leaves_no_call_behind() -> None:
    site = Site(replication=FakeReplication(gate=asyncio.Event()))
    before = asyncio.all_tasks()
    describe = replication_pb2.DescribeReplicaRequest(key=key_message(KEY))
    async with site.calling("n2") as node:
        call = asyncio.ensure_future(
            node.call("ReplicationService/DescribeReplica", describe, replication_pb2.DescribeReplicaResponse)
        )
        await asyncio.wait_for(site.replication.begun.wait(), 5)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.wait_for(site.replication.ended.wait(), 5)
        await _until(lambda: site.admission.running == 0)
    assert asyncio.all_tasks() == before


async def test_client_that_goes_away_in_the_middle_of_a_stream_leaves_nothing_behind() -> None:
    site = Site()
    before = asyncio.all_tasks()
    header = transport_pb2.TransportChunk(header=transport_pb2.TransportHeader(repository="project/repo"))
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield header.SerializeToString()
        yield transport_pb2.TransportChunk(data=b"abc").SerializeToString()
        await never.wait()

    async with site.calling("writer") as caller:
        stream = caller.channel.stream("/mesh.v1.TransportService/UploadPack", body(), timeout_ms=5_000)
        await anext(stream)
        await asyncio.wait_for(site.transport.begun.wait(), 5)
        await stream.aclose()
        await asyncio.wait_for(site.transport.ended.wait(), 5)
        await _until(lambda: site.admission.running == 0)
    assert asyncio.all_tasks() == before


async def test_stream_is_answered_while_it_is_sent_and_the_trailer_binds_both_ends() -> None:
    site = Site()
    header = transport_pb2.TransportChunk(header=transport_pb2.TransportHeader(repository="project/repo"), data=b"x")
    answered = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield header.SerializeToString()
        await asyncio.wait_for(answered.wait(), 5)
        yield transport_pb2.TransportChunk(data=b"abc").SerializeToString()

    received = []
    async with site.calling("reader") as caller:
        async with caller.channel.stream("/mesh.v1.TransportService/UploadPack", body(), timeout_ms=5_000) as stream:
            async for message in stream:
                answered.set()
                received.append(transport_pb2.TransportResponse.FromString(message))
    assert received[0].position.generation == 42
    assert [message.data for message in received[1:]] == [b"got 1", b"got 3"]
    assert site.transport.requests[0].actor == "app:reader"


async def test_error_in_the_middle_of_an_answer_is_signed_too() -> None:
    site = Site(transport=FakeTransport(late_error=Corrupt("damaged")))
    header = transport_pb2.TransportChunk(header=transport_pb2.TransportHeader(repository="project/repo"), data=b"x")
    async with site.calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.stream("/mesh.v1.TransportService/UploadPack", header.SerializeToString())
    assert failed.value.was_answered
    assert type(error_from_call(failed.value, N1)) is Corrupt


async def test_second_header_in_a_stream_is_refused() -> None:
    header = transport_pb2.TransportChunk(header=transport_pb2.TransportHeader(repository="project/repo"))

    async def body() -> AsyncIterator[bytes]:
        yield header.SerializeToString()
        yield header.SerializeToString()

    async with Site().calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.stream("/mesh.v1.TransportService/UploadPack", body())
    assert type(error_from_call(failed.value, N1)) is InvalidRequest


async def test_request_that_ends_without_a_message_is_refused() -> None:
    site = Site()
    path = "/mesh.v1.TransportService/UploadPack"

    async def nothing() -> AsyncIterator[bytes]:
        for body in tuple[bytes, ...]():
            yield body

    async with site.serving(), site.raw() as channel:
        signed = site.signer("reader").request_token(audience="n1", method=path, first_body=None)
        call = channel.stream_stream(path)(
            nothing(), metadata=(("authorization", f"Bearer {signed.token}"),), timeout=5
        )
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async for _ in call:
                pass
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_stream_that_never_sends_anything_is_refused_all_the_same() -> None:
    site = Site()

    async def silence() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async with site.serving(), site.raw() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async for _ in channel.stream_stream("/mesh.v1.TransportService/UploadPack")(silence(), timeout=5):
                pass
    assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_prepare_stream_that_ends_early_is_no_vote() -> None:
    site = Site()
    opening = replication_pb2.PrepareRequest(
        open=replication_pb2.PrepareRequest.Open(key=key_message(KEY), round_id="b" * 32, object_format="sha1")
    )
    async with site.calling("n2") as node:
        with pytest.raises(CallFailed) as failed:
            await node.stream("/mesh.v1.ReplicationService/Prepare", opening.SerializeToString())
    assert type(error_from_call(failed.value, N1)) is InvalidRequest
    assert site.replication.ended.is_set()


async def test_message_above_the_limit_is_refused_and_the_server_serves_on() -> None:
    async with Site().calling("reader") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.channel.unary("/mesh.v1.RefService/ListRefs", bytes(9 << 20), timeout_ms=5_000)
        assert failed.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await caller.call("RepositoryService/Get", GET, repository_pb2.GetResponse)


# ---------------------------------------------------------------- the proto itself


def test_every_method_says_what_it_does_and_who_may_call_it() -> None:
    kinds = {method.path: method.kind for method in METHODS}
    assert kinds["/mesh.v1.RefService/UpdateRefs"] is Kind.MUTATOR
    assert kinds["/mesh.v1.ClusterService/SetNodeState"] is Kind.MAINTENANCE
    assert len(METHODS) == len(kinds) > 25
    assert all(method.is_replay_refused is (method.kind is not Kind.ACCESSOR) for method in METHODS)


async def test_cluster_shows_nodes_and_changes_their_state() -> None:
    site = Site()
    async with site.calling("operator") as caller:
        status = await caller.call(
            "ClusterService/GetStatus", cluster_pb2.GetStatusRequest(), cluster_pb2.GetStatusResponse
        )
        changed = await caller.call(
            "ClusterService/SetNodeState",
            cluster_pb2.SetNodeStateRequest(node="n3", state=cluster_pb2.NODE_STATE_DRAINING),
            cluster_pb2.SetNodeStateResponse,
        )
        activity = await caller.call(
            "ClusterService/GetNodeActivity",
            cluster_pb2.GetNodeActivityRequest(),
            cluster_pb2.GetNodeActivityResponse,
        )
    assert [node.id for node in status.nodes] == ["n1", "n2", "n3"]
    assert status.complete
    assert changed.node.state == cluster_pb2.NODE_STATE_DRAINING
    assert (activity.node, activity.ready, activity.requests_in_flight) == ("n1", True, 3)
    assert not activity.drained


async def test_a_node_that_is_out_of_service_still_answers_operators_and_one_that_stops_does_not() -> None:
    site = Site()
    site.activity.draining = True
    request = cluster_pb2.SetNodeStateRequest(node="n1", state=cluster_pb2.NODE_STATE_AVAILABLE)
    async with site.calling("operator") as caller:
        await caller.call("ClusterService/SetNodeState", request, cluster_pb2.SetNodeStateResponse)
        with pytest.raises(CallFailed, match="draining"):
            await caller.call("RepositoryService/Get", GET, repository_pb2.GetResponse)
        site.activity.stopping = True
        with pytest.raises(CallFailed, match="draining"):
            await caller.call("ClusterService/SetNodeState", request, cluster_pb2.SetNodeStateResponse)


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
