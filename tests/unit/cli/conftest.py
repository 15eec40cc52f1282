"""A data directory, ports, keys and a way to run commands, for the tests of the CLI."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshnode.auth.keys import load_or_create_private_key
from meshnode.base.ids import NodeId
from meshnode.cli.layout import PORTS_PER_NODE, Layout, local_node_id, read_cluster_file
from meshnode.cli.process import NodeCommand, is_port_free, stop_processes
from meshnode.cli.root import cli

FAKE_NODE = Path(__file__).with_name("fake_node.py")


def fake_command(mode: str = "") -> NodeCommand:
    """Serve a settings file by the fake node."""
    return lambda config_file: [sys.executable, str(FAKE_NODE), str(config_file), *([mode] if mode else [])]


def run_cli(*arguments: object, command: NodeCommand | None = None, stdin: str = "") -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], obj=command, input=stdin)


@dataclass(frozen=True)
class KeyShelf:
    """Keys made once: making one takes up to half a second."""

    directory: Path

    def fill(self, layout: Layout, nodes: int) -> None:
        """Put keys where `up` would make them."""
        for number in range(1, nodes + 1):
            node = local_node_id(number)
            self.copy(str(number), layout.key_file(node))
        self.copy("operator", layout.operator_key)

    def copy(self, name: str, target: Path) -> None:
        """Put one key somewhere."""
        source = self.directory / f"{name}.pem"
        if not source.exists():
            load_or_create_private_key(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyShelf:
    return KeyShelf(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def layout(tmp_path: Path, keys: KeyShelf) -> Iterator[Layout]:
    """An empty data directory but for the keys of three nodes; what still runs at the end is killed."""
    found = Layout(tmp_path / "mesh")
    keys.fill(found, 3)
    yield found
    cluster = read_cluster_file(found)
    nodes = [local_node_id(number) for number in range(1, 4)] if cluster is None else [n.node for n in cluster.nodes]
    stop_processes(found, nodes, stop_ms=0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # a command that ends leaves its children to init; this process stays
            pass


def find_base_port(seed: str) -> int:
    """The first of the ports of three local nodes, all free; another seed begins to look elsewhere."""
    start = 21_000 + hash(seed) % 900 * 10
    for port in range(start, 40_000, PORTS_PER_NODE):
        wanted = [port + PORTS_PER_NODE * number + offset for number in range(3) for offset in (0, 3)]
        if all(is_port_free(f"127.0.0.1:{candidate}") for candidate in wanted):
            return port
    raise RuntimeError("no free ports")


@pytest.fixture
def base_port(tmp_path: Path) -> int:
    """The first of three local nodes' ports."""
    return find_base_port(str(tmp_path))


@pytest.fixture
def up(layout: Layout, base_port: int) -> Callable[..., Result]:
    """`meshnode up --detach` with fake nodes."""

    def run(*arguments: object, mode: str = "") -> Result:
        options = ["--data", layout.data, "--base-port", base_port, "--detach", *arguments]
        return run_cli("up", *options, command=fake_command(mode))

    return run


def node(name: str) -> NodeId:
    return NodeId(name)
