"""Addresses that a client is made with: wrong ones are told at once, and as errors of this project."""

from __future__ import annotations

import pytest

from meshnode.auth.registry import application_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.base.errors import InvalidRequest
from meshnode.client.nodes import NodeAddress, Nodes
from meshnode.engine.system import SystemClock
from tests.unit.rpc.harness import key_of


def make(address: NodeAddress) -> Nodes:
    return Nodes([address], TokenSigner(application_issuer("ci"), key_of("ci"), SystemClock()))


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "127.0.0.1:7777", "ftp://a:1", "http://a", "http://:1", "http://a:1/path",
        "http://[::1", "http://a:99999", "http://a:port", "http://a:0", "https://a:1",
    ],
)  # fmt: skip
def test_url_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make(NodeAddress(node="n1", url=url, public_key=key_of("n1").public_pem))
    assert refused.value.fields["url"] == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:7777", "http://[::1]:7777/", "http://node.example:1"])
def test_url_of_a_host_and_a_port_will_do(url: str) -> None:
    make(NodeAddress(node="n1", url=url, public_key=key_of("n1").public_pem))


def test_key_and_id_are_looked_at_before_anything_is_sent() -> None:
    for node, key in (("N 1", key_of("n1").public_pem), ("n1", "no key")):
        with pytest.raises(InvalidRequest):
            make(NodeAddress(node=node, url="http://127.0.0.1:7777", public_key=key))
