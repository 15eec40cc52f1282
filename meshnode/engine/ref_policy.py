"""Holds a write's edits against what is configured for its repository, inside the write slot. `core/repository_config.py`
says what is denied; what this adds is looking up how commits hang together.

Each path that edits references asks here with the configuration of the very read that its publish names: pushes for a
reason a reference, everything else for all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshnode.base.errors import Forbidden, TooLarge
from meshnode.base.ids import ObjectId, RefName, RoundId
from meshnode.core.refs import RefEdit
from meshnode.core.repository_config import (
    DELETION_DENIED,
    REWIND_DENIED,
    RepositoryConfig,
    is_deletion_denied,
    must_fast_forward,
)
from meshnode.core.round import ReplicaKey
from meshnode.ports import PackStore


async def find_denials(
    packs: PackStore, key: ReplicaKey, config: RepositoryConfig, edits: Iterable[RefEdit], round_id: RoundId | None
) -> dict[RefName, str]:
    """Why edits are denied, by reference. `round_id`: objects may be in that round's quarantine."""
    if config.denies_nothing:
        return {}
    denials: dict[RefName, str] = {}
    for edit in edits:
        if is_deletion_denied(config, edit):
            denials[edit.name] = DELETION_DENIED
        elif must_fast_forward(config, edit):
            old, new = ObjectId(str(edit.old)), ObjectId(str(edit.new))
            if old != new and not await packs.is_ancestor(key, old, new, round_id=round_id):
                denials[edit.name] = REWIND_DENIED
    return denials


async def check_edits(
    packs: PackStore,
    key: ReplicaKey,
    config: RepositoryConfig,
    edits: Sequence[RefEdit],
    *,
    round_id: RoundId | None = None,
) -> None:
    """Raise Forbidden, with the first reference and the reason, where an edit is denied."""
    for name, reason in (await find_denials(packs, key, config, edits, round_id)).items():
        raise Forbidden(f"the repository does not allow this: {reason}", ref=name)


def check_input_size(config: RepositoryConfig, size_bytes: int) -> None:
    """Raise TooLarge where a pack of that size may not come."""
    if config.input_bytes_max and size_bytes > config.input_bytes_max:
        raise TooLarge(
            "pack exceeds maximum allowed size (receive.maxInputSize of the repository)",
            bytes_max=config.input_bytes_max,
        )
