# SPDX-License-Identifier: Apache-2.0
"""Protection groups and what belongs to one."""

from __future__ import annotations

from typing import Any

from openstack import resource

from protectorclient.sdk.base import ProtectorResource

#: Fields of a group that map names or ids of its primary site to those of its secondary site.
MAPPING_FIELDS = (
    "network_mapping",
    "flavor_mapping",
    "image_mapping",
    "security_group_mapping",
    "keypair_mapping",
)


class ProtectionGroup(ProtectorResource):
    """A named set of servers of one project that fail over together."""

    resource_key = "protection_group"
    resources_key = "protection_groups"
    base_path = "/protection-groups"
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    commit_method = "PATCH"

    id: str = resource.Body("id")
    """Equal on both sites."""
    name: str = resource.Body("name")
    """Unique in the project."""
    status: str = resource.Body("status")
    """``creating``, ``active``, ``failing_over``, ``failed_over``, ``failed_over_partial``, ``failing_back``, ``error``
    or ``deleting``."""
    description: str = resource.Body("description")
    """Free text."""
    project_id: str = resource.Body("project_id")
    """Its project at the site that answers."""
    replication_type: str = resource.Body("replication_type")
    """``async`` or ``sync``; never changes."""
    replication_status: str = resource.Body("replication_status")
    """``not_configured``, ``replicating``, ``paused``, ``error`` or ``unknown``."""
    last_replication_at: str | None = resource.Body("last_replication_at")
    """Source time of the newest usable point at the other site."""
    current_primary_site_id: str = resource.Body("current_primary_site_id")
    """Where it runs now."""
    primary_site_id: str = resource.Body("primary_site_id")
    """Its home; a failover does not change it."""
    secondary_site_id: str = resource.Body("secondary_site_id")
    """The other site."""
    primary_volume_type: str | None = resource.Body("primary_volume_type")
    """Replicated volume type at the primary site."""
    secondary_volume_type: str | None = resource.Body("secondary_volume_type")
    """Replicated volume type at the secondary site."""
    network_mapping: dict[str, str] = resource.Body("network_mapping", type=dict)
    """Standing mapping of networks, primary to secondary."""
    flavor_mapping: dict[str, str] = resource.Body("flavor_mapping", type=dict)
    """Standing mapping of flavors."""
    image_mapping: dict[str, str] = resource.Body("image_mapping", type=dict)
    """Standing mapping of images."""
    security_group_mapping: dict[str, str] = resource.Body("security_group_mapping", type=dict)
    """Standing mapping of security groups."""
    keypair_mapping: dict[str, str] = resource.Body("keypair_mapping", type=dict)
    """Standing mapping of keypairs."""
    consistency_group: dict[str, Any] = resource.Body("consistency_group", type=dict)
    """Its volumes in short: name, member_count and volume_count."""
    current_operation_id: str | None = resource.Body("current_operation_id")
    """The operation that runs, or stopped and waits."""
    active_test_operation_id: str | None = resource.Body("active_test_operation_id")
    """The drill that has not been cleaned up."""
    quarantine: str | None = resource.Body("quarantine")
    """Why it is read-only at the site that answers."""
    failover_count: int = resource.Body("failover_count")
    """Completed failovers and failbacks."""
    version: int = resource.Body("version")
    """Counts changes of its metadata; both sites must agree."""
    epoch: int = resource.Body("epoch")
    """Counts changes of its primary."""
    created_at: str = resource.Body("created_at")
    """When it was created."""
    updated_at: str = resource.Body("updated_at")
    """When its metadata last changed."""

    @property
    def target_site_id(self) -> str:
        """The site that it would go to: the one where it does not run."""
        if self.current_primary_site_id == self.primary_site_id:
            return self.secondary_site_id
        return self.primary_site_id


class Member(ProtectorResource):
    """A server of a group, with what is needed to build it anew elsewhere."""

    resource_key = "member"
    resources_key = "members"

    id: str = resource.Body("id")
    """Equal on both sites."""
    name: str = resource.Body("name")
    """Name of the server."""
    protection_group_id: str = resource.Body("protection_group_id")
    """Its group."""
    server_id: str | None = resource.Body("server_id")
    """Its server at the group's current primary site."""
    servers: dict[str, str] = resource.Body("servers", type=dict)
    """Its server at each site where one exists or existed."""
    flavor: str = resource.Body("flavor")
    """Name of its flavor."""
    key_name: str | None = resource.Body("key_name")
    """Name of its keypair."""
    volumes: list[dict[str, Any]] = resource.Body("volumes", type=list)
    """In device order; the first is the root disk."""
    ports: list[dict[str, Any]] = resource.Body("ports", type=list)
    """In interface order."""
    abandoned: dict[str, Any] | None = resource.Body("abandoned")
    """Given up after a partial failover: at, by, operation_id and reason (1.3)."""
    observed_at: str = resource.Body("observed_at")
    """When all this was last read from the cloud."""


class Policy(ProtectorResource):
    """The arrays, interval and RPO target of a group. Tokens are never shown."""

    resource_key = "policy"

    protection_group_id: str = resource.Body("protection_group_id")
    """Of this group."""
    primary_fa_url: str | None = resource.Body("primary_fa_url")
    """FlashArray of the group's primary site."""
    primary_fa_name: str | None = resource.Body("primary_fa_name")
    """Its name as found at the last login (1.3)."""
    primary_fa_api_token: str = resource.Body("primary_fa_api_token")
    """Always ``***``."""
    secondary_fa_url: str | None = resource.Body("secondary_fa_url")
    """FlashArray of the group's secondary site."""
    secondary_fa_name: str | None = resource.Body("secondary_fa_name")
    """Its name as found at the last login (1.3)."""
    secondary_fa_api_token: str = resource.Body("secondary_fa_api_token")
    """Always ``***``."""
    replication_interval: int = resource.Body("replication_interval")
    """Seconds between scheduled snapshots."""
    rpo_minutes: int | None = resource.Body("rpo_minutes")
    """RPO target in minutes."""
    retention: dict[str, int] = resource.Body("retention", type=dict)
    """What is kept on the target array: all_for_sec, per_day, days."""
    updated_at: str = resource.Body("updated_at")
    """When it was last set."""


class ConsistencyGroup(ProtectorResource):
    """The volumes of a group, and where their copies are."""

    resource_key = "consistency_group"

    protection_group_id: str = resource.Body("protection_group_id")
    """Of this group."""
    name: str = resource.Body("name")
    """Protection group on the arrays."""
    arrays: dict[str, str] = resource.Body("arrays", type=dict)
    """Name of the array of each site."""
    newest_recovery_point: dict[str, str] | None = resource.Body("newest_recovery_point")
    """Newest usable point at the other site: name and created_at."""
    reason: str | None = resource.Body("reason")
    """Why there is no point."""
    observed_at: str | None = resource.Body("observed_at")
    """When the point was looked for."""
    volumes: list[dict[str, Any]] = resource.Body("volumes", type=list)
    """In member order."""


class RecoveryPoint(ProtectorResource):
    """A group-consistent point on the target array."""

    resources_key = "recovery_points"

    name: str = resource.Body("name")
    """Name on the target array; a failover or drill may ask for it."""
    created_at: str = resource.Body("created_at")
    """The data is as of then."""
    age_seconds: int = resource.Body("age_seconds")
    """How old the data is: what a failover to it would lose now."""
    usable: bool = resource.Body("usable")
    """Complete, with every volume of the group: a failover or drill may name it."""
    reason: str | None = resource.Body("reason")
    """Why it is not usable."""
    completed_at: str | None = resource.Body("completed_at")
    """When its transfer was complete; ``None``: in flight."""
    progress: int = resource.Body("progress")
    """Transfer, 0 to 100."""
    volume_count: int = resource.Body("volume_count")
    """Volumes in it."""
    size_gib: int = resource.Body("size_gib")
    """Size of the group's volumes in it."""


class SyncStatus(ProtectorResource):
    """Whether both sites hold the same metadata of a group."""

    resource_key = "sync_status"

    status: str = resource.Body("status")
    """``IN SYNC``, ``OUT OF SYNC``, ``UNREACHABLE``, ``FAILED`` or ``CONFLICT``."""
    reason: str | None = resource.Body("reason")
    """Why it is not ``IN SYNC`` (1.3)."""
    local_version: int = resource.Body("local_version")
    """Version at the site that answers."""
    remote_version: int | None = resource.Body("remote_version")
    """Version at the other site, if known."""
    local_epoch: int = resource.Body("local_epoch")
    """Epoch at the site that answers."""
    remote_epoch: int | None = resource.Body("remote_epoch")
    """Epoch at the other site, if known."""
    last_synced_at: str | None = resource.Body("last_synced_at")
    """Last confirmed push."""
    observed_at: str = resource.Body("observed_at")
    """When the other site was asked."""


class GroupHealth(ProtectorResource):
    """Whether a group could fail over now, and if not, why."""

    resource_key = "health"

    protection_group_id: str = resource.Body("protection_group_id")
    """Which group."""
    failover_ready: bool = resource.Body("failover_ready")
    """A failover started now would be accepted."""
    reasons: list[str] | None = resource.Body("reasons")
    """Why it is not ready (1.2)."""
    sync_status: str = resource.Body("sync_status")
    """Of the metadata."""
    lag_seconds: int | None = resource.Body("lag_seconds")
    """Age of the newest usable point (1.2)."""
    rpo_compliant: bool | None = resource.Body("rpo_compliant")
    """Whether that is within the RPO target (1.2)."""
    link: dict[str, Any] | None = resource.Body("link")
    """Link between the arrays: name, status, observed_at, reason (1.2)."""
    delegation: list[dict[str, Any]] | None = resource.Body("delegation", type=list)
    """In whose name Protector acts, per site: site_id, acts_as, user_name, reason, observed_at (1.3)."""
    observed_at: str = resource.Body("observed_at")
    """When."""


class ServiceHealth(ProtectorResource):
    """Health of the Protector that answers."""

    resource_key = "health"

    status: str = resource.Body("status")
    """The worst of its components'."""
    components: list[dict[str, Any]] = resource.Body("components", type=list)
    """Each with name, status, observed_at and reason."""
