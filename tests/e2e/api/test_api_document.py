"""Runs every example of docs/API.md and holds the answers against those printed there.

```sh function   what the examples call         ```sh setup   the repository they ask about, made once
```sh grpcurl    an example; a ```json block right after it is part of its (first) answer
```sh refused    an example that is refused with the code in the ```text block after it
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshnode.rpc.method import methods_of
from meshnode.rpc.server import SERVICES
from tests.e2e.cluster import Cluster, find_program

PAGE = (Path(__file__).parents[3] / "docs" / "API.md").read_text()
EXAMPLES: list[tuple[str, str]] = re.findall(r"```sh grpcurl\n(.*?)```\n(?:```json\n(.*?)```)?", PAGE, re.DOTALL)
REFUSED: list[tuple[str, str]] = re.findall(r"```sh refused\n(.*?)```\n```text\n(.*?)\n```", PAGE, re.DOTALL)
NOT_PUBLIC = {"mesh.v1.ReplicationService"}
"""Nodes alone call these."""


def blocks(kind: str) -> str:
    return "\n".join(re.findall(rf"```sh {kind}\n(.*?)```", PAGE, re.DOTALL))


def methods_in(example: str) -> list[str]:
    """The methods an example calls."""
    return re.findall(r"\bmesh (\w+/\w+)", example)


def run(cluster: Cluster, directory: Path, script: str, *, is_refused: bool = False) -> str:
    """Run shell lines of the page against the cluster of the tests; what they printed, errors where they must fail."""
    for ours, theirs in (
        ("--data .mesh", f"--data {cluster.data}"),
        ("127.0.0.1:7777", cluster.grpc(1)),
        ("http://127.0.0.1:7780", cluster.http(1)),
    ):
        script = script.replace(ours, theirs)
    programs = directory / "programs"
    if not programs.exists():
        programs.mkdir(parents=True)
        command = programs / "meshnode"
        command.write_text(
            f'#!/bin/sh\nPYTHONPATH={Path(__file__).parents[3]} exec {sys.executable} -m meshnode "$@"\n'
        )
        command.chmod(0o755)
    grpcurl = Path(find_program("grpcurl", package="grpcurl, by Go")).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}:{grpcurl}"},
    )
    assert (done.returncode != 0) == is_refused, done.stdout + done.stderr
    return done.stderr if is_refused else done.stdout


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the page's setup has run."""
    directory = tmp_path_factory.mktemp("page")
    run(cluster, directory, blocks("setup"))
    return directory


@pytest.mark.parametrize(("example", "printed"), EXAMPLES, ids=[methods_in(example)[-1] for example, _ in EXAMPLES])
def test_example_of_the_page_runs_and_answers_as_printed(
    cluster: Cluster, place: Path, example: str, printed: str
) -> None:
    output = run(cluster, place, blocks("function") + example)
    answer, _ = json.JSONDecoder().raw_decode(output)
    if printed:
        assert is_part(json.loads(printed), answer), output


@pytest.mark.parametrize(("example", "code"), REFUSED, ids=[methods_in(example)[-1] for example, _ in REFUSED])
def test_example_of_a_refusal_is_refused_as_printed(cluster: Cluster, place: Path, example: str, code: str) -> None:
    assert code in run(cluster, place, blocks("function") + example, is_refused=True)


def test_every_public_method_has_an_example_and_every_example_a_method() -> None:
    shown = {method for example, _ in EXAMPLES + REFUSED for method in methods_in(example)}
    public = {
        method.path.removeprefix("/mesh.v1.")
        for name, service in SERVICES.items()
        if name.startswith("mesh.v1.") and name not in NOT_PUBLIC
        for method in methods_of(service)
    }
    assert sorted(public - shown) == [], "methods without an example in docs/API.md"
    assert sorted(shown - public) == [], "examples of methods that do not exist"


def is_part(part: Any, whole: Any) -> bool:
    """Whether everything in `part` is in `whole`; lists are equally long."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and is_part(value, whole[key]) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(is_part, part, whole))
    return bool(part == whole)
