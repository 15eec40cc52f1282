"""One push at its coordinator: objects into quarantines while they arrive, then one round.

    parse commands --> ingest (git indexes) + shipment (raw bytes to the others) --> connectivity
                   --> write slot --> edits --> round --> report

The push runs as a task of its own. Until its round is sent, a client that goes away takes it down and nothing
is left; from then on it ends by itself, whoever listens.
"""

from __future__ import annotations

import hashlib
import logging

from meshnode.base.errors import MeshError
from meshnode.base.ids import RefName, RefValue
from meshnode.core.record import Record
from meshnode.core.refs import RefEdit
from meshnode.core.round import WriteKind
from meshnode.engine.delivery import Delivery, PackRefused
from meshnode.engine.edits import plan_push
from meshnode.engine.records import RecordAt
from meshnode.engine.ref_policy import find_denials
from meshnode.engine.writer import Draft, Request, Writer
from meshnode.ports import CommandResult, Push, PushProtocol, RefsSnapshot, WriteResult

log = logging.getLogger("meshnode.engine")


class PushRun:
    """Takes one parsed push to its report."""

    def __init__(
        self,
        *,
        writer: Writer,
        protocol: PushProtocol,
        record: Record,
        push: Push,
        actor: str,
    ) -> None:
        self._writer = writer
        self._protocol = protocol
        self._record = record
        self._push = push
        self._actor = actor
        self._key = record.key
        self._errors: dict[RefName, str] = {
            command.name: command.refusal for command in push.commands if command.refusal
        }
        self._delivery = Delivery.to(writer, record)

    @property
    def is_deciding(self) -> bool:
        """From here on the push must not be cancelled."""
        return self._delivery.is_deciding

    async def run(self) -> bytes:
        """Do the push; the report for the client, whatever happened. Raises only where nothing can be reported."""
        unpack_error = ""
        messages: list[str] = []
        try:
            result = await self._receive_and_write()
            if result is not None:
                messages.append(f"generation {result.generation}")
        except PackRefused as error:
            unpack_error = error.message
            self._refuse_all("unpacker error")
        except MeshError as error:
            if not error.nothing_written:
                log.warning("push_outcome_unknown", extra={"error": str(error), "repository": self._record.name})
                return self._protocol.format_fatal(self._push, str(error))
            log.info("push_refused", extra={"error": str(error), "repository": self._record.name})
            self._refuse_all(error.message)
            messages.append(error.message)
        results = [
            CommandResult(name=command.name, error=self._errors.get(command.name, ""))
            for command in self._push.commands
        ]
        return self._protocol.format_report(self._push, unpack_error, results, messages)

    def _refuse_all(self, reason: str) -> None:
        for command in self._push.commands:
            self._errors.setdefault(command.name, reason)

    async def _receive_and_write(self) -> WriteResult | None:
        edits = [
            RefEdit(command.name, None, RefValue(command.new))
            for command in self._push.commands
            if command.new is not None and not command.refusal
        ]
        return await self._delivery.run(
            self._push.pack, edits, self._draft, lambda: Request(self._request_key(), self._actor)
        )

    async def _draft(self, at: RecordAt, snapshot: RefsSnapshot, has_pack: bool) -> Draft | None:
        """Edits inside the write slot; a push that is wholly a repetition of an applied one is answered as done."""
        assert at.record is not None
        errors = dict(self._errors)
        for name, reason in (await self._denials(at, snapshot)).items():
            errors.setdefault(name, reason)
        edits = plan_push(snapshot, self._push.commands, errors, is_atomic=self._push.is_atomic)
        if len(errors) > len(self._errors):
            done = await self._writer.replicas.disk.reader.find_request(self._key, self._request_key())
            if done is not None:
                applied = {(edit.name, edit.new) for edit in done.edits}
                for command in self._push.commands:
                    if (command.name, command.new) in applied:
                        errors.pop(command.name, None)
                edits = ()
        self._errors = errors
        if not edits:
            return None
        return Draft(kind=WriteKind.UPDATE, name=at.record.name, edits=edits, has_pack=has_pack)

    async def _denials(self, at: RecordAt, snapshot: RefsSnapshot) -> dict[RefName, str]:
        """Why the repository does not allow some of the commands; of those that will be refused otherwise, nothing."""
        edits = []
        for command in self._push.commands:
            old = None if command.old is None else RefValue(command.old)
            if not command.refusal and snapshot.refs.get(command.name) == old:
                edits.append(RefEdit(command.name, old, None if command.new is None else RefValue(command.new)))
        packs = self._writer.replicas.disk.packs
        return await find_denials(packs, self._key, at.config, edits, self._delivery.round_id)

    def _request_key(self) -> str:
        """The same for a push and its repetition by the client's transport: who, what, and the very same objects."""
        digest = hashlib.sha256()
        for part in (self._actor, self._delivery.pack_id, *self._push.options):
            digest.update(f"{len(part)}:{part}".encode())
        for command in self._push.commands:
            digest.update(f"{command.old} {command.new} {command.name}\n".encode())
        return f"push:{digest.hexdigest()}"
