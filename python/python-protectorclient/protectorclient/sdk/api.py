# SPDX-License-Identifier: Apache-2.0
"""Calls of the API: where it is, which version is spoken, what errors become, what is logged."""

from __future__ import annotations

import json
import logging
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from keystoneauth1 import discover
from keystoneauth1 import exceptions as ksa
from openstack import proxy

from protectorclient import exceptions, redact
from protectorclient.sdk.base import ProtectorResource

if TYPE_CHECKING:
    import requests

LOG = logging.getLogger(__name__)

SERVICE_TYPE = "disaster-recovery"
SERVICE_NAME = "protector"
VERSION_HEADER = "OpenStack-API-Version"
#: The API version that this client was written for.
NEWEST = "1.3"
PAGE = 500

_ResourceT = TypeVar("_ResourceT", bound=ProtectorResource)
_ROOT = re.compile(r"/v1(/[^/]*)?/?$")
# What is not of one project; everything else is below /v1/<project>.
_COMMON = ("/admin/", "/health")


def quote(value: str) -> str:
    """A value as one segment of a path."""
    return urllib.parse.quote(str(value), safe="")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in discover.normalize_version_number(text))


class Api(proxy.Proxy):
    """The API as one user: token and project of the session, one API version for all calls."""

    _negotiated: str | None = None

    # -- where, and which version -------------------------------------------------------------------------------------

    @property
    def project_id(self) -> str:
        """The project whose groups and operations are meant: that of the token."""
        project = self.get_project_id()
        if not project:
            raise exceptions.NoProject(
                "The token belongs to no project; name one with --os-project-name, OS_PROJECT_NAME or clouds.yaml"
            )
        return str(project)

    @property
    def root(self) -> str:
        """Address of the API without ``/v1``; catalogs also name ``/v1`` or ``/v1/<project>``."""
        try:
            url = self.get_endpoint()
        except ksa.EndpointNotFound:
            url = None
        if not url:
            raise exceptions.NoEndpoint(
                f"The catalog of this cloud has no endpoint of type {SERVICE_TYPE} (service {SERVICE_NAME}) in this "
                "region; ask an administrator to register it, or give its URL with --os-protector-endpoint"
            )
        return _ROOT.sub("", str(url).rstrip("/"))

    @property
    def microversion(self) -> str:
        """The API version of all calls: the one that was asked for, else the newest that both sides know."""
        if self.default_microversion:
            return str(self.default_microversion)
        if self._negotiated is None:
            self._negotiated = self._negotiate()
        return self._negotiated

    def _negotiate(self) -> str:
        # Our own document at the root: a catalog that already names /v1/<project> would hide it from discovery.
        try:
            response = self.session.get(
                self.root + "/", authenticated=False, raise_exc=False, headers={"Accept": "application/json"}
            )
            [entry] = [v for v in response.json()["versions"] if v["id"] == "v1"]
            oldest, newest = _version(entry["min_version"]), _version(entry["version"])
        except (ValueError, KeyError, TypeError):
            # Something in between that hides the document; the call itself will tell.
            return NEWEST
        return ".".join(str(part) for part in max(min(_version(NEWEST), newest), oldest))

    # -- calls --------------------------------------------------------------------------------------------------------

    def request(  # type: ignore[override]
        self, url: str, method: str, error_message: str | None = None, **kwargs: Any
    ) -> requests.Response:
        """One call. Paths are relative to ``/v1/<project>``, or to ``/v1`` for what belongs to no project.

        An unsuccessful answer becomes an exception of :mod:`protectorclient.exceptions`, whatever ``raise_exc`` says.
        """
        kwargs.pop("raise_exc", None)
        wanted = kwargs.pop("microversion", None) or self.microversion
        headers = {"Accept": "application/json", **(kwargs.pop("headers", None) or {})}
        headers[VERSION_HEADER] = f"{SERVICE_NAME} {wanted}"
        address = self._address(url)
        body = kwargs.get("json")
        if redact.has_secrets(body):
            # keystoneauth would log the body as it is.
            LOG.debug("REQ: %s %s (headers left out) -d %s", method, address, json.dumps(redact.masked(body)))
            kwargs["log"] = False
        response = super().request(
            address, method, error_message=error_message, raise_exc=False, headers=headers, **kwargs
        )
        if kwargs.get("log") is False:
            request_id = response.headers.get("X-OpenStack-Request-Id")
            LOG.debug("RESP: [%s] %s (body left out)", response.status_code, request_id)
        if response.status_code >= 400:
            raise exceptions.from_response(response)
        return response

    def _address(self, url: str) -> str:
        if "://" in url:
            return url
        path = "/" + url.lstrip("/")
        if path.startswith(_COMMON):
            return f"{self.root}/v1{path}"
        return f"{self.root}/v1/{quote(self.project_id)}{path}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One call with JSON on both sides; ``None`` for an answer without a body."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        if given:
            path = f"{path}?{urllib.parse.urlencode(given)}"
        more = {} if body is None else {"json": body}
        response = self.request(path, method, headers=dict(headers or {}), **more)
        return response.json() if response.content else None

    def one(self, kind: type[_ResourceT], method: str, path: str, **kwargs: Any) -> _ResourceT:
        """One resource out of an answer."""
        answer = self.call(method, path, **kwargs)
        return self.make(kind, answer[str(kind.resource_key)])

    def make(self, kind: type[_ResourceT], body: Mapping[str, Any]) -> _ResourceT:
        """A resource out of its JSON."""
        return kind.existing(connection=self._get_connection(), **body)

    def whole(self, kind: type[_ResourceT], path: str) -> Iterator[_ResourceT]:
        """The resources of a list that has no pages."""
        for item in self.call("GET", path)[str(kind.resources_key)]:
            yield self.make(kind, item)

    def pages(self, kind: type[_ResourceT], path: str, limit: int | None = None, **query: Any) -> Iterator[_ResourceT]:
        """The resources of all pages, or the first ``limit`` of them; pages are fetched as they are needed."""
        key, left, marker = str(kind.resources_key), limit, query.pop("marker", None)
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            answer = self.call("GET", path, query={**query, "limit": size, "marker": marker})
            items = answer[key]
            for item in items:
                yield self.make(kind, item)
            if left is not None:
                left -= len(items)
            if not items or not answer.get(f"{key}_links"):
                return
            following = items[-1].get("id", items[-1].get("seq"))
            if following is None or following == marker:
                # The service does not go on: better a clear end than a loop without one.
                raise exceptions.EndlessList(f"{path} answers the same page again after {marker}")
            marker = following
