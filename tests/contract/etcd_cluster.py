"""Real etcd members as processes of their own, on free loopback ports, to be killed, stopped and started again.

Rule: a member's directory, ports and process belong to the test that made the cluster; nothing is left of them
behind `close()`. A missing etcd fails the test, with what to type.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

START_S: Final = 30.0


def find_program(name: str) -> str:
    """Path of `etcd` or `etcdctl`; a failed test where it is missing."""
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: apt-get install etcd-server etcd-client"
    return found


@dataclass(frozen=True, kw_only=True)
class ClusterTls:
    """Certificates of a cluster's clients and servers, PEM files."""

    ca_file: Path
    cert_file: Path
    key_file: Path
    client_cert_file: Path
    client_key_file: Path


@dataclass(eq=False)
class EtcdMember:
    """One etcd process."""

    name: str
    directory: Path
    client_port: int
    peer_port: int
    arguments: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.client_port}"

    def start(self) -> None:
        assert self.process is None, f"{self.name} runs already"
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class EtcdCluster:
    """Members that know each other."""

    def __init__(self, directory: Path, size: int = 3, tls: ClusterTls | None = None) -> None:
        etcd = find_program("etcd")
        self.tls = tls
        scheme = "http" if tls is None else "https"
        ports = free_ports(2 * size)
        self.members = [
            EtcdMember(f"m{number}", directory / f"m{number}", ports[2 * number], ports[2 * number + 1])
            for number in range(size)
        ]
        initial = ",".join(f"{member.name}=http://127.0.0.1:{member.peer_port}" for member in self.members)
        for member in self.members:
            member.directory.mkdir(parents=True)
            client_url = f"{scheme}://127.0.0.1:{member.client_port}"
            peer_url = f"http://127.0.0.1:{member.peer_port}"
            member.arguments = [etcd, "--name", member.name, "--data-dir", str(member.directory / "data")]
            member.arguments += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
            member.arguments += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
            member.arguments += ["--initial-cluster", initial, "--initial-cluster-token", directory.name]
            member.arguments += ["--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "warn"]
            if tls is not None:
                member.arguments += ["--cert-file", str(tls.cert_file), "--key-file", str(tls.key_file)]
                member.arguments += ["--client-cert-auth", "--trusted-ca-file", str(tls.ca_file)]

    @property
    def url(self) -> str:
        """What `CatalogSettings.url` takes."""
        return "etcd://" + ",".join(member.endpoint for member in self.members)

    def start(self) -> None:
        """Start every member; clients wait for the election themselves."""
        for member in self.members:
            member.start()

    def heal(self) -> None:
        """Resume members that are stopped, start those that are dead."""
        for member in self.members:
            if member.process is None:
                member.start()
            else:
                member.resume()

    def close(self) -> None:
        """Kill every member."""
        for member in self.members:
            with contextlib.suppress(AssertionError):
                member.resume()
            member.kill()

    async def leader(self) -> EtcdMember:
        """The member that leads now; waits for an election to end."""
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            leaders = [found for member in self.members if (found := await self._leader_of(member)) is not None]
            if leaders:
                return leaders[0]
            await asyncio.sleep(0.02)
        logs = "\n".join((member.directory / "log").read_text()[-2_000:] for member in self.members)
        raise AssertionError(f"no etcd leader within {START_S} s:\n{logs}")

    async def follower(self) -> EtcdMember:
        """A running member that does not lead."""
        leader = await self.leader()
        return next(member for member in self.members if member is not leader and member.process is not None)

    async def control(self, *arguments: str, endpoints: str = "", is_checked: bool = True) -> str:
        """Run etcdctl against the cluster; its output."""
        flags = [f"--endpoints={endpoints or self.url.removeprefix('etcd://')}", "--command-timeout=10s"]
        if self.tls is not None:
            flags += [f"--cacert={self.tls.ca_file}"]
            flags += [f"--cert={self.tls.client_cert_file}", f"--key={self.tls.client_key_file}"]
        process = await asyncio.create_subprocess_exec(
            find_program("etcdctl"), *flags, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        assert not is_checked or process.returncode == 0, err.decode()
        return out.decode()

    async def _leader_of(self, member: EtcdMember) -> EtcdMember | None:
        """The cluster's leader if `member` says it is the one."""
        if member.process is None:
            return None
        text = await self.control(
            "--dial-timeout=300ms",
            "--command-timeout=500ms",
            "endpoint",
            "status",
            "-w",
            "json",
            endpoints=member.endpoint,
            is_checked=False,
        )
        for status in json.loads(text or "[]"):
            found: dict[str, Any] = status["Status"]
            if found.get("leader") and found["leader"] == found["header"]["member_id"]:
                return member
        return None


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
