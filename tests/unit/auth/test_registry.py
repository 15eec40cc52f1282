"""Whose keys are believed, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.auth.keys import PrivateKey, PublicKey
from meshnode.auth.registry import CallerKind, KeyRegistry, application_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.auth.users import UserVerifier, issue_user_token
from meshnode.base.errors import Unauthenticated
from meshnode.core.applications import KeyDrop, Role
from meshnode.core.nodes import NodeState
from tests.unit.auth.parties import CLUSTER, METHOD, StillClock, application, key, node, registry, verifier


def test_nodes_and_applications_are_found_under_their_own_names() -> None:
    known = registry()
    found = known.find("node:n1", key("n1").key_id)
    assert found is not None
    assert (found.caller.name, found.caller.kind, found.caller.role) == ("n1", CallerKind.NODE, Role.ADMINISTRATOR)
    assert found.caller.issuer == "node:n1"
    reader = known.find("app:reader", key("reader").key_id)
    assert reader is not None
    assert (reader.caller.kind, reader.caller.role) == (CallerKind.APPLICATION, Role.READER)
    assert reader.caller.issuer == "app:reader"


def test_key_is_not_believed_for_another_issuer() -> None:
    known = registry()
    assert known.find("node:n1", key("n2").key_id) is None
    assert known.find("app:n1", key("n1").key_id) is None
    assert known.find("node:web", key("web").key_id) is None
    assert known.find("n1", key("n1").key_id) is None


@pytest.mark.parametrize("state", NodeState)
def test_node_is_known_in_every_state_it_can_have_in_the_catalog(state: NodeState) -> None:
    known = KeyRegistry()
    known.replace([node("n1", state=state)], [])
    assert known.find("node:n1", key("n1").key_id) is not None


def test_removed_node_is_unknown() -> None:
    known = registry()
    known.replace([node("n2")], [])
    assert known.find("node:n1", key("n1").key_id) is None
    assert known.find("app:web", key("web").key_id) is None
    assert known.find("node:n2", key("n2").key_id) is not None


def test_both_keys_are_believed_while_a_rotation_overlaps_and_one_afterwards() -> None:
    known = KeyRegistry()
    old, new = key("n1"), key("n1 next")
    known.replace([node("n1", new.public_pem, old.public_pem)], [])
    assert known.find("node:n1", old.key_id) is not None
    assert known.find("node:n1", new.key_id) is not None
    known.replace([node("n1", new.public_pem)], [])
    assert known.find("node:n1", old.key_id) is None
    assert known.find("node:n1", new.key_id) is not None


def test_unusable_key_is_left_out_and_reported_and_revocation_still_works() -> None:
    known = registry()
    refused = known.replace([node("n1", "rubbish"), node("n2")], [])
    assert len(refused) == 1
    assert refused[0].startswith("node:n1: public key cannot be read")
    assert known.find("node:n1", key("n1").key_id) is None
    assert known.find("node:n2", key("n2").key_id) is not None
    assert known.find("app:web", key("web").key_id) is None


def test_key_that_was_parsed_before_is_not_parsed_again() -> None:
    known = KeyRegistry()
    known.replace([node("n1")], [application("web")])
    before = known.find("node:n1", key("n1").key_id)
    known.replace([node("n1")], [])
    after = known.find("node:n1", key("n1").key_id)
    assert before is not None
    assert after is not None
    assert isinstance(after.key, PublicKey)
    assert before.key is after.key


def test_key_with_an_end_is_believed_until_then_in_requests_and_tokens_of_people() -> None:
    clock = StillClock()
    end_ms = clock.wall_ms() + 60_000
    old, new = key("web"), key("web next")
    pems = (old.public_pem, new.public_pem)
    known = registry()
    known.replace(
        [node("n2")], [replace(application("web"), public_keys=pems, drops=(KeyDrop(old.public_pem, end_ms),))]
    )
    checking = verifier(clock, known=known)
    users = UserVerifier(known, frozenset({CLUSTER}), clock)
    wish = {"audience": CLUSTER, "user": "ada", "scopes": ("read",)}
    pass_of = {
        name: issue_user_token(application="web", key=signing, clock=clock, **wish)  # type: ignore[arg-type]
        for name, signing in (("old", old), ("new", new))
    }

    def check(signing: PrivateKey) -> None:
        signed = TokenSigner(application_issuer("web"), signing, clock).request_token(
            audience=CLUSTER, method=METHOD, first_body=b""
        )
        checking.verify(f"Bearer {signed.token}", method=METHOD, body=b"", is_replay_refused=False)

    clock.now_ms = end_ms - 1
    check(old)
    users.verify(pass_of["old"])
    clock.now_ms = end_ms
    with pytest.raises(Unauthenticated, match="not believed any more"):
        check(old)
    with pytest.raises(Unauthenticated, match="not believed any more"):
        users.verify(pass_of["old"])
    check(new)
    assert users.verify(pass_of["new"]).name == "ada"
