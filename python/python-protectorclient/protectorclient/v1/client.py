# SPDX-License-Identifier: Apache-2.0
"""Calls of the REST API, version 1. Answers are the plain dictionaries of the JSON bodies."""

import re
import urllib.parse
import uuid

from keystoneauth1 import adapter
from osc_lib.exceptions import CommandError

from protectorclient import exceptions

SERVICE_TYPE = "disaster-recovery"
SERVICE_NAME = "protector"
LATEST = "1.3"
PAGE = 500

_ROOT = re.compile(r"/v1(/[^/]*)?/?$")


def is_id(text):
    """True for a UUID in any of the forms that OpenStack writes."""
    try:
        uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def quote(value):
    """A value as one segment of a path."""
    return urllib.parse.quote(str(value), safe="")


class Client:
    """The API as one user, with the session's token and project."""

    def __init__(
        self,
        session,
        api_version=LATEST,
        endpoint_override=None,
        region_name=None,
        interface=None,
        project_id=None,
        **kwargs,
    ):
        self.api_version = api_version
        self._project_id = project_id
        self._endpoint = endpoint_override
        self.adapter = adapter.Adapter(
            session,
            service_type=SERVICE_TYPE,
            region_name=region_name,
            interface=interface,
            user_agent="python-protectorclient",
            **kwargs,
        )

    @property
    def project_id(self):
        """The project whose groups and operations are meant: that of the token."""
        if self._project_id is None:
            self._project_id = self.adapter.get_project_id()
        if not self._project_id:
            raise CommandError(
                "The token belongs to no project; set project_name or OS_PROJECT_NAME"
            )
        return self._project_id

    @property
    def endpoint(self):
        """Root of the API; catalogs also name ``/v1`` or ``/v1/<project>``."""
        if self._endpoint is None:
            url = self.adapter.get_endpoint()
            if not url:
                raise CommandError(
                    f"The catalog has no endpoint of type {SERVICE_TYPE} (service {SERVICE_NAME}) in this "
                    "region; ask an administrator, or give --os-protector-endpoint"
                )
            self._endpoint = url
        return _ROOT.sub("", self._endpoint.rstrip("/"))

    # -- plumbing ---------------------------------------------------------

    def request(self, method, path, params=None, body=None, headers=None):
        """One call; the JSON body of the answer, ``None`` if it has none."""
        if params:
            given = {k: v for k, v in params.items() if v is not None}
            if given:
                path = f"{path}?{urllib.parse.urlencode(given)}"
        headers = dict(headers or {})
        headers.setdefault("OpenStack-API-Version", f"{SERVICE_NAME} {self.api_version}")
        headers.setdefault("Accept", "application/json")
        arguments = {"json": body} if body is not None else {}
        response = self.adapter.request(
            self.endpoint + path, method, headers=headers, raise_exc=False, **arguments
        )
        if response.status_code >= 400:
            raise self._error(response)
        if response.status_code == 204 or not response.content:
            return None
        return response.json()

    @staticmethod
    def _error(response):
        try:
            errors = response.json().get("errors") or []
        except (ValueError, AttributeError):
            errors = []
        kind = exceptions.NotFound if response.status_code == 404 and errors else exceptions.ApiError
        request_id = response.headers.get("X-OpenStack-Request-Id")
        return kind(response.status_code, errors, request_id, response.text)

    def list_all(self, path, key, limit=None, **filters):
        """The items of all pages, or of as many as make ``limit``."""
        items = []
        marker = filters.pop("marker", None)
        while True:
            page = PAGE if limit is None else min(PAGE, limit - len(items))
            body = self.request("GET", path, params={**filters, "limit": page, "marker": marker})
            items += body[key]
            if not body.get(f"{key}_links") or not body[key]:
                return items
            if limit is not None and len(items) >= limit:
                return items
            if body[key][-1]["id"] == marker:
                # The server does not go on: better a clear end than a loop without one.
                raise CommandError(f"{path} answers the same page again after {marker}")
            marker = body[key][-1]["id"]

    def _tenant(self, *parts):
        return "/".join(["/v1", quote(self.project_id), *map(quote, parts)])

    def _group(self, group_id, *parts):
        return self._tenant("protection-groups", group_id, *parts)

    # -- sites and tenant mappings (administrators) -----------------------

    def sites(self, **filters):
        return self.list_all("/v1/admin/sites", "sites", **filters)

    def site(self, site_id):
        return self.request("GET", f"/v1/admin/sites/{quote(site_id)}")["site"]

    def find_site(self, name_or_id):
        """A site by id or name."""
        if is_id(name_or_id):
            return self.site(name_or_id)
        return self._only("site", name_or_id, [s for s in self.sites() if s["name"] == name_or_id])

    def create_site(self, **fields):
        return self.request("POST", "/v1/admin/sites", body={"site": fields})["site"]

    def update_site(self, site_id, **fields):
        path = f"/v1/admin/sites/{quote(site_id)}"
        return self.request("PATCH", path, body={"site": fields})["site"]

    def delete_site(self, site_id):
        self.request("DELETE", f"/v1/admin/sites/{quote(site_id)}")

    def validate_site(self, site_id):
        return self.request("POST", f"/v1/admin/sites/{quote(site_id)}/validate")["validation"]

    def site_volume_types(self, site_id):
        return self.request("GET", f"/v1/admin/sites/{quote(site_id)}/volume-types")["volume_types"]

    def tenant_mappings(self, **filters):
        return self.list_all("/v1/admin/tenant-mappings", "tenant_mappings", **filters)

    def tenant_mapping(self, mapping_id):
        return self.request("GET", f"/v1/admin/tenant-mappings/{quote(mapping_id)}")["tenant_mapping"]

    def create_tenant_mapping(self, **fields):
        body = {"tenant_mapping": fields}
        return self.request("POST", "/v1/admin/tenant-mappings", body=body)["tenant_mapping"]

    def delete_tenant_mapping(self, mapping_id):
        self.request("DELETE", f"/v1/admin/tenant-mappings/{quote(mapping_id)}")

    # -- protection groups ------------------------------------------------

    def groups(self, **filters):
        return self.list_all(self._tenant("protection-groups"), "protection_groups", **filters)

    def group(self, group_id):
        return self.request("GET", self._group(group_id))["protection_group"]

    def find_group(self, name_or_id):
        """A group by id or name."""
        if is_id(name_or_id):
            return self.group(name_or_id)
        named = [g for g in self.groups(name=name_or_id) if g["name"] == name_or_id]
        return self._only("protection group", name_or_id, named)

    def create_group(self, **fields):
        body = {"protection_group": fields}
        return self.request("POST", self._tenant("protection-groups"), body=body)["protection_group"]

    def update_group(self, group_id, version=None, **fields):
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        body = {"protection_group": fields}
        return self.request("PATCH", self._group(group_id), body=body, headers=headers)["protection_group"]

    def delete_group(self, group_id):
        self.request("DELETE", self._group(group_id))

    def members(self, group_id, **filters):
        return self.list_all(self._group(group_id, "members"), "members", **filters)

    def find_member(self, group_id, name_or_id):
        """A member by its id, its server's id or its name."""
        found = [
            m
            for m in self.members(group_id)
            if name_or_id in (m["id"], m["name"], m.get("server_id"), *m.get("servers", {}).values())
        ]
        return self._only("member", name_or_id, found)

    def add_member(self, group_id, server):
        body = {"member": {"server": server}}
        return self.request("POST", self._group(group_id, "members"), body=body)["member"]

    def remove_member(self, group_id, member_id):
        self.request("DELETE", self._group(group_id, "members", member_id))

    def refresh_member(self, group_id, member_id):
        return self.request("POST", self._group(group_id, "members", member_id, "refresh"))["member"]

    def policy(self, group_id):
        return self.request("GET", self._group(group_id, "policy"))["policy"]

    def set_policy(self, group_id, **fields):
        return self.request("POST", self._group(group_id, "policy"), body={"policy": fields})["policy"]

    def sync_status(self, group_id):
        return self.request("GET", self._group(group_id, "sync-status"))["sync_status"]

    def sync_force(self, group_id, from_site=None):
        body = {} if from_site is None else {"from": from_site}
        return self.request("POST", self._group(group_id, "sync-force"), body=body)["sync_status"]

    def consistency_group(self, group_id):
        return self.request("GET", self._group(group_id, "consistency-group"))["consistency_group"]

    def recovery_points(self, group_id):
        return self.request("GET", self._group(group_id, "recovery-points"))["recovery_points"]

    def group_health(self, group_id):
        return self.request("GET", self._group(group_id, "health"))["health"]

    def health(self):
        return self.request("GET", "/v1/health")["health"]

    # -- operations -------------------------------------------------------

    def act(self, group_id, action, idempotency_key=None, **parameters):
        """Starts an operation; parameters that are ``None`` are left out."""
        given = {k: v for k, v in parameters.items() if v is not None}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {action: given}
        return self.request("POST", self._group(group_id, "action"), body=body, headers=headers)["operation"]

    def operations(self, **filters):
        return self.list_all(self._tenant("operations"), "operations", **filters)

    def operation(self, operation_id):
        return self.request("GET", self._tenant("operations", operation_id))["operation"]

    @staticmethod
    def _only(kind, name, found):
        if len(found) == 1:
            return found[0]
        if not found:
            raise CommandError(f"No {kind} has the id or name {name!r}")
        ids = ", ".join(item["id"] for item in found)
        raise CommandError(f"Several have the name {name!r}; give an id of: {ids}")
