"""Bugs put into the real store in place of what it does: dying at every change must show each of them.

They are planted in the processes that die, or in those that start afterwards; never in this one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from meshnode.core.round import ReplicaKey, Round
from meshnode.git import store
from meshnode.git.journal import JournalRecord, drop_record, move_pack, pack_id_of, take_pack, write_record
from meshnode.git.layout import Layout
from meshnode.git.store import GitReplicaStore


def vote_before_the_record() -> None:
    """The journal record is written when the round is applied, not before the vote."""
    publish_objects = GitReplicaStore._publish_objects

    def keep(self: GitReplicaStore, round_: Round, directory: Path) -> None:
        take_pack(self._replicas.quarantine(round_.key, round_.round_id), directory, round_)

    def publish(self: GitReplicaStore, key: ReplicaKey, round_id: Any) -> JournalRecord:
        journal = self._layout.journal(key)
        state = self._replicas._states[key]
        round_ = next(one for one in state.prepared if one.round_id == round_id)
        write_record(journal, JournalRecord(round_, pack_id_of(journal / f"{round_id}.idx", round_.object_format)))
        return publish_objects(self, key, round_id)

    _put(GitReplicaStore, _keep_round=keep, _publish_objects=publish)


def objects_before_the_publish() -> None:
    """The pack goes where git looks as soon as it is voted for."""

    def eager(quarantine: Path | None, directory: Path, round_: Round) -> str:
        pack_id = take_pack(quarantine, directory, round_)
        move_pack(directory / round_.round_id, directory.parents[1] / "objects" / "pack", pack_id)
        return pack_id

    _put(store, take_pack=eager)


def references_before_the_publish() -> None:
    """References move with the vote."""
    journal = GitReplicaStore._journal

    def eager(self: GitReplicaStore, round_: Round, directory: Path) -> None:
        journal(self, round_, directory)
        git_dir = self._layout.repository(round_.key)
        for edit in round_.edits:
            (git_dir / edit.name).parent.mkdir(parents=True, exist_ok=True)
            (git_dir / edit.name).write_text(f"{edit.new}\n")

    _put(GitReplicaStore, _journal=eager)


def history_before_references() -> None:
    """The replica says that it applied the round, then applies it."""
    publish_objects = GitReplicaStore._publish_objects

    def early(self: GitReplicaStore, key: ReplicaKey, round_id: Any) -> JournalRecord:
        record = publish_objects(self, key, round_id)
        self._replicas.history(key).append(record.round)
        return record

    def late(self: GitReplicaStore, key: ReplicaKey, round_: Round) -> None:
        drop_record(self._layout.journal(key), round_.round_id)

    _put(GitReplicaStore, _publish_objects=early, _record=late)


def record_gone_before_the_history() -> None:
    """The journal forgets the round before the history has it."""

    def swapped(self: GitReplicaStore, key: ReplicaKey, round_: Round) -> None:
        drop_record(self._layout.journal(key), round_.round_id)
        self._replicas.history(key).append(round_)

    _put(GitReplicaStore, _record=swapped)


def a_start_that_tidies_nothing() -> None:
    """What the last run left stays."""

    def nothing(_layout: Layout) -> None:
        return

    _put(store, tidy_directories=nothing)


def locks_that_stay() -> None:
    """Git's locks of the last run stay."""

    def nothing(_layout: Layout, _key: ReplicaKey) -> None:
        return

    _put(store, tidy_after_crash=nothing)


PLANTED: Final[dict[str, Callable[[], None]]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        vote_before_the_record,
        objects_before_the_publish,
        references_before_the_publish,
        history_before_references,
        record_gone_before_the_history,
    )
}
PLANTED_IN_START: Final[dict[str, Callable[[], None]]] = {
    one.__name__.replace("_", "-"): one for one in (a_start_that_tidies_nothing, locks_that_stay)
}


def plant(name: str, *, is_start: bool) -> None:
    """Plant a bug where it belongs: in the process that dies, or in the one that starts afterwards."""
    bug = (PLANTED_IN_START if is_start else PLANTED).get(name)
    if bug is not None:
        bug()


def _put(owner: object, **functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        assert hasattr(owner, name), f"there is no {name} to put a bug in place of"
        setattr(owner, name, function)
