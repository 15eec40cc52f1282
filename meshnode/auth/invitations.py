"""The secret of an invitation: made here, proven without being sent, checked by what the catalog keeps of it.

    secret     "mesh-join-" + base64url of 256 random bits            shown once, kept nowhere
      |-- HMAC "sign"   -> Ed25519 key: the machine signs its claim    the catalog keeps the public half
      `-- HMAC "answer" -> HMAC key:    the cluster signs its answer   the catalog keeps it

A join carries two signatures over the same claim (id, addresses, public key, time): one by the secret's key, one by the
RSA key that the machine wants to be known by. So nobody on the way learns the secret, puts a key of their own in the
claim's place, or has somebody else's key accepted; a replayed join says again what is done already. The answer names
the claim it is for; who does not know the catalog's part of the invitation cannot make it.
Source: docs/adr/0014-joining.md; RFC 8032, RFC 2104.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from meshnode.auth.keys import PrivateKey, PublicKey
from meshnode.base.errors import InvalidRequest, Unauthenticated
from meshnode.core.joining import Invitation, JoinClaim
from meshnode.ports import Joined

PREFIX: Final = "mesh-join-"
SECRET_BYTES: Final = 32
_TEXT_LENGTH: Final = len(PREFIX) + 43


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogAccess:
    """How a node reaches the catalog: what may be told to a machine that has just come in."""

    url: str
    prefix: str
    is_tls: bool
    username: str


class InvitationSecret:
    """A secret, and what is made of it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._key = Ed25519PrivateKey.from_private_bytes(self._derive(b"meshnode join sign 1"))
        public = self._key.public_key().public_bytes_raw()
        self.verify_key = public.hex()
        self.answer_key = self._derive(b"meshnode join answer 1").hex()
        self.invitation = sha256(public).hexdigest()[:16]

    @classmethod
    def make(cls) -> InvitationSecret:
        """A new secret."""
        return cls(token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> InvitationSecret:
        """The secret of the text that an operator was shown. Raises InvalidRequest; the text is in no error."""
        text = text.strip()
        body = text.removeprefix(PREFIX)
        try:
            raw = urlsafe_b64decode(body + "=")
        except ValueError:
            raw = b""
        if not text.isascii() or len(text) != _TEXT_LENGTH or body == text or _text_of(raw) != text:
            raise InvalidRequest(f'not the secret of an invitation: that is "{PREFIX}" and 43 letters')
        return cls(raw)

    def text(self) -> str:
        """What an operator is shown, once."""
        return _text_of(self._secret)

    def sign(self, claim: JoinClaim) -> bytes:
        """Prove the secret for this claim alone."""
        return self._key.sign(claim_bytes(claim))

    def _derive(self, purpose: bytes) -> bytes:
        return hmac.digest(self._secret, purpose, "sha256")


def sign_claim(key: PrivateKey, claim: JoinClaim) -> bytes:
    """Prove the key that the claim presents."""
    return key.sign(claim_bytes(claim))


def check_claim(invitation: Invitation, claim: JoinClaim, invitation_signature: bytes, key_signature: bytes) -> None:
    """Check both proofs of a claim; takes about 200 microseconds.

    Raises:
        Unauthenticated: one of them does not hold. InvalidRequest: the presented key cannot be used.
    """
    signed = claim_bytes(claim)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(invitation.verify_key)).verify(invitation_signature, signed)
    except InvalidSignature:
        raise Unauthenticated("the secret was not proven", reason="proof") from None
    if not PublicKey.parse(claim.public_key).verify(key_signature, signed):
        raise Unauthenticated("the presented key was not proven", reason="proof")


def prove_answer(joined: Joined, claim: JoinClaim, access: CatalogAccess) -> bytes:
    """What makes an answer the cluster's: over all of it, and over the claim it is for."""
    node = joined.node
    text = json.dumps(
        [
            "meshnode joined 1",
            sha256(claim_bytes(claim)).hexdigest(),
            joined.cluster_id,
            [node.node, node.zone, node.weight],
            [access.url, access.prefix, access.is_tls, access.username],
            [[one.node, one.grpc_url, one.http_url, list(one.public_keys)] for one in joined.members],
        ]
    )
    return hmac.digest(bytes.fromhex(joined.answer_key), text.encode(), "sha256")


def is_same_proof(first: bytes, second: bytes) -> bool:
    """Compare in a time that says nothing."""
    return hmac.compare_digest(first, second)


def claim_bytes(claim: JoinClaim) -> bytes:
    """What is signed: no two claims have the same bytes, and nothing else that is signed here looks like them."""
    return json.dumps(
        [
            "meshnode join 1",
            claim.invitation,
            claim.node,
            claim.grpc_url,
            claim.http_url,
            claim.zone,
            claim.weight,
            claim.public_key,
            claim.made_at_ms,
        ]
    ).encode()


def _text_of(secret: bytes) -> str:
    return PREFIX + urlsafe_b64encode(secret).decode("ascii").rstrip("=")
