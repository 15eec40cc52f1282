"""Answers machines: is it alive, may it have traffic, what does it count.

    GET /healthz  200 while the process answers at all; restarting helps nothing else
    GET /readyz   200, or 503 with one reason a line: for load balancers
    GET /metrics  the Prometheus text format

The pages need no token and touch no repository.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from meshnode.base.ids import NodeId
from meshnode.engine.pack_admission import PackAdmission
from meshnode.http.reply import NO_CACHE, SERVER
from meshnode.http.target import HEALTH, METRICS, READY, RESTING
from meshnode.ports import Activity
from meshnode.telemetry.metrics import CONTENT_TYPE, Metrics

METHODS: Final = frozenset({"GET", "HEAD"})
"""Load balancers ask with either."""

_TEXT: Final = "text/plain; charset=utf-8"

PACK_QUEUE: Final = "http_packs"
"""Label of the queue in front of packs."""


class MachinePages:
    """The three pages."""

    def __init__(self, activity: Activity, metrics: Metrics, admission: PackAdmission, *, own: NodeId) -> None:
        self._activity = activity
        self._metrics = metrics
        self._admission = admission
        self._own = own

    def answer(self, path: str, *, is_stopping: bool) -> web.Response | None:
        """The page at `path`, None where there is none."""
        if path == HEALTH:
            return self._page(200, b"ok\n")
        if path == READY:
            reasons = self._reasons(is_stopping=is_stopping)
            return self._page(503 if reasons else 200, "".join(f"{reason}\n" for reason in reasons or ["ok"]).encode())
        if path == METRICS:
            self._metrics.set_queue_length(PACK_QUEUE, self._admission.waiting)
            return self._page(200, self._metrics.render(), content_type=CONTENT_TYPE)
        return None

    def _reasons(self, *, is_stopping: bool) -> list[str]:
        """Why this node should get no traffic; none where it should."""
        reasons = []
        if is_stopping:
            reasons.append("the server stops")
        if self._activity.is_draining():
            reasons.append(RESTING)
        if not self._activity.is_ready():
            reasons.append("start-up checks are not done, or the catalog did not answer lately")
        return reasons

    def _page(self, status: int, body: bytes, *, content_type: str = _TEXT) -> web.Response:
        headers = {**NO_CACHE, "Server": SERVER, "Mesh-Node": self._own, "Content-Type": content_type}
        return web.Response(status=status, body=body, headers=headers)
