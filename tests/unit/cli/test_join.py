"""`meshnode node join` against a node of the cluster, somebody else, and nobody; `node invite` and its listing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from click.testing import Result

from meshnode.auth.identity import read_belonging
from meshnode.auth.invitations import CatalogAccess, InvitationSecret, prove_answer
from meshnode.base.errors import MeshError
from meshnode.catalog.memory import MemoryCatalog
from meshnode.cli.invite import Duration
from meshnode.config import load_config
from meshnode.core.joining import Invitation
from meshnode.engine.joining import Joining
from meshnode.ports import InvitationOrder
from meshnode.v1 import cluster_join_pb2
from meshnode.wire.joining import claim_of, joined_message
from meshnode.wire.status import status_of
from tests.unit.auth.parties import RealClock
from tests.unit.cli.conftest import KeyShelf, run_cli
from tests.unit.rpc.fakes import FakeMembership

ANY = InvitationOrder(node=None, zone="", weight=0, expires_s=0)
METHOD = "/mesh.v1.ClusterService/JoinCluster"
Change = Callable[[cluster_join_pb2.JoinClusterResponse], None]


@dataclass
class Door:
    """A node that lets machines in by the real rules, or lies."""

    access: CatalogAccess = CatalogAccess(url="etcd://e1:2379", prefix="/team/", is_tls=False, username="")
    lie: Change | None = None
    broken: list[grpc.StatusCode] = field(default_factory=list)
    """Statuses of the next calls, after they took effect."""
    requests: list[bytes] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.joining = Joining(catalog=MemoryCatalog(), membership=FakeMembership(), clock=RealClock(), skew_ms=120_000)

    def invite(self, order: InvitationOrder = ANY) -> str:
        """A secret."""

        async def run() -> tuple[Invitation, str]:
            return await self.joining.invite(order, "app:operator")

        return asyncio.run(run())[1]

    async def answer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Serve one join."""
        self.requests.append(body)
        request = cluster_join_pb2.JoinClusterRequest.FromString(body)
        try:
            claim = claim_of(request)
            joined = await self.joining.join(claim, request.invitation_signature, request.key_signature)
        except MeshError as error:
            status = status_of(error)
            await context.abort(status.code, status.detail, status.trailing)
            raise
        if self.broken:
            await context.abort(self.broken.pop(), "lost on the way")
        message = joined_message(joined, self.access, prove_answer(joined, claim, self.access))
        if self.lie is not None:
            self.lie(message)
        return message.SerializeToString()


@pytest.fixture
def door() -> Iterator[Door]:
    """A door that is open, on a thread of its own."""
    door, started, loop, over = Door(), Future[int](), asyncio.new_event_loop(), asyncio.Event()

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
            if handler_call_details.method != METHOD:
                return None
            return grpc.unary_unary_rpc_method_handler(door.answer)

    async def serve() -> None:
        server = grpc.aio.server(handlers=(Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        started.set_result(port)
        await over.wait()
        await server.stop(grace=0)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    door.address = f"127.0.0.1:{started.result(timeout=20)}"
    yield door
    loop.call_soon_threadsafe(over.set)
    thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.fixture
def home(tmp_path: Path, keys: KeyShelf) -> Path:
    """The data directory of the machine, its key made before: that takes long."""
    keys.copy("1", tmp_path / "n4" / "node.pem")
    return tmp_path / "n4"


def join(door: Door, home: Path, *arguments: object) -> Result:
    return run_cli("node", "join", "--server", f"http://{door.address}", "--data", home, *arguments)


def assert_nothing_written(home: Path) -> None:
    assert {path.name for path in home.iterdir()} == {"node.pem"}


def test_joined_machine_has_settings_and_knows_its_cluster(door: Door, home: Path) -> None:
    secret = door.invite()
    options = ["--id", "n4", "--zone", "east", "--grpc", "127.0.0.1:9001", "--http", "127.0.0.1:9002", "--json"]
    result = join(door, home, "--secret", secret, *options)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["node"], answer["zone"], answer["weight"]) == ("n4", "east", 100)
    assert len(answer["members"]) == 4
    config = load_config(Path(answer["config"]), {})
    assert (config.node.id, config.node.zone, config.node.data) == ("n4", "east", home)
    assert (config.catalog.url, config.catalog.prefix) == ("etcd://e1:2379", "/team/")
    belonging = read_belonging(home)
    assert belonging is not None
    assert (belonging.node, belonging.cluster_id) == ("n4", "c" * 32)
    assert all(secret.removeprefix("mesh-join-").encode() not in request for request in door.requests)


def test_secret_may_come_from_a_file_or_standard_input(door: Door, home: Path, tmp_path: Path) -> None:
    secret = door.invite()
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    assert join(door, home, "--secret-file", file, "--id", "n4").exit_code == 0
    again = run_cli(
        "node", "join", "--server", f"http://{door.address}", "--data", home, "--secret-file", "-", "--id", "n4",
        stdin=f"{secret}\n",
    )  # fmt: skip
    assert again.exit_code == 0, again.stderr
    assert "meshnode serve --config" in again.stdout


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_lost_answer_is_asked_for_again(door: Door, home: Path, code: grpc.StatusCode) -> None:
    door.broken = [code]
    assert join(door, home, "--secret", door.invite(), "--id", "n4").exit_code == 0
    assert len(door.requests) == 2


def test_settings_that_exist_are_left_alone(door: Door, home: Path) -> None:
    secret = door.invite()
    assert join(door, home, "--secret", secret, "--id", "n4").exit_code == 0
    file = home / "meshnode.toml"
    file.write_text(file.read_text() + '\n[log]\nlevel = "debug"\n')
    assert join(door, home, "--secret", secret, "--id", "n4").exit_code == 0
    assert "debug" in file.read_text()


def test_refusal_is_told_and_nothing_is_written(door: Door, home: Path) -> None:
    result = join(door, home, "--secret", InvitationSecret.make().text(), "--id", "n4")
    assert result.exit_code == 5
    assert "invitation is not known" in result.stderr
    assert_nothing_written(home)
    assert len(door.requests) == 1


def _proof(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.proof = b"x" * 32


def _no_proof(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.proof = b""


def _catalog(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.catalog_url = "etcd://evil:2379"


def _cluster(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.cluster_id = "e" * 32


def _member(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.members[0].public_keys[:] = ["another"]


def _node(message: cluster_join_pb2.JoinClusterResponse) -> None:
    message.node = "../n4"


@pytest.mark.parametrize("lie", [_proof, _no_proof, _catalog, _cluster, _member, _node])
def test_answer_that_is_not_the_clusters_is_not_believed(door: Door, home: Path, lie: Change) -> None:
    door.lie = lie
    result = join(door, home, "--secret", door.invite(), "--id", "n4")
    assert result.exit_code == 5
    assert "does not come from the cluster" in result.stderr
    assert_nothing_written(home)


def test_directory_of_another_node_is_refused(door: Door, home: Path) -> None:
    assert join(door, home, "--secret", door.invite(), "--id", "n4").exit_code == 0
    (home / "meshnode.toml").unlink()
    door.joining.catalog = MemoryCatalog()
    result = join(door, home, "--secret", door.invite(), "--id", "n5")
    assert result.exit_code == 5
    assert "belongs to another node" in result.stderr


def test_catalog_behind_tls_needs_its_files_and_the_command_continues(door: Door, home: Path, tmp_path: Path) -> None:
    door.access = CatalogAccess(url="etcd://e1:2379", prefix="/team/", is_tls=True, username="mesh")
    secret = door.invite()
    result = join(door, home, "--secret", secret, "--id", "n4")
    assert result.exit_code == 2
    assert "--catalog-ca-file" in result.stderr
    assert_nothing_written(home)
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----")
    files = ["--catalog-ca-file", authority]
    half = join(door, home, "--secret", secret, "--id", "n4", *files)
    assert half.exit_code == 2
    assert "catalog.password_file" in half.stderr
    assert_nothing_written(home)
    again = join(door, home, "--secret", secret, "--id", "n4", *files, "--catalog-password-file", tmp_path / "word")
    assert again.exit_code == 0, again.stderr
    config = load_config(home / "meshnode.toml", {})
    assert (config.catalog.ca_file, config.catalog.username) == (str(authority), "mesh")


def test_nobody_there_is_said_with_what_to_do(home: Path) -> None:
    result = run_cli(
        "node", "join", "--server", "http://127.0.0.1:1", "--data", home, "--secret", InvitationSecret.make().text()
    )
    assert result.exit_code == 4
    assert "may be run again" in result.stderr
    assert_nothing_written(home)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--id", "N 4"], "node id"),
        (["--grpc", "nowhere"], "listen.grpc"),
        (["--grpc", "0.0.0.0:7777", "--grpc-url", "m4:7777"], "no TLS"),
        (["--http-url", "ftp://x"], "listen.http_url"),
        (["--secret-file", "-"], "one of them only"),
        (["--secret", "mesh-join-no"], "not the secret of an invitation"),
        (["--catalog", "mysql://x"], "catalog.url"),
        (["--server", "https://127.0.0.1:1"], "TLS is mutual"),
        (["--server", "gopher://127.0.0.1:1"], "--server must be"),
        (["--server", "http://127.0.0.1:99999"], "bad port"),
        (["--ca-file", "/nowhere"], "tls needs"),
    ],
)
def test_bad_options_are_found_before_anybody_is_asked(
    door: Door, tmp_path: Path, arguments: list[str], says: str
) -> None:
    secret = [] if "--secret" in arguments else ["--secret", InvitationSecret.make().text()]
    result = join(door, tmp_path / "new", *secret, *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert door.requests == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3_600), ("7d", 604_800)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "h", "1", "1w", "-1h", "1.5h", "٣h", "9999999s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    result = run_cli("node", "invite", "--expires", text, "--server", "http://x:1")
    assert result.exit_code == 2
