# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, with the API's own codes and sentences."""

from osc_lib import exceptions


class ApiError(exceptions.CommandError):
    """An unsuccessful answer. ``errors`` are the entries of the error body."""

    def __init__(self, status, errors, request_id=None, text=""):
        self.status = status
        self.errors = errors
        self.request_id = request_id
        details = [e.get("detail") or e.get("title") or "" for e in errors]
        message = "\n".join(d for d in details if d) or text.strip() or "no reason given"
        suffix = f" (HTTP {status}" + (f", {request_id})" if request_id else ")")
        super().__init__(message + suffix)

    @property
    def codes(self):
        """Stable dotted words, one per reason."""
        return [e.get("code") for e in self.errors]


class NotFound(ApiError):
    """The resource is not there, or not the caller's to see."""


class OperationFailed(exceptions.CommandError):
    """An operation that was waited for did not complete."""
