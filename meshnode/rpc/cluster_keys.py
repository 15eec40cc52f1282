"""Serves the part of ClusterService that is about nodes' keys."""

from __future__ import annotations

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.rotation import RotationTimes
from meshnode.ports import KeyRotations, KeyRotationState
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_keys_pb2
from meshnode.wire.records import key_id_of


class KeysServicer:
    """Methods of mesh.v1.ClusterService."""

    def __init__(self, *, own: NodeId, rotations: KeyRotations) -> None:
        self._own = own
        self._rotations = rotations

    async def rotate_node_key(self, request: cluster_keys_pb2.RotateNodeKeyRequest, call: Call) -> Answer:
        """Replace this node's key."""
        if parse_node_id(request.node) != self._own:
            raise InvalidRequest("a node makes its own key; ask that node", node=request.node, asked=self._own)
        if request.finish:
            state = await self._rotations.finish()
        else:
            state = await self._rotations.rotate(request.announce_s)
        call.facts["keys"] = len(state.public_keys)
        return cluster_keys_pb2.RotateNodeKeyResponse(keys=keys_message(state))

    async def get_node_keys(self, request: cluster_keys_pb2.GetNodeKeysRequest, __: Call) -> Answer:
        """A node's keys as the catalog lists them."""
        state = await self._rotations.state(parse_node_id(request.node))
        return cluster_keys_pb2.GetNodeKeysResponse(keys=keys_message(state))


def keys_message(state: KeyRotationState) -> cluster_keys_pb2.NodeKeys:
    """A node's keys as callers see them."""
    times = state.times if len(state.public_keys) > 1 else None
    return cluster_keys_pb2.NodeKeys(
        node=state.node,
        keys=[cluster_keys_pb2.NodeKey(key_id=key_id_of(pem), public_key=pem) for pem in state.public_keys],
        switch_at_ms=times.switch_at_ms if times is not None and not _is_switched(times) else 0,
        drop_at_ms=0 if times is None else times.drop_at_ms,
    )


def _is_switched(times: RotationTimes) -> bool:
    return times.drop_at_ms > 0
