"""What a servicer is told about the call it serves, and what the pipeline expects of servicers.

    unary      async def get(self, request, call) -> message or its bytes
    streaming  def list_things(self, requests, call) -> async iterator of messages or bytes
    one answer to a stream: async def prepare(self, requests, call) -> message or its bytes

Rule: `forwarded` and a foreign `actor` are believed from nodes only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from google.protobuf.message import Message

from meshnode.auth.registry import Caller, CallerKind
from meshnode.base.errors import InvalidRequest, InvariantViolated
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.rpc.method import Method
from meshnode.wire.reads import actor_of

FORWARDED_KEY: Final = "mesh-forwarded"
ACTOR_KEY: Final = "mesh-actor"
REQUEST_ID_KEY: Final = "mesh-request-id"

Answer = Message | bytes
"""What a servicer returns; bytes are a serialised message."""

Handler = Callable[[Any, "Call"], Any]

M = TypeVar("M")

_REQUEST_ID_CHARS_MAX: Final = 64


@dataclass(kw_only=True)
class Call:
    """One call being served."""

    node: NodeId
    """This one."""
    method: Method
    caller: Caller | None
    """None only for health and reflection where they are open, and for a machine that joins."""
    actor: str
    """Who asked, for logs and rounds: the caller, or whom a forwarding node names."""
    request_id: str
    is_forwarded: bool
    """Another node routed this call here: answer or refuse, never forward again."""
    deadline_ms: int
    """On the monotonic clock."""
    want_rest: Callable[[], Awaitable[None]]
    """Tell the caller to send what follows the first message; a streaming servicer need not call it."""
    body: bytes = b""
    """A unary request as it came, for handing on."""
    facts: dict[str, str | int] = field(default_factory=dict)
    """What the servicer adds to the log line."""

    @property
    def is_from_node(self) -> bool:
        """Whether a node of this cluster calls."""
        return self.caller is not None and self.caller.kind is CallerKind.NODE

    def calling_node(self) -> NodeId:
        """The node that calls; only for methods that nodes alone may call."""
        if self.caller is None or not self.is_from_node:
            raise InvariantViolated("a method of nodes was reached by someone else", method=self.method.path)
        return parse_node_id(self.caller.name)


def actor_and_forwarding(caller: Caller | None, metadata: Mapping[str, str | bytes]) -> tuple[str, bool]:
    """Who asked and whether the call was forwarded. Raises InvalidRequest for a hostile actor."""
    if caller is None:
        return "anonymous", False
    if caller.kind is not CallerKind.NODE:
        return caller.issuer, False
    named = metadata.get(ACTOR_KEY)
    actor = actor_of(unquote(named)) if isinstance(named, str) else ""
    return actor or caller.issuer, metadata.get(FORWARDED_KEY) == "1"


def request_id_of(metadata: Mapping[str, str | bytes], fresh: str) -> str:
    """The id the caller gave its request where it is a plain word, else `fresh`."""
    given = metadata.get(REQUEST_ID_KEY)
    if isinstance(given, str) and given.isalnum() and given.isascii() and len(given) <= _REQUEST_ID_CHARS_MAX:
        return given
    return fresh


def peer_of(address: str) -> str:
    """The host that gRPC calls `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`; anything else as it is."""
    family, _, rest = unquote(address).partition(":")
    return rest.rpartition(":")[0] if family in {"ipv4", "ipv6"} else address


def forwarding_metadata(call: Call) -> tuple[tuple[str, str], ...]:
    """What goes with a call that this node hands on."""
    return (
        (FORWARDED_KEY, "1"),
        (ACTOR_KEY, quote(call.actor, safe=":@+-._/")),
        (REQUEST_ID_KEY, call.request_id),
    )


async def first_message(requests: AsyncIterator[M]) -> M:
    """The first message of a streamed request. Raises InvalidRequest where there is none."""
    async for message in requests:
        return message
    raise InvalidRequest("request has no message")


@asynccontextmanager
async def closing(iterator: AsyncIterator[M]) -> AsyncIterator[AsyncIterator[M]]:
    """Close an iterator that may be a generator, even where it is left in the middle."""
    try:
        yield iterator
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
