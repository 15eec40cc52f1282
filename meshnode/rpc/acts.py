"""Puts every administrative act on record, for the pipeline: before the servicer is called, and when the call ends.

    first message parsed -> Acts.begin: entry in the catalog, log line -> servicer -> Act.end: outcome in both

What is an administrative act the protos say (`Method.is_audited`). A call that another node handed on is on record
where it came in. What is refused before it begins (token, role, draining) is a log line only: a stranger must not be
able to fill the catalog, or to push out of it what was really done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from meshnode.base.ids import NodeId
from meshnode.core.audit import FACTS_MAX, AuditEntry, bounded_facts
from meshnode.ports import Audit, BegunAct, Clock, Entropy
from meshnode.rpc.call import Call
from meshnode.rpc.method import Method
from meshnode.telemetry.logs import logger
from meshnode.telemetry.redaction import REDACTED, redact
from meshnode.wire.status import Status

BEGIN_MS: Final = 5_000
"""How long an act waits to be on record: two requests of a catalog that is slow (`catalog.deadline_ms`)."""
LISTED_MAX: Final = 8
"""Items of a list that are told."""
DEPTH_MAX: Final = 3

_SECRET_WORDS: Final = ("secret", "token", "password", "private")

_LOG: Final = logger("meshnode.audit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """An act that is on record and has not ended."""

    begun: BegunAct
    call: Call
    audit: Audit
    clock: Clock
    started_ms: int

    async def end(self, status: Status) -> None:
        """Say how it ended, in the log and in the catalog. Never raises."""
        entry = self.begun.entry
        facts = bounded_facts({name: redact(str(value), name=name) for name, value in self.call.facts.items()})
        detail = redact(status.detail)
        took_ms = self.clock.monotonic_ms() - self.started_ms
        write = _LOG.info if status.code is grpc.StatusCode.OK else _LOG.warning
        write(
            "administrative_act_ended",
            sequence=entry.sequence,
            method=entry.method,
            who=entry.who,
            outcome=status.code.name,
            detail=detail,
            facts=facts,
            took_ms=took_ms,
        )
        await self.audit.finish(self.begun, outcome=status.code.name, detail=detail, facts=facts, took_ms=took_ms)


class Acts:
    """Puts acts on record as they begin."""

    def __init__(self, *, own: NodeId, audit: Audit, clock: Clock, entropy: Entropy) -> None:
        self._own = own
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    async def begin(self, request: Message, call: Call, *, key_id: str, peer: str) -> Act | None:
        """Put what `request` asks for on record; None where it is no administrative act, or on record elsewhere.

        Raises:
            CatalogUnavailable: that cannot be done, so the act must not begin.
        """
        if not call.method.is_audited or call.is_forwarded or call.caller is None:
            return None
        started_ms = self._clock.monotonic_ms()
        draft = AuditEntry(
            sequence=0,
            act_id=self._entropy.new_id(),
            at_ms=self._clock.wall_ms(),
            node=self._own,
            who=call.caller.issuer,
            key_id=key_id,
            actor=call.actor,
            peer=peer,
            method=call.method.path,
            request=request_facts(request),
            request_id=call.request_id,
        )
        left_ms = max(1, call.deadline_ms - started_ms)
        begun = await self._audit.begin(draft, timeout_ms=min(BEGIN_MS, left_ms))
        entry = begun.entry
        _LOG.info(
            "administrative_act_began",
            sequence=entry.sequence,
            method=entry.method,
            who=entry.who,
            key_id=entry.key_id,
            actor=entry.actor,
            peer=entry.peer,
            request=dict(entry.request),
        )
        return Act(begun=begun, call=call, audit=self._audit, clock=self._clock, started_ms=started_ms)


def note_refused(method: Method, status: Status, *, who: str, peer: str) -> None:
    """Log an act that was refused before it was on record."""
    _LOG.warning(
        "administrative_act_refused",
        method=method.path,
        who=who,
        peer=peer,
        outcome=status.code.name,
        detail=status.detail,
    )


def request_facts(request: Message) -> dict[str, str]:
    """What a request asks for, as texts by field: bounded, and without anything that may be a secret."""
    facts: dict[str, str] = {}
    for name, value in _facts(request, "", 1):
        if len(facts) > FACTS_MAX:
            break
        facts[name] = value
    return bounded_facts(facts)


def _facts(message: Message, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each field that says something; plain ones also where they say nothing, for `paused: false` is an order."""
    for field in message.DESCRIPTOR.fields:
        name = prefix + field.name
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE
        if any(word in field.name for word in _SECRET_WORDS):
            if value:
                yield name, REDACTED
        elif field.is_repeated:
            if len(value):
                if field.message_type is not None and field.message_type.GetOptions().map_entry:
                    listed = [f"{key}={value[key]}" for key in sorted(value)]
                else:
                    listed = [str(item) if is_message else _text(field, item) for item in list(value)[:LISTED_MAX]]
                items = listed[:LISTED_MAX]
                more = f" and {len(value) - LISTED_MAX} more" if len(value) > LISTED_MAX else ""
                yield name, redact(", ".join(items)) + more
        elif is_message:
            if depth < DEPTH_MAX:
                yield from _facts(value, f"{name}.", depth + 1)
        else:
            yield name, redact(_text(field, value))


def _items(field: Any, value: Any, *, is_message: bool) -> list[str]:
    """The first items of a list, or pairs of a map, as texts."""
    if is_message and field.message_type.GetOptions().map_entry:
        return [f"{key}={_told(str(key), item)}" for key, item in sorted(value.items())[:LISTED_MAX]]
    return [str(item) if is_message else _text(field, item) for item in list(value)[:LISTED_MAX]]


def _told(name: str, value: object) -> str:
    return REDACTED if any(word in name.lower() for word in _SECRET_WORDS) else str(value)


def _text(field: Any, value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return str(value) if known is None else known.name
    return str(value)
