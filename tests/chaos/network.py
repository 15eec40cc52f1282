"""The run's network: one bridge, one network namespace a host, and everything that can go wrong between two hosts.

    clients 10.77.0.254 -- bridge -- veth -- eth0 of n1 10.77.0.1, n2 10.77.0.2 ..., e1 10.77.0.11 ...
                                             slow0 of n1 ... : the way through `delayer.py`

Rule: each fault has an end that undoes exactly that fault, so faults may overlap; `heal` undoes all.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.chaos.delayer import LinkRule

_COMMAND_S: Final = 30.0
_BRIDGE: Final = "chaos0"
_ROOT: Final = Path(__file__).resolve().parents[2]
CLIENTS: Final = "10.77.0.254"
"""Where clients, and whoever watches, come from."""


class CommandFailed(Exception):
    """A command of the machine's own did not work; the run cannot go on."""


async def command(*arguments: str, within_s: float = _COMMAND_S) -> str:
    """Run a program to a good end; what it said. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(within_s):
            out, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CommandFailed(f"{' '.join(arguments)}: not done within {within_s:.0f} s") from error
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(arguments)}: exit {process.returncode}: {out.decode(errors='replace')[-400:]}")
    return out.decode(errors="replace")


class Network:
    """Hosts by name, with their addresses."""

    def __init__(self, nodes: Iterable[str], members: Iterable[str]) -> None:
        self.hosts = {name: f"10.77.0.{number}" for number, name in enumerate(nodes, 1)}
        self.hosts |= {name: f"10.77.0.{number}" for number, name in enumerate(members, 11)}
        self._delayer: asyncio.subprocess.Process | None = None
        self._slow: set[tuple[str, str]] = set()

    async def create(self) -> None:
        """Make bridge, namespaces and devices."""
        await command("ip", "link", "add", _BRIDGE, "type", "bridge")
        await command("ip", "address", "add", f"{CLIENTS}/24", "dev", _BRIDGE)
        await command("ip", "link", "set", _BRIDGE, "up")
        for name, address in self.hosts.items():
            await command("ip", "netns", "add", name)
            port = f"v-{name}"
            await command("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            await command("ip", "link", "set", port, "master", _BRIDGE, "up")
            await command("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                await command("ip", "-n", name, "link", "set", device, "up")
        await self._start_delayer()

    async def _start_delayer(self) -> None:
        arguments = [f"{name}={address}" for name, address in self.hosts.items()]
        self._delayer = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.delayer",
            *arguments,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._delayer.stdout is not None
        async with asyncio.timeout(_COMMAND_S):
            if await self._delayer.stdout.readline() != b"ready\n":
                raise CommandFailed("the delayer did not start")
        for name in self.hosts:
            await command("ip", "link", "set", f"slow-{name}", "netns", name, "name", "slow0", "up")
            loose = "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done"  # answers take another road
            await command("ip", "netns", "exec", name, "sh", "-c", loose)

    async def close(self) -> None:
        """End the delayer; the rest goes with the namespaces."""
        if self._delayer is not None:
            self._delayer.kill()
            await self._delayer.wait()

    # ------------------------------------------------------------ cuts

    async def cut(self, source: str, target: str) -> None:
        """From now on nothing from `source` reaches `target`; the other way stays open."""
        await self._filter(target, "-I", "INPUT", "-s", self.hosts[source])

    async def mend(self, source: str, target: str) -> None:
        """Undo one `cut`."""
        await self._filter(target, "-D", "INPUT", "-s", self.hosts[source])

    async def isolate(self, name: str) -> None:
        """Cut a host off from everyone, clients included."""
        await self._filter(name, "-I", "INPUT", "!", "-i", "lo")
        await self._filter(name, "-I", "OUTPUT", "!", "-o", "lo")

    async def rejoin(self, name: str) -> None:
        """Undo one `isolate`."""
        await self._filter(name, "-D", "INPUT", "!", "-i", "lo")
        await self._filter(name, "-D", "OUTPUT", "!", "-o", "lo")

    async def _filter(self, host: str, *rule: str) -> None:
        await command("ip", "netns", "exec", host, "iptables", "-w", *rule, "-j", "DROP")

    # ------------------------------------------------------------ slow links

    async def slow(self, rule: LinkRule) -> None:
        """Lead packets of one direction through the delayer; a second rule replaces the first."""
        assert self._delayer is not None
        assert self._delayer.stdin is not None
        self._delayer.stdin.write(rule.line())
        await self._delayer.stdin.drain()
        source, target = self.hosts[rule.source], self.hosts[rule.target]
        route = ("ip", "-n", rule.source, "route", "replace", f"{target}/32", "dev", "slow0", "src", source)
        self._slow.add((rule.source, rule.target))
        await command(*route)

    async def hasten(self, source: str, target: str) -> None:
        """Back to the bridge; what is on its way still comes, late."""
        if (source, target) in self._slow:
            self._slow.discard((source, target))
            await command("ip", "-n", source, "route", "del", f"{self.hosts[target]}/32", "dev", "slow0")

    async def heal(self) -> None:
        """Undo everything."""
        for name in self.hosts:
            await command("ip", "netns", "exec", name, "iptables", "-w", "-F")
        for source, target in list(self._slow):
            await self.hasten(source, target)
