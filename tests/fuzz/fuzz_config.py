"""Settings: refused with every reason, or settings that can be used, and that are the same when written and read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.catalog.etcd_settings import read_etcd_settings
from meshnode.config import Config, ConfigError, load_config, parse_config, render_config
from meshnode.config.checks import RANGES, parse_address
from meshnode.config.loading import KEYS
from tests.fuzz.inputs import directory

_KEY = st.sampled_from([(section, key) for section, keys in KEYS.items() for key in keys])
_VALUE = st.sampled_from(
    ["true", "0", "1", "-1", "5_000", "1.5", "0x" + "f" * 4_000, "9" * 5_000, '""', '"x"', '"127.0.0.1:1"', '"0.0.0.0:1"',
     '"a\\u0000b"', '"a\\nb"', '"/x"', '"//"', '"http://h:1"', '"http://[::1"', '"etcd://a:1,b:2"', '["a", "b"]', "[1]",
     '"http://h:99999"', "1979-05-27", '"\\u007f"', '"read"', "[" * 500, '"""a\nb"""', '"é"', '"[::1]:7"', '"none"']
)  # fmt: skip
_GOOD = '[node]\nid = "n1"\ndata = "/d"\n[catalog]\nurl = "sqlite:///d/c.db"\n'
_SETTING = st.builds(lambda key, value: f"{key[0]}.{key[1]} = {value}\n", _KEY, _VALUE)
_VARIABLE = st.builds(lambda key, value: f"MESHNODE_{key[0]}__{key[1]}".upper() + "=" + value.strip('"'), _KEY, _VALUE)
EXAMPLES = st.builds(
    lambda settings, variables: ("".join(settings) + _GOOD + "\0" + "\0".join(variables)).encode(),
    st.lists(_SETTING, max_size=3),
    st.lists(_VARIABLE, max_size=2),
)


def check_config(data: bytes) -> None:
    raw, *variables = data.split(b"\0")
    texts = [variable.decode("utf-8", "surrogateescape").partition("=") for variable in variables]
    environment = {name: value for name, _, value in texts}
    path = directory("config") / "meshnode.toml"
    path.write_bytes(raw)
    try:
        config = load_config(path, environment)
    except ConfigError as error:
        _check_refusal(error, len(data))
        return
    _check_usable(config)
    assert parse_config(render_config(config), {}) == config


def _check_refusal(error: ConfigError, length: int) -> None:
    assert error.problems
    assert all(error.problems)
    assert len(str(error)) < 100 * length + 20_000


def _check_usable(config: Config) -> None:
    for section in dataclasses.fields(config):
        for key in dataclasses.fields(getattr(config, section.name)):
            value = getattr(getattr(config, section.name), key.name)
            path = f"{section.name}.{key.name}"
            if path in RANGES:
                low, high = RANGES[path]
                assert type(value) is int
                assert low <= value <= high
            if isinstance(value, (str, Path)):
                assert "\0" not in str(value)
                assert "\n" not in str(value)
    parse_address(config.listen.grpc)
    parse_address(config.listen.http)
    if config.catalog.url.startswith("etcd:"):
        try:
            read_etcd_settings(config.catalog)
        except InvalidRequest:
            return
