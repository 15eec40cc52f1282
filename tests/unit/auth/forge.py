"""Tokens as strangers might make them: any header and claims, signed or not."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from meshnode.auth.keys import PrivateKey


def part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(
    claims: Any, signer: PrivateKey, *, header: Any = None, drop: tuple[str, ...] = (), claims_text: str | None = None
) -> str:
    """A token with a good signature by `signer` over whatever is asked for."""
    full = {"alg": "RS256", "kid": signer.key_id, "typ": "JWT"} | (header or {})
    for name in drop:
        full.pop(name, None)
    text = json.dumps(claims) if claims_text is None else claims_text
    signed = f"{part(json.dumps(full).encode())}.{part(text.encode())}"
    return f"{signed}.{part(signer.sign(signed.encode()))}"
