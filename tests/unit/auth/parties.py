"""Who talks to whom in these tests: a clock that stands still, keys made once, a registry, signers and verifiers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry, application_issuer, node_issuer
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tokens import RequestVerifier, ResponseSigner, TokenSigner, replay_window_ms
from meshnode.base.ids import NodeId
from meshnode.core.applications import Application, Role
from meshnode.core.nodes import Node, NodeState

METHOD = "/mesh.v1.RefService/ListRefs"
CLUSTER = "cluster-1"


class StillClock:
    """Time moves only when a test says so."""

    def __init__(self, now_ms: int | None = None) -> None:
        self.now_ms = 1_800_000_000_000 if now_ms is None else now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms - 1_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms

    async def sleep(self, duration_ms: int) -> None:
        self.now_ms += duration_ms


class RealClock:
    """Time as the machine has it."""

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, duration_ms: int) -> None:
        raise NotImplementedError(duration_ms)


@dataclass(frozen=True)
class Policy:
    """Settings of the verifier."""

    is_body_digest_required: bool = False
    skew_ms: int = 120_000


@cache
def key(name: str) -> PrivateKey:
    """The key of `name`, made on first use: RSA keys are slow to make."""
    del name
    return PrivateKey.generate()


def node(name: str, *pems: str, state: NodeState = NodeState.AVAILABLE) -> Node:
    return Node(
        node=NodeId(name),
        grpc_url="127.0.0.1:1",
        http_url="http://127.0.0.1:2",
        zone="default",
        weight=100,
        state=state,
        public_keys=pems or (key(name).public_pem,),
    )


def application(name: str, role: Role = Role.WRITER) -> Application:
    return Application(application=name, role=role, public_keys=(key(name).public_pem,))


def registry() -> KeyRegistry:
    """Nodes n1 and n2, a writing, a reading and an administrating application."""
    made = KeyRegistry()
    made.replace(
        [node("n1"), node("n2")],
        [application("web"), application("reader", Role.READER), application("root", Role.ADMINISTRATOR)],
    )
    return made


def node_signer(name: str, clock: StillClock | RealClock) -> TokenSigner:
    return TokenSigner(node_issuer(NodeId(name)), key(name), clock)


def application_signer(name: str, clock: StillClock | RealClock) -> TokenSigner:
    return TokenSigner(application_issuer(name), key(name), clock)


def response_signer(name: str, clock: StillClock | RealClock) -> ResponseSigner:
    return ResponseSigner(node_issuer(NodeId(name)), key(name), clock)


def verifier(
    clock: StillClock | RealClock,
    *,
    known: KeyRegistry | None = None,
    policy: Policy | None = None,
    entries_max: int = 1_000,
) -> RequestVerifier:
    """What node n2 checks requests with."""
    rules = policy or Policy()
    replay = ReplayCache(replay_window_ms(rules.skew_ms), entries_max)
    return RequestVerifier(known or registry(), frozenset({"n2", CLUSTER}), clock, replay, rules)
