# SPDX-License-Identifier: Apache-2.0
"""Looks names up in both clouds, when ``--secondary-cloud`` is given.

The API takes names as well as ids. A look-up here finds misspelt names before anything is asked; a name that is in both
clouds, or in neither, is left to the API, which knows which site is the source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from protectorclient.osc.v1 import options

LOG = logging.getLogger(__name__)


class Names:
    """Look-ups in the cloud that is used and in the secondary one."""

    def __init__(self, client_manager: Any, connect: Callable[..., Any] | None = None) -> None:
        self._manager = client_manager
        self._connect = connect
        self._clouds: list[Any] | None = None

    def _secondary(self) -> str | None:
        name = self._manager.get_configuration().get("secondary_cloud")
        return str(name) if name else None

    def _both(self) -> list[Any]:
        if self._clouds is None:
            connect = self._connect
            if connect is None:
                import openstack

                connect = openstack.connect
            self._clouds = [self._manager.sdk_connection, connect(cloud=self._secondary())]
        return self._clouds

    def resolve(self, kind: str, value: str) -> str:
        """The id of a network or flavor, or the value as it is."""
        found = []
        for cloud in self._both():
            try:
                find = cloud.network.find_network if kind == "network" else cloud.compute.find_flavor
                resource = find(value)
            except Exception as error:  # a cloud that is down must not stop an unplanned failover
                LOG.warning("%s %s was not looked up in every cloud: %s", kind, value, error)
                return value
            if resource is not None:
                found.append(str(resource.id))
        return found[0] if len(set(found)) == 1 else value

    def mapping(self, kind: str, pairs: Iterable[options.Pair], option: str) -> dict[str, str]:
        """A mapping from repeated options, with ids where they can be known."""
        result = options.mapping(pairs, option)
        if not result or not self._secondary():
            return result
        return {self.resolve(kind, source): self.resolve(kind, target) for source, target in result.items()}
