"""What the engine counts. `telemetry.metrics.Metrics` is one; tests pass `NullMeter`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Meter(Protocol):
    """Where rounds, votes and repairs are counted."""

    def count_round(self, *, kind: str, outcome: str) -> None:
        """A round led here ended."""
        ...

    def time_round(self, step: str, duration_s: float) -> None:
        """A step of a round led here took this long: "votes", "publish", "commit" or "total"."""
        ...

    def count_vote(self, vote: str) -> None:
        """This node voted."""
        ...

    def count_repair(self, outcome: str) -> None:
        """A turn of repair ended."""
        ...

    def repair_phase(self, phase: str) -> AbstractContextManager[None]:
        """A repair is in this phase inside."""
        ...

    def count_scrub(self, verdict: str) -> None:
        """A replica was scrubbed."""
        ...

    def count_read_at_read_replica(self, outcome: str) -> None:
        """A read came to a read replica of this node: "answered" or "behind"."""
        ...

    def set_replicas(self, *, consistent: int, inconsistent: int) -> None:
        """Replicas known to match their record, and those under repair."""
        ...


class NullMeter:
    """Counts nothing."""

    def count_round(self, *, kind: str, outcome: str) -> None:
        """Ignore."""

    def time_round(self, step: str, duration_s: float) -> None:
        """Ignore."""

    def count_vote(self, vote: str) -> None:
        """Ignore."""

    def count_repair(self, outcome: str) -> None:
        """Ignore."""

    def repair_phase(self, phase: str) -> AbstractContextManager[None]:
        """Ignore."""
        del phase
        return nullcontext()

    def count_scrub(self, verdict: str) -> None:
        """Ignore."""

    def count_read_at_read_replica(self, outcome: str) -> None:
        """Ignore."""

    def set_replicas(self, *, consistent: int, inconsistent: int) -> None:
        """Ignore."""
