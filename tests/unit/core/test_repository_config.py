"""What may be configured for a repository, and which edits that denies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import RefName, RefValue
from meshnode.core.refs import RefEdit
from meshnode.core.repository_config import (
    INPUT_BYTES_MAX,
    NO_CONFIG,
    RepositoryConfig,
    decode_repository_config,
    encode_repository_config,
    is_deletion_denied,
    must_fast_forward,
    plan_config,
    texts_of,
)

A, B = RefValue("a" * 40), RefValue("b" * 40)


def edit(name: str, old: RefValue | None, new: RefValue | None) -> RefEdit:
    return RefEdit(RefName(name), old, new)


def test_keys_are_spelled_and_values_written_as_git_has_them() -> None:
    config = plan_config(
        NO_CONFIG,
        {"receive.denydeletes": "yes", "RECEIVE.denyNonFastForwards": "On", "receive.maxInputSize": "10m"},
        (),
    )
    assert texts_of(config) == {
        "receive.denyDeletes": "true",
        "receive.denyNonFastForwards": "true",
        "receive.maxInputSize": "10485760",
    }
    assert config.version == 1
    assert plan_config(config, {"receive.maxInputSize": "10240k"}, ()) is config
    back = plan_config(config, {"receive.denyDeletes": "0"}, ["receive.maxInputSize", "receive.denyNonFastForwards"])
    assert back == RepositoryConfig(version=2)


def test_every_problem_is_told_at_once_and_the_allowed_keys_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan_config(
            NO_CONFIG,
            {"core.sshCommand": "sh", "receive.denyDeletes": "maybe", "receive.maxInputSize": "-1"},
            ["receive.denydeletes", "gc.auto"],
        )
    told = refused.value.message
    assert (
        "'core.sshCommand' is not among receive.denyDeletes, receive.denyNonFastForwards, receive.maxInputSize" in told
    )
    assert "'gc.auto' is not among" in told
    assert "receive.denyDeletes is named twice" in told
    assert "receive.maxInputSize must be a number of bytes" in told
    for text in ("", "1t", "1.5", "k", f"{INPUT_BYTES_MAX + 1}", "9" * 40):
        with pytest.raises(InvalidRequest):
            plan_config(NO_CONFIG, {"receive.maxInputSize": text}, ())
    with pytest.raises(InvalidRequest, match="true or false"):
        plan_config(NO_CONFIG, {"receive.denyDeletes": "maybe"}, ())


def test_only_branches_are_protected_and_only_as_far_as_configured() -> None:
    both = RepositoryConfig(denies_deletes=True, denies_non_fast_forwards=True)
    assert is_deletion_denied(both, edit("refs/heads/a", A, None))
    assert not is_deletion_denied(NO_CONFIG, edit("refs/heads/a", A, None))
    assert not is_deletion_denied(both, edit("refs/tags/a", A, None))
    assert not is_deletion_denied(both, edit("refs/heads/a", A, B))
    assert must_fast_forward(both, edit("refs/heads/a", A, B))
    for free in (edit("refs/heads/a", None, B), edit("refs/heads/a", A, None), edit("refs/tags/a", A, B)):
        assert not must_fast_forward(both, free)
    assert not must_fast_forward(NO_CONFIG, edit("refs/heads/a", A, B))
    assert NO_CONFIG.denies_nothing
    assert not both.denies_nothing


@given(st.integers(0, 1 << 60), st.booleans(), st.booleans(), st.integers(0, INPUT_BYTES_MAX))
def test_what_is_stored_is_read_back(version: int, deletes: bool, rewinds: bool, size: int) -> None:
    config = RepositoryConfig(
        version=version, denies_deletes=deletes, denies_non_fast_forwards=rewinds, input_bytes_max=size
    )
    assert decode_repository_config(encode_repository_config(config)) == config


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'{"v":2,"version":1,"values":{}}',
        b'{"v":1,"version":1,"values":{"receive.denyEverything":true}}',
        b'{"v":1,"version":1,"values":{"receive.denyDeletes":"true"}}',
        b'{"v":1,"version":1,"values":{"receive.maxInputSize":true}}',
    ],
)
def test_what_cannot_be_kept_to_is_corrupt_so_that_nothing_is_written_past_it(value: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_repository_config(value)


def test_an_entry_of_an_older_node_has_the_defaults_of_what_it_lacks() -> None:
    assert decode_repository_config(b'{"v":1,"version":4,"values":{"receive.denyDeletes":true}}') == RepositoryConfig(
        version=4, denies_deletes=True
    )
