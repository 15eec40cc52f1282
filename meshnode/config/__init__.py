"""Settings of one node: a TOML file, each key overridable by `MESHNODE_<SECTION>__<KEY>`.

Rule: unknown sections and keys are refused with the nearest known name, and all errors are reported at once.

    settings.py       the sections as dataclasses       checks.py      ranges, and what must hold between keys
    loading.py        text and environment -> Config    rendering.py   Config -> text
    cluster_wide.py   which keys the cluster may set    live.py        a node's settings of the moment
"""

from meshnode.config.checks import ConfigError
from meshnode.config.loading import Loaded, Origin, load_config, load_settings, parse_config
from meshnode.config.rendering import render_config
from meshnode.config.settings import (
    AuthSettings,
    CatalogSettings,
    Config,
    LimitSettings,
    ListenSettings,
    LogSettings,
    NodeSettings,
    OperationSettings,
    PushSettings,
    RebalanceSettings,
    ReplicationSettings,
    ScrubSettings,
    TlsSettings,
    UpkeepSettings,
)

__all__ = [
    "AuthSettings",
    "CatalogSettings",
    "Config",
    "ConfigError",
    "LimitSettings",
    "ListenSettings",
    "Loaded",
    "LogSettings",
    "NodeSettings",
    "OperationSettings",
    "Origin",
    "PushSettings",
    "RebalanceSettings",
    "ReplicationSettings",
    "ScrubSettings",
    "TlsSettings",
    "UpkeepSettings",
    "load_config",
    "load_settings",
    "parse_config",
    "render_config",
]
