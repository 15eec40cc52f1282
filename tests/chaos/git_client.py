"""A user with stock git: `push` that creates, replaces, forwards and deletes, alone and with --atomic; `ls-remote`;
`fetch` followed by a push on top.

Commits are written into the client's own bare repository without git, so an operation is one git command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Change, Ending, Level, Read
from tests.chaos.packs import EMPTY_TREE
from tests.chaos.workload import ROOT, Wishes

_GIT_S: Final = 20.0
THINK_S: Final = 0.5
_FETCHED: Final = "refs/fetched"
_NOT_SENT: Final = ("[rejected]", "[remote rejected]")
_BEFORE_SENDING: Final = re.compile(
    r"fatal: unable to access|Failed to connect|Could not resolve|fatal: repository .* not"
)
"""The first request, which only lists references, failed: nothing was sent."""
_WRITTEN_NOTHING: Final = re.compile(r"error: RPC failed; HTTP (4\d\d|503)")


class GitClient:
    """Works through one node until cancelled."""

    def __init__(self, cluster: ChaosCluster, node: str, wishes: Wishes, directory: Path) -> None:
        self._cluster = cluster
        self._node = node
        self._wishes = wishes
        self._directory = directory

    async def prepare(self) -> None:
        """Make the client's repository."""
        await self._git("init", "--quiet", "--bare", str(self._directory))
        for one in (EMPTY_TREE, ROOT):
            one.write_loose(self._directory)

    async def run(self) -> None:
        """One command after another."""
        chance = self._wishes.chance
        while True:
            repository = self._wishes.repository()
            dice = chance.random()
            if dice < 0.3:
                await self.list_references(repository)
            elif dice < 0.6:
                await self.forward(repository)
            else:
                await self.replace(repository)
            await asyncio.sleep(chance.uniform(0, 2 * THINK_S))

    async def list_references(self, repository: str) -> bool:
        """`git ls-remote`; whether it was answered."""
        called_at = self._wishes.history.now()
        code, out, err = await self._git("ls-remote", "--refs", self._url(repository))
        if code != 0:
            self._wishes.history.note_failed_read(f"ls-remote: {_last_line(err)}")
            return False
        refs = {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}
        self._remember(repository, called_at, refs)
        return True

    async def forward(self, repository: str) -> None:
        """Fetch one reference and push a commit on top of it, without force: git itself knows the old value."""
        ref = self._wishes.refs(1)[0]
        called_at = self._wishes.history.now()
        code, _, err = await self._git("fetch", "--quiet", "--no-tags", self._url(repository), f"+{ref}:{_FETCHED}")
        if code != 0:
            if "couldn't find remote ref" in err:
                self._remember(repository, called_at, {}, only=ref)
            elif "not our ref" in err:
                self._wishes.history.alarms.append(f"a fetch through {self._node} broke: {_last_line(err)}")
            else:
                self._wishes.history.note_failed_read(f"fetch: {_last_line(err)}")
            return
        seen = (self._directory / _FETCHED).read_text().strip()
        self._remember(repository, called_at, {ref: seen}, only=ref)
        commit = self._wishes.commit(seen)
        commit.write_loose(self._directory)
        change = Change(ref=ref, value=commit.oid, is_forced=True)
        await self._push(repository, [change], [f"{commit.oid}:{ref}"])

    async def replace(self, repository: str) -> None:
        """Push where the reference still is what was seen last, or whatever it is; delete; two at once."""
        chance = self._wishes.chance
        count = 2 if chance.random() < 0.2 else 1
        changes: list[Change] = []
        options = ["--atomic"] if count == 2 else []
        specifications = []
        for ref in self._wishes.refs(count):
            seen = self._wishes.seen.get((repository, ref))
            if seen and chance.random() < 0.15:
                changes.append(Change(ref=ref, expected=seen, value=None))
                specifications.append(f":{ref}")
                options.append(f"--force-with-lease={ref}:{seen}")
                continue
            commit = self._wishes.commit(ROOT.oid)
            commit.write_loose(self._directory)
            is_forced = chance.random() < 0.3
            changes.append(Change(ref=ref, expected=seen, value=commit.oid, is_forced=is_forced))
            specifications.append(f"{'+' if is_forced else ''}{commit.oid}:{ref}")
            if not is_forced:
                options.append(f"--force-with-lease={ref}:{seen or ''}")
        await self._push(repository, changes, specifications, options)

    async def _push(
        self, repository: str, changes: list[Change], specifications: Sequence[str], options: Sequence[str] = ()
    ) -> None:
        write = self._wishes.history.begin_write(
            client=self._wishes.name,
            way="git",
            node=self._node,
            repository=repository,
            changes=changes,
            is_atomic="--atomic" in options,
        )
        named = f"--push-option=write {write.number}"
        code, out, err = await self._git("push", "--porcelain", named, *options, self._url(repository), *specifications)
        endings, reason = read_outcome(code, out, err, [change.ref for change in changes])
        said = re.search(r"generation (\d+)", err)
        generation = int(said[1]) if said else 0
        self._wishes.history.end_write(write, endings, generation=generation, reason=reason)
        done = [change for change in changes if change.ending is Ending.DONE]
        self._wishes.remember_written(repository, done, generation)

    def _remember(self, repository: str, called_at: float, refs: Mapping[str, str], *, only: str = "") -> None:
        history = self._wishes.history
        self._wishes.remember_read(
            Read(
                client=self._wishes.name,
                way="git",
                node=self._node,
                repository=repository,
                level=Level.VERIFIED,
                called_at=called_at,
                answered_at=history.now(),
                refs=refs,
                only=only,
            )
        )

    def _url(self, repository: str) -> str:
        return f"{self._cluster.http(self._node)}/{repository}.git"

    async def _git(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors; -9 for a command that took too long and was killed."""
        place = [] if arguments[0] == "init" else ["-C", str(self._directory)]
        header = f"http.extraHeader=Authorization: Bearer {self._cluster.token}"
        process = await asyncio.create_subprocess_exec(
            *("git", *place, "-c", header, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_GIT_S):
                out, err = await process.communicate()
        except TimeoutError:
            return -9, "", "took too long"
        finally:
            await _end_group(process)
        return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def read_outcome(code: int, out: str, err: str, refs: Sequence[str]) -> tuple[dict[str, Ending], str]:
    """What `git push --porcelain` says of each reference; left out where it does not know.

    Source: git-push(1), OUTPUT.
    """
    if code == -9:
        return {}, "took too long"
    reason = "" if code == 0 else _last_line(err)
    if code != 0 and (_BEFORE_SENDING.search(err) or _WRITTEN_NOTHING.search(err)) and not out.strip():
        return dict.fromkeys(refs, Ending.REFUSED), reason
    endings: dict[str, Ending] = {}
    for line in out.splitlines():
        flag, tab, rest = line.partition("\t")
        target, _, said = rest.partition("\t")
        ref = target.rpartition(":")[2]
        if not tab or ref not in refs:
            continue
        if flag in {" ", "+", "-", "*", "="}:
            endings[ref] = Ending.DONE
        elif flag == "!" and said.startswith(_NOT_SENT):
            endings[ref] = Ending.REFUSED
            reason = said
    return endings, reason


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Kill git and its helpers where they still run, and wait for the end."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line]
    return lines[-1][-150:] if lines else ""
