"""Slows links: packets that are routed here are kept for a while, out of order, and some are lost.

    n1 --route to n2--> tun of n1 --> this process: rule of (n1, n2) --> tun of n2 --> n2

The kernel of a test machine may come without netem, so this does its work, for single directions and only while a
fault lasts: connections stay as they are, their packets take another road. Everything else goes over the bridge.

Process of its own: `python -m tests.chaos.delayer n1=10.77.0.1 ...` makes a tun device for each host (named
`slow-<host>`, to be moved into the host's namespace), says "ready", then takes rules as lines of JSON on its
standard input and ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from typing import Final

from tests.chaos.isolation import TUN

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_PACKET_BYTES_MAX: Final = 65_536
_WAITING_MAX: Final = 4_000
"""Packets kept at once on one link; more are lost, as in any full queue."""
_BATCH: Final = 64


@dataclass(frozen=True, kw_only=True)
class LinkRule:
    """What happens to packets from one host to another."""

    source: str
    target: str
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Up to this much is added to the delay of each packet: more than the gap between two means they change places."""
    loss: float = 0.0
    """Share of packets that never arrive."""
    bytes_per_s: float = 0.0
    """Bandwidth; 0 means no bound."""

    def line(self) -> bytes:
        """As the process takes it."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Delayer:
    """The tun devices of all hosts and what is on its way between them."""

    def __init__(self, hosts: dict[str, str], seed: int = 0) -> None:
        self._devices = {name: _open_tun(f"slow-{name}") for name in hosts}
        self._by_address = {IPv4Address(address).packed: name for name, address in hosts.items()}
        self._rules: dict[tuple[str, str], LinkRule] = {}
        self._free_at: dict[tuple[str, str], float] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._chance = random.Random(seed)

    def start(self) -> None:
        """Take packets from now on."""
        loop = asyncio.get_running_loop()
        for name, device in self._devices.items():
            loop.add_reader(device, self._on_packets, name, device)

    def apply(self, rule: LinkRule) -> None:
        """From now on, packets of this link go by this rule."""
        self._rules[rule.source, rule.target] = rule

    def _on_packets(self, source: str, device: int) -> None:
        for _ in range(_BATCH):
            try:
                packet = os.read(device, _PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            target = self._by_address.get(packet[16:20]) if packet[0] >> 4 == 4 else None
            if target is not None:
                self._take(source, target, packet)

    def _take(self, source: str, target: str, packet: bytes) -> None:
        link = (source, target)
        rule = self._rules.get(link) or LinkRule(source=source, target=target)
        waiting = self._waiting.get(link, 0)
        if waiting >= _WAITING_MAX or self._chance.random() < rule.loss:
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        if rule.bytes_per_s:
            due = max(due, self._free_at.get(link, 0.0)) + len(packet) / rule.bytes_per_s
            self._free_at[link] = due
        due += (rule.delay_ms + self._chance.random() * rule.jitter_ms) / 1_000
        self._waiting[link] = waiting + 1
        loop.call_at(due, self._deliver, link, packet)

    def _deliver(self, link: tuple[str, str], packet: bytes) -> None:
        self._waiting[link] -= 1
        with contextlib.suppress(OSError):  # the host's device is down: the packet is lost
            os.write(self._devices[link[1]], packet)


def _open_tun(name: str) -> int:
    device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


async def _serve(hosts: dict[str, str]) -> None:
    delayer = Delayer(hosts)
    delayer.start()
    rules = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(rules), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await rules.readline():
        delayer.apply(LinkRule(**json.loads(line)))


def main(arguments: Sequence[str]) -> None:
    """Serve until standard input ends."""
    asyncio.run(_serve(dict(argument.split("=", 1) for argument in arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
