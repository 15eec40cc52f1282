"""Fuzz for some minutes and keep what was learnt: `make fuzz [TARGET=name] [MINUTES=m]`.

kept inputs + examples --atheris, one process a target--> found inputs --minimise--> corpus/<target>/
                                                 \\--> a failing one --shrink--> corpus/<target>/crash-*
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz import targets
from tests.fuzz.inputs import memory_directory
from tests.fuzz.minimise import minimise, shrink
from tests.fuzz.targets import Target

INPUT_TIMEOUT_S = 10
"""One input takes about a millisecond; ten seconds is a loop that hostile bytes can prolong."""
MEMORY_MB_MAX = 2_048
SEEDS = 200
GRACE_S = 120
"""Past its time, what a run may take to start and to end."""

_EXECUTED = re.compile(r"number_of_executed_units: (\d+)")


def main() -> int:
    """Fuzz the targets asked for; the exit code says whether a property failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--target", choices=targets.names(), help="one target; default: each in turn")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    arguments = parser.parse_args()
    wanted = [arguments.target] if arguments.target else targets.names()
    print(f"{'target':<18} {'executions':>12} {'new':>5} {'kept':>5} {'bytes':>7}", flush=True)
    return max(_fuzz(targets.load(name), arguments.minutes) for name in wanted)


def _fuzz(target: Target, minutes: float) -> int:
    with tempfile.TemporaryDirectory(prefix="meshnode-fuzz-", dir=memory_directory()) as directory:
        inputs, crashes = Path(directory, "inputs"), Path(directory, "crashes")
        inputs.mkdir()
        crashes.mkdir()
        known = {path.read_bytes() for path in targets.kept(target.name) if not path.name.startswith("crash-")}
        for data in known | seeds(target):
            (inputs / hashlib.sha1(data).hexdigest()).write_bytes(data)  # libFuzzer's own way to name them
        output, executed = _run_engine(target.name, inputs, crashes, minutes)
        failed = [path.read_bytes() for path in sorted(crashes.iterdir())]
        if failed or executed is None:
            print(f"{target.name:<18} FAILED\n{output[-4_000:]}", flush=True)
        for data in failed:
            path = _keep(target, shrink(target.check, data), "crash-")
            print(f"kept as {path}; mend it, the tests replay it from now on", flush=True)
        sound = [data for path in inputs.iterdir() if (data := path.read_bytes()) not in failed]
    if failed or executed is None:
        return 1
    best = minimise(target.check, known | set(sound))
    for path in targets.kept(target.name):
        if not path.name.startswith("crash-"):
            path.unlink()
    for data in best:
        _keep(target, data, "")
    new = len(set(best) - known)
    print(f"{target.name:<18} {executed:>12,} {new:>5} {len(best):>5} {sum(map(len, best)):>7,}", flush=True)
    return 0


def seeds(target: Target) -> set[bytes]:
    """Inputs made by the target's strategy: what is well formed is where fuzzing begins."""
    made: set[bytes] = set()
    draw = settings(
        max_examples=SEEDS, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    draw(given(target.examples)(lambda data: made.add(data[: targets.INPUT_BYTES_MAX])))()
    return made


def _run_engine(name: str, inputs: Path, crashes: Path, minutes: float) -> tuple[str, int | None]:
    """What it printed, and how many inputs it tried; None where it did not come to its end."""
    seconds = max(1, round(minutes * 60))
    finished = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz.engine", name,
            f"-max_total_time={seconds}", f"-max_len={targets.INPUT_BYTES_MAX}", f"-timeout={INPUT_TIMEOUT_S}",
            f"-rss_limit_mb={MEMORY_MB_MAX}", f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-reload=0",
            str(inputs),
        ],
        env=os.environ | {"TMPDIR": str(inputs.parent)},  # libFuzzer ends its process without cleaning up
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        timeout=seconds + GRACE_S, check=False,
    )  # fmt: skip
    found = _EXECUTED.search(finished.stdout)
    return finished.stdout, int(found[1]) if found and finished.returncode == 0 else None


def _keep(target: Target, data: bytes, prefix: str) -> Path:
    directory = targets.CORPUS / target.name
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{prefix}{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
