# SPDX-License-Identifier: Apache-2.0
"""Protector for Python scripts, in the style of openstacksdk.

    from protectorclient import sdk

    protector = sdk.connect(cloud="site-a")
    group = protector.find_protection_group("prod-web-app")
    drill = protector.test_failover(group.id, retain_primary=True)
    protector.wait_for_operation(drill.id)

A connection that is there already takes the service as an addition:

    connection.add_service(sdk.ProtectorService())
    connection.disaster_recovery.protection_groups()
"""

from __future__ import annotations

from typing import Any

import openstack
from openstack import service_description
from openstack.connection import Connection

from protectorclient.sdk.admin import Site, TenantMapping, Validation, VolumeType
from protectorclient.sdk.api import NEWEST, SERVICE_TYPE
from protectorclient.sdk.groups import (
    ConsistencyGroup,
    GroupHealth,
    Member,
    Policy,
    ProtectionGroup,
    RecoveryPoint,
    ServiceHealth,
    SyncStatus,
)
from protectorclient.sdk.operations import Event, Operation, Plan
from protectorclient.sdk.proxy import Proxy

__all__ = [
    "NEWEST",
    "SERVICE_TYPE",
    "ConsistencyGroup",
    "Event",
    "GroupHealth",
    "Member",
    "Operation",
    "Plan",
    "Policy",
    "ProtectionGroup",
    "ProtectorService",
    "Proxy",
    "RecoveryPoint",
    "ServiceHealth",
    "Site",
    "SyncStatus",
    "TenantMapping",
    "Validation",
    "VolumeType",
    "attach",
    "connect",
]


class ProtectorService(service_description.ServiceDescription):  # type: ignore[type-arg]
    """What ``Connection.add_service`` takes: ``connection.disaster_recovery`` is then a :class:`Proxy`."""

    supported_versions = {"1": Proxy}

    def __init__(self) -> None:
        super().__init__(service_type=SERVICE_TYPE)


def attach(connection: Connection, api_version: str | None = None) -> Proxy:
    """The API over a connection that is there already; ``api_version`` in place of the newest that both sides know."""
    proxy: Proxy = connection.config.get_session_client(SERVICE_TYPE, constructor=Proxy)
    proxy._connection = connection
    if api_version is not None:
        proxy.default_microversion = api_version
    return proxy


def connect(cloud: str | None = None, api_version: str | None = None, **options: Any) -> Proxy:
    """The API of a cloud of clouds.yaml, or of whatever else ``openstack.connect`` takes."""
    return attach(openstack.connect(cloud=cloud, **options), api_version)
