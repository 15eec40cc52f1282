"""Finds out who this node is, from its disk and the catalog, before any of its parts is opened."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from meshnode.auth.identity import (
    Belonging,
    Identity,
    check_belonging,
    check_listed,
    choose_key,
    read_belonging,
    write_belonging,
)
from meshnode.auth.key_files import KeyFiles
from meshnode.base.errors import CatalogUnavailable, InvalidRequest
from meshnode.base.ids import parse_node_id
from meshnode.config import Config
from meshnode.core.cluster import decode_settings
from meshnode.core.keys import CLUSTER, node_key
from meshnode.core.nodes import decode_node
from meshnode.ports import Catalog

log = logging.getLogger("meshnode.app")

CATALOG_PAUSE_S: Final = 0.5


async def wait_for_identity(config: Config, catalog: Catalog, stopping: asyncio.Event) -> Identity | None:
    """`identify`, waiting for a catalog that does not answer yet; None where a stop is wanted meanwhile."""
    while not stopping.is_set():
        try:
            return await identify(config, catalog)
        except CatalogUnavailable as error:
            log.warning("start_waits_for_catalog", extra={"error": str(error)})
            await asyncio.sleep(CATALOG_PAUSE_S)
    return None


async def identify(config: Config, catalog: Catalog) -> Identity:
    """This node as its disk and the catalog know it, both of one mind (`auth/identity.py`).

    Raises:
        InvalidRequest: there is no cluster in the catalog, this node was never added to it, or its key is missing.
        Forbidden: the directory is another node's or cluster's, the node was removed, or has another key.
        CatalogUnavailable: it cannot be told now.
    """
    own, data = parse_node_id(config.node.id), config.node.data
    settings, entry = await catalog.get([CLUSTER, node_key(own)])
    if settings is None:
        raise InvalidRequest("the catalog holds no cluster; create one first (meshnode up, or init-cluster)")
    expected = Belonging(node=own, cluster_id=decode_settings(settings.value).cluster_id)
    found = read_belonging(data)
    check_belonging(found, expected, data)
    listed = check_listed(own, None if entry is None else decode_node(entry.value), is_known_here=found is not None)
    files = KeyFiles(Path(config.auth.key_file) if config.auth.key_file else data / "node.pem")
    key = choose_key(listed, files)
    if found is None:
        write_belonging(data, expected)
    return Identity(node=own, cluster_id=expected.cluster_id, key=key, files=files)
