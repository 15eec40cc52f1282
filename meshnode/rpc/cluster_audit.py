"""Serves the part of ClusterService that tells of administrative acts."""

from __future__ import annotations

from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.core.audit import AuditEntry
from meshnode.ports import Audit
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_audit_pb2 as pb
from meshnode.wire.reads import page_size_of

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000
CLOCKS_MS: Final = 120_000
"""How far the clocks of two nodes may be apart (`auth.skew_ms`): beyond that, what is listed later is older."""


class ClusterAuditServicer:
    """ListAudit of mesh.v1.ClusterService."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def list_audit(self, request: pb.ListAuditRequest, _: Call) -> Answer:
        """Administrative acts, newest first; a page may hold fewer than asked for, the last one has no token."""
        if request.since_ms < 0:
            raise InvalidRequest("since_ms is before 1970", since_ms=request.since_ms)
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        page = await self._audit.page(before=_before_of(request.page_token), limit=size)
        oldest_ms = page.entries[-1].at_ms if page.entries else request.since_ms
        is_over = not page.before or oldest_ms < request.since_ms - CLOCKS_MS
        return pb.ListAuditResponse(
            entries=[_message(entry) for entry in page.entries if entry.at_ms >= request.since_ms],
            next_page_token="" if is_over else str(page.before),
        )


def _before_of(token: str) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) <= 16 and int(token)):
        raise InvalidRequest("page token is none of this method's")
    return int(token)


def _message(entry: AuditEntry) -> pb.AuditEntry:
    return pb.AuditEntry(
        sequence=entry.sequence,
        at_ms=entry.at_ms,
        node=entry.node,
        who=entry.who,
        key_id=entry.key_id,
        actor=entry.actor,
        peer=entry.peer,
        method=entry.method,
        request=entry.request,
        request_id=entry.request_id,
        outcome=entry.outcome,
        detail=entry.detail,
        facts=entry.facts,
        took_ms=entry.took_ms,
    )
