"""Reads what a stopped node's disk says of its replicas. Changes nothing, not even what a start would tidy up.

For the rebuild of a lost catalog and its exports. A node that runs holds its directory's lock, and is refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import Generation, RefName, RefValue, RepositoryId, RoundId
from meshnode.core.accounts import ReplicaAccount
from meshnode.core.participant import Position
from meshnode.core.record import RECENT_ROUNDS_MAX
from meshnode.core.refs import EMPTY_DIGEST, RefEdit, digest_of, refs_after
from meshnode.core.round import ReplicaKey, Round
from meshnode.git.disk import disk_errors, read_file
from meshnode.git.history import History
from meshnode.git.journal import read_journal
from meshnode.git.layout import Layout
from meshnode.git.refs import read_refs
from meshnode.git.replicas import FILLING
from meshnode.git.state import decode_state, state_after
from meshnode.git.tombstones import read_tombstones
from meshnode.ports import ReplicaState

_KEPT: Final = RECENT_ROUNDS_MAX
"""The history is only read; how many rounds it keeps is the node's business."""


def holds_replicas(data: Path) -> bool:
    """Whether a node has ever stored a repository below `data`."""
    return next(Layout(data).repositories.glob("*/*/mesh/state.json"), None) is not None


def describe_disk(data: Path) -> tuple[list[ReplicaAccount], list[str]]:
    """Every replica and tombstone below `data`, and the directories that cannot be read at all, with the reason.

    Raises:
        MeshError: the node that owns the directory runs, or it cannot be read.
        Corrupt: a tombstone is damaged.
    """
    layout = Layout(data)
    accounts: list[ReplicaAccount] = []
    unreadable: list[str] = []
    with disk_errors(), _standing_still(layout):
        for key in layout.list_keys():
            try:
                accounts.append(_describe(layout, key))
            except Corrupt as damage:
                unreadable.append(f"{layout.repository(key)}: {damage}")
        accounts += [_account(state, recent=(), prepared=()) for state in read_tombstones(layout)]
    return accounts, unreadable


@contextmanager
def _standing_still(layout: Layout) -> Iterator[None]:
    """Keep a node from starting on the directory meanwhile; one that runs already is an error."""
    try:
        lock = os.open(layout.data / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield  # a copy of a disk, or a node that never started
        return
    try:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise MeshError("the node runs; stop it first", path=str(layout.data)) from error
        yield
    finally:
        os.close(lock)


def _describe(layout: Layout, key: ReplicaKey) -> ReplicaAccount:
    data = read_file(layout.mesh(key) / "state.json")
    if data is None:
        raise Corrupt("replica has no state", repository=key.repository)
    state = decode_state(data, key)
    trouble: list[str] = []
    rounds: list[Round] = []
    history = History(layout.mesh(key) / "history", _KEPT)
    try:
        last = history.last()
        if (layout.mesh(key) / FILLING).exists():
            state = replace(state, generation=Generation(0), round_id=None, refs_digest=EMPTY_DIGEST)
        elif last is not None and last.generation > state.generation:
            state = state_after(state, last)
        rounds = _recent(history, state)
    except Corrupt as damage:
        trouble.append(str(damage))
    prepared: list[Round] = []
    try:
        prepared = [record.round for record in read_journal(layout.journal(key))]
    except Corrupt as damage:
        trouble.append(str(damage))
    account = _account(
        state,
        recent=tuple(rounds),
        prepared=tuple(round_ for round_ in prepared if round_.round_id != state.round_id),
    )
    try:
        refs = read_refs(layout.repository(key), state.object_format).refs
    except Corrupt as damage:
        return replace(account, trouble="; ".join([*trouble, str(damage)]))
    begun = _begun(account, refs)
    digest = digest_of(refs) if begun is None else account.refs_digest
    return replace(account, digest_on_disk=digest, begun=begun, trouble="; ".join(trouble))


def _begun(account: ReplicaAccount, refs: Mapping[RefName, RefValue]) -> RoundId | None:
    """The round of the journal that the references are on their way to, None where they are at the position."""
    if digest_of(refs) == account.refs_digest:
        return None
    for round_ in account.prepared:
        if Position(round_.base_generation, round_.base_round_id) != account.position:
            continue
        done = [edit for edit in round_.edits if edit.old != edit.new and refs.get(edit.name) == edit.new]
        before = refs_after(refs, [RefEdit(edit.name, edit.new, edit.old) for edit in done])
        if done and digest_of(before) == account.refs_digest:
            return round_.round_id
    return None


def _recent(history: History, state: ReplicaState) -> list[Round]:
    """The last rounds up to the state's own, as many as a record remembers or the history still has."""
    for back in range(RECENT_ROUNDS_MAX, 0, -1):
        rounds = history.after(Generation(max(0, state.generation - back)), RECENT_ROUNDS_MAX)
        if rounds:
            return rounds if rounds[-1].round_id == state.round_id else []
    return []


def _account(state: ReplicaState, *, recent: tuple[Round, ...], prepared: tuple[Round, ...]) -> ReplicaAccount:
    telling = [*recent, *prepared]
    return ReplicaAccount(
        key=state.key,
        name=state.name,
        generation=state.generation,
        round_id=state.round_id,
        refs_digest=state.refs_digest,
        digest_on_disk=None,
        object_format=state.object_format,
        is_deleted=state.is_deleted,
        fork_parent=None if state.fork_parent is None else RepositoryId(state.fork_parent),
        fork_root=telling[-1].fork_root if telling else None,
        recent=tuple(round_.round_id for round_ in recent),
        prepared=prepared,
    )
