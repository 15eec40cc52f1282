"""Decides whether a call may begin: the caller's role, draining, and how many calls run already.

Calls of nodes and of everyone else are counted apart: a flood of reads must not keep a commit from landing, for
then nothing the flood waits for could finish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from meshnode.auth.registry import Caller, CallerKind
from meshnode.base.errors import Draining, Forbidden, Overloaded, Unauthenticated
from meshnode.core.applications import Role
from meshnode.ports import Activity
from meshnode.rpc.method import CallerRole, Kind, Method

CALLS_MAX: Final = 512
"""Calls of applications at once. The event loop serves about 1,700 signed calls a second (measured), so this many
take a third of a second: beyond that, waiting helps nobody."""
NODE_CALLS_MAX: Final = 2_048
"""Calls of other nodes at once; they hold prepare streams open while their coordinator collects votes."""

CLUSTER_SERVICE: Final = "/mesh.v1.ClusterService/"

_RANKS: Final = {Role.READER: 1, Role.WRITER: 2, Role.ADMINISTRATOR: 3}
_NEEDED: Final = {CallerRole.READER: 1, CallerRole.WRITER: 2, CallerRole.ADMINISTRATOR: 3}


def check_role(caller: Caller | None, method: Method) -> None:
    """Check that `caller` may call `method`. Raises Forbidden, Unauthenticated (nobody in particular calls)."""
    if method.is_open:
        return
    if caller is None:
        if not method.is_introspection:
            raise Unauthenticated("call has no token", method=method.path)
        return
    is_node = caller.kind is CallerKind.NODE
    if method.role is CallerRole.NODE:
        if not is_node:
            raise Forbidden("only nodes may call this", method=method.path, caller=caller.issuer)
        return
    if not is_node and _RANKS[caller.role] < _NEEDED[method.role]:
        raise Forbidden(
            "caller's role is too low",
            method=method.path,
            caller=caller.issuer,
            role=caller.role.value,
            needed=method.role.name.lower(),
        )


def is_for_operators(method: Method) -> bool:
    """Whether a method looks at or after the cluster, and not at repositories for their users."""
    return method.kind is Kind.MAINTENANCE or method.path.startswith(CLUSTER_SERVICE)


class Admission:
    """Counts the calls that run."""

    def __init__(self, activity: Activity, *, calls_max: int = CALLS_MAX, node_calls_max: int = NODE_CALLS_MAX) -> None:
        self._activity = activity
        self._limits = {False: calls_max, True: node_calls_max}
        self._running = {False: 0, True: 0}
        self._working = 0

    @property
    def running(self) -> int:
        """Calls being served now."""
        return sum(self._running.values())

    @property
    def working(self) -> int:
        """Those of them that a draining node would not have begun."""
        return self._working

    @contextmanager
    def enter(self, caller: Caller | None, method: Method) -> Iterator[None]:
        """Hold a place for one call.

        Other nodes may finish what they began here while this node drains or stops: rounds, repairs. A node that
        drains, but does not stop, also answers operators: one of them will want to enable it again.

        Raises:
            Draining: this node takes no new work; Overloaded: no place.
        """
        is_node = caller is not None and caller.kind is CallerKind.NODE
        is_new = not method.is_introspection and method.role is not CallerRole.NODE
        is_work = is_new and not is_for_operators(method)
        if (self._activity.is_stopping() and is_new) or (self._activity.is_draining() and is_work):
            raise Draining("node is draining")
        if self._running[is_node] >= self._limits[is_node]:
            raise Overloaded("too many calls at once", calls_max=self._limits[is_node], retry_after_ms=200)
        self._running[is_node] += 1
        self._working += is_work
        try:
            yield
        finally:
            self._running[is_node] -= 1
            self._working -= is_work
