"""RSA keys that are the same in every run, so that an input means the same in every run. They protect nothing.

`primes.txt` holds two primes of 1,024 bits for each key.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from meshnode.auth.keys import PrivateKey

NAMES = ("n1", "web", "reader")
_EXPONENT = 65_537


@cache
def key(name: str) -> PrivateKey:
    """The key of one of the three parties."""
    lines = Path(__file__).with_name("primes.txt").read_text().split()
    place = 2 * NAMES.index(name)
    p, q = (int(line, 16) for line in lines[place : place + 2])
    d = rsa.rsa_recover_private_exponent(_EXPONENT, p, q)
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=rsa.rsa_crt_dmp1(d, p), dmq1=rsa.rsa_crt_dmq1(d, q), iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )  # fmt: skip
    return PrivateKey(numbers.private_key())
