"""What holds for every test: a git that ignores the machine's configuration, and no gRPC fork handlers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Test Author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "Test Committer",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
    "LC_ALL": "C.UTF-8",
}


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    """Take git's variables of the caller away, so that a run inside a hook or with odd settings is the same run."""
    saved = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("GIT_", "MESHNODE_"))]:
        del os.environ[name]
    os.environ.update(GIT_ENVIRONMENT)
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"
    yield
    os.environ.clear()
    os.environ.update(saved)
