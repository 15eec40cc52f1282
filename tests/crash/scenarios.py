"""Every scenario, by name."""

from __future__ import annotations

from typing import Final

from tests.crash.repairs import (
    Bury,
    BuryAlone,
    Combine,
    Leave,
    Rebase,
    SetAside,
    SetAsideParent,
    StartAfterCrash,
    Sync,
    SyncHistory,
    SyncOver,
)
from tests.crash.scenario import Scenario, name_of
from tests.crash.writes import (
    Abort,
    AbortCreate,
    CompetingRounds,
    CreateEmpty,
    CreateWithPush,
    Delete,
    DeleteFamily,
    Fork,
    LongHistory,
    ManyReferences,
    Push,
    PushAtParticipant,
    PushSha256,
    References,
    Rename,
)

SCENARIOS: Final[dict[str, type[Scenario]]] = {
    name_of(one): one
    for one in (
        CreateEmpty,
        CreateWithPush,
        Push,
        PushSha256,
        PushAtParticipant,
        CompetingRounds,
        References,
        ManyReferences,
        LongHistory,
        Fork,
        Rename,
        Delete,
        DeleteFamily,
        Abort,
        AbortCreate,
        Sync,
        SyncOver,
        SyncHistory,
        Bury,
        BuryAlone,
        Combine,
        Leave,
        Rebase,
        SetAside,
        SetAsideParent,
        StartAfterCrash,
    )
}
