"""The story of the product, told on a real cluster and checked step by step: `make demo`, `make demo-etcd`.

push real history -> read it from every node -> kill one, go on -> it comes back and heals -> kill two: writes stop
with a clear word, reads at a known position go on -> all come back. Exits with 1 where a step is not so.

`MESHNODE_DEMO_HISTORY` names a bundle (or repository) to push instead of the generated history.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.contract.etcd_cluster import EtcdCluster
from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.history import DEMO, make_repository
from tests.e2e.reflection import call_get_repository, list_services
from tests.e2e.story import NotSoError, Story
from tests.environment import clean_environment
from tests.termination import unwind_when_asked_to_end

NAME = "demo/requests"


def main() -> int:
    """Tell the story; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--catalog", choices=["sqlite", "etcd"], default="sqlite")
    options = parser.parse_args()
    history = os.environ.get("MESHNODE_DEMO_HISTORY", "")
    clean_environment(os.environ)
    unwind_when_asked_to_end()
    story = Story()
    try:
        with tempfile.TemporaryDirectory(prefix="meshnode-demo-") as scratch, contextlib.ExitStack() as stack:
            work = Path(scratch)
            catalog = stack.enter_context(start_etcd(story, work / "etcd")) if options.catalog == "etcd" else ""
            tell(story, work, catalog=catalog, history=history)
    except (NotSoError, AssertionError) as error:
        print(f"\nnot so: {error}", file=sys.stderr)
        return 1
    story.print_table()
    return 0


@contextlib.contextmanager
def start_etcd(story: Story, directory: Path) -> Iterator[str]:
    """A three-member etcd; its catalog URL."""
    story.chapter("A three-member etcd")
    with contextlib.closing(EtcdCluster(directory)) as etcd:
        with story.step("start three members"):
            etcd.start()
            asyncio.run(etcd.leader())
        yield etcd.url


def tell(story: Story, work: Path, *, catalog: str, history: str) -> None:
    """Every chapter, on a cluster below `work` that is gone afterwards."""
    story.chapter("A history")
    source = work / "source.git"
    with story.step("make the history to push"):
        if history:
            git("clone", "--quiet", "--mirror", history, str(source))
        else:
            make_repository(source, DEMO)
        commits = git("rev-list", "--all", "--count", cwd=source).stdout.strip()
        story.fact(f"{commits} commits, {len(own_refs(source))} references")

    story.chapter("A cluster")
    cluster = Cluster(work / "mesh", catalog=catalog)
    with contextlib.closing(cluster):
        with story.step("start three nodes"):
            cluster.up()
        push_and_read(story, cluster, work, source)
        lose_one(story, cluster, work, source)
        lose_two(story, cluster, work, source)
        ask(story, cluster)
        with story.step("stop the cluster gracefully"):
            cluster.down()
            story.check(not any(cluster.pid(node) for node in cluster.numbers), "a node still runs")


def push_and_read(story: Story, cluster: Cluster, work: Path, source: Path) -> None:
    """A first push, and the same references and objects everywhere."""
    story.chapter("A push is on every node")
    with story.step("push --all and --tags to n1"):
        git("push", "--quiet", "--all", cluster.url(1, NAME), cwd=source)
        git("push", "--quiet", "--tags", cluster.url(1, NAME), cwd=source)
    wanted = {name: oid for name, oid in own_refs(source).items() if name.startswith(("refs/heads/", "refs/tags/"))}
    for node in cluster.numbers:
        with story.step(f"clone from n{node}: the same references"):
            clone = work / f"clone-{node}"
            git("clone", "--quiet", "--mirror", cluster.url(node, NAME), str(clone))
            story.check(own_refs(clone) == wanted, f"the clone from n{node} differs from what was pushed")
            story.check(served(cluster, node) == wanted, f"ls-remote of n{node} differs from what was pushed")
    cluster.wait_consistent(NAME)
    with story.step("git fsck on each replica's directory"):
        for node in cluster.numbers:
            check_disk(story, cluster.replica_path(node, NAME), wanted)


def lose_one(story: Story, cluster: Cluster, work: Path, source: Path) -> None:
    """One node dies, work goes on, it comes back and heals by itself."""
    story.chapter("One node dies")
    before = cluster.generation(NAME)
    with story.step("kill -9 n3"):
        cluster.kill(3)
    with story.step("push through n1 at once"):
        git("push", "--quiet", cluster.url(1, NAME), "refs/heads/main:refs/heads/while-n3-is-dead", cwd=source)
    with story.step("push a new commit through n2"):
        tip = commit_on(source, "refs/heads/main", "written while n3 is dead")
        git("push", "--quiet", cluster.url(2, NAME), f"{tip}:refs/heads/main", cwd=source)
    for node in (1, 2):
        with story.step(f"clone from n{node}"):
            clone = work / f"clone-without-3-{node}"
            git("clone", "--quiet", cluster.url(node, NAME), str(clone))
            story.check(list_refs(cluster.url(node, NAME))["refs/heads/main"] == tip, f"n{node} lacks the new commit")
    with story.step("start n3: it heals by itself"):
        cluster.start(3)
        cluster.wait_consistent(NAME, generation=before + 2)
        story.fact(f"generation {cluster.generation(NAME)} on all three")
    with story.step("meshnode repo verify: all replicas equal"):
        verified = cluster.meshnode("repo", "verify", NAME, check=False)
        story.check(verified.returncode == 0, verified.stdout + verified.stderr)
    with story.step("read the missed push from n3"):
        story.check(served(cluster, 3) == served(cluster, 1), "n3 and n1 differ")


def lose_two(story: Story, cluster: Cluster, work: Path, source: Path) -> None:
    """Two of three die: no write may succeed, nothing may change, reads at a known position go on."""
    story.chapter("Two nodes die")
    refs = served(cluster, 1)
    generation = cluster.generation(NAME)
    paths = {node: cluster.replica_path(node, NAME) for node in cluster.numbers}
    with story.step("kill -9 n2 and n3"):
        cluster.kill(2)
        cluster.kill(3)
    with story.step("a push is refused: the quorum is lost"):
        tip = commit_on(source, "refs/heads/main", "without a quorum")
        refused = git("push", cluster.url(1, NAME), f"{tip}:refs/heads/main", cwd=source, check=False)
        story.check(refused.returncode != 0, "the push was not refused")
        story.check("quorum" in refused.stderr.lower(), f"the refusal does not name the quorum: {refused.stderr}")
        story.fact(next(line.strip() for line in refused.stderr.splitlines() if "quorum" in line.lower())[:100])
    with story.step("nothing has changed anywhere"):
        for path in paths.values():
            check_disk(story, path, refs)
    with story.step("read from n1 at the last position"):
        header = f"http.extraHeader=Mesh-Consistency: at-least={generation}"
        git("clone", "--quiet", cluster.url(1, NAME), str(work / "clone-alone"), config=(header,))
        story.check(own_refs_of_remote(list_refs(cluster.url(1, NAME), config=(header,))) == refs, "n1 differs")
    with story.step("start n2 and n3: all goes on"):
        cluster.start(2)
        cluster.start(3)
        cluster.wait_consistent(NAME)
        git("push", "--quiet", cluster.url(3, NAME), f"{tip}:refs/heads/main", cwd=source)
        cluster.wait_consistent(NAME, generation=generation + 1)
        story.check(len({str(served(cluster, node)) for node in cluster.numbers}) == 1, "the nodes differ")


def ask(story: Story, cluster: Cluster) -> None:
    """The API: reflection, a signed call, a signed answer."""
    story.chapter("The API")
    with story.step("list the services over reflection"):
        services = list_services(cluster.grpc(2))
        story.check("mesh.v1.RepositoryService" in services, f"found only {services}")
        story.fact(f"{len(services)} services")
    with story.step("call RepositoryService.Get with a token"):
        answer = call_get_repository(cluster, 2, NAME)
        story.check(NAME in answer, answer)
    with story.step("the answer's signature is verified by the CLI"):
        shown = cluster.meshnode("repo", "show", NAME, "--verbose")
        story.check("verified" in shown.stdout + shown.stderr, "the CLI does not say that it verified the signature")


def own_refs(path: Path) -> dict[str, str]:
    """References of a repository on disk."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=path).stdout.splitlines()
    return dict(line.split(" ") for line in lines)


def own_refs_of_remote(listed: dict[str, str]) -> dict[str, str]:
    """What `git ls-remote` says without HEAD and peeled lines."""
    return {name: oid for name, oid in listed.items() if name.startswith("refs/") and not name.endswith("^{}")}


def served(cluster: Cluster, node: int) -> dict[str, str]:
    """References as a node serves them."""
    return own_refs_of_remote(list_refs(cluster.url(node, NAME)))


def check_disk(story: Story, path: Path, refs: dict[str, str]) -> None:
    """The replica at `path` has exactly `refs`, and git finds it clean."""
    story.check(own_refs(path) == refs, f"{path} has other references")
    done = git("fsck", "--no-dangling", cwd=path, check=False)
    story.check(done.returncode == 0 and not done.stdout.strip(), f"git fsck of {path}: {done.stdout}{done.stderr}")


def commit_on(repository: Path, ref: str, message: str) -> str:
    """An empty commit on top of `ref` in a bare repository, `ref` moved to it; its id."""
    tree = git("rev-parse", f"{ref}^{{tree}}", cwd=repository).stdout.strip()
    commit = git("commit-tree", tree, "-p", ref, "-m", message, cwd=repository).stdout.strip()
    git("update-ref", ref, commit, cwd=repository)
    return commit


if __name__ == "__main__":
    sys.exit(main())
