"""The checks behind `meshnode doctor`: each looks at one thing and says ok, warn or fail, and what to do.

Rule: a check changes nothing that lasts, is bounded in time, and never raises for what it was made to find.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from meshnode.auth.keys import load_private_key
from meshnode.auth.tls import channel_credentials
from meshnode.base.errors import Corrupt, InvalidRequest, MeshError, NotFound
from meshnode.catalog.open import open_catalog
from meshnode.cli.process import is_port_free
from meshnode.config import CatalogSettings, Config
from meshnode.core.cluster import ClusterSettings, decode_settings
from meshnode.core.keys import CLUSTER, NODES
from meshnode.core.nodes import Node, decode_node

PYTHON_MIN: Final = (3, 11)
GIT_MIN: Final = (2, 39)
FSYNC_MS_MAX: Final = 50
"""A push waits for several; a disk that takes longer makes every push slow."""
FREE_BYTES_MIN: Final = 1 << 30
CONNECT_S: Final = 2.0
CLOCK_WARN_MS: Final = 10_000
"""HTTP's Date has whole seconds; below this nothing can be said."""
_GIT_VERSION = re.compile(r"git version (\d+)\.(\d+)")
_NODES_MAX: Final = 1_000


class Status(Enum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    status: Status
    detail: str
    advice: str = ""
    """What to do; "" where nothing needs doing."""


@dataclass(frozen=True, slots=True)
class CatalogContent:
    """What the catalog says of the cluster."""

    settings: ClusterSettings
    nodes: tuple[Node, ...]


def check_python() -> Check:
    """The interpreter's version."""
    found = sys.version_info[:2]
    wanted = ".".join(map(str, PYTHON_MIN))
    if found < PYTHON_MIN:
        return Check("python", Status.FAIL, ".".join(map(str, found)), f"install Python {wanted} or newer")
    return Check("python", Status.OK, sys.version.split()[0])


def check_git(program: str = "git") -> Check:
    """Git's version on this PATH."""
    wanted = ".".join(map(str, GIT_MIN))
    path = shutil.which(program)
    if path is None:
        return Check("git", Status.FAIL, "not found on PATH", f"install git {wanted} or newer")
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("git", Status.FAIL, f"{path} does not run: {error}", "repair the installation of git")
    match = _GIT_VERSION.match(done.stdout)
    if match is None:
        return Check("git", Status.FAIL, f"{path} says no version", "repair the installation of git")
    if (int(match[1]), int(match[2])) < GIT_MIN:
        return Check("git", Status.FAIL, done.stdout.strip(), f"install git {wanted} or newer")
    return Check("git", Status.OK, done.stdout.strip())


def check_directory(name: str, directory: Path) -> Check:
    """Whether a file can be made durable in a directory, how long that takes, and how much room there is."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor.") as file:
            start = time.monotonic_ns()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            fsync_ms = (time.monotonic_ns() - start) / 1e6
        usage = os.statvfs(directory)
    except OSError as error:
        return Check(
            name,
            Status.FAIL,
            f"{directory}: {error.strerror}",
            "make the directory, or give this user the right to write there",
        )
    free = usage.f_bavail * usage.f_frsize
    detail = f"{directory}: fsync {fsync_ms:.1f} ms, {free / (1 << 30):.1f} GiB free"
    if free < FREE_BYTES_MIN:
        return Check(name, Status.WARN, detail, "free some space: pushes fail when the disk is full")
    if fsync_ms > FSYNC_MS_MAX:
        return Check(name, Status.WARN, detail, "the disk is slow to make data durable; every push waits for it")
    return Check(name, Status.OK, detail)


def check_key(name: str, path: Path, *, is_made_on_start: bool = False) -> Check:
    """Whether a private key can be read, and by its owner alone."""
    if is_made_on_start and not path.exists():
        return Check(name, Status.OK, f"{path}: made when the node starts")
    try:
        key = load_private_key(path)
    except InvalidRequest as error:
        return Check(name, Status.FAIL, str(error), f"chmod 600 {path}, or put the right file there")
    return Check(name, Status.OK, f"{path}: key {key.key_id}, readable by its owner only")


def check_tls(name: str, config: Config) -> Check:
    """Whether the TLS files can be used."""
    try:
        credentials = channel_credentials(config.tls)
    except InvalidRequest as error:
        return Check(name, Status.FAIL, str(error), "correct [tls] or the files it names")
    return Check(name, Status.OK, "plaintext" if credentials is None else "mutual TLS")


def check_ports(name: str, addresses: Sequence[str], *, is_running: bool) -> Check:
    """A node that runs listens on its addresses; for one that does not they are free."""
    listening = [address for address in addresses if not is_port_free(address)]
    if is_running:
        silent = [address for address in addresses if address not in listening]
        if silent:
            return Check(name, Status.FAIL, f"runs, but nothing listens on {', '.join(silent)}", "look at its log")
        return Check(name, Status.OK, f"listens on {', '.join(addresses)}")
    if listening:
        return Check(
            name, Status.FAIL, f"taken by another program: {', '.join(listening)}", "stop it or change [listen]"
        )
    return Check(name, Status.WARN, f"not running; {', '.join(addresses)} free", "start the node")


def check_connection(name: str, address: str) -> Check:
    """Whether host:port accepts a TCP connection from here."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S):
            return Check(name, Status.OK, f"{address} accepts connections")
    except (OSError, ValueError) as error:
        return Check(name, Status.FAIL, f"{address}: {error}", "start the node, or correct its address or the firewall")


def check_clock(name: str, http_url: str, skew_ms: int) -> Check:
    """How far a node's clock is from this machine's, by the Date of an HTTP answer; `skew_ms` is what it allows."""
    url = urlsplit(http_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(url.hostname or "", url.port, timeout=CONNECT_S)
        try:
            before = time.time()
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            after = time.time()
            date = parsedate_to_datetime(answer.getheader("Date", "")).timestamp()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Check(
            name, Status.WARN, f"{http_url} does not tell its time: {error}", "start the node, then check again"
        )
    # The header says the second in which the answer was made, so only what lies outside of it counts.
    difference_ms = int(1_000 * max(before - (date + 1), date - after, 0.0))
    detail = f"differs by {difference_ms} ms, {skew_ms} ms allowed"
    if difference_ms > skew_ms:
        return Check(name, Status.FAIL, detail, "set the clocks by NTP: signed requests are refused")
    if difference_ms > CLOCK_WARN_MS:
        return Check(name, Status.WARN, detail, "set the clocks by NTP before signed requests are refused")
    return Check(name, Status.OK, detail)


async def check_catalog(settings: CatalogSettings, cluster_id: str) -> tuple[Check, CatalogContent | None]:
    """Whether the catalog answers and holds the cluster; `cluster_id` "" takes any."""
    try:
        catalog = await open_catalog(settings)
        try:
            (entry,) = await catalog.get([CLUSTER])
            if entry is None:
                raise NotFound("the catalog holds no cluster", url=settings.url)
            nodes = tuple(decode_node(found.value) for found in await catalog.range(NODES, limit=_NODES_MAX))
            content = CatalogContent(decode_settings(entry.value), nodes)
        finally:
            await catalog.close()
    except NotFound as error:
        return Check("catalog", Status.FAIL, str(error), "make the cluster with `meshnode up` or `init-cluster`"), None
    except Corrupt as error:
        return Check("catalog", Status.FAIL, str(error), "restore the catalog from its last backup"), None
    except MeshError as error:
        return Check("catalog", Status.FAIL, str(error), "start the catalog, or correct [catalog]"), None
    found = content.settings.cluster_id
    if cluster_id and found != cluster_id:
        detail = f"{settings.url} holds cluster {found}, not {cluster_id}"
        return Check("catalog", Status.FAIL, detail, "point [catalog] to this cluster's own catalog"), None
    return Check("catalog", Status.OK, f"{settings.url}: cluster {found}, {len(nodes)} nodes"), content
