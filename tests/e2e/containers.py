"""Runs `deploy/compose.yaml` for real: images built here, without a registry, and compose over podman's socket.

    debootstrap base (cached) --build--> meshnode image, etcd image --compose--> 3 etcd, init, 3 nodes

Storage, network state and socket are the test's own, below one directory. `runc`, `cgroupfs` and lowered limits are
what works inside a machine that has hybrid cgroups and no CAP_SYS_RESOURCE; elsewhere they do no harm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import find_base_port, find_program
from tests.e2e.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_BASE = "localhost/meshnode-base:bookworm"
_NODE = "localhost/meshnode:test"
_ETCD = "localhost/meshnode-etcd:test"
_PROJECT = "meshnodetest"

_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@dataclass
class Compose:
    """The compose project; services are those of `deploy/compose.yaml`."""

    directory: Path
    base_port: int

    @property
    def environment(self) -> dict[str, str]:
        """What podman and docker-compose are run with."""
        ports = {
            f"NODE{node}_{kind}_PORT": str(self.base_port + 10 * (node - 1) + shift)
            for node in (1, 2, 3)
            for kind, shift in (("GRPC", 0), ("HTTP", 3))
        }
        return {
            **os.environ,
            **ports,
            "CONTAINERS_CONF": str(self.directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
            "DOCKER_HOST": f"unix://{self.directory}/podman.sock",
            "MESHNODE_IMAGE": _NODE,
            "ETCD_IMAGE": _ETCD,
        }

    def podman(self, *arguments: str, timeout_s: float = 300, check: bool = True) -> str:
        """Run podman; its output."""
        return self._run([find_program("podman", package="podman"), *arguments], timeout_s, check=check)

    def compose(self, *arguments: str, timeout_s: float = 300, check: bool = True) -> str:
        """Run docker-compose on the project; its output."""
        program = find_program("docker-compose", package="docker-compose")
        file = str(_ROOT / "deploy/compose.yaml")
        return self._run([program, "-f", file, "-p", _PROJECT, *arguments], timeout_s, check=check)

    def operator(self, *arguments: str) -> str:
        """Run the `meshnode` command with the operator's key.

        As the service `operator` does; compose 1.29 would need the docker program to show its output.
        """
        volume, network = f"{_PROJECT}_operator:/cluster", f"{_PROJECT}_default"
        options = ("--rm", "--volume", volume, "--network", network, "--env", "MESHNODE_DATA=/cluster")
        return self.podman("run", *options, _NODE, *arguments)

    def kill(self, service: str) -> None:
        """`kill -9` everything in a service's container."""
        self.compose("kill", "-s", "SIGKILL", service)
        wait_until(lambda: not self.is_running(service), what=f"{service} is dead")

    def is_running(self, service: str) -> bool:
        """Whether a service's container runs."""
        return self.podman("inspect", "--format", "{{.State.Running}}", self.container(service)).strip() == "true"

    def container(self, service: str) -> str:
        """Name of a service's container."""
        return f"{_PROJECT}_{service}_1"

    def url(self, node: int, name: str) -> str:
        """What to give to git."""
        return f"{self.http(node)}/{name}.git"

    def http(self, node: int) -> str:
        """A node's HTTP server as seen from outside."""
        return f"http://127.0.0.1:{self.http_port(node)}"

    def http_port(self, node: int) -> int:
        """That server's port on this machine."""
        return self.base_port + 10 * (node - 1) + 3

    def logs(self) -> str:
        """The end of every container's log."""
        names = self.podman("ps", "--all", "--format", "{{.Names}}", check=False).split()
        return "\n".join(f"--- {name}\n{self.podman('logs', '--tail', '15', name, check=False)}" for name in names)

    def _run(self, command: Sequence[str], timeout_s: float, *, check: bool) -> str:
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if not check else subprocess.PIPE,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout


@contextlib.contextmanager
def running_compose(directory: Path) -> Iterator[Compose]:
    """Build the images, start the project, and take everything away afterwards."""
    directory.mkdir(parents=True, exist_ok=True)
    networks = f'network_config_dir = "{directory}/networks"\n'
    (directory / "containers.conf").write_text(_CONTAINERS_CONF.replace("[network]\n", "[network]\n" + networks))
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/storage"\nrunroot = "{directory}/run"\n'
    )
    project = Compose(directory, find_base_port())
    _build(project)
    podman = find_program("podman", package="podman")
    with (
        (directory / "service.log").open("w") as log,
        subprocess.Popen(
            [podman, "system", "service", "--time=0", f"unix://{directory}/podman.sock"],
            env=project.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as service,
    ):
        try:
            wait_until((directory / "podman.sock").exists, what="podman's socket")
            try:
                project.compose("up", "--detach", "node1", "node2", "node3")
                yield project
            except AssertionError as error:
                raise AssertionError(f"{error}\n{project.logs()}") from error
            finally:
                project.compose("down", "--volumes", "--timeout", "5", check=False)
        finally:
            service.terminate()
            project.podman("rm", "--all", "--force", "--time", "2", check=False)
            project.podman("volume", "prune", "--force", check=False)
            project.podman("rmi", "--all", "--force", check=False)


def _build(project: Compose) -> None:
    base = subprocess.run(
        [str(_ROOT / "deploy/base-image.sh")], stdout=subprocess.PIPE, text=True, check=True, timeout=900
    ).stdout.strip()
    project.podman("import", "--quiet", base, _BASE)
    # Wheels are built outside: the build container then needs no index, whatever index this machine uses.
    source = project.directory / "source"
    for name in ("meshnode", "deploy"):
        shutil.copytree(_ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "Dockerfile", ".dockerignore"):
        shutil.copy(_ROOT / name, source / name)
    wheelhouse = project.directory / "wheelhouse"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheelhouse), str(source)],
        check=True,
        timeout=600,
    )
    shutil.rmtree(source / "build", ignore_errors=True)
    wheelhouse.rename(_ensure(source / "build") / "wheelhouse")
    build = ("build", "--quiet", "--isolation", "chroot", "--format", "docker")
    project.podman(*build, "--build-arg", f"BASE={_BASE}", "--tag", _NODE, str(source), timeout_s=600)

    etcd = _ensure(project.directory / "etcd")
    shutil.copy(find_program("etcd", package="etcd-server"), etcd / "etcd")
    (etcd / "Dockerfile").write_text(f"FROM {_BASE}\nCOPY etcd /usr/local/bin/etcd\n")
    project.podman(*build, "--tag", _ETCD, str(etcd))


def _ensure(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
