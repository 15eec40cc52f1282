"""Serves RefService: references of one repository, read from the snapshot of this node's replica.

All pages of one listing come from one generation, or the caller is told to start again. Writes are one atomic round.
"""

from __future__ import annotations

from typing import Final

from meshnode.base.ids import HEAD, NodeId, RefName, parse_object_id, parse_repository_name, symbolic, symbolic_target
from meshnode.ports import Reads, ReadView, RefChange, RefsSnapshot, WriteResult, Writes
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token
from meshnode.rpc.patterns import select
from meshnode.rpc.ref_listings import RefListings, check_generation
from meshnode.rpc.ref_pages import RefPages
from meshnode.v1 import common_pb2, ref_pb2
from meshnode.wire.reads import consistency_of, page_size_of, position_message, request_key_of
from meshnode.wire.refs import branch_of, changes_of, reference_message, resolve

PAGE_SIZE: Final = 1_000
PAGE_SIZE_MAX: Final = 50_000

_ROUTE: Final = Route("repository")


class RefServicer:
    """mesh.v1.RefService."""

    def __init__(
        self, *, own: NodeId, reads: Reads, writes: Writes, forwarder: Forwarder, listings: RefListings
    ) -> None:
        self._own = own
        self._reads = reads
        self._writes = writes
        self._forwarder = forwarder
        self._listings = listings
        self._pages = RefPages()

    async def list_refs(self, request: ref_pb2.ListRefsRequest, call: Call) -> Answer:
        """A page of references in byte order."""
        return await self._forwarder.run(_ROUTE, request, call, self._list_refs)

    async def find_refs_by_oid(self, request: ref_pb2.FindRefsByOidRequest, call: Call) -> Answer:
        """References that hold, or lead to, an object."""
        return await self._forwarder.run(_ROUTE, request, call, self._find_refs_by_oid)

    async def get_default_branch(self, request: ref_pb2.GetDefaultBranchRequest, call: Call) -> Answer:
        """What HEAD points to."""
        return await self._forwarder.run(_ROUTE, request, call, self._get_default_branch)

    async def set_default_branch(self, request: ref_pb2.SetDefaultBranchRequest, call: Call) -> Answer:
        """Point HEAD to a branch, which need not exist."""
        return await self._forwarder.run(_ROUTE, request, call, self._set_default_branch)

    async def update_refs(self, request: ref_pb2.UpdateRefsRequest, call: Call) -> Answer:
        """Apply a batch of updates, all or none."""
        return await self._forwarder.run(_ROUTE, request, call, self._update_refs)

    async def _list_refs(self, request: ref_pb2.ListRefsRequest, call: Call) -> Answer:
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        if request.sort or request.descending or request.HasField("filter") or request.divergence_base:
            return await self._listings.list_selected(request, size=size)
        token = parse_page_token(request.page_token)
        view = await self._view(request.repository, request.consistency)
        snapshot = view.snapshot
        if token is not None:
            check_generation(token, snapshot)
        call.facts["generation"] = snapshot.generation
        encoded = await self._pages.of(view.key, snapshot)
        indices = select(encoded.names, request.patterns)
        body, last = encoded.page(indices, "" if token is None else token.last, size)
        rest = ref_pb2.ListRefsResponse(position=position_message(snapshot.generation, self._own))
        if last is not None:
            rest.next_page_token = format_page_token(PageToken(snapshot.generation, last))
        head = b""
        if request.include_head and token is None and HEAD in snapshot.refs:
            head = ref_pb2.ListRefsResponse(refs=[reference_message(snapshot, HEAD)]).SerializeToString()
        return head + body + rest.SerializeToString()

    async def _find_refs_by_oid(self, request: ref_pb2.FindRefsByOidRequest, _: Call) -> Answer:
        limit = page_size_of(request.limit, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        oid = parse_object_id(request.oid)
        view = await self._view(request.repository, request.consistency)
        snapshot = view.snapshot
        found = {name for name, value in snapshot.refs.items() if str(value) == oid and name != HEAD}
        found.update(name for name, peeled in snapshot.peeled.items() if peeled == oid)
        return ref_pb2.FindRefsByOidResponse(
            refs=[reference_message(snapshot, name) for name in sorted(found)[:limit]],
            position=position_message(snapshot.generation, self._own),
        )

    async def _get_default_branch(self, request: ref_pb2.GetDefaultBranchRequest, _: Call) -> Answer:
        view = await self._view(request.repository, request.consistency)
        name = _default_branch(view.snapshot)
        return ref_pb2.GetDefaultBranchResponse(
            name=name,
            exists=name != "" and resolve(view.snapshot, RefName(name)) is not None,
            position=position_message(view.generation, self._own),
        )

    async def _set_default_branch(self, request: ref_pb2.SetDefaultBranchRequest, call: Call) -> Answer:
        change = RefChange(name=HEAD, expected=None, new=symbolic(branch_of(request.name)))
        result = await self._write(request.repository, [change], request.request_key, call)
        return ref_pb2.SetDefaultBranchResponse(position=position_message(result.generation, self._own))

    async def _update_refs(self, request: ref_pb2.UpdateRefsRequest, call: Call) -> Answer:
        result = await self._write(request.repository, changes_of(request.updates), request.request_key, call)
        return ref_pb2.UpdateRefsResponse(
            position=position_message(result.generation, self._own), round_id=result.round_id
        )

    async def _view(self, repository: str, consistency: common_pb2.Consistency) -> ReadView:
        return await self._reads.view(parse_repository_name(repository), consistency_of(consistency))

    async def _write(self, repository: str, changes: list[RefChange], request_key: str, call: Call) -> WriteResult:
        result = await self._writes.update_refs(
            parse_repository_name(repository), changes, request_key=request_key_of(request_key), actor=call.actor
        )
        call.facts["round"] = result.round_id
        call.facts["generation"] = result.generation
        return result


def _default_branch(snapshot: RefsSnapshot) -> str:
    value = snapshot.refs.get(HEAD)
    return "" if value is None else symbolic_target(value) or ""
