"""Knows whose public keys are believed: nodes and applications as the catalog lists them.

    issuer in tokens      who
    node:<node id>        a node of this cluster
    app:<name>            an application

Rule: a key is believed for exactly one issuer; who is not in the catalog is unknown, whatever they sign with. A
node that is DRAINING, DISABLED or DELETING is still in the catalog and still known: it must be able to hand over
its work and to ask what became of it. Several keys of one issuer are equal, which lets rotations overlap; an application's
key may have an end, which each node minds by its own clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meshnode.auth.keys import PublicKey
from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId
from meshnode.core.applications import Application, Role
from meshnode.core.nodes import Node

NODE_PREFIX: Final = "node:"
APPLICATION_PREFIX: Final = "app:"


class CallerKind(Enum):
    """What a caller is."""

    NODE = "node"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, proven by signature."""

    name: str
    """Node id or application name, without a prefix."""
    kind: CallerKind
    role: Role
    """What it may call; a node's is ADMINISTRATOR."""

    @property
    def issuer(self) -> str:
        """The name in tokens."""
        return (NODE_PREFIX if self.kind is CallerKind.NODE else APPLICATION_PREFIX) + self.name


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A believed key and whose it is."""

    caller: Caller
    key: PublicKey
    until_ms: int = 0
    """Wall clock; it is not to be believed from then on. 0: as long as it is listed."""

    def is_over(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return 0 < self.until_ms <= now_ms


def node_issuer(node: NodeId) -> str:
    """The name under which a node signs."""
    return NODE_PREFIX + node


def application_issuer(application: str) -> str:
    """The name under which an application signs."""
    return APPLICATION_PREFIX + application


class KeyRegistry:
    """The believed keys, replaced as a whole whenever the catalog's list changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], KnownKey] = {}
        self._parsed: dict[str, PublicKey] = {}

    def replace(self, nodes: Iterable[Node], applications: Iterable[Application]) -> tuple[str, ...]:
        """Believe the keys of these callers and of no one else.

        A key that cannot be used must not keep a revoked one alive, so it is left out and the rest is taken;
        returns `<issuer>: <reason>` for each left out, for the log. A PEM seen before is not parsed again.
        """
        known: dict[tuple[str, str], KnownKey] = {}
        parsed: dict[str, PublicKey] = {}
        refused: list[str] = []
        applications = list(applications)
        callers = [(Caller(node.node, CallerKind.NODE, Role.ADMINISTRATOR), node.public_keys) for node in nodes]
        callers += [
            (Caller(application.application, CallerKind.APPLICATION, application.role), application.public_keys)
            for application in applications
        ]
        ends = {
            (application_issuer(one.application), drop.public_key): drop.at_ms
            for one in applications
            for drop in one.drops
        }
        for caller, pems in callers:
            for pem in pems:
                try:
                    key = parsed.get(pem) or self._parsed.get(pem) or PublicKey.parse(pem)
                except InvalidRequest as error:
                    refused.append(f"{caller.issuer}: {error}")
                    continue
                parsed[pem] = key
                known[caller.issuer, key.key_id] = KnownKey(caller, key, ends.get((caller.issuer, pem), 0))
        self._known, self._parsed = known, parsed
        return tuple(refused)

    def find(self, issuer: str, key_id: str) -> KnownKey | None:
        """The key `key_id` of `issuer`, None where it is not believed."""
        return self._known.get((issuer, key_id))
