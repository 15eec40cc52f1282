"""What holds for every test: the environment of `tests.environment`, put back afterwards; examples made by hypothesis
that are the same in every run and take as long as they take; and a garbage collector that leaves modules alone.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.environment import clean_environment

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

settings.register_profile("meshnode", deadline=None, derandomize=True)
settings.load_profile("meshnode")


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the end: looking through it again and again is a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _environment() -> Iterator[None]:
    saved = dict(os.environ)
    clean_environment(os.environ)
    yield
    os.environ.clear()
    os.environ.update(saved)
