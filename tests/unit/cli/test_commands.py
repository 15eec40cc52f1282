"""`repo`, `cluster`, `node` and `token` against scripted nodes over real, signed gRPC."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from meshnode.auth.keys import PrivateKey, PublicKey, load_private_key
from meshnode.base.errors import (
    Draining,
    Forbidden,
    InvalidRequest,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    QuorumLost,
    RepositoryExists,
    RepositoryNotFound,
)
from meshnode.cli.blueprint import make_cluster_files, plan_local_cluster
from meshnode.cli.layout import ClusterFile, Layout, read_cluster_file, write_cluster_file
from meshnode.config import ConfigError
from meshnode.core.applications import Application, Role
from meshnode.v1 import cluster_applications_pb2 as applications_pb2
from meshnode.v1 import (
    cluster_join_pb2,
    cluster_keys_pb2,
    cluster_pb2,
    cluster_replicas_pb2,
    common_pb2,
    repository_pb2,
)
from meshnode.v1 import cluster_settings_pb2 as settings_pb2
from meshnode.v1 import repository_config_pb2 as config_pb2
from tests.unit.cli.conftest import KeyShelf, find_base_port, node, run_cli
from tests.unit.cli.signed_server import Answer, ScriptedCluster, ScriptedNode

REPOSITORY = "/mesh.v1.RepositoryService/"
CLUSTER = "/mesh.v1.ClusterService/"
POSITION = common_pb2.Position(generation=3, node="n2")
DEMO = common_pb2.Repository(
    name="demo/requests",
    id="d" * 32,
    partition=7,
    generation=3,
    object_format=common_pb2.OBJECT_FORMAT_SHA1,
    refs_digest="e" * 64,
    round_id="f" * 32,
    replicas=[
        common_pb2.Replica(
            node="n1",
            consistent=True,
            online=True,
            generation=3,
            consistent_since_s=1_700_000_000,
            activity="consistent",
        ),
        common_pb2.Replica(node="n2", consistent=False, online=False, activity="unreachable \x1b[31m"),
    ],
)


@dataclass
class Scene:
    """A local cluster's files with scripted nodes behind its addresses."""

    layout: Layout
    cluster: ClusterFile
    nodes: list[ScriptedNode]

    def run(self, *arguments: object, stdin: str = "") -> Result:
        return run_cli(*arguments, "--data", self.layout.data, stdin=stdin)

    def answer(self, method: str, answer: Answer) -> None:
        """Let every node answer so."""
        for scripted in self.nodes:
            scripted.answers[method] = answer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, keys: KeyShelf) -> Iterator[Scene]:
    """One cluster for all tests: opening ports and reading keys would take longer than the tests."""
    directory = tmp_path_factory.mktemp("served")
    layout = Layout(directory)
    keys.fill(layout, 3)
    url = f"sqlite://{layout.sqlite_file}"
    port = find_base_port(str(directory))
    cluster = make_cluster_files(
        layout, plan_local_cluster(layout, node_count=3, base_port=port, catalog_url=url), None
    )
    nodes = [
        ScriptedNode(entry.node, load_private_key(layout.key_file(entry.node)), address=entry.grpc)
        for entry in cluster.nodes
    ]
    operator = load_private_key(layout.operator_key)
    application = Application(application="operator", role=Role.ADMINISTRATOR, public_keys=(operator.public_pem,))
    with ScriptedCluster(nodes, [application], cluster.cluster_id):
        yield Scene(layout, cluster, nodes)


@pytest.fixture
def scene(served: Scene, tmp_path: Path) -> Scene:
    """A copy of the cluster's files, and its nodes with nothing scripted yet."""
    layout = Layout(tmp_path / "mesh")
    shutil.copytree(served.layout.data, layout.data)
    for scripted in served.nodes:
        scripted.reset()
    return Scene(layout, served.cluster, served.nodes)


def failing(error: MeshError) -> Answer:
    def answer(body: bytes) -> repository_pb2.GetResponse:
        del body
        raise error

    return answer


# ---------------------------------------------------------------- repositories


def test_create_sends_a_request_key_and_says_what_was_made(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Create", lambda _: repository_pb2.CreateResponse(repository=DEMO, position=POSITION))
    result = scene.run("repo", "create", "demo/requests.git", "--object-format", "sha256", "--default-branch", "trunk")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"created demo/requests (id {'d' * 32}, generation 3)\n"
    request = repository_pb2.CreateRequest.FromString(scene.nodes[0].asked(REPOSITORY + "Create")[0])
    assert (request.name, request.default_branch) == ("demo/requests", "trunk")
    assert request.object_format == common_pb2.OBJECT_FORMAT_SHA256
    assert len(request.request_key) == 32
    assert scene.nodes[0].issuers == ["app:operator"]


def test_list_reads_every_page(scene: Scene) -> None:
    def answer(body: bytes) -> repository_pb2.ListResponse:
        request = repository_pb2.ListRequest.FromString(body)
        assert request.prefix == "demo/"
        if not request.page_token:
            return repository_pb2.ListResponse(names=["demo/a", "demo/b"], next_page_token="demo/b")
        return repository_pb2.ListResponse(names=["demo/c"])

    scene.answer(REPOSITORY + "List", answer)
    result = scene.run("repo", "list", "--prefix", "demo/", "--json")
    assert json.loads(result.stdout) == [{"name": "demo/a"}, {"name": "demo/b"}, {"name": "demo/c"}]
    assert scene.run("repo", "list", "--prefix", "demo/").stdout == "demo/a\ndemo/b\ndemo/c\n"


def test_an_empty_list_is_empty_and_an_empty_list_in_json(scene: Scene) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse())
    assert scene.run("repo", "list").stdout == ""
    assert json.loads(scene.run("repo", "list", "--json").stdout) == []


def test_show_gives_generation_round_and_each_replica(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Get", lambda _: repository_pb2.GetResponse(repository=DEMO, position=POSITION))
    shown = json.loads(scene.run("repo", "show", "demo/requests", "--json").stdout)
    assert shown["generation"] == 3
    assert shown["round_id"] == "f" * 32
    assert shown["replicas"][0] == {
        "node": "n1",
        "online": True,
        "consistent": True,
        "generation": 3,
        "read_replica": False,
        "consistent_since": "2023-11-14T22:13:20Z",
        "activity": "consistent",
    }
    assert shown["replicas"][1]["consistent_since"] == ""
    request = repository_pb2.GetRequest.FromString(scene.nodes[0].asked(REPOSITORY + "Get")[0])
    assert request.details
    table = scene.run("repo", "show", "demo/requests")
    assert table.exit_code == 0
    assert "generation     3" in table.stdout
    assert "2023-11-14T22:13:20Z" in table.stdout
    assert "\x1b" not in table.stdout


@pytest.mark.parametrize(("is_ok", "code"), [(True, 0), (False, 1)])
def test_verify_ends_with_one_where_replicas_differ(scene: Scene, is_ok: bool, code: int) -> None:
    report = repository_pb2.ReplicaReport(
        node="n1", reachable=True, consistent=True, generation=3, digest_on_disk="e" * 64, size_bytes=3 << 20,
        problems=[] if is_ok else ["missing blob 42"],
    )  # fmt: skip
    answer = repository_pb2.VerifyResponse(generation=3, refs_digest="e" * 64, ok=is_ok, replicas=[report])
    scene.answer(REPOSITORY + "Verify", lambda _: answer)
    result = scene.run("repo", "verify", "demo/requests")
    assert result.exit_code == code, result.output
    assert ("ok: the replicas agree" if is_ok else "missing blob 42") in result.stdout
    in_json = scene.run("repo", "verify", "demo/requests", "--json")
    assert in_json.exit_code == code
    assert json.loads(in_json.stdout)["replicas"][0]["size_bytes"] == 3 << 20
    assert json.loads(in_json.stdout)["ok"] is is_ok


def test_verify_names_the_replicas_that_could_not_be_asked(scene: Scene) -> None:
    reports = [
        repository_pb2.ReplicaReport(node="n1", reachable=True, consistent=True, generation=3),
        repository_pb2.ReplicaReport(node="n2", problems=["no answer"]),
    ]
    answer = repository_pb2.VerifyResponse(generation=3, ok=False, replicas=reports)
    scene.answer(REPOSITORY + "Verify", lambda _: answer)
    result = scene.run("repo", "verify", "demo/requests")
    assert result.exit_code == 1
    assert "NOT ok: n2 could not be asked" in result.stdout


def test_delete_asks_first_and_does_nothing_without_a_yes(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Delete", lambda _: repository_pb2.DeleteResponse(position=POSITION))
    refused = scene.run("repo", "delete", "demo/requests", stdin="n\n")
    assert refused.exit_code == 1
    assert scene.nodes[0].calls == []
    done = scene.run("repo", "delete", "demo/requests", "--yes")
    assert (done.exit_code, done.stdout) == (0, "deleted demo/requests (generation 3)\n")
    assert json.loads(scene.run("repo", "delete", "demo/requests", "-y", "--json").stdout)["generation"] == 3


def test_rename_and_fork_name_both_repositories(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Rename", lambda _: repository_pb2.RenameResponse(repository=DEMO, position=POSITION))
    scene.answer(REPOSITORY + "Fork", lambda _: repository_pb2.ForkResponse(repository=DEMO, position=POSITION))
    assert scene.run("repo", "rename", "demo/old", "demo/requests").exit_code == 0
    assert json.loads(scene.run("repo", "fork", "demo/source", "demo/requests", "--json").stdout)["id"] == "d" * 32
    renamed = repository_pb2.RenameRequest.FromString(scene.nodes[0].asked(REPOSITORY + "Rename")[0])
    forked = repository_pb2.ForkRequest.FromString(scene.nodes[0].asked(REPOSITORY + "Fork")[0])
    assert (renamed.name, renamed.new_name) == ("demo/old", "demo/requests")
    assert (forked.source_name, forked.name) == ("demo/source", "demo/requests")


def test_a_hostile_name_is_refused_before_anything_is_sent(scene: Scene) -> None:
    result = scene.run("repo", "show", "../../etc/passwd")
    assert result.exit_code == 2
    assert "bad segment" in result.stderr
    assert scene.nodes[0].calls == []


# ---------------------------------------------------------------- errors and the choice of the node


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RepositoryNotFound("no repository of that name", name="demo/x"), 3),
        (RepositoryExists("the name is taken"), 5),
        (Forbidden("role does not allow this"), 5),
        (InvalidRequest("too long"), 2),
        (OutcomeUnknown("not known yet", round="f" * 32), 6),
    ],
)
def test_a_final_answer_of_one_node_decides_and_no_other_is_asked(scene: Scene, error: MeshError, code: int) -> None:
    scene.answer(REPOSITORY + "Create", failing(error))
    result = scene.run("repo", "create", "demo/x")
    assert result.exit_code == code
    assert error.message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [len(scripted.calls) for scripted in scene.nodes] == [1, 0, 0]


@pytest.mark.parametrize("error", [Draining("goes away"), QuorumLost("too few votes"), Overloaded("full")])
def test_another_node_is_asked_where_nothing_was_written(scene: Scene, error: MeshError) -> None:
    scene.nodes[0].answers[REPOSITORY + "Create"] = failing(error)
    for scripted in scene.nodes[1:]:
        scripted.answers[REPOSITORY + "Create"] = lambda _: repository_pb2.CreateResponse(repository=DEMO)
    result = scene.run("repo", "create", "demo/requests")
    assert result.exit_code == 0, result.output
    keys = {
        repository_pb2.CreateRequest.FromString(body).request_key
        for scripted in scene.nodes
        for body in scripted.asked(REPOSITORY + "Create")
    }
    assert len(keys) == 1
    assert [len(scripted.calls) for scripted in scene.nodes] == [1, 1, 0]


def test_when_every_node_refuses_the_reason_is_told(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Create", failing(QuorumLost("too few votes", votes=1)))
    result = scene.run("repo", "create", "demo/x")
    assert result.exit_code == 4
    assert "too few votes (votes=1)" in result.stderr


def test_a_write_that_was_sent_and_never_answered_is_called_unknown(scene: Scene) -> None:
    scene.nodes[0].breaks_off = True
    for scripted in scene.nodes[1:]:
        scripted.answers[REPOSITORY + "Create"] = failing(QuorumLost("too few votes"))
    result = scene.run("repo", "create", "demo/x")
    assert result.exit_code == 6
    assert "no node said what became of it" in result.stderr
    assert "n1: UNAVAILABLE stream removed" in result.stderr


def test_a_read_goes_on_to_the_next_node_where_one_breaks_off(scene: Scene) -> None:
    scene.nodes[0].breaks_off = True
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse(names=["demo/a"]))
    assert json.loads(scene.run("repo", "list", "--json").stdout) == [{"name": "demo/a"}]


def test_an_unsigned_answer_is_not_believed(scene: Scene) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse(names=["demo/forged"]))
    for scripted in scene.nodes:
        scripted.is_unsigned = True
    result = scene.run("repo", "list")
    assert result.exit_code == 5
    assert "response is not signed" in result.stderr
    assert "forged" not in result.stdout


def test_an_answer_signed_with_another_key_is_not_believed(scene: Scene, layout: Layout) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse())
    raw = json.loads(layout.cluster_file.read_text())
    for entry in raw["nodes"]:
        entry["public_key"] = (
            PrivateKey.generate().public_pem if entry["node"] == "n1" else raw["nodes"][0]["public_key"]
        )
    layout.cluster_file.write_text(json.dumps(raw))
    result = scene.run("repo", "list")
    assert result.exit_code == 5
    assert "none can be believed" in result.stderr


def test_a_caller_the_cluster_does_not_know_is_told_so(scene: Scene, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.touch(mode=0o600)
    stranger.write_bytes(PrivateKey.generate().private_pem())
    result = scene.run("repo", "list", "--key", stranger)
    assert result.exit_code == 5
    assert "UNAUTHENTICATED key is not known" in result.stderr


def test_no_node_running_is_told_in_one_line(layout: Layout, base_port: int) -> None:
    url = f"sqlite://{layout.sqlite_file}"
    blueprint = plan_local_cluster(layout, node_count=3, base_port=base_port, catalog_url=url)
    make_cluster_files(layout, blueprint, None)
    for arguments in (["repo", "list"], ["repo", "create", "demo/x"]):
        result = run_cli(*arguments, "--data", layout.data)
        assert result.exit_code == 4, result.output
        assert "n1: not reachable; n2: not reachable; n3: not reachable" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_verbose_says_who_answered_and_that_the_signature_holds(scene: Scene) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse())
    result = scene.run("repo", "list", "--json", "--verbose")
    assert "n1 (127.0.0.1:" in result.stderr
    assert f"signature verified, key {scene.nodes[0].key.key_id}" in result.stderr
    assert json.loads(result.stdout) == []


# ---------------------------------------------------------------- a server by its URL


def remote(scene: Scene, tmp_path: Path, number: int = 1) -> list[object]:
    pinned = tmp_path / "server.pub"
    pinned.write_text(scene.nodes[number].key.public_pem)
    return [
        "--server",
        f"http://{scene.nodes[number].address}",
        "--server-key",
        f"{scene.nodes[number].node}={pinned}",
        "--key",
        scene.layout.operator_key,
    ]


def test_a_server_elsewhere_is_called_with_pinned_key(scene: Scene, tmp_path: Path) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse(names=["demo/a"]))
    result = run_cli("repo", "list", "--json", *remote(scene, tmp_path))
    assert json.loads(result.stdout) == [{"name": "demo/a"}]
    assert [len(scripted.calls) for scripted in scene.nodes] == [0, 1, 0]


def test_a_server_with_another_key_than_the_pinned_one_is_refused(scene: Scene, tmp_path: Path) -> None:
    scene.answer(REPOSITORY + "List", lambda _: repository_pb2.ListResponse())
    arguments = remote(scene, tmp_path)
    (tmp_path / "server.pub").write_text(scene.nodes[2].key.public_pem)
    assert run_cli("repo", "list", *arguments).exit_code == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server", "http://127.0.0.1:1"], "--server needs --key"),
        (["--server", "http://127.0.0.1:1", "--key", "x"], "--server-key NODE=FILE"),
        (["--server", "127.0.0.1:1", "--key", "x", "--server-key", "n1=x"], "must be http://"),
        (["--server", "http://127.0.0.1:99999", "--key", "x", "--server-key", "n1=x"], "bad port"),
        (["--server", "http://[::1", "--key", "x", "--server-key", "n1=x"], "must be http://"),
        (["--server", "http://127.0.0.1:1", "--key", "x", "--server-key", "x"], "must be NODE=FILE"),
        (["--server", "https://127.0.0.1:1", "--key", "x", "--server-key", "n1=x"], "TLS is mutual"),
        (["--server-key", "n1=x"], "goes with --server"),
    ],
)
def test_incomplete_server_options_are_usage_errors(arguments: list[str], message: str) -> None:
    result = run_cli("repo", "list", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_missing_server_key_file_is_not_found(scene: Scene, tmp_path: Path) -> None:
    arguments = remote(scene, tmp_path)
    (tmp_path / "server.pub").unlink()
    result = run_cli("repo", "list", *arguments)
    assert result.exit_code == 3
    assert "server.pub" in result.stderr


def test_a_key_that_others_can_read_is_refused(scene: Scene) -> None:
    scene.layout.operator_key.chmod(0o644)
    result = scene.run("repo", "list")
    assert result.exit_code == 2
    assert "0600" in result.stderr


# ---------------------------------------------------------------- cluster and nodes

NODES = [
    cluster_pb2.Node(
        id="n1", grpc_url="127.0.0.1:1", http_url="http://127.0.0.1:2", zone="z", weight=100, online=True,
        state=cluster_pb2.NODE_STATE_AVAILABLE, key_ids=["0" * 16], version="0.1.0",
    ),
    cluster_pb2.Node(id="n2", state=cluster_pb2.NODE_STATE_DRAINING, zone="z", weight=50),
]  # fmt: skip


def test_status_counts_repositories_and_lists_nodes(scene: Scene) -> None:
    answer = cluster_pb2.GetStatusResponse(
        cluster_id="c" * 32, format_version=1, partitions=256, replication_factor=3, nodes=NODES,
        repositories=12, repositories_repairing=2, repositories_read_only=1, complete=False,
    )  # fmt: skip
    scene.answer(CLUSTER + "GetStatus", lambda _: answer)
    result = scene.run("cluster", "status")
    assert result.exit_code == 0, result.output
    assert "2, 1 online" in result.stdout
    assert "12 or more" in result.stdout
    shown = json.loads(scene.run("cluster", "status", "--json").stdout)
    assert shown["repositories_repairing"] == 2
    assert [(entry["node"], entry["state"]) for entry in shown["nodes"]] == [("n1", "available"), ("n2", "draining")]


def test_node_list_and_show_describe_what_the_catalog_says_and_the_node_does(scene: Scene) -> None:
    scene.answer(CLUSTER + "ListNodes", lambda _: cluster_pb2.ListNodesResponse(nodes=NODES))
    repair = cluster_pb2.Repair(repository_id="d" * 32, phase="fetching objects", percent=40, source="n3")
    scene.nodes[1].answers[CLUSTER + "GetNodeActivity"] = lambda _: cluster_pb2.GetNodeActivityResponse(
        node="n2", ready=True, draining=True, requests_in_flight=4, repairs=[repair]
    )
    listed = json.loads(scene.run("node", "list", "--json").stdout)
    assert [entry["node"] for entry in listed] == ["n1", "n2"]
    assert "draining" in scene.run("node", "list").stdout
    shown = json.loads(scene.run("node", "show", "n2", "--json").stdout)
    assert shown["activity"]["requests_in_flight"] == 4
    assert shown["activity"]["repairs"][0]["percent"] == 40
    text = scene.run("node", "show", "n2").stdout
    assert "fetching objects" in text
    assert "40 %" in text


def test_node_show_says_when_the_node_itself_cannot_be_asked(scene: Scene) -> None:
    scene.answer(CLUSTER + "ListNodes", lambda _: cluster_pb2.ListNodesResponse(nodes=NODES))
    scene.nodes[1].breaks_off = True
    shown = json.loads(scene.run("node", "show", "n2", "--json").stdout)
    assert shown["activity"]["reachable"] is False
    assert "stream removed" in shown["activity"]["reason"]


def test_an_unknown_node_is_not_found(scene: Scene) -> None:
    scene.answer(CLUSTER + "ListNodes", lambda _: cluster_pb2.ListNodesResponse(nodes=NODES))
    result = scene.run("node", "show", "n7")
    assert result.exit_code == 3
    assert "node=n7" in result.stderr


@pytest.mark.parametrize(
    ("verb", "state", "word"),
    [
        ("drain", cluster_pb2.NODE_STATE_DRAINING, "draining"),
        ("disable", cluster_pb2.NODE_STATE_DISABLED, "disabled"),
        ("enable", cluster_pb2.NODE_STATE_AVAILABLE, "available"),
    ],
)
def test_drain_and_enable_want_another_state(scene: Scene, verb: str, state: cluster_pb2.NodeState, word: str) -> None:
    def answer(body: bytes) -> cluster_pb2.SetNodeStateResponse:
        request = cluster_pb2.SetNodeStateRequest.FromString(body)
        return cluster_pb2.SetNodeStateResponse(node=cluster_pb2.Node(id=request.node, state=request.state))

    scene.answer(CLUSTER + "SetNodeState", answer)
    assert scene.run("node", verb, "n2").stdout == f"n2 is now {word}\n"
    request = cluster_pb2.SetNodeStateRequest.FromString(scene.nodes[0].asked(CLUSTER + "SetNodeState")[0])
    assert (request.node, request.state) == ("n2", state)


def test_node_names_for_the_command_come_from_the_cluster(scene: Scene) -> None:
    assert [scripted.node for scripted in scene.nodes] == [node("n1"), node("n2"), node("n3")]


# ---------------------------------------------------------------- moves


def test_a_plan_shows_moves_and_bytes_and_changes_nothing(scene: Scene) -> None:
    plan = cluster_pb2.RebalanceResponse(
        moves=[cluster_pb2.PlannedMove(partition=7, entering=["n4"], leaving=["n3"], size_bytes=3 << 30)],
        size_bytes=3 << 30,
        blocked=["partition 9: needs 3 replicas"],
        warnings=["the loss of zone a"],
    )
    scene.answer(CLUSTER + "Rebalance", lambda _: plan)
    result = scene.run("cluster", "rebalance", "--plan")
    assert result.exit_code == 0, result.output
    assert "1 copies would be made, 3.0 GiB; nothing has been changed" in result.stdout
    assert "blocked: partition 9" in result.stdout
    assert "warning: the loss of zone a" in result.stderr
    shown = json.loads(scene.run("cluster", "rebalance", "--json").stdout)
    assert (shown["dry_run"], shown["moves"][0]["entering"], shown["size_bytes"]) == (False, ["n4"], 3 << 30)
    asked = [cluster_pb2.RebalanceRequest.FromString(body) for body in scene.nodes[0].asked(CLUSTER + "Rebalance")]
    assert [request.dry_run for request in asked] == [True, False]


def test_a_layout_that_is_even_says_so(scene: Scene) -> None:
    scene.answer(CLUSTER + "Rebalance", lambda _: cluster_pb2.RebalanceResponse())
    assert scene.run("cluster", "rebalance").stdout == "nothing has to move\n"


def test_moves_are_paused_and_resumed_and_one_thing_is_asked_at_a_time(scene: Scene) -> None:
    def answer(body: bytes) -> cluster_pb2.PauseMovesResponse:
        return cluster_pb2.PauseMovesResponse(paused=cluster_pb2.PauseMovesRequest.FromString(body).paused)

    scene.answer(CLUSTER + "PauseMoves", answer)
    assert scene.run("cluster", "rebalance", "--pause").stdout == "moves are paused\n"
    assert json.loads(scene.run("cluster", "rebalance", "--resume", "--json").stdout) == {"paused": False}
    assert scene.run("cluster", "rebalance", "--pause", "--plan").exit_code == 2


def test_a_factor_is_wanted_for_the_cluster_or_one_partition(scene: Scene) -> None:
    def answer(body: bytes) -> cluster_pb2.SetReplicationFactorResponse:
        request = cluster_pb2.SetReplicationFactorRequest.FromString(body)
        return cluster_pb2.SetReplicationFactorResponse(factor=request.factor, warnings=["even"])

    scene.answer(CLUSTER + "SetReplicationFactor", answer)
    result = scene.run("cluster", "factor", "4")
    assert result.stdout.startswith("the cluster is to have 4 replicas")
    assert "warning: even" in result.stderr
    shown = json.loads(scene.run("cluster", "factor", "0", "--partition", "7", "--json").stdout)
    assert shown == {"factor": 0, "partition": 7, "warnings": ["even"]}
    asked = scene.nodes[0].asked(CLUSTER + "SetReplicationFactor")
    requests = [cluster_pb2.SetReplicationFactorRequest.FromString(body) for body in asked]
    assert [(one.factor, one.HasField("partition"), one.partition) for one in requests] == [(4, False, 0), (0, True, 7)]
    assert scene.run("cluster", "factor", "10").exit_code == 2


def test_partitions_are_listed_with_where_they_are_to_be(scene: Scene) -> None:
    listed = cluster_pb2.ListPartitionsResponse(
        partitions=[cluster_pb2.Partition(partition=3, replicas=["n1", "n2"], joining=["n4"], target=["n1", "n4"])]
    )
    scene.answer(CLUSTER + "ListPartitions", lambda _: listed)
    assert "n1, n4" in scene.run("cluster", "partitions").stdout
    (shown,) = json.loads(scene.run("cluster", "partitions", "--json").stdout)
    assert (shown["partition"], shown["joining"], shown["factor"]) == (3, ["n4"], None)


def test_a_removal_says_how_many_partitions_move_first_and_a_refused_one_why(scene: Scene) -> None:
    answer = cluster_pb2.RemoveNodeResponse(node=cluster_pb2.Node(id="n2"), partitions=12)
    scene.answer(CLUSTER + "RemoveNode", lambda _: answer)
    assert scene.run("node", "remove", "n2").stdout.startswith("n2 is being removed: 12 partitions move away first")

    def refuse(_: bytes) -> cluster_pb2.RemoveNodeResponse:
        raise InvalidRequest("too few nodes would be left", node="n2", partitions="0, 1, 2")

    scene.answer(CLUSTER + "RemoveNode", refuse)
    result = scene.run("node", "remove", "n2")
    assert result.exit_code != 0
    assert "partitions=0, 1, 2" in result.stderr


def test_the_status_shows_moves_with_their_progress(scene: Scene) -> None:
    moves = cluster_pb2.MoveStatus(
        partitions=5, planner="n2", left_s=3_725, blocked=["partition 1: no room"], warnings=["zone b"],
        moves=[cluster_pb2.Move(partition=7, step="filling", node="n4", repositories=9, left=4, size_bytes=2_048,
                                running_s=61)],
    )  # fmt: skip
    scene.answer(
        CLUSTER + "GetStatus", lambda _: cluster_pb2.GetStatusResponse(nodes=NODES, complete=True, moves=moves)
    )
    result = scene.run("cluster", "status")
    assert "5 partitions, about 1 h 2 min left" in result.stdout
    assert "5/9" in result.stdout
    assert "1 min 1 s" in result.stdout
    assert "blocked: partition 1: no room" in result.stdout
    shown = json.loads(scene.run("cluster", "status", "--json").stdout)["moves"]
    assert (shown["left_s"], shown["moves"][0]["left"], shown["warnings"]) == (3_725, 4, ["zone b"])


def test_a_drain_that_is_waited_for_reports_when_it_is_done(scene: Scene) -> None:
    changed = cluster_pb2.SetNodeStateResponse(node=cluster_pb2.Node(id="n2", state=cluster_pb2.NODE_STATE_DRAINING))
    scene.answer(CLUSTER + "SetNodeState", lambda _: changed)
    asked = 0

    def activity(_: bytes) -> cluster_pb2.GetNodeActivityResponse:
        nonlocal asked
        asked += 1
        return cluster_pb2.GetNodeActivityResponse(node="n2", draining=True, drained=asked > 2, requests_in_flight=1)

    scene.nodes[1].answers[CLUSTER + "GetNodeActivity"] = activity
    assert scene.run("node", "drain", "n2", "--wait", "30").stdout.splitlines()[-1] == "n2 has no work left"
    assert asked == 3
    scene.nodes[1].answers[CLUSTER + "GetNodeActivity"] = lambda _: cluster_pb2.GetNodeActivityResponse(node="n2")
    late = scene.run("node", "drain", "n2", "--wait", "1")
    assert late.exit_code == 4
    assert "still has work" in late.stderr


def settings_answer(node_name: str, *, applied: int = 3, slots: str = "2") -> settings_pb2.GetSettingsResponse:
    origin = settings_pb2.SETTING_ORIGIN_CLUSTER if slots == "2" else settings_pb2.SETTING_ORIGIN_FILE
    return settings_pb2.GetSettingsResponse(
        version=3,
        changed_at_ms=1_700_000_000_000,
        changed_by="app:operator",
        node=node_name,
        applied_version=applied,
        settings=[
            settings_pb2.Setting(
                key="push.commands_max",
                value="10000",
                origin=settings_pb2.SETTING_ORIGIN_DEFAULT,
                default_value="10000",
            ),
            settings_pb2.Setting(key="scrub.slots", value=slots, origin=origin, default_value="1", cluster_value="2"),
        ],
    )


def give(answer: settings_pb2.GetSettingsResponse, _: bytes) -> settings_pb2.GetSettingsResponse:
    return answer


def test_settings_are_shown_with_origin_and_the_version_of_each_node(scene: Scene) -> None:
    for scripted, answer in zip(
        scene.nodes, (settings_answer("n1"), settings_answer("n2", applied=2), settings_answer("n3", slots="5")),
        strict=True,
    ):  # fmt: skip
        scripted.answers[CLUSTER + "GetSettings"] = partial(give, answer)
    for arguments in ((), ("show",)):
        shown = scene.run("cluster", "settings", *arguments).stdout
        assert "version 3, set by app:operator at 2023-11-14 22:13:20 UTC" in shown
        assert next(line.split() for line in shown.splitlines() if "scrub.slots" in line) == [
            "scrub.slots",
            "2",
            "cluster",
            "1",
        ]
        assert "push.commands_max" not in shown
        assert "2 (not the newest)" in shown
        assert "scrub.slots = 5 (file, over the cluster's 2)" in shown
    assert "push.commands_max" in scene.run("cluster", "settings", "--all").stdout
    told = json.loads(scene.run("cluster", "settings", "--json").stdout)
    assert [(one["node"], one["applied_version"]) for one in told["nodes"]] == [("n1", 3), ("n2", 2), ("n3", 3)]
    assert told["nodes"][2]["differences"][0] == {
        "key": "scrub.slots",
        "value": "5",
        "origin": "file",
        "default": "1",
        "cluster": "2",
        "problem": "",
    }


def test_a_node_that_does_not_answer_does_not_hide_the_settings(scene: Scene) -> None:
    for scripted in scene.nodes[:2]:
        scripted.answers[CLUSTER + "GetSettings"] = lambda _: settings_answer("n1")
    scene.nodes[2].answers[CLUSTER + "GetSettings"] = failing(Draining("this node stops"))
    told = json.loads(scene.run("cluster", "settings", "--json").stdout)
    assert told["nodes"][2] == {"node": "n3", "applied_version": None, "problem": "this node stops", "differences": []}
    assert "this node stops" in scene.run("cluster", "settings").stdout


def test_settings_are_set_and_unset(scene: Scene) -> None:
    def answer(body: bytes) -> settings_pb2.UpdateSettingsResponse:
        request = settings_pb2.UpdateSettingsRequest.FromString(body)
        changes = [settings_pb2.SettingChange(key=key, new=value) for key, value in sorted(request.set.items())]
        changes += [settings_pb2.SettingChange(key=key, old="2") for key in request.unset]
        return settings_pb2.UpdateSettingsResponse(version=4, changes=changes)

    scene.answer(CLUSTER + "UpdateSettings", answer)
    shown = scene.run("cluster", "settings", "set", "scrub.slots=2", "push.fsck_ignore=a,b=c", "--expect", "3")
    assert shown.stdout == "push.fsck_ignore: not set -> a,b=c\nscrub.slots: not set -> 2\nversion 4\n"
    told = json.loads(scene.run("cluster", "settings", "unset", "scrub.slots", "--json").stdout)
    assert told == {"version": 4, "changes": [{"key": "scrub.slots", "old": "2", "new": None}]}
    bodies = scene.nodes[0].asked(CLUSTER + "UpdateSettings")
    requests = [settings_pb2.UpdateSettingsRequest.FromString(body) for body in bodies]
    assert [(one.HasField("expected_version"), one.expected_version) for one in requests] == [(True, 3), (False, 0)]
    for wrong in (("set",), ("set", "scrub.slots"), ("set", "=2"), ("set", "a=1", "a=2"), ("unset",)):
        assert scene.run("cluster", "settings", *wrong).exit_code == 2


def test_a_change_of_settings_that_cannot_be_used_says_every_reason_in_one_line(scene: Scene) -> None:
    def refuse(_: bytes) -> settings_pb2.UpdateSettingsResponse:
        raise ConfigError(["scrub.slotz is not a setting", "upkeep.slots must be from 1 to 64"], "cluster settings")

    scene.answer(CLUSTER + "UpdateSettings", refuse)
    result = scene.run("cluster", "settings", "set", "scrub.slotz=2", "upkeep.slots=0")
    assert result.exit_code != 0
    assert "scrub.slotz is not a setting" in result.stderr
    assert "upkeep.slots must be from 1 to 64" in result.stderr


# ---------------------------------------------------------------- invitations


INVITED = cluster_join_pb2.Invitation(
    id="0123456789abcdef",
    node="n4",
    expires_at_ms=1_800_000_000_000,
    created_by="app:operator",
    state=cluster_join_pb2.INVITATION_STATE_OPEN,
)


def test_invite_shows_the_secret_and_sends_what_is_allowed(scene: Scene) -> None:
    secret = "mesh-join-" + "A" * 43
    scene.answer(
        CLUSTER + "InviteNode", lambda _: cluster_join_pb2.InviteNodeResponse(invitation=INVITED, secret=secret)
    )
    result = scene.run("node", "invite", "--id", "n4", "--zone", "east", "--weight", "5", "--expires", "2h")
    assert result.exit_code == 0, result.stderr
    assert secret in result.stdout
    assert "meshnode node join --server http://127.0.0.1:" in result.stderr
    (body,) = [body for node in scene.nodes for body in node.asked(CLUSTER + "InviteNode")]
    assert cluster_join_pb2.InviteNodeRequest.FromString(body) == cluster_join_pb2.InviteNodeRequest(
        node="n4", zone="east", weight=5, expires_s=7_200
    )
    assert json.loads(scene.run("node", "invite", "--json").stdout)["secret"] == secret


def test_invitations_are_listed_and_revoked(scene: Scene) -> None:
    scene.answer(CLUSTER + "ListInvitations", lambda _: cluster_join_pb2.ListInvitationsResponse(invitations=[INVITED]))
    scene.answer(CLUSTER + "RevokeInvitation", lambda _: cluster_join_pb2.RevokeInvitationResponse(invitation=INVITED))
    assert json.loads(scene.run("node", "invitations", "--json").stdout)[0]["state"] == "open"
    table = scene.run("node", "invitations").stdout
    assert "0123456789abcdef" in table
    assert "app:operator" in table
    assert "worthless" in scene.run("node", "invite", "--revoke", INVITED.id).stdout
    assert json.loads(scene.run("node", "invite", "--revoke", INVITED.id, "--json").stdout)["node"] == "n4"


# ---------------------------------------------------------------- read replicas


def script_read_replicas(scene: Scene, *present: str) -> None:
    """The repository lives in partition 7, which has read replicas on these nodes."""
    repository = common_pb2.Repository(name="demo/one", partition=7)
    placed = cluster_pb2.Partition(partition=7, read_replicas=present, read_replicas_wanted=len(present))
    scene.answer("/mesh.v1.RepositoryService/Get", lambda _: repository_pb2.GetResponse(repository=repository))
    scene.answer(
        CLUSTER + "ListPartitions",
        lambda _: cluster_pb2.ListPartitionsResponse(partitions=[cluster_pb2.Partition(partition=3), placed]),
    )

    def answer(body: bytes) -> cluster_replicas_pb2.SetReadReplicasResponse:
        request = cluster_replicas_pb2.SetReadReplicasRequest.FromString(body)
        nodes = request.nodes or [f"n{number}" for number in range(4, 4 + request.count)]
        return cluster_replicas_pb2.SetReadReplicasResponse(partition=request.partition, nodes=nodes)

    scene.answer(CLUSTER + "SetReadReplicas", answer)


@pytest.mark.parametrize(
    ("present", "command", "count", "nodes"),
    [
        ((), ("add-read-replicas", "demo/one", "2"), 2, []),
        (("n4",), ("add-read-replicas", "demo/one", "1"), 2, []),
        (("n4",), ("add-read-replicas", "demo/one", "--nodes", "n5, n4"), 0, ["n4", "n5"]),
        (("n4", "n5"), ("remove-read-replicas", "demo/one"), 0, []),
        (("n4", "n5"), ("remove-read-replicas", "demo/one", "--nodes", "n4"), 0, ["n5"]),
    ],
)
def test_read_replicas_are_added_to_and_taken_from_those_there_are(
    scene: Scene, present: tuple[str, ...], command: tuple[str, ...], count: int, nodes: list[str]
) -> None:
    script_read_replicas(scene, *present)
    shown = json.loads(scene.run("repo", *command, "--json").stdout)
    asked = scene.nodes[0].asked(CLUSTER + "SetReadReplicas")[0]
    request = cluster_replicas_pb2.SetReadReplicasRequest.FromString(asked)
    assert (request.partition, request.count, list(request.nodes)) == (7, count, nodes)
    assert shown == {"name": "demo/one", "partition": 7, "read_replicas": nodes or ["n4", "n5"][:count]}
    text = scene.run("repo", *command).stdout
    assert "partition 7, where demo/one lives, has" in text


def test_read_replicas_must_be_counted_or_named_and_be_there_to_be_taken_away(scene: Scene) -> None:
    script_read_replicas(scene, "n4")
    assert scene.run("repo", "add-read-replicas", "demo/one").exit_code == 2
    assert scene.run("repo", "add-read-replicas", "demo/one", "1", "--nodes", "n4").exit_code == 2
    result = scene.run("repo", "remove-read-replicas", "demo/one", "--nodes", "n4,n9")
    assert result.exit_code != 0
    assert "no read replica is there" in result.stderr
    assert not scene.nodes[0].asked(CLUSTER + "SetReadReplicas")


def config_answer(version: int, **values: str) -> config_pb2.SetConfigResponse:
    settings = [
        config_pb2.RepositorySetting(key=f"receive.{key}", value=value, default_value="false")
        for key, value in values.items()
    ]
    return config_pb2.SetConfigResponse(settings=settings, version=version)


def test_a_repository_is_configured_and_shown(scene: Scene) -> None:
    answer = config_answer(4, denyDeletes="true", denyNonFastForwards="false")
    scene.answer(REPOSITORY + "SetConfig", lambda _: answer)
    shown = config_pb2.GetConfigResponse(settings=answer.settings, version=answer.version)
    scene.answer(REPOSITORY + "GetConfig", lambda _: shown)
    told = json.loads(scene.run("repo", "config", "demo/requests", "--json").stdout)
    assert told == {
        "name": "demo/requests",
        "version": 4,
        "config": {"receive.denyDeletes": "true", "receive.denyNonFastForwards": "false"},
    }
    one = scene.run("repo", "config", "demo/requests", "get", "receive.denydeletes").stdout
    assert "receive.denyDeletes" in one
    assert "receive.denyNonFastForwards" not in one
    scene.run("repo", "config", "demo/requests", "set", "receive.denyDeletes=true", "--expect", "3")
    scene.run("repo", "config", "demo/requests", "unset", "receive.denyDeletes")
    bodies = scene.nodes[0].asked(REPOSITORY + "SetConfig")
    requests = [config_pb2.SetConfigRequest.FromString(body) for body in bodies]
    assert [(dict(one.set), list(one.unset)) for one in requests] == [
        ({"receive.denyDeletes": "true"}, []),
        ({}, ["receive.denyDeletes"]),
    ]
    assert [(one.HasField("expected_version"), one.expected_version) for one in requests] == [(True, 3), (False, 0)]
    for wrong in (("set",), ("unset",), ("set", "x"), ("get", "receive.other"), ("get", "--expect", "1"), ("drop",)):
        assert scene.run("repo", "config", "demo/requests", *wrong).exit_code == 2


def test_a_repository_gets_a_factor_of_its_own(scene: Scene) -> None:
    def answer(body: bytes) -> cluster_replicas_pb2.SetRepositoryFactorResponse:
        request = cluster_replicas_pb2.SetRepositoryFactorRequest.FromString(body)
        return cluster_replicas_pb2.SetRepositoryFactorResponse(
            partition=257, factor=request.factor, warnings=["beware"]
        )

    scene.answer(CLUSTER + "SetRepositoryFactor", answer)
    told = scene.run("repo", "factor", "demo/one", "5")
    assert "demo/one is to have 5 replicas, in partition 257" in told.stdout
    assert "beware" in told.stderr
    assert "as many replicas as the cluster, in partition 257;" in scene.run("repo", "factor", "demo/one", "0").stdout
    shown = json.loads(scene.run("repo", "factor", "demo/one", "5", "--json").stdout)
    assert shown == {"name": "demo/one", "partition": 257, "factor": 5, "warnings": ["beware"]}
    assert scene.run("repo", "factor", "demo/one", "10").exit_code == 2


def test_create_sends_the_factor_that_is_wished_for(scene: Scene) -> None:
    scene.answer(REPOSITORY + "Create", lambda _: repository_pb2.CreateResponse(repository=DEMO, position=POSITION))
    for arguments, factor in (((), 0), (("--replication-factor", "5"), 5)):
        assert scene.run("repo", "create", "demo/requests", *arguments).exit_code == 0
        request = repository_pb2.CreateRequest.FromString(scene.nodes[0].asked(REPOSITORY + "Create")[-1])
        assert request.replication_factor == factor


# ---------------------------------------------------------------- keys


def keys_of(scene: Scene, *others: str, switch_at_ms: int = 0, drop_at_ms: int = 0) -> cluster_keys_pb2.NodeKeys:
    """n2's own key and others, by where they are in the list: "new" behind, "old" behind a new first one."""
    own, next_ = scene.cluster.nodes[1].public_key, scene.cluster.nodes[0].public_key
    order = {(): [own], ("new",): [own, next_], ("old",): [next_, own], ("alone",): [next_]}[others]
    return cluster_keys_pb2.NodeKeys(
        node="n2",
        keys=[cluster_keys_pb2.NodeKey(key_id=PublicKey.parse(pem).key_id, public_key=pem) for pem in order],
        switch_at_ms=switch_at_ms,
        drop_at_ms=drop_at_ms,
    )


def pinned(scene: Scene) -> tuple[str, ...]:
    found = read_cluster_file(scene.layout)
    assert found is not None
    return found.nodes[1].public_keys


def test_rotation_asks_the_node_itself_and_pins_both_keys(scene: Scene) -> None:
    answer = cluster_keys_pb2.RotateNodeKeyResponse(keys=keys_of(scene, "new", switch_at_ms=1_800_000_000_000))
    scene.answer(CLUSTER + "RotateNodeKey", lambda _: answer)
    result = scene.run("node", "rotate-key", "n2", "--announce", "1m")
    assert result.exit_code == 0, result.stderr
    assert "new, not used yet" in result.stdout
    assert [len(node.asked(CLUSTER + "RotateNodeKey")) for node in scene.nodes] == [0, 1, 0]
    (body,) = scene.nodes[1].asked(CLUSTER + "RotateNodeKey")
    assert cluster_keys_pb2.RotateNodeKeyRequest.FromString(body) == cluster_keys_pb2.RotateNodeKeyRequest(
        node="n2", announce_s=60
    )
    assert pinned(scene) == (scene.cluster.nodes[1].public_key, scene.cluster.nodes[0].public_key)


def test_finish_waits_until_one_key_is_left_and_pins_that(scene: Scene) -> None:
    left = [keys_of(scene, "alone"), keys_of(scene, "old", drop_at_ms=1)]
    answer = cluster_keys_pb2.RotateNodeKeyResponse(keys=keys_of(scene, "new", switch_at_ms=1))
    scene.answer(CLUSTER + "RotateNodeKey", lambda _: answer)
    scene.answer(CLUSTER + "GetNodeKeys", lambda _: cluster_keys_pb2.GetNodeKeysResponse(keys=left.pop()))
    result = scene.run("node", "rotate-key", "n2", "--finish", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["keys"]) == 1
    assert pinned(scene) == (scene.cluster.nodes[0].public_key,)


def test_keys_are_shown(scene: Scene) -> None:
    answer = cluster_keys_pb2.GetNodeKeysResponse(keys=keys_of(scene, "old", drop_at_ms=1_800_000_000_000))
    scene.answer(CLUSTER + "GetNodeKeys", lambda _: answer)
    shown = scene.run("node", "keys", "n2").stdout
    assert "old, still believed" in shown
    assert shown.count("BEGIN PUBLIC KEY") == 2
    assert len(json.loads(scene.run("node", "keys", "n2", "--json").stdout)["keys"]) == 2
    assert pinned(scene) == (scene.cluster.nodes[1].public_key,), "looking changes nothing"


def test_node_that_joined_later_is_found_by_what_a_known_node_signs(scene: Scene) -> None:
    """n3 is not in the file; n1 tells where it is and under which key it answers."""
    joined = scene.cluster.nodes[2]
    write_cluster_file(scene.layout, replace(scene.cluster, nodes=scene.cluster.nodes[:2]))
    listing = listed(scene)
    scene.answer(CLUSTER + "ListNodes", lambda _: listing)
    keys = cluster_keys_pb2.NodeKeys(node="n3", keys=[node_key_of(joined.public_key)])
    answer = cluster_keys_pb2.RotateNodeKeyResponse(keys=keys)
    scene.answer(CLUSTER + "RotateNodeKey", lambda _: answer)
    activity = cluster_pb2.GetNodeActivityResponse(node="n3", ready=True, drained=True)
    scene.answer(CLUSTER + "GetNodeActivity", lambda _: activity)
    node = cluster_pb2.Node(id="n3", state=cluster_pb2.NODE_STATE_DRAINING)
    scene.answer(CLUSTER + "SetNodeState", lambda _: cluster_pb2.SetNodeStateResponse(node=node))
    for arguments in (("rotate-key", "n3"), ("show", "n3"), ("drain", "n3", "--wait", "5")):
        result = scene.run("node", *arguments)
        assert result.exit_code == 0, result.stderr
    assert len(scene.nodes[2].asked(CLUSTER + "RotateNodeKey")) == 1
    assert len(scene.nodes[2].asked(CLUSTER + "GetNodeActivity")) == 2
    assert scene.run("node", "rotate-key", "n9").exit_code == 3
    listing.nodes[2].public_keys[:] = [scene.cluster.nodes[0].public_key]
    assert scene.run("node", "rotate-key", "n3").exit_code in {4, 5}, "it answers under another key than the listed one"


def test_node_whose_key_was_replaced_elsewhere_is_found_under_its_new_one(scene: Scene) -> None:
    own, other = scene.cluster.nodes[1].public_key, scene.cluster.nodes[2].public_key
    stale = replace(scene.cluster.nodes[1], public_key=other)
    write_cluster_file(scene.layout, replace(scene.cluster, nodes=(stale, scene.cluster.nodes[0])))
    scene.answer(CLUSTER + "ListNodes", lambda _: listed(scene))
    scene.answer(CLUSTER + "GetNodeActivity", lambda _: cluster_pb2.GetNodeActivityResponse(node="n2", ready=True))
    shown = json.loads(scene.run("node", "show", "n2", "--json").stdout)
    assert shown["activity"]["reachable"], own


def test_refresh_writes_the_nodes_there_are_and_keeps_known_addresses(scene: Scene) -> None:
    first, second, third = scene.cluster.nodes
    far = replace(scene.cluster, base_port=None, nodes=(first, replace(second, node=node("n9"))))
    write_cluster_file(scene.layout, far)
    listing = listed(scene)
    listing.nodes[0].grpc_url = "inside:7777"
    listing.nodes[0].public_keys.append(third.public_key)
    scene.answer(CLUSTER + "ListNodes", lambda _: listing)
    result = scene.run("cluster", "refresh", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "nodes": ["n1", "n2", "n3"], "added": ["n2", "n3"], "dropped": ["n9"], "other_keys": ["n1"]
    }  # fmt: skip
    after = read_cluster_file(scene.layout)
    assert after is not None
    assert after.nodes[0] == replace(first, other_keys=(third.public_key,)), "reached as before, believed under both"
    assert [(entry.grpc, entry.public_key) for entry in after.nodes[1:]] == [
        (second.grpc, second.public_key), (third.grpc, third.public_key)
    ]  # fmt: skip
    written = scene.layout.cluster_file.stat().st_mtime_ns
    assert scene.run("cluster", "refresh").exit_code == 0
    assert scene.layout.cluster_file.stat().st_mtime_ns == written, "run again, it changes nothing"


def test_refresh_writes_nothing_where_there_is_nothing_to_believe(scene: Scene) -> None:
    assert scene.run("cluster", "refresh").exit_code == 5, "a local cluster's file is not its to change"
    write_cluster_file(scene.layout, replace(scene.cluster, base_port=None))
    before = scene.layout.cluster_file.read_bytes()
    scene.answer(CLUSTER + "ListNodes", lambda _: cluster_pb2.ListNodesResponse())
    assert scene.run("cluster", "refresh").exit_code == 5
    for scripted in scene.nodes:
        scripted.is_unsigned = True
    scene.answer(CLUSTER + "ListNodes", lambda _: listed(scene))
    assert scene.run("cluster", "refresh").exit_code == 5, "nobody signed for it"
    assert scene.layout.cluster_file.read_bytes() == before


def listed(scene: Scene) -> cluster_pb2.ListNodesResponse:
    """The scene's nodes as the catalog would list them."""
    return cluster_pb2.ListNodesResponse(
        nodes=[
            cluster_pb2.Node(
                id=entry.node, grpc_url=entry.grpc, http_url=entry.http, zone=entry.zone, public_keys=[entry.public_key]
            )
            for entry in scene.cluster.nodes
        ]
    )


def node_key_of(pem: str) -> cluster_keys_pb2.NodeKey:
    return cluster_keys_pb2.NodeKey(key_id=PublicKey.parse(pem).key_id, public_key=pem)


def test_answer_under_the_second_pinned_key_is_believed(scene: Scene) -> None:
    own, other = scene.cluster.nodes[1].public_key, scene.cluster.nodes[0].public_key
    node = replace(scene.cluster.nodes[1], public_key=other, other_keys=(own,))
    write_cluster_file(scene.layout, replace(scene.cluster, nodes=(node,)))
    scene.answer(CLUSTER + "ListNodes", lambda _: cluster_pb2.ListNodesResponse())
    assert scene.run("node", "list").exit_code == 0
    write_cluster_file(scene.layout, replace(scene.cluster, nodes=(replace(node, other_keys=()),)))
    assert scene.run("node", "list").exit_code == 5


# ---------------------------------------------------------------- applications


def application_message(*key_ids: str, role: applications_pb2.ApplicationRole) -> applications_pb2.Application:
    return applications_pb2.Application(
        application="ci",
        role=role,
        keys=[applications_pb2.ApplicationKey(key_id=key_id, public_key="PEM") for key_id in key_ids],
    )


def test_applications_are_listed_and_changed(scene: Scene, tmp_path: Path) -> None:
    made = run_cli("application", "make-key", tmp_path / "ci.pem")
    assert made.exit_code == 0, made.stderr
    assert (tmp_path / "ci.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "ci.pub").write_text(made.stdout)
    assert run_cli("application", "make-key", tmp_path / "ci.pem").stdout == made.stdout, "what is there stays"
    writer = application_message("old", "new", role=applications_pb2.APPLICATION_ROLE_WRITER)
    writer.keys[0].drop_at_ms = 1_800_000_000_000
    for method in (
        "AddApplication",
        "SetApplicationRole",
        "AddApplicationKey",
        "DropApplicationKey",
        "RemoveApplication",
    ):
        response = getattr(applications_pb2, f"{method}Response")(application=writer)
        scene.answer(CLUSTER + method, lambda _, response=response: response)  # type: ignore[misc]
    scene.answer(
        CLUSTER + "ListApplications", lambda _: applications_pb2.ListApplicationsResponse(applications=[writer])
    )

    def sent(method: str) -> bytes:
        return scene.nodes[0].asked(CLUSTER + method)[-1]

    added = scene.run("application", "add", "ci", "--role", "writer", "--public-key", tmp_path / "ci.pub")
    assert "ci is writer" in added.stdout
    assert applications_pb2.AddApplicationRequest.FromString(sent("AddApplication")) == (
        applications_pb2.AddApplicationRequest(
            application="ci", role=applications_pb2.APPLICATION_ROLE_WRITER, public_key=made.stdout
        )
    )
    scene.run("application", "set-role", "ci", "reader")
    assert applications_pb2.SetApplicationRoleRequest.FromString(sent("SetApplicationRole")).role == (
        applications_pb2.APPLICATION_ROLE_READER
    )
    scene.run("application", "add-key", "ci", "--public-key", tmp_path / "ci.pub", "--drop-other-after", "12h")
    assert applications_pb2.AddApplicationKeyRequest.FromString(sent("AddApplicationKey")).drop_other_after_s == 43_200
    scene.run("application", "drop-key", "ci", "old", "--after", "1h")
    assert applications_pb2.DropApplicationKeyRequest.FromString(sent("DropApplicationKey")) == (
        applications_pb2.DropApplicationKeyRequest(application="ci", key_id="old", after_s=3_600)
    )
    assert scene.run("application", "remove", "ci").stdout == "ci is removed\n"
    shown = json.loads(scene.run("application", "list", "--json").stdout)
    assert shown == [
        {
            "application": "ci",
            "role": "writer",
            "keys": [
                {"key_id": "old", "public_key": "PEM", "drop_at_ms": 1_800_000_000_000},
                {"key_id": "new", "public_key": "PEM", "drop_at_ms": None},
            ],
        }
    ]
    table = scene.run("application", "list").stdout
    assert "2027-01-15" in table
    assert "until" in table


def test_private_key_never_leaves_by_mistake(scene: Scene, tmp_path: Path) -> None:
    run_cli("application", "make-key", tmp_path / "ci.pem")
    for file, what in (("ci.pem", "private key"), ("nonsense", "cannot be read")):
        (tmp_path / "nonsense").write_text("nonsense")
        result = scene.run("application", "add", "ci", "--role", "reader", "--public-key", tmp_path / file)
        assert result.exit_code == 2
        assert what in result.stderr
    assert run_cli("application", "drop-key", "ci", "x", "--after", "367d").exit_code == 2
    assert scene.nodes[0].calls == []
