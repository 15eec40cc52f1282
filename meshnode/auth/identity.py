"""Decides whether a node may serve: what its disk says it is must be what the catalog lists.

    settings: node.id         --> the catalog's entry of that id --> lists this key?
    <data>/identity.json      --> cluster id and node id that this directory was used with first

Rule: whatever does not match is refused before anything listens; nothing is made, changed or guessed. A key that is
missing is not made anew either: nobody would believe it. What the directory is for is written down once, when all the
rest agrees, and never changes; a directory without it (made before it was kept, or brought back from a backup) is
taken as it is found.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.auth.key_files import KeyFiles
from meshnode.auth.keys import PrivateKey, PublicKey, write_private_file
from meshnode.base.errors import Corrupt, Forbidden, InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import decode
from meshnode.core.keys import encode_json
from meshnode.core.nodes import Node
from meshnode.core.rotation import signing_key

IDENTITY_FILE: Final = "identity.json"
_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who this node is: its id, its cluster and its key."""

    node: NodeId
    cluster_id: str
    key: PrivateKey
    """What it signs with."""
    files: KeyFiles

    @property
    def issuer(self) -> str:
        """The name it signs with."""
        return f"node:{self.node}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Belonging:
    """Whose a data directory is."""

    node: NodeId
    cluster_id: str


def read_belonging(data: Path) -> Belonging | None:
    """Whose the directory is, None where that was never written down. Raises Corrupt, InvalidRequest: unreadable."""
    path = data / IDENTITY_FILE
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidRequest("identity file cannot be read", file=str(path), detail=error.strerror) from error
    return decode(
        text,
        "identity file",
        _FORMAT,
        lambda fields: Belonging(node=fields.parsed("node", parse_node_id), cluster_id=fields.text("cluster_id")),
        file=str(path),
    )


def write_belonging(data: Path, belonging: Belonging) -> None:
    """Write down whose the directory is, durably; what is written already stays. Raises InvalidRequest."""
    path = data / IDENTITY_FILE
    value = encode_json({"v": _FORMAT, "node": belonging.node, "cluster_id": belonging.cluster_id})
    try:
        write_private_file(path, value + b"\n")
    except OSError as error:
        raise InvalidRequest("identity file cannot be made", file=str(path), detail=error.strerror) from error


def check_belonging(found: Belonging | None, expected: Belonging, data: Path) -> None:
    """Check that a directory was not used by another node or for another cluster. Raises Forbidden."""
    if found is None or found == expected:
        return
    if found.node != expected.node:
        raise Forbidden(
            "the data directory belongs to another node; name it in node.data of that node's settings only",
            data=str(data),
            found=found.node,
            node=expected.node,
        )
    raise Forbidden(
        "the data directory belongs to another cluster than the catalog",
        data=str(data),
        found=found.cluster_id,
        catalog=expected.cluster_id,
    )


def check_listed(own: NodeId, entry: Node | None, *, is_known_here: bool) -> Node:
    """Check that the catalog lists this node; `is_known_here`: its directory says that it once did.

    Raises:
        InvalidRequest: it was never added. Forbidden: it was removed. Corrupt: the entry is another node's.
    """
    if entry is None and is_known_here:
        raise Forbidden("this node was removed from the cluster; what it holds is out of date", node=own)
    if entry is None:
        raise InvalidRequest(
            "this node is not in the catalog; add it to the cluster first (meshnode node join)", node=own
        )
    if entry.node != own:
        raise Corrupt("the catalog's entry of this node names another one", node=own, found=entry.node)
    return entry


def choose_key(entry: Node, files: KeyFiles) -> PrivateKey:
    """The key to sign with: of those on the disk, the one that the catalog lists first.

    Raises:
        Forbidden: none of them is listed. InvalidRequest: no key, or one that cannot be used.
    """
    current, successor = files.load()
    here = {key.key_id: key for key in (successor, current) if key is not None}
    key_id = signing_key(current.key_id, None if successor is None else successor.key_id, _ids(entry))
    if key_id is None:
        raise Forbidden("the catalog lists another key for this node", node=entry.node, key_id=current.key_id)
    return here[key_id]


def _ids(entry: Node) -> list[str]:
    ids = []
    for pem in entry.public_keys:
        with contextlib.suppress(InvalidRequest):
            ids.append(PublicKey.parse(pem).key_id)
    return ids
