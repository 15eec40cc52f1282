"""What a node says of itself while it is taken out of service and put back."""

from __future__ import annotations

from meshnode.engine.activity import NodeActivity
from meshnode.engine.meter import NullMeter
from tests.unit.auth.parties import StillClock


def test_time_out_of_service_counts_from_the_order_and_ends_with_it() -> None:
    clock = StillClock()
    activity = NodeActivity(clock, NullMeter())
    activity.note_started()
    assert (activity.resting_ms(), activity.is_draining()) == (0, False)
    activity.note_resting(is_resting=True)
    assert (activity.resting_ms(), activity.is_draining()) == (1, True)
    clock.now_ms += 500
    activity.note_resting(is_resting=True)
    assert activity.resting_ms() == 500, "said again, it does not begin anew"
    activity.note_resting(is_resting=False)
    assert (activity.resting_ms(), activity.is_draining()) == (0, False)


def test_node_that_starts_out_of_service_has_been_so_for_long() -> None:
    clock = StillClock()
    activity = NodeActivity(clock, NullMeter())
    activity.note_resting(is_resting=True)
    activity.note_started()
    assert activity.resting_ms() > 3_600_000


def test_node_is_drained_when_the_last_work_is_over() -> None:
    activity, work = NodeActivity(StillClock(), NullMeter()), [1]
    activity.note_started()
    activity.wait_for(lambda: work[0])
    assert not activity.is_drained()
    activity.note_resting(is_resting=True)
    assert not activity.is_drained()
    work[0] = 0
    assert activity.is_drained()
