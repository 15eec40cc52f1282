"""The cluster of a run: nodes made by `meshnode init-cluster`, each on its own machine with its own small disk.

/mnt/mesh/cluster.json, operator.pem      what commands and clients need
/mnt/mesh/n1 ...                          a tmpfs each: the disk of a node, to be filled by a balloon
<results>/logs/n1.log, e1.log ...         what they print
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from meshnode.auth.keys import load_private_key
from meshnode.base.ids import NodeId
from meshnode.cli.layout import OPERATOR, Layout, require_cluster_file
from meshnode.cli.target import Endpoint, Target, local_endpoints
from tests.chaos.etcd import MEMBERS, Etcd
from tests.chaos.machine import Machine
from tests.chaos.network import CommandFailed, Network, command
from tests.e2e.raw import send

GRPC_PORT: Final = 7777
HTTP_PORT: Final = 7780
DISK_MIB: Final = 384
READY_S: Final = 120.0
"""Time for a node to come up beside everything else that a small machine does."""
_POLL_S: Final = 0.1
_ROOT: Final = Path(__file__).resolve().parents[2]
_NO_ZONES: Final[Mapping[str, str]] = MappingProxyType({})
_SETTINGS: Final = {"MESHNODE_REPLICATION__HISTORY_ROUNDS": "100000"}
"""Every round of a run is kept, so that what was acknowledged can be looked up afterwards."""


class ChaosCluster:
    """Nodes n1..nN over three etcd members."""

    def __init__(
        self,
        work: Path,
        results: Path,
        *,
        nodes: int,
        factor: int,
        founders: int | None = None,
        zones: Mapping[str, str] = _NO_ZONES,
        settings: Mapping[str, str] = _SETTINGS,
    ) -> None:
        """`founders` of the `nodes` machines make the cluster (None: all); the others may `join` later."""
        self._results = results
        self.data = work / "mesh"
        hosts = tuple(f"n{number}" for number in range(1, nodes + 1))
        self.names = hosts[:founders]
        """The nodes of the cluster now."""
        self.factor = factor
        self._zones = zones
        self.network = Network(hosts, MEMBERS)
        self.logs = results / "logs"
        self.etcd = Etcd(self.network, work / "etcd", self.logs)
        self.machines = {
            name: Machine(name, _serve(self.data / name), self.logs / f"{name}.log", _SETTINGS | dict(settings))
            for name in hosts
        }
        self.token = ""
        self.target: Target | None = None

    async def create(self) -> None:
        """Network, disks, etcd, keys, catalog and nodes; returns when every node is ready."""
        self.logs.mkdir(parents=True)
        await self.network.create()
        for name in self.machines:
            (self.data / name).mkdir(parents=True)
            await command("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.data / name))
        for member in self.etcd.machines.values():
            member.start()
        await self._until(self.etcd.leader, "etcd has a leader")
        arguments = [f"--node={name}={self._grpc(name)},{self.http(name)},{self.zone(name)}" for name in self.names]
        await self.meshnode(
            "init-cluster",
            "--output",
            str(self.data),
            "--catalog",
            self.etcd.url,
            "--factor",
            str(self.factor),
            "--allow-plaintext",
            *arguments,
        )
        for name in self.names:
            self.machines[name].start()
        for name in self.names:
            await self.wait_ready(name)
        layout = Layout(self.data)
        self.target = Target(
            endpoints=local_endpoints(layout, require_cluster_file(layout)),
            key=load_private_key(layout.operator_key),
            application=OPERATOR,
            cluster_id=require_cluster_file(layout).cluster_id,
            is_verbose=False,
        )
        user = ("token", "create-user", "--user", "chaos", "--scope", "write", "--ttl", "1d")
        self.token = (await self.meshnode(*user, "--data", str(self.data))).split()[-1]

    async def join(self, node: str) -> None:
        """Make a further machine a node, by invitation, and wait until it is ready."""
        asked = await self.admin("node", "invite", "--id", node, "--zone", self.zone(node), "--json")
        secret = self.logs / f"{node}.secret"
        secret.write_text(json.loads(asked)["secret"] + "\n")
        own = self.network.hosts[node]
        arguments = ["--server", f"http://{self._grpc(self.names[0])}", "--data", str(self.data / node)]
        arguments += ["--grpc", f"{own}:{GRPC_PORT}", "--http", f"{own}:{HTTP_PORT}", "--allow-plaintext"]
        await self.meshnode("node", "join", *arguments, "--secret-file", str(secret))
        self.machines[node].start()
        await self.wait_ready(node)
        assert self.target is not None
        public_key = load_private_key(self.data / node / "node.pem").public_pem
        endpoint = Endpoint(node=NodeId(node), address=self._grpc(node), public_key=public_key, credentials=None)
        self.target = replace(self.target, endpoints=(*self.target.endpoints, endpoint))
        self.names = (*self.names, node)

    async def admin(self, *arguments: str) -> str:
        """Run a command as the operator; its output. Raises CommandFailed."""
        return await self.meshnode(*arguments, "--data", str(self.data))

    def zone(self, node: str) -> str:
        """A node's failure domain."""
        return self._zones.get(node, "default")

    def _grpc(self, node: str) -> str:
        return f"{self.network.hosts[node]}:{GRPC_PORT}"

    @property
    def all_machines(self) -> dict[str, Machine]:
        """Nodes and members."""
        return {**self.machines, **self.etcd.machines}

    async def close(self) -> None:
        """Kill everything."""
        for machine in self.all_machines.values():
            await machine.kill()
        await self.network.close()

    # ------------------------------------------------------------ use

    def http(self, node: str) -> str:
        """URL of a node's HTTP server."""
        return f"http://{self.network.hosts[node]}:{HTTP_PORT}"

    def endpoint(self, node: str) -> Endpoint:
        """A node's gRPC server, with its key."""
        assert self.target is not None
        return next(endpoint for endpoint in self.target.endpoints if endpoint.node == node)

    async def meshnode(self, *arguments: str) -> str:
        """Run the `meshnode` command; its output. Raises CommandFailed."""
        return await command(sys.executable, "-m", "meshnode", *arguments, within_s=READY_S)

    async def verify(self, repository: str) -> dict[str, Any]:
        """What `repo verify --json` says. Raises CommandFailed where it could not be asked."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshnode", "repo", "verify", repository, "--json", "--data", str(self.data)),
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        if not out.strip():
            raise CommandFailed(f"repo verify {repository}: {err.decode(errors='replace')[-400:]}")
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def is_ready(self, node: str) -> bool:
        """Whether a node answers /readyz with 200."""
        host = self.network.hosts[node]
        answer = await asyncio.to_thread(send, HTTP_PORT, "GET", "/readyz", host=host, timeout_s=3)
        return answer.status == 200

    async def wait_ready(self, node: str) -> None:
        """Wait until a node is ready."""

        async def ready() -> bool:
            if not self.machines[node].is_running:
                raise CommandFailed(f"{node} does not run: {self.log_tail(node)}")
            return await self.is_ready(node)

        await self._until(ready, f"{node} is ready")

    async def _until(self, condition: Any, what: str) -> None:
        try:
            async with asyncio.timeout(READY_S):
                while not await condition():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise CommandFailed(f"not so within {READY_S:.0f} s: {what}") from error

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a machine's log."""
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    # ------------------------------------------------------------ disks

    def fill_disk(self, node: str) -> None:
        """Take every byte of a node's disk that is free now; again and again while a fault lasts."""
        free = os.statvfs(self.data / node)
        balloon = os.open(self._balloon(node), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if free.f_bavail:
                os.posix_fallocate(balloon, os.fstat(balloon).st_size, free.f_bavail * free.f_frsize)
        except OSError as error:
            if error.errno != errno.ENOSPC:  # somebody else was quicker
                raise
        finally:
            os.close(balloon)

    def free_disk(self, node: str) -> None:
        """Give the space back."""
        self._balloon(node).unlink(missing_ok=True)

    def keep_disks(self) -> None:
        """Copy the disks to the results: they go with the run's mounts."""
        for name in self.machines:
            if (disk := self.data / name).exists():
                shutil.copytree(disk, self._results / "disks" / name, symlinks=True, dirs_exist_ok=True)

    def _balloon(self, node: str) -> Path:
        return self.data / node / "balloon"


def _serve(data: Path) -> list[str]:
    return [sys.executable, "-m", "meshnode", "serve", "--config", str(data / "meshnode.toml")]
