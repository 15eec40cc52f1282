"""Applications and the keys they are believed under: the catalog's entry of each, and what operators may change. Pure.

    one key --add--> two keys, believed alike --drop, now or at a time--> one key

Rule: an application always has a key whose time does not end, and the cluster an administrator: nobody can lock
everybody out. A key whose time is over is not believed by anyone's clock (`auth/tokens.py`), whether or not it is still listed.
Source: docs/adr/0014-joining.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import FORMAT_VERSION, encode_json

KEYS_MAX: Final = 2
"""The one in use and the one before or after it: more would only be keys that nobody remembers."""
APPLICATIONS_MAX: Final = 1_000
DROP_AFTER_S_MAX: Final = 366 * 86_400
"""The longest that a user's token lives, which is worth something as long as the key that signed it is believed."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


class Role(Enum):
    """What an application may call."""

    READER = "reader"
    WRITER = "writer"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class KeyDrop:
    """That a key is believed for a while only."""

    public_key: str
    """PEM."""
    at_ms: int
    """Wall clock; it is not believed from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A caller that is not a node."""

    application: str
    role: Role
    public_keys: tuple[str, ...]
    """PEM."""
    drops: tuple[KeyDrop, ...] = ()
    """Which of the keys end, and when."""


def parse_application(text: str) -> str:
    """Check an application's name. Raises InvalidRequest."""
    if not _NAME.match(text):
        raise InvalidRequest(
            "an application's name is 1 to 63 letters, digits, '.', '_' and '-', the first a letter or digit",
            application=text[:80],
        )
    return text


def believed(application: Application, now_ms: int) -> Application:
    """The application without the keys whose time is over."""
    over = {drop.public_key for drop in application.drops if drop.at_ms <= now_ms}
    if not over:
        return application
    return replace(
        application,
        public_keys=tuple(key for key in application.public_keys if key not in over),
        drops=tuple(drop for drop in application.drops if drop.public_key not in over),
    )


def plan_addition(found: Application | None, wanted: Application) -> Application:
    """What to write so that `wanted` is an application; `found` as it is where it is one already.

    Raises:
        InvalidRequest: another application has the name.
    """
    if found is None:
        return wanted
    if found.role is wanted.role and wanted.public_keys[0] in found.public_keys:
        return found
    raise InvalidRequest(
        "there is an application of this name already; add a key to it, or change its role",
        application=found.application,
        role=found.role.value,
    )


def plan_key(application: Application, key: str, drop_others_at_ms: int) -> Application:
    """The application with one key more, the others to be dropped then; 0: when somebody says so.

    Raises:
        InvalidRequest: it has two others already.
    """
    keys = application.public_keys if key in application.public_keys else (*application.public_keys, key)
    if len(keys) > KEYS_MAX:
        raise InvalidRequest(
            "the application has two keys already; drop one first",
            application=application.application,
            keys_max=KEYS_MAX,
        )
    if drop_others_at_ms:
        drops = tuple(KeyDrop(other, drop_others_at_ms) for other in keys if other != key)
    else:
        drops = tuple(drop for drop in application.drops if drop.public_key != key)
    return replace(application, public_keys=keys, drops=drops)


def plan_drop(application: Application, key: str, at_ms: int, now_ms: int) -> Application:
    """The application whose `key` is believed until `at_ms`, and no longer listed where that is over.

    Raises:
        InvalidRequest: no key would be left that stays.
    """
    ending = {drop.public_key for drop in application.drops} | {key}
    if set(application.public_keys) <= ending:
        raise InvalidRequest(
            "no key would stay; add another one first, or remove the application", application=application.application
        )
    others = tuple(drop for drop in application.drops if drop.public_key != key)
    return believed(replace(application, drops=(*others, KeyDrop(key, at_ms))), now_ms)


def other_administrator(applications: Sequence[Application], name: str) -> str:
    """The name of an administrator that stays when `name` is none any more. Raises InvalidRequest: there is none."""
    for one in applications:
        if one.application != name and one.role is Role.ADMINISTRATOR:
            return one.application
    raise InvalidRequest(
        "this is the last administrator; make another application one first, or nobody could operate the cluster",
        application=name,
    )


def check_drop_after(after_s: int) -> int:
    """Check when a key is to be dropped, in seconds from now. Raises InvalidRequest."""
    if not 0 <= after_s <= DROP_AFTER_S_MAX:
        raise InvalidRequest("a key is dropped within 366 days", after_s=after_s, after_s_max=DROP_AFTER_S_MAX)
    return after_s


def encode_application(application: Application) -> bytes:
    """The application as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "application": application.application,
            "role": application.role.value,
            "public_keys": list(application.public_keys),
            "drops": [{"public_key": drop.public_key, "at_ms": drop.at_ms} for drop in application.drops],
        }
    )


def decode_application(value: bytes) -> Application:
    """The application of its JSON. Raises Corrupt."""
    return decode(
        value,
        "application",
        FORMAT_VERSION,
        lambda fields: Application(
            application=fields.text("application"),
            role=Role(fields.text("role")),
            public_keys=fields.texts("public_keys"),
            drops=tuple(
                KeyDrop(drop.text("public_key"), drop.number("at_ms"))
                for drop in map(Fields, fields.items("drops") if fields.has("drops") else ())
            ),
        ),
    )
