"""Gives a run namespaces of its own - network, mounts, processes - that the kernel takes away with its last process.

    python -m tests.chaos.run ...        unshare: new namespaces, --kill-child
      `- this module, process 1          private /run/netns and /mnt, then reaps whatever dies
           `- the run                    bridge, network namespaces, tmpfs mounts, nodes, etcd members, clients

However a run ends, `kill -9` of any of its processes included, nothing of it is left on the machine: no interface,
no rule, no mount, no process. Two runs at once do not see each other.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.environment import clean_environment

WORK: Final = Path("/mnt")
"""Where a run's data lies: a tmpfs that only the run's processes see."""
TUN: Final = WORK / "tun"
"""The run's own device file for tun devices (character device 10:200): containers often have none below /dev."""
NETWORKS: Final = Path("/run/netns")
"""Where `ip netns` keeps its names; likewise."""

_PROGRAMS: Final = {
    "unshare": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "iptables": "iptables",
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "git": "git",
}
"""Programs a run drives, with their Debian packages."""
UNFIT: Final = 2
"""Exit code of a run that this machine cannot hold."""
_ISOLATED: Final = "CHAOS_ISOLATED"
"""Set to 1 in processes that have the run's namespaces."""
_NAMESPACES: Final = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class Unfit(Exception):
    """This machine cannot hold a run; the message says what is missing and what to do."""


def check_machine() -> None:
    """Check for root, programs, namespaces and devices. Raises Unfit."""
    if os.geteuid() != 0:
        raise Unfit("network namespaces and mounts need root: run make chaos as root")
    missing = missing_packages(os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if missing:
        raise Unfit(f"missing programs: run make test-setup, or apt-get install {' '.join(missing)}")
    probe = "mount -t tmpfs -o size=1m tmpfs /mnt && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns"
    probe += " && ip link add chaos0 type bridge && ip netns add probe && ip netns exec probe iptables -w -L -n"
    probe += " && mknod /mnt/tun c 10 200 && : <>/mnt/tun"
    done = subprocess.run(
        ["unshare", *_NAMESPACES, "sh", "-c", probe],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise Unfit(
            f"namespaces, mounts, packet filters or tun devices cannot be had here: {done.stderr.strip()[-300:]}"
        )


def missing_packages(search: str) -> list[str]:
    """Debian packages whose programs are not in the directories of `search`."""
    return sorted({package for name, package in _PROGRAMS.items() if shutil.which(name, path=search) is None})


def enter(module: str) -> None:
    """Go on in namespaces of this run's own: `module` starts again in them, with the same arguments, as this process.

    Returns there, with the environment of every test. Ends the process with UNFIT where the machine cannot hold a run.
    """
    if os.environ.get(_ISOLATED) == "1":
        clean_environment(os.environ)
        return
    try:
        check_machine()
    except Unfit as error:
        sys.stderr.write(f"{module}: {error}\n")
        sys.exit(UNFIT)
    init = [sys.executable, "-m", "tests.chaos.isolation", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe("unshare", ["unshare", *_NAMESPACES, *init], {**os.environ, _ISOLATED: "1"})


def main(command: Sequence[str]) -> int:
    """Be process 1: private mounts first, then the run; ends with it."""
    NETWORKS.mkdir(parents=True, exist_ok=True)
    for mount in (["-t", "tmpfs", "tmpfs", str(NETWORKS)], ["-t", "tmpfs", "-o", "size=4g", "tmpfs", str(WORK)]):
        subprocess.run(["mount", *mount], check=True, timeout=30)
    os.mknod(TUN, stat.S_IFCHR | 0o600, os.makedev(10, 200))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=30)
    run = os.spawnvp(os.P_NOWAIT, command[0], list(command))
    while True:
        try:
            ended, status = os.wait()
        except KeyboardInterrupt:
            continue
        if ended == run:
            return abs(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
