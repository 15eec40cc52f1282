"""Rounds a replica voted for, and their packs: durable before the vote, gone after commit or abort.

    <round>.json   <SHA-256 of the rest> <pack id, or - for none> <JSON of the round> LF
    <round>.pack, <round>.idx   complete, but where git does not look

The pack lies in the journal's own directory so that one directory sync covers it and the record. A pack without a
record was never promised to anyone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import RoundId, parse_object_id, parse_round_id
from meshnode.core.round import Round, decode_round, encode_round
from meshnode.git import durable
from meshnode.git.disk import read_file, sync_directory, write_file

NO_PACK: Final = "-"
HASH_BYTES: Final = {"sha1": 20, "sha256": 32}
"""Length of an object id, which is also that of the checksums in packs."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A prepared round and the pack it brings, "" for none."""

    round: Round
    pack_id: str


def write_record(directory: Path, record: JournalRecord) -> None:
    """Keep a record: durable bytes; the caller syncs the directory."""
    body = f"{record.pack_id or NO_PACK} ".encode() + encode_round(record.round)
    write_file(
        directory / f"{record.round.round_id}.json", hashlib.sha256(body).hexdigest().encode() + b" " + body + b"\n"
    )


def read_record(directory: Path, round_id: RoundId) -> JournalRecord | None:
    """The record of one round, None where there is none. Raises Corrupt."""
    data = read_file(directory / f"{round_id}.json")
    if data is None:
        return None
    checksum, _, body = data.removesuffix(b"\n").partition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise Corrupt("journal record is damaged", round=round_id)
    pack_id, _, encoded = body.partition(b" ")
    round_ = decode_round(encoded)
    if round_.round_id != round_id:
        raise Corrupt("journal record is of another round", round=round_id)
    return JournalRecord(round_, "" if pack_id == NO_PACK.encode() else _checked_pack_id(pack_id))


def read_journal(directory: Path) -> list[JournalRecord]:
    """Every record. Raises Corrupt where one cannot be read back."""
    records = [read_record(directory, round_id) for round_id, suffix in _files(directory) if suffix == ".json"]
    return [record for record in records if record is not None]


def take_pack(quarantine: Path | None, directory: Path, round_: Round) -> str:
    """Move the complete pack of a quarantine beside the journal; its id. Repeatable; the caller syncs the directory.

    Raises:
        Corrupt: there is no complete pack, neither in the quarantine nor here already.
    """
    pack, index = directory / f"{round_.round_id}.pack", directory / f"{round_.round_id}.idx"
    found = None if quarantine is None else find_complete_pack(quarantine)
    if found is not None:
        durable.rename(found[0], pack)
        durable.rename(found[1], index)
    if not pack.exists() or not index.exists():
        raise Corrupt("quarantine holds no complete pack", round=round_.round_id, repository=round_.repository)
    return pack_id_of(index, round_.object_format)


def publish_pack(directory: Path, record: JournalRecord, pack_directory: Path) -> None:
    """Let git see a record's pack: the pack first, then the index that makes it known. Repeatable, durable.

    Raises:
        Corrupt: the pack is neither here nor where it belongs.
    """
    move_pack(directory / record.round.round_id, pack_directory, record.pack_id)


def move_pack(source: Path, pack_directory: Path, pack_id: str) -> None:
    """Rename `source`.pack and `source`.idx to where git looks, durably. Repeatable. Raises Corrupt."""
    target = pack_directory / f"pack-{pack_id}"
    for suffix in (".pack", ".idx"):
        here, there = source.with_name(source.name + suffix), target.with_name(target.name + suffix)
        if here.exists():
            durable.rename(here, there)
        elif not there.exists():
            raise Corrupt("journal holds no complete pack for the round", pack=pack_id)
    sync_directory(pack_directory)


def find_complete_pack(quarantine: Path) -> tuple[Path, Path] | None:
    """The pack and index in a quarantine, None where they are not both there."""
    for index in sorted((quarantine / "objects" / "pack").glob("pack-*.idx")):
        pack = index.with_suffix(".pack")
        if pack.exists():
            return pack, index
    return None


def drop_record(directory: Path, round_id: RoundId) -> None:
    """Forget a round: the record first, so that no record is ever without its pack. Repeatable, not synced."""
    for suffix in (".json", ".json.tmp", ".idx", ".pack"):
        durable.unlink(directory / f"{round_id}{suffix}", is_missing_fine=True)


def drop_strays(directory: Path) -> None:
    """Remove packs and temporary files that no record names."""
    files = list(_files(directory))
    named = {round_id for round_id, suffix in files if suffix == ".json"}
    for round_id, suffix in files:
        if round_id not in named or suffix == ".json.tmp":
            durable.unlink(directory / f"{round_id}{suffix}", is_missing_fine=True)


def pack_id_of(index: Path, object_format: str) -> str:
    """The id of the pack that an index belongs to: the last checksum but one. Source: gitformat-pack(5)."""
    length = HASH_BYTES[object_format]
    with index.open("rb") as file:
        if index.stat().st_size < 2 * length:
            raise Corrupt("pack index is cut short", path=index.name)
        file.seek(-2 * length, os.SEEK_END)
        return file.read(length).hex()


def _checked_pack_id(raw: bytes) -> str:
    text = raw.decode("ascii", "replace")
    try:
        return parse_object_id(text)
    except MeshError as error:
        raise Corrupt("journal record names no pack", pack=text[:64]) from error


def _files(directory: Path) -> Iterator[tuple[RoundId, str]]:
    """Files named after a round, with what follows the id."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        stem, dot, rest = path.name.partition(".")
        try:
            yield parse_round_id(stem), dot + rest
        except MeshError:
            continue
