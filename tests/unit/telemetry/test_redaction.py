"""What looks like a secret is taken out of text, wherever it stands; the rest stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.auth.jwt import JwtEncoder
from meshnode.auth.keys import PrivateKey
from meshnode.telemetry.redaction import REDACTED, redact

KEY = PrivateKey.generate()
TOKEN = JwtEncoder(KEY).encode({"iss": "app:web"})


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        f"authorization: bearer {TOKEN}",
        f"('authorization', 'Bearer {TOKEN}')",
        f'{{"token": "{TOKEN}"}}',
        f"https://user:{TOKEN}@host/a/b.git",
        f"cut off here {TOKEN[:80]}",
        f"two {TOKEN} of {TOKEN} them",
        f"metadata={{x={TOKEN},y=1}}",
    ],
    ids=range(9),
)
def test_token_is_gone_in_every_setting(text: str) -> None:
    assert TOKEN[:40] not in redact(text)
    assert TOKEN[-40:] not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Basic YWRhOmh1bnRlcjI=", "YWRhOmh1bnRlcjI"),
        ("password=hunter2&x=1", "hunter2"),
        ('"password": "hunter2 and more"', "hunter2"),
        ("secret: 'hunter2'", "hunter2"),
        ("Cookie: session=hunter2", "hunter2"),
        ("https://ada:hunter2@host:80/x", "hunter2"),
        ("https://:hunter2@host", "hunter2"),
    ],
)
def test_password_is_gone(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_private_key_is_gone_whole_or_cut_off() -> None:
    pem = KEY.private_pem().decode()
    middle = pem.splitlines()[5]
    for text in (pem, f"key: {pem} end", pem[: len(pem) // 2]):
        assert middle not in redact(text)
    assert "end" in redact(f"key: {pem} end")


@pytest.mark.parametrize("name", ["authorization", "Authorization", "password", "token", "Proxy-Authorization"])
def test_field_whose_name_says_secret_is_gone_whatever_it_holds(name: str) -> None:
    assert redact("short", name=name) == REDACTED


@pytest.mark.parametrize(
    "text",
    [
        "refs/heads/main is at 0123456789abcdef0123456789abcdef01234567",
        "token is expired (expired_ms=3)",
        "https://host:8443/project/repo.git",
        "request_key=abc key_id=0123456789abcdef",
        "no basic rule",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=50), st.text(max_size=50))
def test_token_is_gone_between_any_other_words(before: str, after: str) -> None:
    assert TOKEN.split(".")[2][:60] not in redact(f"{before} {TOKEN} {after}")
