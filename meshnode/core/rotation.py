"""How a node gets from one key to the next while everybody goes on believing it. Pure.

              key files             catalog lists      signs with
    IDLE      current               current            current
    MADE      current, next         current            current      made, and told to nobody
    ANNOUNCED current, next         current, next      current      until the others know it
    SWITCHED  current, next         next, current      next         the files are about to follow
    OVERLAP   next                  next, current      next         until nothing signed with the old key is on its way
    IDLE      next                  next               next

Rule: what comes next follows from the files and the catalog, so a crash behind any step is taken up by the next start; the
first listed key of which the node holds the private half is the one it signs with. A key is signed with only after it
was listed for a while, and leaves the list only after it was not signed with for a while.
Source: docs/adr/0014-joining.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import decode
from meshnode.core.keys import FORMAT_VERSION, ROTATIONS, encode_json

ANNOUNCE_S_MIN: Final = 15
"""Nodes read the catalog's list every five seconds, besides being told of changes: three times that."""
ANNOUNCE_S_MAX: Final = 7 * 86_400
OVERLAP_MS: Final = 3_600_000
"""How long the old key is believed after the switch, where nobody ends that sooner."""
OVERLAP_MS_MIN: Final = 30_000
"""Life of a request's token: until then something signed with the old key may still be on its way."""


class Phase(Enum):
    """Where a rotation is."""

    IDLE = "idle"
    MADE = "made"
    ANNOUNCED = "announced"
    SWITCHED = "switched"
    OVERLAP = "overlap"


@dataclass(frozen=True, kw_only=True, slots=True)
class RotationTimes:
    """When a node's rotation goes on, in the catalog beside its keys."""

    node: NodeId
    switch_at_ms: int
    """Wall clock; the new key is signed with from then on."""
    drop_at_ms: int
    """Wall clock; the old key is believed until then. 0: counted from the switch on, which is still to come."""
    is_finish_wanted: bool
    """An operator wants the old key gone as soon as nothing signed with it can be on its way."""


def rotation_key(node: NodeId) -> str:
    """Key of the times of a node's rotation."""
    return ROTATIONS + node


def phase_of(current: str, successor: str | None, listed: Sequence[str]) -> Phase:
    """Where a rotation is, by ids: of the key in the key file, of the one beside it, and of those in the catalog."""
    if successor is None or successor == current:
        return Phase.IDLE if tuple(listed) == (current,) else Phase.OVERLAP
    if successor not in listed:
        return Phase.MADE
    return Phase.SWITCHED if listed[0] == successor or current not in listed else Phase.ANNOUNCED


def signing_key(current: str, successor: str | None, listed: Sequence[str]) -> str | None:
    """The id of the key to sign with: the first listed one that is here; None where none is."""
    return next((key_id for key_id in listed if key_id in {current, successor}), None)


def check_announce(announce_s: int) -> int:
    """How long a new key is listed before it is used, in seconds; 0 is the shortest. Raises InvalidRequest."""
    if announce_s and not ANNOUNCE_S_MIN <= announce_s <= ANNOUNCE_S_MAX:
        raise InvalidRequest(
            "a new key is announced for fifteen seconds to seven days",
            announce_s=announce_s,
            announce_s_min=ANNOUNCE_S_MIN,
            announce_s_max=ANNOUNCE_S_MAX,
        )
    return announce_s or ANNOUNCE_S_MIN


def drop_time(now_ms: int, times: RotationTimes | None) -> int:
    """When the old key goes, decided at the switch."""
    is_soon = times is not None and times.is_finish_wanted
    return now_ms + (OVERLAP_MS_MIN if is_soon else OVERLAP_MS)


def encode_times(times: RotationTimes) -> bytes:
    """The times as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "node": times.node,
            "switch_at_ms": times.switch_at_ms,
            "drop_at_ms": times.drop_at_ms,
            "is_finish_wanted": times.is_finish_wanted,
        }
    )


def decode_times(value: bytes) -> RotationTimes:
    """The times of their JSON. Raises Corrupt."""
    return decode(
        value,
        "rotation times",
        FORMAT_VERSION,
        lambda fields: RotationTimes(
            node=fields.parsed("node", parse_node_id),
            switch_at_ms=fields.number("switch_at_ms"),
            drop_at_ms=fields.number("drop_at_ms"),
            is_finish_wanted=fields.truth("is_finish_wanted"),
        ),
    )
