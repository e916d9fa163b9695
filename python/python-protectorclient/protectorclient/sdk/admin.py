# SPDX-License-Identifier: Apache-2.0
"""Resources of administrators: sites and tenant mappings."""

from __future__ import annotations

from typing import Any, TypedDict

from openstack import resource

from protectorclient.sdk.base import ProtectorResource


class Site(ProtectorResource):
    """A registered OpenStack cloud and the Protector that runs there."""

    resource_key = "site"
    resources_key = "sites"
    base_path = "/admin/sites"
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    commit_method = "PATCH"

    id: str = resource.Body("id")
    """Made by the site's own Protector; equal on both sites."""
    name: str = resource.Body("name")
    """Unique name."""
    status: str = resource.Body("status")
    """``active``, ``unreachable``, ``error`` or ``registering``, as last observed."""
    status_reason: str | None = resource.Body("status_reason")
    """Why it is not ``active`` (1.3)."""
    status_observed_at: str | None = resource.Body("status_observed_at")
    """When the status was observed."""
    description: str = resource.Body("description")
    """Free text."""
    is_local: bool = resource.Body("is_local")
    """The site that the answering Protector runs in."""
    auth_url: str = resource.Body("auth_url")
    """Keystone of the site."""
    region_name: str | None = resource.Body("region_name")
    """Region of its catalog."""
    protector_url: str | None = resource.Body("protector_url")
    """Protector's API there."""
    username: str | None = resource.Body("username")
    """Service user."""
    project_name: str | None = resource.Body("project_name")
    """Project of the service user."""
    user_domain_name: str = resource.Body("user_domain_name")
    """Domain of the service user."""
    project_domain_name: str = resource.Body("project_domain_name")
    """Domain of its project."""
    application_credential_id: str | None = resource.Body("application_credential_id")
    """Application credential in place of a user."""
    ca_cert: str | None = resource.Body("ca_cert")
    """PEM certificates that are trusted."""
    insecure: bool = resource.Body("insecure")
    """Certificates are not checked."""
    cinder_host: str | None = resource.Body("cinder_host")
    """``host@backend#pool`` of the replicated backend, if it must not be looked up (1.3)."""
    created_at: str = resource.Body("created_at")
    """When it was registered."""


class VolumeType(ProtectorResource):
    """A replication-enabled volume type of a site."""

    resources_key = "volume_types"

    id: str = resource.Body("id")
    """Cinder's id."""
    name: str = resource.Body("name")
    """Name."""
    extra_specs: dict[str, str] = resource.Body("extra_specs", type=dict)
    """Extra specs."""


class Check(TypedDict):
    """One line of a validation."""

    name: str
    ok: bool
    warning: bool
    reason: str
    fix: str | None


class Validation(ProtectorResource):
    """What was proved of a site by harmless calls."""

    resource_key = "validation"

    site_id: str = resource.Body("site_id")
    """Which site."""
    ok: bool = resource.Body("ok")
    """All checks passed."""
    observed_at: str = resource.Body("observed_at")
    """When."""
    checks: list[Check] = resource.Body("checks", type=list)
    """One by one: name, ok, warning, reason and fix."""


class TenantMapping(ProtectorResource):
    """A project on one site and its counterpart on the other."""

    resource_key = "tenant_mapping"
    resources_key = "tenant_mappings"
    base_path = "/admin/tenant-mappings"
    allow_create = allow_fetch = allow_delete = allow_list = True

    id: str = resource.Body("id")
    """Equal on both sites."""
    primary_site_id: str = resource.Body("primary_site_id")
    """One site."""
    primary_project_id: str = resource.Body("primary_project_id")
    """Its project."""
    secondary_site_id: str = resource.Body("secondary_site_id")
    """The other site."""
    secondary_project_id: str = resource.Body("secondary_project_id")
    """Its project."""
    created_at: str = resource.Body("created_at")
    """When it was made."""


def project_fields(side: str, id_or_name: str, domain: str | None, is_id: bool) -> dict[str, Any]:
    """The fields that name a project; a name that looks like an id must be given with its domain."""
    if is_id and domain is None:
        return {f"{side}_project_id": id_or_name}
    return {f"{side}_project_name": id_or_name, f"{side}_project_domain_name": domain or "Default"}
