# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, with the API's own codes and sentences.

All are openstacksdk exceptions, so that scripts which handle those need no more: a 404 is a ``NotFoundException``,
a 409 a ``ConflictException`` and so on. ``codes`` are what a program looks at; sentences may get better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openstack import exceptions as sdk

if TYPE_CHECKING:
    import requests

    from protectorclient.sdk.operations import Operation


class ApiError(sdk.HttpException):
    """An unsuccessful answer. ``errors`` are the entries of its body, one per reason."""

    errors: list[dict[str, Any]]

    def __init__(self, response: requests.Response, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        details = [str(entry.get("detail") or entry.get("title") or "") for entry in errors]
        text = "\n".join(detail for detail in details if detail)
        # A proxy in between answers in its own way; its first line still tells a person something.
        text = text or response.text.strip()[:500] or response.reason or "no reason given"
        super().__init__(message=text, response=response, details=text)

    def __str__(self) -> str:
        status = f"HTTP {self.status_code}"
        return f"{self.message} ({status}, {self.request_id})" if self.request_id else f"{self.message} ({status})"

    @property
    def codes(self) -> list[str]:
        """Stable dotted words, one per reason."""
        return [str(entry["code"]) for entry in self.errors if entry.get("code")]


class BadRequest(ApiError, sdk.BadRequestException):
    """400: the request is malformed; nothing was changed."""


class Unauthenticated(ApiError):
    """401: the token is missing, expired or revoked."""


class Forbidden(ApiError):
    """403: the token's roles do not allow it."""


class NotFound(ApiError, sdk.NotFoundException):
    """404: the resource is not there, or not the caller's to see."""


class VersionNotSupported(ApiError):
    """406: the service does not speak the API version that was asked for."""


class Conflict(ApiError, sdk.ConflictException):
    """409: it cannot be done as things are; the reasons say why. Nothing was changed."""


class PreconditionFailed(ApiError, sdk.PreconditionFailedException):
    """412: somebody else changed the resource in between."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    406: VersionNotSupported,
    409: Conflict,
    412: PreconditionFailed,
}


def from_response(response: requests.Response) -> ApiError:
    """The exception that an unsuccessful answer stands for."""
    try:
        body = response.json()
    except ValueError:
        body = None
    entries = body.get("errors") if isinstance(body, dict) else None
    errors = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if response.status_code == 404 and not errors:
        # Not an answer of ours: a wrong address, say. "Not found" would be a lie about the resource.
        return ApiError(response, errors)
    return _BY_STATUS.get(response.status_code, ApiError)(response, errors)


class NoEndpoint(sdk.SDKException):
    """The catalog does not say where Protector is."""


class NoProject(sdk.SDKException):
    """The token belongs to no project, so that there are no groups to look at."""


class EndlessList(sdk.SDKException):
    """The service answers the same page of a list again and again."""


class NotThere(sdk.SDKException):
    """No resource has this name."""


class Ambiguous(sdk.DuplicateResource):
    """Several resources have this name."""


class OperationFailed(sdk.ResourceFailure):
    """An operation ended, or stopped and waits for a person, without having reached its goal."""

    operation: Operation

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        reason = operation.error_message or "its steps_failed say why"
        state = "needs attention" if operation.status == "needs_attention" else f"ended {operation.status}"
        super().__init__(f"{operation.id} {state}: {reason}")


class WaitTimeout(sdk.ResourceTimeout):
    """An operation was still going on when the time to wait was over. It goes on."""
