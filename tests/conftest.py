"""What holds for every test: the environment of `tests.environment`, put back afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.environment import clean_environment

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


@pytest.fixture(autouse=True, scope="session")
def _environment() -> Iterator[None]:
    saved = dict(os.environ)
    clean_environment(os.environ)
    yield
    os.environ.clear()
    os.environ.update(saved)
