"""Stock git fetches from and pushes to the protocol adapters alone, over the smallest HTTP server that can carry them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.config import LimitSettings, PushSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.pktline import FLUSH, format_packet
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.upload_pack import UploadPackProtocol
from meshnode.ports import CommandResult, Push
from tests.unit.git.sample import build_repository, commit, git, read_snapshot

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))


class Server:
    """One bare repository over smart HTTP; writes without any of the product's safety."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = ""
        self.commands = GitCommands()
        self.fetches = UploadPackProtocol(
            self.commands, lambda _: path, LimitSettings(), "meshnode/test", SharedAnswers(path, 1 << 30)
        )
        self.pushes = ReceivePackProtocol(PushSettings(), "meshnode/test")
        self.seen: list[Push] = []
        self.fatal = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/info/refs", self.info_refs)
        app.router.add_post("/git-upload-pack", self.upload_pack)
        app.router.add_post("/git-receive-pack", self.receive_pack)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            yield
        finally:
            await runner.cleanup()

    async def info_refs(self, request: web.Request) -> web.Response:
        service = request.query["service"]
        snapshot = read_snapshot(self.path)
        if service == "git-upload-pack":
            data = self.fetches.advertise(snapshot, version_of(request))
        else:
            data = self.pushes.advertise(snapshot, snapshot.object_format)
        header = format_packet(f"# service={service}\n".encode()) + FLUSH
        return web.Response(body=header + data, content_type=f"application/x-{service}-advertisement")

    async def upload_pack(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-result"})
        await response.prepare(request)
        answer = self.fetches.serve(
            KEY, read_snapshot(self.path), version_of(request), request.content.iter_chunked(65_536)
        )
        async for chunk in answer:
            await response.write(chunk)
        return response

    async def receive_pack(self, request: web.Request) -> web.Response:
        snapshot = read_snapshot(self.path)
        push = await self.pushes.read_push(request.content.iter_chunked(65_536), snapshot.object_format)
        self.seen.append(push)
        if self.fatal:
            body = self.pushes.format_fatal(push, self.fatal)
        else:
            progress = self.pushes.format_progress(push, "receiving") + self.pushes.format_progress(push, "")
            error = await self.index(push)
            results = [await self.apply(push, number, error) for number in range(len(push.commands))]
            body = progress + self.pushes.format_report(push, error, results, ["stored three times"])
        return web.Response(body=body, content_type="application/x-git-receive-pack-result")

    async def index(self, push: Push) -> str:
        if push.pack is None:
            return ""
        async with await self.commands.open(
            ["index-pack", "--stdin", "--fix-thin"], git_dir=self.path, deadline_ms=30_000
        ) as process:
            async for chunk in push.pack:
                await process.write(chunk)
            await process.close_stdin()
            await process.read()
            return process.stderr_tail if await process.wait() else ""

    async def apply(self, push: Push, number: int, error: str) -> CommandResult:
        command = push.commands[number]
        refusal = error or command.refusal
        if not refusal:
            wanted = ["-d", command.name] if command.new is None else [command.name, command.new]
            done = await self.commands.run(["update-ref", *wanted], git_dir=self.path)
            refusal = done.stderr.decode()
        return CommandResult(name=command.name, error=refusal)


def version_of(request: web.Request) -> int:
    words = request.headers.get("Git-Protocol", "").split(":")
    return max((int(word.removeprefix("version=")) for word in words if word.startswith("version=")), default=0)


async def client(*args: str, path: Path, version: int = 2) -> subprocess.CompletedProcess[bytes]:
    """Run stock git beside the server; never fails the test by itself."""
    command = ["git", "-c", f"protocol.version={version}", *args]
    return await asyncio.to_thread(subprocess.run, command, cwd=path, capture_output=True, check=False)


async def succeed(*args: str, path: Path, version: int = 2) -> str:
    done = await client(*args, path=path, version=version)
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def refs_of(path: Path) -> bytes:
    return git("for-each-ref", "--format=%(objectname) %(refname)", path=path)


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "template.git"
    return build_repository(path, object_format=request.param, commit_count=60)


@pytest.fixture
async def server(template: Path, tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(shutil.copytree(template, tmp_path / "served.git"))
    async with server.running():
        yield server


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_mirror_clone_has_every_reference(server: Server, tmp_path: Path, version: int) -> None:
    await succeed("clone", "--mirror", server.url, "clone.git", path=tmp_path, version=version)
    git("fsck", "--strict", path=tmp_path / "clone.git")
    assert refs_of(tmp_path / "clone.git") == refs_of(server.path)


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_references_listed_are_those_of_the_repository(server: Server, tmp_path: Path, version: int) -> None:
    ours = await client("ls-remote", "--symref", server.url, path=tmp_path, version=version)
    local = await client("ls-remote", "--symref", str(server.path), path=tmp_path, version=version)
    assert (ours.returncode, ours.stdout) == (0, local.stdout)


@pytest.mark.parametrize("version", [0, 2])
async def test_fetch_negotiates_from_what_the_client_has(server: Server, tmp_path: Path, version: int) -> None:
    await succeed("clone", "--bare", server.url, "clone.git", path=tmp_path, version=version)
    clone = tmp_path / "clone.git"
    parent = git("rev-parse", "main", path=clone).decode().strip()
    for number in range(40):  # more than one round of haves that the server does not know
        parent = commit(clone, "local", f"local {number}\n", parent)
    tip = git("rev-parse", "main", path=server.path).decode().strip()
    commit(server.path, "main", "new\n", tip)
    await succeed("fetch", "origin", "+refs/heads/*:refs/heads/*", path=clone, version=version)
    assert git("rev-parse", "main", path=clone) == git("rev-parse", "main", path=server.path)


@pytest.mark.parametrize("version", [0, 2])
async def test_shallow_and_partial_clones_work(server: Server, tmp_path: Path, version: int) -> None:
    await succeed("clone", "--depth=2", "--bare", server.url, "shallow.git", path=tmp_path, version=version)
    assert git("rev-list", "--count", "main", path=tmp_path / "shallow.git") == b"2\n"
    await succeed("clone", "--filter=blob:none", "--bare", server.url, "bare.git", path=tmp_path, version=version)
    missing = git("rev-list", "--objects", "--missing=print", "main", path=tmp_path / "bare.git")
    assert b"?" in missing


@pytest.mark.parametrize("version", [0, 2])
async def test_clone_of_an_empty_repository_learns_the_default_branch_where_told(tmp_path: Path, version: int) -> None:
    git("init", "-q", "--bare", "-b", "trunk", "served.git", path=tmp_path)
    server = Server(tmp_path / "served.git")
    async with server.running():
        await succeed("clone", server.url, "clone", path=tmp_path, version=version)
    if version == 2:
        assert git("symbolic-ref", "HEAD", path=tmp_path / "clone") == b"refs/heads/trunk\n"


async def test_push_of_everything_arrives_and_is_reported(server: Server, tmp_path: Path) -> None:
    work = build_repository(tmp_path / "work.git", object_format=read_snapshot(server.path).object_format)
    commit(work, "brand-new", "new\n")
    told = await succeed("push", "--mirror", server.url, path=work)
    assert refs_of(server.path) == refs_of(work)
    assert "remote: stored three times" in told
    await succeed("push", "--delete", server.url, "brand-new", path=work)
    assert b"brand-new" not in refs_of(server.path)
    assert server.seen[-1].pack is None


async def test_large_push_goes_through_in_chunks_and_leaves_the_pack_whole(server: Server, tmp_path: Path) -> None:
    work = build_repository(tmp_path / "work.git", object_format=read_snapshot(server.path).object_format)
    noise = (git("rev-list", "--all", path=work) * 20_000)[: 3 << 20]
    blob = git("hash-object", "-w", "--stdin", path=work, stdin=noise).decode().strip()
    git("tag", "noise", blob, path=work)
    await succeed("-c", "http.postBuffer=65536", "-c", "core.compression=0", "push", server.url, "noise", path=work)
    assert git("rev-parse", "noise", path=server.path).decode().strip() == blob
    assert server.seen[0].commands == ()  # git probes with a lone flush before it sends chunks


async def test_atomic_push_and_options_are_understood(server: Server, tmp_path: Path) -> None:
    work = build_repository(tmp_path / "work.git", object_format=read_snapshot(server.path).object_format)
    commit(work, "one", "1\n")
    await succeed("push", "--atomic", "-o", "ci.skip", "-o", "reason=grüße", server.url, "one", path=work)
    assert server.seen[-1].is_atomic
    assert server.seen[-1].options == ("ci.skip", "reason=grüße")


async def test_refusal_of_one_reference_is_shown_with_its_reason(server: Server, tmp_path: Path) -> None:
    work = build_repository(tmp_path / "work.git", object_format=read_snapshot(server.path).object_format)
    commit(work, "good", "1\n")
    done = await client("push", server.url, "good", "good:refs/stash", path=work)
    assert done.returncode != 0
    assert "good -> good" in done.stderr.decode()
    assert "remote rejected" in done.stderr.decode()
    assert "not a valid reference name" in done.stderr.decode()


async def test_fatal_error_reaches_the_people(server: Server, tmp_path: Path) -> None:
    work = build_repository(tmp_path / "work.git", object_format=read_snapshot(server.path).object_format)
    commit(work, "new", "1\n")
    server.fatal = "the outcome is not known; ask again"
    done = await client("push", server.url, "new", path=work)
    assert done.returncode != 0
    assert "the outcome is not known; ask again" in done.stderr.decode()


async def test_push_from_a_shallow_clone_is_parsed(server: Server, tmp_path: Path) -> None:
    await succeed("clone", "--depth=1", "--bare", server.url, "shallow.git", path=tmp_path)
    clone = tmp_path / "shallow.git"
    commit(clone, "next", "next\n", git("rev-parse", "main", path=clone).decode().strip())
    await succeed("push", server.url, "next", path=clone)
    assert git("rev-parse", "next", path=clone) == git("rev-parse", "next", path=server.path)
