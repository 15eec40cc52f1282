"""Reads each private key once: OpenSSL proves that its factors are primes, 30 ms, and tests read few keys very often."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from cryptography.hazmat.primitives import serialization


@pytest.fixture(autouse=True, scope="session")
def _keys_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serialization, "load_pem_private_key", cache(serialization.load_pem_private_key))
        yield
