"""How long and how much the HTTP server puts up with, where no setting says so.

These are properties of the protocol and of sane clients, not of a deployment; tests make them small.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HttpBounds:
    """Bounds of one connection and of the server."""

    idle_ms: int = 120_000
    """How long a client may neither send nor take a byte while it is its turn; git sends keep-alives every 5 s."""
    header_ms: int = 60_000
    """How long a connection may take for a request's header, and how long it may rest between two requests."""
    piece_bytes: int = 256 << 10
    """Bodies move in pieces of this size: measured best on pipes and gRPC streams alike."""
    fetch_request_bytes_max: int = 64 << 20
    """Largest upload-pack request after decompression: a `want` for each of a million references is 50 MB."""
    command_bytes_max: int = 1_200
    """Room for one push command in a push's body, beside the pack: two object ids and the longest name."""
    inflate_ratio_max: int = 100
    """How much a compressed body may grow; hex ids shrink to a half, zeros would give 1,000."""
    inflate_free_bytes: int = 1 << 20
    """Decompressed bytes for which the ratio does not count."""
    discard_bytes_max: int = 16 << 20
    """How much of a refused request's body is read away, so that the client sees the answer and not a reset."""
    discard_ms: int = 5_000
    """The same in time."""
    requests_max: int = 1_024
    """Requests at once on this node; each costs at most a few pieces of memory."""
    close_ms: int = 5_000
    """How long a request that was cut off may take to clean up."""
