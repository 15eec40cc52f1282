"""What operators ask about applications, checked and written to the catalog. Implements `ports.Applications`.

    read the entry --> plan (`core/applications.py`) --> one compare-and-set on it --> this node's own list read again

Rule: what takes an administrator away also compares the entry of one who stays; so of two administrators that remove each
other at the same moment one stays. Every plan finds its own work done: where an outcome is unknown, reading again tells it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from meshnode.auth.keys import PublicKey
from meshnode.base.errors import Fenced, InvalidRequest, MeshError, NotFound, OutcomeUnknown
from meshnode.core.applications import (
    APPLICATIONS_MAX,
    Application,
    Role,
    believed,
    check_drop_after,
    decode_application,
    encode_application,
    other_administrator,
    parse_application,
    plan_addition,
    plan_drop,
    plan_key,
)
from meshnode.core.keys import APPLICATIONS, application_key
from meshnode.ports import Catalog, Clock, Compare, Delete, Entry, Membership, Put

log = logging.getLogger("meshnode.engine")

_ATTEMPTS_MAX: Final = 4
"""Times that a change is tried while others change the same entry."""

Plan = Callable[[Application], Application | None]
"""From an application to what it shall be; None: it shall not be."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """The applications as they were just read."""

    entries: dict[str, Entry]
    applications: dict[str, Application]


@dataclass(kw_only=True)
class ApplicationOrders:
    """Implements `ports.Applications`."""

    catalog: Catalog
    membership: Membership
    clock: Clock

    async def all(self) -> Sequence[Application]:
        """Every application, by name."""
        return [one for _, one in sorted((await self._read()).applications.items())]

    async def add(self, application: str, role: Role, public_key: str) -> Application:
        """Let an application call; the same again is answered as done."""
        wanted = Application(
            application=parse_application(application), role=role, public_keys=(PublicKey.parse(public_key).pem(),)
        )
        for _ in range(_ATTEMPTS_MAX):
            listed = await self._read()
            plan = plan_addition(listed.applications.get(application), wanted)
            if plan is not wanted:
                return plan
            if len(listed.applications) >= APPLICATIONS_MAX:
                raise InvalidRequest("there are too many applications", applications_max=APPLICATIONS_MAX)
            self._check_key_is_new(listed, application, public_key)
            key = application_key(application)
            if await self._write([Compare(key, 0)], Put(key, encode_application(wanted))):
                log.info("application_added", extra={"application": application, "role": role.value})
                return wanted
        raise _busy(application)

    async def remove(self, application: str) -> Application:
        """Let it call no more; the last administrator cannot be removed."""
        before, _ = await self._change(application, lambda _: None, "application_removed")
        return before

    async def set_role(self, application: str, role: Role) -> Application:
        """Let it call more or less; the last administrator stays one."""
        return await self._changed(application, lambda one: replace(one, role=role), "application_role_set")

    async def add_key(self, application: str, public_key: str, drop_other_after_s: int) -> Application:
        """Believe it under one key more, beside the one it has."""
        pem = PublicKey.parse(public_key).pem()
        after_ms = check_drop_after(drop_other_after_s) * 1_000
        at_ms = self.clock.wall_ms() + after_ms if after_ms else 0
        self._check_key_is_new(await self._read(), application, public_key)
        return await self._changed(application, lambda one: plan_key(one, pem, at_ms), "application_key_added")

    async def drop_key(self, application: str, key_id: str, after_s: int) -> Application:
        """Believe it under a key no longer, now or later; one key always stays."""
        now_ms = self.clock.wall_ms()
        at_ms = now_ms + check_drop_after(after_s) * 1_000

        def plan(one: Application) -> Application:
            key = next((pem for pem in one.public_keys if PublicKey.parse(pem).key_id == key_id), None)
            if key is None:
                raise NotFound("the application has no such key", application=application, key_id=key_id[:64])
            return plan_drop(one, key, at_ms, now_ms)

        return await self._changed(application, plan, "application_key_dropped")

    async def _changed(self, name: str, plan: Plan, event: str) -> Application:
        _, after = await self._change(name, plan, event)
        assert after is not None
        return after

    async def _change(self, name: str, plan: Plan, event: str) -> tuple[Application, Application | None]:
        """Do what `plan` says of an application; how it was and how it is. Raises NotFound, Fenced."""
        key, last = application_key(parse_application(name)), None
        for _ in range(_ATTEMPTS_MAX):
            listed = await self._read()
            before, entry = listed.applications.get(name), listed.entries.get(name)
            if before is None or entry is None:
                if last is not None and plan(last) is None:
                    return last, None  # the removal whose outcome was not known took place
                raise NotFound("no such application", application=name)
            after = plan(before)
            compares = [Compare(key, entry.revision)]
            if before.role is Role.ADMINISTRATOR and (after is None or after.role is not Role.ADMINISTRATOR):
                stays = other_administrator(list(listed.applications.values()), name)
                compares.append(Compare(application_key(stays), listed.entries[stays].revision))
            if after == before and decode_application(entry.value) == before:
                return before, after
            last = before
            if await self._write(compares, Delete(key) if after is None else Put(key, encode_application(after))):
                facts = {} if after is None else {"role": after.role.value, "keys": len(after.public_keys)}
                log.info(event, extra={"application": name, **facts})
                return before, after
        raise _busy(name)

    async def _read(self) -> _Listed:
        now_ms = self.clock.wall_ms()
        entries = await self.catalog.range(APPLICATIONS, limit=APPLICATIONS_MAX)
        found = [(entry, decode_application(entry.value)) for entry in entries]
        return _Listed(
            {one.application: entry for entry, one in found},
            {one.application: believed(one, now_ms) for _, one in found},
        )

    async def _write(self, compares: Sequence[Compare], write: Put | Delete) -> bool:
        """Write where nothing has changed; False where something has, or where that is not known: look again."""
        try:
            done = await self.catalog.transact(compares, [write]) is not None
        except OutcomeUnknown:
            return False
        if done:
            try:
                await self.membership.refresh()
            except MeshError as error:
                log.warning("membership_not_refreshed", extra={"error": str(error)})
        return done

    def _check_key_is_new(self, listed: _Listed, name: str, public_key: str) -> None:
        """Check that nobody else is believed under the key: who has it could sign for both. Raises InvalidRequest."""
        key_id = PublicKey.parse(public_key).key_id
        others = [(f"app:{one.application}", one.public_keys) for one in listed.applications.values()]
        others += [(f"node:{one.node}", one.public_keys) for one in self.membership.nodes().values()]
        for issuer, keys in others:
            if issuer != f"app:{name}" and any(_id_of(pem) == key_id for pem in keys):
                raise InvalidRequest("somebody else has this key; each caller makes its own", key_id=key_id, has=issuer)


def _id_of(pem: str) -> str:
    try:
        return PublicKey.parse(pem).key_id
    except InvalidRequest:
        return ""


def _busy(name: str) -> Fenced:
    return Fenced("the application changed meanwhile; look at it again", application=name)
