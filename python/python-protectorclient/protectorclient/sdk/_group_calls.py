# SPDX-License-Identifier: Apache-2.0
"""Calls about protection groups and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protectorclient import exceptions
from protectorclient.sdk.api import Api, quote
from protectorclient.sdk.find import is_id, only
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


def group_path(group_id: str, *parts: str) -> str:
    """The path of a group or of something in it."""
    return "/".join(["/protection-groups", quote(group_id), *map(quote, parts)])


class GroupCalls(Api):
    """Groups, members, policies, copies, health."""

    def protection_groups(self, limit: int | None = None, **query: Any) -> Iterator[ProtectionGroup]:
        """The project's groups; ``query``: name, status, sort_key, sort_dir."""
        return self.pages(ProtectionGroup, "/protection-groups", limit=limit, **query)

    def get_protection_group(self, group_id: str) -> ProtectionGroup:
        """A group by id."""
        return self.one(ProtectionGroup, "GET", group_path(group_id))

    def find_protection_group(self, name_or_id: str) -> ProtectionGroup:
        """A group by name or id."""
        if is_id(name_or_id):
            return self.get_protection_group(name_or_id)
        named = [g for g in self.protection_groups(name=name_or_id) if g.name == name_or_id]
        if len(named) == 1:
            return named[0]
        others = () if named else tuple(g.name for g in self.protection_groups(limit=20))
        return only("protection group of this project", name_or_id, named, others)

    def create_protection_group(self, **fields: Any) -> ProtectionGroup:
        """Creates a group at both sites; ``fields`` are those of the API, ``name`` at least."""
        return self.one(ProtectionGroup, "POST", "/protection-groups", body={"protection_group": fields})

    def update_protection_group(self, group_id: str, version: int | None = None, **fields: Any) -> ProtectionGroup:
        """Changes a group. With ``version``, only if nobody else changed it since."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        body = {"protection_group": fields}
        return self.one(ProtectionGroup, "PATCH", group_path(group_id), body=body, headers=headers)

    def delete_protection_group(self, group_id: str, force: bool = False, detach_peer: bool = False) -> None:
        """Deletes a group, never a server or volume. The flags: for administrators whose other site is lost (1.3)."""
        query = {"force": "true" if force else None, "detach_peer": "true" if detach_peer else None}
        self.call("DELETE", group_path(group_id), query=query)

    def members(self, group_id: str, **query: Any) -> Iterator[Member]:
        """The servers of a group."""
        return self.pages(Member, group_path(group_id, "members"), **query)

    def find_member(self, group_id: str, name_or_id: str) -> Member:
        """A member by its id, its name, or the id of any of its servers."""
        members = list(self.members(group_id))
        found = [m for m in members if name_or_id in (m.id, m.name, m.server_id, *(m.servers or {}).values())]
        return only("member of this group", name_or_id, found, [m.name for m in members[:20]])

    def add_member(self, group_id: str, server: str) -> Member:
        """Puts a server, by name or id, into a group."""
        return self.one(Member, "POST", group_path(group_id, "members"), body={"member": {"server": server}})

    def remove_member(self, group_id: str, member_id: str) -> None:
        """Takes a server out of a group; it stays as it is."""
        self.call("DELETE", group_path(group_id, "members", member_id))

    def refresh_member(self, group_id: str, member_id: str) -> Member:
        """Reads a member's server again and stores what changed."""
        return self.one(Member, "POST", group_path(group_id, "members", member_id, "refresh"))

    def get_policy(self, group_id: str) -> Policy:
        """The replication policy of a group."""
        return self.one(Policy, "GET", group_path(group_id, "policy"))

    def set_policy(self, group_id: str, **fields: Any) -> Policy:
        """Sets or replaces the replication policy; a token that is not given stays as it is stored."""
        return self.one(Policy, "POST", group_path(group_id, "policy"), body={"policy": fields})

    def get_consistency_group(self, group_id: str) -> ConsistencyGroup:
        """The volumes of a group and where their copies are."""
        return self.one(ConsistencyGroup, "GET", group_path(group_id, "consistency-group"))

    def recovery_points(self, group_id: str) -> Iterator[RecoveryPoint]:
        """The group-consistent points on the target array, newest first (1.3)."""
        return self.whole(RecoveryPoint, group_path(group_id, "recovery-points"))

    def get_sync_status(self, group_id: str) -> SyncStatus:
        """Whether both sites hold the same metadata."""
        return self.one(SyncStatus, "GET", group_path(group_id, "sync-status"))

    def force_sync(self, group_id: str, from_site_id: str | None = None) -> SyncStatus:
        """Pushes the metadata to the other site; after a conflict ``from_site_id`` chooses a copy (1.3)."""
        body = {} if from_site_id is None else {"from": from_site_id}
        return self.one(SyncStatus, "POST", group_path(group_id, "sync-force"), body=body)

    def get_protection_group_health(self, group_id: str) -> GroupHealth:
        """Whether a group could fail over now."""
        return self.one(GroupHealth, "GET", group_path(group_id, "health"))

    def get_health(self) -> ServiceHealth:
        """Health of the Protector that answers."""
        return self.one(ServiceHealth, "GET", "/health")

    def site_names(self, *site_ids: str) -> dict[str, str]:
        """Names of sites as far as the caller may know them: only administrators may list sites."""
        names = {site_id: site_id for site_id in site_ids}
        try:
            answer = self.call("GET", "/admin/sites")
        except exceptions.ApiError:
            return names
        names.update({site["id"]: site["name"] for site in answer["sites"]})
        return names
