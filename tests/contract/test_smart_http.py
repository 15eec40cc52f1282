"""Stock git over real sockets against the HTTP server, with git itself behind the Transport port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshnode.base.errors import MeshError, Overloaded, PeerUnavailable, RepositoryNotFound
from meshnode.base.ids import Generation, NodeId, RepositoryName
from meshnode.http.bounds import HttpBounds
from meshnode.http.server import HttpServer
from meshnode.ports import GitService, TransportReply, TransportRequest
from tests.unit.http.fakes import config, serving, until, within

NAME = RepositoryName("demo/requests")
COMMITS = 60


@dataclass
class GitTransport:
    """The Transport port over `git upload-pack` and `git receive-pack` on one bare repository."""

    repository: Path
    requests: list[tuple[str, TransportRequest]] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)
    """Bytes of each request body, in order."""
    running: set[int] = field(default_factory=set)
    """Processes that are not reaped yet."""
    cut_after: int | None = None
    """Break every answer off after this many bytes."""
    refuse_exchange: MeshError | None = None

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        self._note("info_refs", request)
        return self._reply(request, service, None)

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        self._note("upload_pack", request)
        return self._reply(request, GitService.UPLOAD_PACK, body)

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        self._note("receive_pack", request)
        return self._reply(request, GitService.RECEIVE_PACK, body)

    def _note(self, what: str, request: TransportRequest) -> None:
        self.requests.append((what, request))
        if request.name != NAME:
            raise RepositoryNotFound("no such repository", name=request.name)
        if self.refuse_exchange is not None and what != "info_refs":
            raise self.refuse_exchange

    def _reply(
        self, request: TransportRequest, service: GitService, body: AsyncIterator[bytes] | None
    ) -> TransportReply:
        return TransportReply(generation=Generation(3), node=NodeId("n1"), body=self._run(request, service, body))

    async def _run(
        self, request: TransportRequest, service: GitService, body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[bytes]:
        command = [service.value.removeprefix("git-"), "--stateless-rpc"]
        process = await asyncio.create_subprocess_exec(
            "git",
            *command,
            *(["--http-backend-info-refs"] if body is None else []),
            str(self.repository),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "GIT_PROTOCOL": f"version={request.version}"},
        )
        self.running.add(process.pid)
        assert process.stdout is not None
        feeder = asyncio.create_task(self._feed(process, body))
        sent = 0
        try:
            while piece := await process.stdout.read(256 << 10):
                yield piece
                sent += len(piece)
                if self.cut_after is not None and body is not None and sent >= self.cut_after:
                    raise PeerUnavailable("the node went away")
            await feeder
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            raise
        finally:
            await asyncio.shield(self._end(process, feeder))

    async def _end(self, process: asyncio.subprocess.Process, feeder: asyncio.Task[None]) -> None:
        """Reap to the end, even where whoever waits for it is cancelled once more."""
        feeder.cancel()
        await asyncio.wait([feeder])
        await process.communicate()
        self.running.discard(process.pid)

    async def _feed(self, process: asyncio.subprocess.Process, body: AsyncIterator[bytes] | None) -> None:
        assert process.stdin is not None
        count = 0
        try:
            if body is not None:
                async for piece in body:
                    count += len(piece)
                    process.stdin.write(piece)
                    await process.stdin.drain()
        except ConnectionError:
            pass  # git has what it wants
        finally:
            self.bodies.append(count)
            process.stdin.close()


def git(*arguments: str, cwd: Path, stdin: str = "") -> str:
    """Run git to its end; for repositories, never for clients of the server."""
    done = subprocess.run(["git", *arguments], cwd=cwd, input=stdin, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Client:
    """What a stock git client printed and how it ended."""

    code: int
    text: str


async def run_git(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Client:
    """Run a stock git client beside the server."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    output, _ = await within(process.communicate())
    assert process.returncode is not None
    return Client(process.returncode, output.decode())


def write_history(path: Path, commits: int) -> None:
    """A bare repository with `commits` commits on main, each with a file that does not compress."""
    git("init", "-q", "--bare", "-b", "main", str(path), cwd=path.parent)
    stream = []
    for number in range(commits):
        blob = os.urandom(1_500).hex()
        stream.append(
            f"commit refs/heads/main\nmark :{number + 1}\n"
            f"committer Test <test@example.com> {1_700_000_000 + number} +0000\n"
            f"data 6\nadd {number % 10}\n\nM 644 inline file-{number}.txt\ndata {len(blob)}\n{blob}\n\n"
        )
    stream.append(f"reset refs/tags/v1\nfrom :{commits // 2}\n\n")
    git("fast-import", "--quiet", cwd=path, stdin="".join(stream))
    git("config", "uploadpack.allowFilter", "true", cwd=path)
    git("config", "http.receivepack", "true", cwd=path)
    git("symbolic-ref", "HEAD", "refs/heads/main", cwd=path)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "requests.git"
    write_history(path, COMMITS)
    return path


@pytest.fixture
def transport(history: Path, tmp_path: Path) -> Iterator[GitTransport]:
    """A copy of the history to push to; after the test every process is reaped."""
    path = tmp_path / "served.git"
    git("clone", "-q", "--mirror", str(history), str(path), cwd=tmp_path)
    git("config", "uploadpack.allowFilter", "true", cwd=path)
    found = GitTransport(path)
    yield found
    assert found.running == set()


def url(server: HttpServer, name: str = "demo/requests.git", user: str = "") -> str:
    return f"http://{user}127.0.0.1:{server.port}/{name}"


def head(path: Path, name: str = "HEAD") -> str:
    return git("rev-parse", name, cwd=path)


# ---------------------------------------------------------------- fetches


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_clone_brings_everything_in_each_protocol_version(
    version: int, transport: GitTransport, tmp_path: Path
) -> None:
    async with serving(transport) as server:
        client = await run_git("-c", f"protocol.version={version}", "clone", "-q", url(server), "copy", cwd=tmp_path)
    assert client == Client(0, "")
    assert head(tmp_path / "copy") == head(transport.repository)
    assert git("fsck", "--full", cwd=tmp_path / "copy") == ""
    assert {request.version for _, request in transport.requests} == {version}


async def test_a_clone_works_without_git_at_the_end_of_the_name(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        client = await run_git("clone", "-q", url(server, "demo/requests"), cwd=tmp_path)
    assert client.code == 0, client.text
    assert head(tmp_path / "requests") == head(transport.repository)


async def test_a_shallow_clone_can_be_deepened(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        client = await run_git("clone", "-q", "--depth", "1", url(server), "copy", cwd=tmp_path)
        assert client.code == 0, client.text
        assert git("rev-list", "--count", "HEAD", cwd=tmp_path / "copy") == "1"
        client = await run_git("fetch", "-q", "--unshallow", cwd=tmp_path / "copy")
        assert client.code == 0, client.text
    assert git("rev-list", "--count", "HEAD", cwd=tmp_path / "copy") == str(COMMITS)


async def test_a_partial_clone_fetches_the_rest_when_it_is_needed(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        client = await run_git("clone", "-q", "--filter=blob:none", "--no-checkout", url(server), "copy", cwd=tmp_path)
        assert client.code == 0, client.text
        before = len(transport.requests)
        client = await run_git("checkout", "-q", "main", cwd=tmp_path / "copy")
        assert client.code == 0, client.text
        assert len(transport.requests) > before
    assert (tmp_path / "copy" / "file-0.txt").exists()


@pytest.mark.parametrize("version", [0, 2])
async def test_a_long_negotiation_is_compressed_and_understood(
    version: int, transport: GitTransport, tmp_path: Path
) -> None:
    """A client with a long history of its own sends its haves gzipped; git does so above 1,024 bytes."""
    await run_git("clone", "-q", str(transport.repository), "copy", cwd=tmp_path)
    for number in range(80):
        git("commit", "-q", "--allow-empty", "-m", f"own {number}", cwd=tmp_path / "copy")
    tree = head(transport.repository, "HEAD^{tree}")
    new = git("commit-tree", "-p", "HEAD", "-m", "theirs", tree, cwd=transport.repository)
    git("update-ref", "refs/heads/main", new, cwd=transport.repository)
    async with serving(transport) as server:
        trace = tmp_path / "trace"
        client = await run_git(
            "-c", f"protocol.version={version}", "fetch", "-q", url(server), "main",
            cwd=tmp_path / "copy", env={"GIT_TRACE_CURL": str(trace), "GIT_TRACE_CURL_NO_DATA": "1"},
        )  # fmt: skip
    assert client.code == 0, client.text
    assert head(tmp_path / "copy", "FETCH_HEAD") == new
    assert "content-encoding: gzip" in trace.read_text().lower()


# ---------------------------------------------------------------- pushes


async def commit_file(path: Path, size: int) -> str:
    (path / "new.bin").write_bytes(os.urandom(size))
    git("-c", "core.compression=0", "add", "new.bin", cwd=path)
    git("commit", "-q", "-m", "new", cwd=path)
    return head(path)


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_push_arrives_and_is_reported(version: int, transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        await run_git("clone", "-q", url(server), "copy", cwd=tmp_path)
        new = await commit_file(tmp_path / "copy", 10_000)
        client = await run_git("-c", f"protocol.version={version}", "push", "origin", "main", cwd=tmp_path / "copy")
    assert client.code == 0, client.text
    assert "main -> main" in client.text
    assert head(transport.repository, "refs/heads/main") == new


@pytest.mark.parametrize("settings", [(), ("-c", "http.extraHeader=Expect: 100-continue")])
async def test_a_large_push_comes_in_chunks(settings: tuple[str, ...], transport: GitTransport, tmp_path: Path) -> None:
    """More than http.postBuffer is sent chunked, after an empty request that tries the password."""
    size = 5 << 20
    trace = tmp_path / "trace"
    async with serving(transport) as server:
        await run_git("clone", "-q", url(server), "copy", cwd=tmp_path)
        new = await commit_file(tmp_path / "copy", size)
        client = await run_git(
            "-c", "http.postBuffer=65536", *settings, "push", "origin", "HEAD:refs/heads/large",
            cwd=tmp_path / "copy", env={"GIT_TRACE_CURL": str(trace), "GIT_TRACE_CURL_NO_DATA": "1"},
        )  # fmt: skip
    assert client.code == 0, client.text
    assert head(transport.repository, "refs/heads/large") == new
    assert transport.bodies[-1] > size
    assert "transfer-encoding: chunked" in trace.read_text().lower()
    if "http.extraHeader=Expect: 100-continue" in settings:
        assert "HTTP/1.1 100 Continue" in trace.read_text()


async def test_a_rejected_reference_is_reported_by_git_itself(transport: GitTransport) -> None:
    git("config", "receive.denyDeletes", "true", cwd=transport.repository)
    async with serving(transport) as server:
        client = await run_git("push", url(server), ":refs/heads/main", cwd=transport.repository)
    assert client.code == 1
    assert "remote rejected" in client.text


# ---------------------------------------------------------------- what git's users see


async def test_git_shows_why_a_repository_is_not_found(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        client = await run_git("clone", url(server, "demo/missing.git"), cwd=tmp_path)
    assert client.code == 128
    assert "remote: no such repository (name=demo/missing)" in client.text
    assert "not found" in client.text


async def test_git_shows_what_is_wrong_with_a_name(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport) as server:
        client = await run_git("clone", url(server, "single.git"), cwd=tmp_path)
    assert client.code == 128
    assert "remote: repository name must be project/repo or deeper" in client.text


async def test_git_shows_that_a_token_is_needed_or_does_not_suffice(transport: GitTransport, tmp_path: Path) -> None:
    async with serving(transport, config(anonymous="none")) as server:
        nobody = await run_git("ls-remote", url(server), cwd=tmp_path)
        stranger = await run_git("ls-remote", url(server, user="me:wrong-token@"), cwd=tmp_path)
        reader = await run_git("ls-remote", url(server, user="me:reader-token@"), cwd=tmp_path)
        bearer = await run_git(
            "-c", "http.extraHeader=Authorization: Bearer reader-token", "ls-remote", url(server), cwd=tmp_path
        )
        pushing = await run_git("push", url(server, user="me:reader-token@"), "main:other", cwd=transport.repository)
    assert nobody.code == stranger.code == pushing.code == 128
    assert "could not read Username" in nobody.text
    assert "Authentication failed" in stranger.text
    assert reader.code == bearer.code == 0
    assert "refs/heads/main" in reader.text
    assert "remote: the token does not allow this (user=rita, scope=write, repository=demo/requests)" in pushing.text
    assert "403" in pushing.text


async def test_a_push_with_a_token_goes_through_in_one_piece_and_in_chunks(
    transport: GitTransport, tmp_path: Path
) -> None:
    async with serving(transport, config(anonymous="none")) as server:
        remote = url(server, user="me:writer-token@")
        await run_git("clone", "-q", remote, "copy", cwd=tmp_path)
        small = await run_git("push", remote, "HEAD:refs/heads/small", cwd=tmp_path / "copy")
        new = await commit_file(tmp_path / "copy", 1 << 20)
        large = await run_git(
            "-c", "http.postBuffer=65536", "push", remote, "HEAD:refs/heads/large", cwd=tmp_path / "copy"
        )
    assert small.code == 0, small.text
    assert large.code == 0, large.text
    assert head(transport.repository, "refs/heads/large") == new
    assert {request.actor for _, request in transport.requests} == {"walt"}


async def test_git_names_the_status_when_the_work_itself_is_refused(transport: GitTransport, tmp_path: Path) -> None:
    """Git does not print the text of a refused POST, only its status; the text is for whoever traces it."""
    transport.refuse_exchange = Overloaded("too many packs", retry_after_ms=2_000)
    async with serving(transport) as server:
        fetch = await run_git("clone", url(server), "copy", cwd=tmp_path)
        push = await run_git(
            "-c", "http.postBuffer=65536", "push", url(server), "main:refs/heads/other", cwd=transport.repository
        )
    for client in (fetch, push):
        assert client.code != 0
        assert re.search(r"RPC failed; HTTP 429", client.text), client.text


async def test_a_clone_that_breaks_off_fails(transport: GitTransport, tmp_path: Path) -> None:
    transport.cut_after = 20_000
    async with serving(transport) as server:
        client = await run_git("-c", "protocol.version=0", "clone", url(server), "copy", cwd=tmp_path)
        await until(lambda: server.requests_in_flight == 0)
    assert client.code != 0
    assert not (tmp_path / "copy").exists()


async def test_a_git_client_that_is_killed_leaves_no_process(transport: GitTransport, tmp_path: Path) -> None:
    """The client stops in the middle of a clone: it is given far more than the buffers between hold."""
    (tmp_path / "big").mkdir()
    git("clone", "-q", str(transport.repository), str(tmp_path / "big"), cwd=tmp_path)
    await commit_file(tmp_path / "big", 16 << 20)
    git("-c", "core.compression=0", "push", "-q", "origin", "HEAD:refs/heads/big", cwd=tmp_path / "big")
    async with serving(transport, bounds=HttpBounds(idle_ms=20_000)) as server:
        process = await asyncio.create_subprocess_exec(
            "git", "clone", "-q", url(server), "copy", cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
        )
        await until(lambda: any(what == "upload_pack" for what, _ in transport.requests) and transport.running != set())
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await until(lambda: server.requests_in_flight == 0)
        assert server.admission.running == 0
        await until(lambda: transport.running == set())
