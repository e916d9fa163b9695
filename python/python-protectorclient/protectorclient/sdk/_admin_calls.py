# SPDX-License-Identifier: Apache-2.0
"""Calls of administrators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protectorclient.sdk.admin import Site, TenantMapping, Validation, VolumeType
from protectorclient.sdk.api import Api, quote
from protectorclient.sdk.find import is_id, only


class AdminCalls(Api):
    """Sites and tenant mappings."""

    def sites(self, **query: Any) -> Iterator[Site]:
        """All sites."""
        return self.pages(Site, "/admin/sites", **query)

    def get_site(self, site_id: str) -> Site:
        """A site by id."""
        return self.one(Site, "GET", f"/admin/sites/{quote(site_id)}")

    def find_site(self, name_or_id: str) -> Site:
        """A site by name or id."""
        if is_id(name_or_id):
            return self.get_site(name_or_id)
        return only("site", name_or_id, [site for site in self.sites() if site.name == name_or_id])

    def create_site(self, **fields: Any) -> Site:
        """Registers a site; ``fields`` are those of the API, ``name`` and ``auth_url`` at least."""
        return self.one(Site, "POST", "/admin/sites", body={"site": fields})

    def update_site(self, site_id: str, **fields: Any) -> Site:
        """Changes a site's record or credentials; what is not given stays."""
        return self.one(Site, "PATCH", f"/admin/sites/{quote(site_id)}", body={"site": fields})

    def delete_site(self, site_id: str) -> None:
        """Removes a site that nothing uses."""
        self.call("DELETE", f"/admin/sites/{quote(site_id)}")

    def validate_site(self, site_id: str) -> Validation:
        """Proves by harmless calls that a site can be used."""
        return self.one(Validation, "POST", f"/admin/sites/{quote(site_id)}/validate")

    def site_volume_types(self, site_id: str) -> Iterator[VolumeType]:
        """A site's replication-enabled volume types."""
        return self.whole(VolumeType, f"/admin/sites/{quote(site_id)}/volume-types")

    def tenant_mappings(self, **query: Any) -> Iterator[TenantMapping]:
        """All tenant mappings."""
        return self.pages(TenantMapping, "/admin/tenant-mappings", **query)

    def get_tenant_mapping(self, mapping_id: str) -> TenantMapping:
        """A tenant mapping by id."""
        return self.one(TenantMapping, "GET", f"/admin/tenant-mappings/{quote(mapping_id)}")

    def create_tenant_mapping(self, **fields: Any) -> TenantMapping:
        """Pairs two projects; ``fields`` are those of the API."""
        return self.one(TenantMapping, "POST", "/admin/tenant-mappings", body={"tenant_mapping": fields})

    def delete_tenant_mapping(self, mapping_id: str) -> None:
        """Removes a tenant mapping that no group uses."""
        self.call("DELETE", f"/admin/tenant-mappings/{quote(mapping_id)}")
