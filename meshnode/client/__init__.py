"""The client library: `MeshClient` and what it takes and gives."""

from __future__ import annotations

from meshnode.auth.keys import PrivateKey, load_private_key
from meshnode.client.mesh import MeshClient
from meshnode.client.nodes import NodeAddress, read_cluster_file
from meshnode.client.positions import ReadLevel
from meshnode.client.watch import Follow, Following

__all__ = [
    "Follow",
    "Following",
    "MeshClient",
    "NodeAddress",
    "PrivateKey",
    "ReadLevel",
    "load_private_key",
    "read_cluster_file",
]
