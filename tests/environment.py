"""The environment of every test, demo and benchmark: git ignores the machine's configuration, loopback no proxy."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

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


def clean_environment(environment: MutableMapping[str, str]) -> None:
    """Take git's and this project's variables of the caller away, so that any two runs are the same run."""
    for name in [name for name in environment if name.startswith(("GIT_", "MESHNODE_"))]:
        del environment[name]
    environment.update(GIT_ENVIRONMENT)
    environment["no_proxy"] = environment["NO_PROXY"] = "127.0.0.1,localhost,::1"
    environment["GRPC_ENABLE_FORK_SUPPORT"] = "0"
