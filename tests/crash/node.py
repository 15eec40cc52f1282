"""A node that dies at a change of its disk: `meshnode serve` with an observer that production cannot have.

    python -m tests.crash.node --config FILE --point 17 --mode torn --armed-by FLAG

Changes are counted from the moment that the file FLAG exists. A write or transaction that cannot be torn is not made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meshnode.cli.root import cli
from meshnode.git import durable
from tests.crash.points import MODES, Killer


def main() -> None:
    """Arm this process, then do what `meshnode serve` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--point", type=int, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--armed-by", type=Path, required=True)
    options = parser.parse_args()
    flag: Path = options.armed_by
    durable.observe(Killer(options.point, options.mode, is_armed=flag.exists))
    cli(["serve", "--config", options.config], prog_name="meshnode")


if __name__ == "__main__":
    main()
