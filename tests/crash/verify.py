"""Looks at a directory whose process died: first as it lies there, then through a node that starts on it.

as it lies      stock git shows no value and no object that was not published
started         what the record believes in is here; the rest is settled; nothing is left over; git finds no fault
afterwards      the next write works, and another start finds the same
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import (
    HEAD,
    NodeId,
    RefName,
    RefValue,
    RoundId,
    parse_partition_id,
    parse_repository_id,
    symbolic,
    symbolic_target,
)
from meshnode.core.record import Record, RepositoryState, record_rejoined
from meshnode.core.refs import RefEdit, digest_after
from meshnode.core.repair import matches
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.replicas import position_of
from meshnode.git.description import describe_disk
from tests.contract.replica_fixtures import Source
from tests.crash.ledger import OWN, Ledger
from tests.crash.recovery import Started, started
from tests.crash.scenario import Scenario
from tests.crash.site import Site

NEXT: Final = RefName("refs/heads/written-afterwards")
_NO_HEAD: Final = "ref: refs/heads/.invalid"
_KEPT: Final = re.compile(
    r"lock|deleted/\d+-[0-9a-f]{32}\.json"
    r"|repositories/\d+/[0-9a-f]{32}/(config|HEAD|packed-refs|refs/.*(?<!\.lock)|mesh/(state\.json|history)"
    r"|objects/info/(alternates|commit-graphs/(commit-graph-chain|graph-[0-9a-f]+\.graph))"
    r"|objects/pack/pack-[0-9a-f]+\.(pack|idx))"
)
_ASIDE: Final = re.compile(r"damaged/\d+-[0-9a-f]{32}-\d+/.*")


def git(repository: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Stock git on a replica."""
    return subprocess.run(
        ["git", "--git-dir", str(repository), *arguments], input=stdin, capture_output=True, text=True, check=False
    )


def look(data: Path, ledger: Ledger) -> list[str]:
    """What is wrong with a directory as it lies there, before anything starts on it."""
    problems: list[str] = []
    for repository in sorted(data.glob("repositories/*/*")):
        if not (repository / "mesh" / "state.json").exists():
            continue
        key = _key_of(repository)
        seen = ledger.seen.get(key, {})
        for name, value in stock_refs(repository).items():
            if value not in seen.get(name, {None}):
                problems.append(f"{name} is at {value}, which no published generation says")
        problems += [
            f"object {oid} of an unpublished round can be read"
            for oid in sorted(ledger.secrets().get(key, ()))
            if git(repository, "cat-file", "-e", oid).returncode == 0
        ]
    try:
        _, unreadable = describe_disk(data)
    except MeshError as error:
        unreadable = [str(error)]
    return problems + [f"the disk cannot describe itself: {line}" for line in unreadable]


def stock_refs(repository: Path) -> dict[RefName, RefValue]:
    """References and HEAD as stock git tells them."""
    lines = git(repository, "for-each-ref", "--format=%(refname) %(objectname) %(symref)").stdout.splitlines()
    refs: dict[RefName, RefValue] = {}
    for name, oid, target in (line.split(" ") for line in lines):
        refs[RefName(name)] = symbolic(RefName(target)) if target else RefValue(oid)
    head = (repository / HEAD).read_text().strip()
    if head != _NO_HEAD:
        refs[HEAD] = symbolic(RefName(head.removeprefix("ref: ")))
    return refs


async def verify(data: Path, source: Source, ledger: Ledger, scenario: Scenario) -> list[str]:
    """Start a node on the directory, let it settle and heal; what is wrong then."""
    site = Site(data, source, ledger)
    verifier = _Verifier(site, scenario)
    async with started(site) as node:
        for look_at in (verifier.check_start, verifier.settle, verifier.check_end, verifier.write_on):
            await look_at(node)
            if verifier.problems:
                return verifier.problems
    again = Site(data, source, ledger)
    for key in await again.stores.store.list_replicas():
        if await again.stores.store.load(key) != await site.stores.store.load(key):
            verifier.problems.append(f"{key.repository[:4]}: another start finds another state")
    return verifier.problems


class _Verifier:
    def __init__(self, site: Site, scenario: Scenario) -> None:
        self.site = site
        self.scenario = scenario
        self.problems: list[str] = []

    def complain(self, key: ReplicaKey, text: str) -> None:
        self.problems.append(f"{key.repository[:4]}: {text}")

    async def check_start(self, node: Started) -> None:
        """What was published with this node's vote is here, and the node still stands by it."""
        for key, before in self.site.ledger.records.items():
            record = await node.record(key)
            assert record is not None
            if OWN in record.inconsistent and OWN not in before.inconsistent:
                self.complain(key, "the node takes itself out: what it had voted for is lost")
            elif OWN not in before.inconsistent:
                await self._check_replica(key, record)

    async def settle(self, node: Started) -> None:
        """Let repair and the passing of time do their part."""
        store = self.site.stores.store
        for key in await store.list_replicas():
            await node.settle(key)
        await self.scenario.heal(self.site)
        for key in self.site.ledger.records:
            record = await node.record(key)
            assert record is not None
            if OWN in record.inconsistent:
                await node.put(record_rejoined(record, OWN))
        for key in await store.list_replicas():
            await node.settle(key)

    async def check_end(self, node: Started) -> None:
        """Every replica is what its record says, and there is nothing else."""
        for key in self.site.ledger.records:
            record = await node.record(key)
            assert record is not None
            await self._check_replica(key, record)
        for repository in sorted(self.site.data.glob("repositories/*/*")):
            key = _key_of(repository)
            if key not in self.site.ledger.records:
                self.complain(key, "a directory is left of a repository that there never was")
            self._fsck(key, repository)
        files = set(_files(self.site.data))
        left = [
            path
            for path in files
            if not _KEPT.fullmatch(path) and not (self.scenario.is_set_aside and _ASIDE.fullmatch(path))
        ]
        left += [path for path in files if path.endswith(".pack") and path.removesuffix("pack") + "idx" not in files]
        if left:
            self.problems.append(f"{len(left)} left over: {', '.join(sorted(left)[:3])}")

    async def write_on(self, node: Started) -> None:
        """The next round on every replica."""
        store = self.site.stores.store
        for key, refs in self.site.ledger.refs.items():
            record = await node.record(key)
            assert record is not None
            if record.state is not RepositoryState.ACTIVE:
                continue
            round_ = _next_round(record, refs)
            await store.prepare(round_)
            state = await store.apply(round_)
            if state.generation != record.generation + 1 or (NEXT in stock_refs(self._path(key))) != bool(round_.edits):
                self.complain(key, "the next write had no effect")

    async def _check_replica(self, key: ReplicaKey, record: Record) -> None:
        state = await self.site.stores.store.load(key)
        if record.state is RepositoryState.DELETED:
            if state is not None and not state.is_deleted:
                self.complain(key, "a deleted repository is still here")
            if not (self.site.data / "deleted" / f"{key.home}-{key.repository}.json").exists():
                self.complain(key, "a deleted repository has no tombstone")
            return
        digest = None if state is None else state.refs_digest
        if state is None or not matches(position_of(state), digest, record):
            at = None if state is None else state.generation
            self.complain(key, f"replica is at generation {at}, the record at {record.generation}")
            return
        wanted = self.site.ledger.refs[key]
        if (await self.site.stores.reader.snapshot(key)).refs != wanted:
            self.complain(key, "the snapshot has other references than were published")
        if stock_refs(self._path(key)) != wanted:
            self.complain(key, "stock git sees other references than were published")

    def _fsck(self, key: ReplicaKey, repository: Path) -> None:
        done = git(repository, "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
        lines = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if not line.startswith("notice: ") and "HEAD" not in line
        ]
        if lines:
            self.complain(key, f"git fsck: {'; '.join(lines[:3])}")

    def _path(self, key: ReplicaKey) -> Path:
        return self.site.data / "repositories" / str(key.home) / key.repository


def _next_round(record: Record, refs: dict[RefName, RefValue]) -> Round:
    direct = [value for name, value in refs.items() if name.startswith("refs/heads/") and not symbolic_target(value)]
    edits = (RefEdit(NEXT, None, direct[0]),) if direct else ()
    return Round(
        round_id=RoundId("7" * 32),
        repository=record.repository,
        home=record.home,
        kind=WriteKind.UPDATE,
        base_generation=record.generation,
        base_round_id=record.round_id,
        edits=edits,
        refs_digest=digest_after(record.refs_digest, edits),
        name=record.name,
        object_format=record.object_format,
        coordinator=NodeId("n1"),
        request_key="",
        actor="tester",
        fork_root=record.fork_root,
    )


def _key_of(repository: Path) -> ReplicaKey:
    return ReplicaKey(parse_partition_id(int(repository.parent.name)), parse_repository_id(repository.name))


def _files(data: Path) -> Iterator[str]:
    """Files, and directories without any that are not part of a repository, relative to the data directory."""
    for folder, folders, files in os.walk(data):
        where = os.path.relpath(folder, data)
        for name in files:
            yield os.path.normpath(f"{where}/{name}")
        if where in {"incoming", "trash"}:
            yield from (f"{where}/{name}" for name in folders)
