"""Serves ClusterService's part about settings that hold for all nodes: as they are here, and changes of them."""

from __future__ import annotations

from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId
from meshnode.config import Origin
from meshnode.config.cluster_wide import CLUSTER_WIDE, default_of, format_value, value_of
from meshnode.config.live import LiveSettings
from meshnode.core.shared_settings import SharedSettings
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.rpc.call import Answer, Call
from meshnode.v1 import cluster_settings_pb2 as messages

_ORIGINS: Final = {
    Origin.DEFAULT: messages.SETTING_ORIGIN_DEFAULT,
    Origin.CLUSTER: messages.SETTING_ORIGIN_CLUSTER,
    Origin.FILE: messages.SETTING_ORIGIN_FILE,
    Origin.ENVIRONMENT: messages.SETTING_ORIGIN_ENVIRONMENT,
}


class ClusterSettingsServicer:
    """The methods of mesh.v1.ClusterService about settings."""

    def __init__(self, *, own: NodeId, orders: SettingsOrders, live: LiveSettings) -> None:
        self._own = own
        self._orders = orders
        self._live = live

    async def get_settings(self, _: messages.GetSettingsRequest, __: Call) -> Answer:
        """Settings as they are on this node, and where they come from.

        What the catalog holds is read anew; what it holds in a format of a newer node is told, and no error.
        """
        problem = ""
        try:
            shared = await self._orders.read()
        except Corrupt as error:
            shared, problem = self._live.now.shared, str(error)
        return messages.GetSettingsResponse(
            version=shared.version,
            changed_at_ms=shared.changed_at_ms,
            changed_by=shared.changed_by,
            node=self._own,
            applied_version=self._live.now.shared.version,
            settings=self._settings(shared),
            problem=problem or self._live.unreadable,
        )

    async def update_settings(self, request: messages.UpdateSettingsRequest, call: Call) -> Answer:
        """Set and unset settings for all nodes."""
        shared, changes = await self._orders.update(
            dict(request.set),
            tuple(request.unset),
            expected_version=request.expected_version if request.HasField("expected_version") else None,
            actor=call.actor,
        )
        call.facts["settings_version"] = shared.version
        return messages.UpdateSettingsResponse(
            version=shared.version,
            changes=[messages.SettingChange(key=one.key, old=one.old, new=one.new) for one in changes],
        )

    def _settings(self, shared: SharedSettings) -> list[messages.Setting]:
        now = self._live.now
        problems = {key: text for key, text in now.problems.items() if key in shared.values}
        answer = []
        for key in sorted(CLUSTER_WIDE | shared.values.keys()):
            setting = messages.Setting(key=key, problem=problems.get(key, ""))
            if key in CLUSTER_WIDE:
                setting.value = format_value(value_of(now.config, key))
                setting.origin = _ORIGINS[self._live.origin(key)]
                setting.default_value = format_value(default_of(key))
            if key in shared.values:
                setting.cluster_value = format_value(shared.values[key])
            answer.append(setting)
        return answer
