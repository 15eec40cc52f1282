"""One run of atheris on one target: `python -m tests.fuzz.engine <target> <libFuzzer arguments>`.

A process of its own because libFuzzer ends it, and because instrumented code is the code that is imported here.
"""

from __future__ import annotations

import logging
import sys

import atheris

from tests.fuzz import targets


def main() -> None:
    """Fuzz until libFuzzer's arguments say stop; an exception is a crash, saved where they say."""
    # Strategies are not what is tested: their library is imported before anything is instrumented.
    import hypothesis.strategies  # noqa: F401, PLC0415

    with atheris.instrument_imports(include=["meshnode", "json", "tomllib", "urllib.parse"]):
        target = targets.load(sys.argv[1])
    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
