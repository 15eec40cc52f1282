"""Serves RepositoryService's part about what is configured for a repository; the catalog answers, so any node can."""

from __future__ import annotations

from meshnode.base.ids import Generation, NodeId, parse_repository_name
from meshnode.core.repository_config import NO_CONFIG, RepositoryConfig, texts_of
from meshnode.engine.repository_configs import RepositoryConfigs
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import common_pb2
from meshnode.v1 import repository_config_pb2 as messages
from meshnode.wire.reads import position_message


class RepositoryConfigServicer:
    """The methods of mesh.v1.RepositoryService about configuration."""

    def __init__(self, *, own: NodeId, configs: RepositoryConfigs) -> None:
        self._own = own
        self._configs = configs

    async def get_config(self, request: messages.GetConfigRequest, _: Call) -> Answer:
        """What is configured for a repository."""
        record, config = await self._configs.read(parse_repository_name(request.name))
        return messages.GetConfigResponse(
            settings=_settings(config), version=config.version, position=self._position(record.generation)
        )

    async def set_config(self, request: messages.SetConfigRequest, call: Call) -> Answer:
        """Configure a repository."""
        record, config = await self._configs.update(
            parse_repository_name(request.name),
            dict(request.set),
            tuple(request.unset),
            expected_version=request.expected_version if request.HasField("expected_version") else None,
            actor=call.actor,
        )
        call.facts["config_version"] = config.version
        return messages.SetConfigResponse(
            settings=_settings(config), version=config.version, position=self._position(record.generation)
        )

    def _position(self, generation: Generation) -> common_pb2.Position:
        return position_message(generation, self._own)


def _settings(config: RepositoryConfig) -> list[messages.RepositorySetting]:
    defaults = texts_of(NO_CONFIG)
    return [
        messages.RepositorySetting(key=key, value=value, default_value=defaults[key])
        for key, value in texts_of(config).items()
    ]
