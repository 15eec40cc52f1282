"""What is fixed when a cluster is made: the catalog's one entry of it, and the JSON it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from meshnode.core.decoding import decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, encode_json


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """What is fixed when a cluster is made."""

    cluster_id: str
    partition_count: int
    replication_factor: int
    format_version: int = FORMAT_VERSION


def encode_settings(settings: ClusterSettings) -> bytes:
    """The cluster settings as JSON."""
    return encode_json(
        {
            "v": settings.format_version,
            "cluster_id": settings.cluster_id,
            "partition_count": settings.partition_count,
            "replication_factor": settings.replication_factor,
        }
    )


@lru_cache(DECODED_MAX)
def decode_settings(value: bytes) -> ClusterSettings:
    """The cluster settings of their JSON. Raises Corrupt."""
    return decode(
        value,
        "cluster settings",
        FORMAT_VERSION,
        lambda fields: ClusterSettings(
            cluster_id=fields.text("cluster_id"),
            partition_count=fields.number("partition_count"),
            replication_factor=fields.number("replication_factor"),
        ),
    )
