"""Signed calls from this process, on one loop and with connections that stay open between measurements."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from meshnode.auth.keys import load_private_key
from meshnode.cli.client import ClusterClient
from meshnode.cli.layout import OPERATOR, Layout, require_cluster_file
from meshnode.cli.target import Target, local_endpoints

T = TypeVar("T")


class BenchClient:
    """A `ClusterClient` of the operator's, to be used from synchronous code."""

    def __init__(self, data: Path) -> None:
        layout = Layout(data)
        cluster = require_cluster_file(layout)
        self.target = Target(
            endpoints=local_endpoints(layout, cluster),
            key=load_private_key(layout.operator_key),
            application=OPERATOR,
            cluster_id=cluster.cluster_id,
            is_verbose=False,
        )
        self.calls = ClusterClient(self.target)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.calls.__aexit__(None, None, None))
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self._runner.run(work)
