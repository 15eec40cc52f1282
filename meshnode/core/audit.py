"""What the catalog keeps of administrative acts: numbered entries, and where their row begins and ends.

    audit/head                        AuditHead: the next number, the oldest one that is kept
    audit/entries/<number, 16 digits> AuditEntry

Rule: an entry and the head that counts it are written in one transaction, so the numbers have no gap: a number below
`next` and not below `oldest` that is missing was taken out by hand. The oldest go in the transaction that adds one, a
few at a time, so the row never grows beyond what is to be kept and nothing has to come by to trim it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import AUDIT_ENTRIES, FORMAT_VERSION, encode_json

KEPT_MAX: Final = 10_000
"""Newest entries kept: at half a kilobyte each 5 MB, a small part of what etcd holds by default (2 GB)."""
TRIMMED_MAX: Final = 16
"""Oldest entries that one new entry takes away; more than one, so a bound that was lowered is met in time."""
FACTS_MAX: Final = 24
TEXT_CHARACTERS_MAX: Final = 200
"""Of one fact, and of the reason of a failure: an entry stays below 12 KB whatever was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditHead:
    """Where the row of entries begins and ends."""

    next: int = 1
    oldest: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One administrative act."""

    sequence: int
    """1 and up, without a gap over the whole cluster; 0 in a draft."""
    act_id: str
    """Tells this act from every other one, also where it is not known whether it was written."""
    at_ms: int
    """Wall clock of the node that took it."""
    node: str
    """The node that took it; "" for a command that writes the catalog itself."""
    who: str
    """Whose key signed it: `app:<name>`, `node:<id>`; `command:<user>@<host>` where no key was needed."""
    key_id: str
    actor: str
    """On whose behalf, where a node hands on what somebody asked; else the same as `who`."""
    peer: str
    """Address it came from."""
    method: str
    request: Mapping[str, str]
    """What was asked for, without secrets."""
    request_id: str
    outcome: str = ""
    """Name of the status it ended with; "" from before it began until its end is written."""
    detail: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What it did, in the words of who did it."""
    took_ms: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditStep:
    """What adding one entry changes."""

    sequence: int
    head: AuditHead
    trimmed: tuple[str, ...]
    """Keys of entries that go."""


def entry_key(sequence: int) -> str:
    """Key of an entry; sixteen digits, so that a range comes in order."""
    return f"{AUDIT_ENTRIES}{sequence:016d}"


def plan_entry(head: AuditHead | None, kept_max: int = KEPT_MAX) -> AuditStep:
    """Add one entry, and let the oldest go where there are too many."""
    head = head or AuditHead()
    surplus = head.next + 1 - head.oldest - kept_max
    trimmed = range(head.oldest, head.oldest + max(0, min(surplus, TRIMMED_MAX)))
    return AuditStep(
        sequence=head.next,
        head=AuditHead(next=head.next + 1, oldest=head.oldest + len(trimmed)),
        trimmed=tuple(entry_key(number) for number in trimmed),
    )


def bounded_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """The first facts as texts, each cut where it is too long; the last one says how many more there were."""
    kept = {
        str(name)[:TEXT_CHARACTERS_MAX]: bounded_text(str(value)) for name, value in list(facts.items())[:FACTS_MAX]
    }
    if len(facts) > FACTS_MAX:
        kept["..."] = f"{len(facts) - FACTS_MAX} more"
    return kept


def bounded_text(text: str) -> str:
    """A text that can be stored: cut where it is too long, halves of surrogate pairs replaced."""
    cut = text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 3] + "..."
    return cut.encode("utf-8", "replace").decode()


def encode_head(head: AuditHead) -> bytes:
    """The head as JSON."""
    return encode_json({"v": FORMAT_VERSION, "next": head.next, "oldest": head.oldest})


def decode_head(value: bytes) -> AuditHead:
    """The head of its JSON. Raises Corrupt."""
    return decode(
        value,
        "audit head",
        FORMAT_VERSION,
        lambda fields: AuditHead(next=fields.number("next", smallest=1), oldest=fields.number("oldest", smallest=1)),
    )


def encode_entry(entry: AuditEntry) -> bytes:
    """An entry as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "sequence": entry.sequence,
            "act_id": entry.act_id,
            "at_ms": entry.at_ms,
            "node": entry.node,
            "who": entry.who,
            "key_id": entry.key_id,
            "actor": entry.actor,
            "peer": entry.peer,
            "method": entry.method,
            "request": [[name, value] for name, value in entry.request.items()],
            "request_id": entry.request_id,
            "outcome": entry.outcome,
            "detail": entry.detail,
            "facts": [[name, value] for name, value in entry.facts.items()],
            "took_ms": entry.took_ms,
        }
    )


def decode_entry(value: bytes) -> AuditEntry:
    """An entry of its JSON. Raises Corrupt."""
    return decode(
        value,
        "audit entry",
        FORMAT_VERSION,
        lambda fields: AuditEntry(
            sequence=fields.number("sequence", smallest=1),
            act_id=fields.text("act_id"),
            at_ms=fields.number("at_ms"),
            node=fields.text("node"),
            who=fields.text("who"),
            key_id=fields.text("key_id"),
            actor=fields.text("actor"),
            peer=fields.text("peer"),
            method=fields.text("method"),
            request=_pairs(fields, "request"),
            request_id=fields.text("request_id"),
            outcome=fields.text("outcome"),
            detail=fields.text("detail"),
            facts=_pairs(fields, "facts"),
            took_ms=fields.number("took_ms"),
        ),
    )


def _pairs(fields: Fields, name: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in fields.items(name):
        match item:
            case [str(key), str(value)]:
                pairs[key] = value
            case _:
                raise ValueError(f"{name} holds what is no pair of texts")
    return pairs
