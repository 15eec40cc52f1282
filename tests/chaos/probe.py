"""Shows that the network faults are what they are called: datagrams between two hosts, timed, under each fault.

`python -m tests.chaos.probe` isolates itself as a run does; exit code 0 where every fault did what it says, and
ended when it was ended.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

from tests.chaos import isolation
from tests.chaos.delayer import LinkRule
from tests.chaos.network import Network

_PORT: Final = 9000
_DATAGRAMS: Final = 20
_WAIT_S: Final = 3.0
_SEND: Final = """
import socket, sys, time
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[3])):
    try:
        channel.sendto(f"{number} {time.monotonic()}".encode(), (sys.argv[1], int(sys.argv[2])))
    except PermissionError:  # what a packet filter tells the sender
        pass
"""
_RECEIVE: Final = """
import socket, sys, time
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
channel.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    number, sent = channel.recv(100).split()
    print(int(number), time.monotonic() - float(sent), flush=True)
"""

Arrivals = list[tuple[int, float]]
"""Number and travel time, seconds, of each datagram that came, in the order in which they came."""


class Probe:
    """Two hosts and what passes between them."""

    def __init__(self) -> None:
        self.network = Network(["n1", "n2"], [])

    async def send(self, source: str, target: str) -> Arrivals:
        """Send some datagrams; what arrived, given time."""
        receiver = await self._python(target, _RECEIVE, str(_PORT))
        assert receiver.stdout is not None
        try:
            assert await receiver.stdout.readline() == b"ready\n"
            sender = await self._python(source, _SEND, self.network.hosts[target], str(_PORT), str(_DATAGRAMS))
            assert await sender.wait() == 0
            arrivals: Arrivals = []
            try:
                async with asyncio.timeout(_WAIT_S):
                    while len(arrivals) < _DATAGRAMS:
                        number, seconds = (await receiver.stdout.readline()).split()
                        arrivals.append((int(number), float(seconds)))
            except TimeoutError:
                pass
            return arrivals
        finally:
            receiver.kill()
            await receiver.wait()

    @staticmethod
    async def _python(host: str, program: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", host, sys.executable, "-c", program, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    async def check(self, what: str, *, there: bool = True, back: bool = True) -> None:
        """Check which ways are open."""
        for source, target, is_open in (("n1", "n2", there), ("n2", "n1", back)):
            count = len(await self.send(source, target))
            assert count == (_DATAGRAMS if is_open else 0), f"{what}: {count} of {_DATAGRAMS} from {source} to {target}"

    async def run(self) -> None:
        """Go through all faults. Raises AssertionError."""
        network = self.network
        await network.create()
        await self.check("no fault")
        await network.cut("n1", "n2")
        await self.check("one way cut", there=False)
        await network.cut("n1", "n2")
        await network.mend("n1", "n2")
        await self.check("two cuts, one mended", there=False)
        await network.mend("n1", "n2")
        await self.check("both mended")
        await network.isolate("n2")
        await self.check("isolated", there=False, back=False)
        await network.rejoin("n2")
        await self.check("rejoined")
        await self._check_slow()
        await network.isolate("n1")
        await network.slow(LinkRule(source="n1", target="n2", loss=1.0))
        await network.heal()
        await self.check("healed")
        await network.close()

    async def _check_slow(self) -> None:
        network = self.network
        await network.slow(LinkRule(source="n1", target="n2", delay_ms=200, jitter_ms=100))
        late = await self.send("n1", "n2")
        assert len(late) == _DATAGRAMS, f"slow: {len(late)} arrived"
        assert all(0.2 <= seconds < _WAIT_S for _, seconds in late), f"slow: {late}"
        assert [number for number, _ in late] != sorted(number for number, _ in late), f"slow: in order, {late}"
        back = await self.send("n2", "n1")
        assert min(seconds for _, seconds in back) < 0.1, f"slow: the other way too, {back}"
        await network.slow(LinkRule(source="n1", target="n2", bytes_per_s=2_000))
        narrow = await self.send("n1", "n2")
        assert max(seconds for _, seconds in narrow) > 0.3, f"narrow: {narrow}"
        await network.slow(LinkRule(source="n1", target="n2", loss=1.0))
        await self.check("all lost", there=False)
        await network.hasten("n1", "n2")
        await self.check("fast again")


def main() -> int:
    """Isolate, then probe."""
    isolation.enter("tests.chaos.probe")
    asyncio.run(Probe().run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
