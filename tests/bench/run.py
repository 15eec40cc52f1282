"""`make bench`: what the product costs beside plain git, measured side by side in one run.

usage: python -m tests.bench.run [--only refs,pushes,clones,rpc,commits,trees,diffs,operations,faults] [--quick]

Prints a table and writes every measurement to bench-results/<time>.json. Ratios carry over to other machines,
absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.baseline import Baseline, running_baseline
from tests.bench.measure import Table
from tests.e2e.cluster import Cluster, git, running_cluster
from tests.environment import clean_environment
from tests.termination import unwind_when_asked_to_end

_RESULTS = Path("bench-results")


@dataclass(frozen=True)
class Bench:
    """What every group of rows gets."""

    cluster: Cluster
    baseline: Baseline
    work: Path
    table: Table
    is_quick: bool

    def rounds(self, full: int) -> int:
        """How often to measure; quick runs only show that everything works."""
        return min(full, 2) if self.is_quick else full


def main() -> int:
    """Measure, print and write; the exit code."""
    from tests.bench import (  # noqa: PLC0415 - they import Bench from here
        clones,
        commits,
        diffs,
        faults,
        operations,
        pushes,
        refs,
        rpc,
        trees,
    )

    groups: dict[str, Callable[[Bench], None]] = {
        "refs": refs.measure,
        "pushes": pushes.measure,
        "clones": clones.measure,
        "rpc": rpc.measure,
        "commits": commits.measure,
        "trees": trees.measure,
        "diffs": diffs.measure,
        "operations": operations.measure,
        "faults": faults.measure,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help=f"comma-separated: {','.join(groups)}")
    parser.add_argument("--quick", action="store_true", help="two rounds of everything, small inputs")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else list(groups)
    clean_environment(os.environ)
    unwind_when_asked_to_end()
    table = Table()
    begin = time.time()
    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as scratch:
        work = Path(scratch)
        with running_baseline(work / "baseline") as baseline, running_cluster(work / "mesh") as cluster:
            for name in chosen:
                print(f"\n{name}", flush=True)
                groups[name](Bench(cluster, baseline, work, table, options.quick))
    table.print_summary()
    _write(table, begin)
    return 0


def _write(table: Table, begin: float) -> None:
    _RESULTS.mkdir(exist_ok=True)
    target = _RESULTS / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime(begin))
    machine = {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "git": git("--version").stdout.strip(),
        "load_at_end": os.getloadavg()[0],
    }
    document = {"began": begin, "took_s": time.time() - begin, "machine": machine}
    target.write_text(json.dumps({**document, "rows": [row.as_json() for row in table.rows]}, indent=1) + "\n")
    print(f"\nwritten to {target}")


if __name__ == "__main__":
    sys.exit(main())
