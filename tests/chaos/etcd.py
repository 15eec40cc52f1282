"""Three etcd members, each on a machine of its own, and the question who leads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.chaos.machine import Machine
from tests.chaos.network import CommandFailed, Network, command

MEMBERS: Final = ("e1", "e2", "e3")
_CLIENT_PORT: Final = 2379
_PEER_PORT: Final = 2380


class Etcd:
    """The coordination store of a run."""

    def __init__(self, network: Network, data: Path, logs: Path) -> None:
        self._addresses = {name: network.hosts[name] for name in MEMBERS}
        peers = ",".join(f"{name}=http://{address}:{_PEER_PORT}" for name, address in self._addresses.items())
        self.machines = {
            name: Machine(name, _program(name, address, peers, data / name), logs / f"{name}.log", {})
            for name, address in self._addresses.items()
        }

    @property
    def url(self) -> str:
        """What `--catalog` takes."""
        return "etcd://" + ",".join(f"{address}:{_CLIENT_PORT}" for address in self._addresses.values())

    async def leader(self) -> str:
        """The member that leads now; "" where none says so."""
        for name, address in self._addresses.items():
            if not self.machines[name].is_running:
                continue
            try:
                text = await command(
                    "etcdctl",
                    f"--endpoints={address}:{_CLIENT_PORT}",
                    "--dial-timeout=300ms",
                    "--command-timeout=700ms",
                    *("endpoint", "status", "-w", "json"),
                )
            except CommandFailed:
                continue
            status: dict[str, Any] = json.loads(text)[0]["Status"]
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                return name
        return ""


def _program(name: str, address: str, peers: str, data: Path) -> list[str]:
    client_url, peer_url = f"http://{address}:{_CLIENT_PORT}", f"http://{address}:{_PEER_PORT}"
    program = ["etcd", "--name", name, "--data-dir", str(data), "--log-level", "warn"]
    program += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
    program += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
    program += ["--initial-cluster", peers, "--initial-cluster-token", "chaos"]
    return [*program, "--heartbeat-interval", "50", "--election-timeout", "500"]
