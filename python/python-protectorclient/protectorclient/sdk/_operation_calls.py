# SPDX-License-Identifier: Apache-2.0
"""Calls that start, plan and follow operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from protectorclient import exceptions
from protectorclient.sdk._group_calls import group_path
from protectorclient.sdk.api import Api, quote
from protectorclient.sdk.groups import ProtectionGroup
from protectorclient.sdk.operations import Event, Operation, Plan


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if value is not None}


class OperationCalls(Api):
    """Actions on groups, plans, operations and their journals. Parameters that are ``None`` are not sent."""

    def act(self, group_id: str, action: str, idempotency_key: str | None = None, **parameters: Any) -> Operation:
        """Starts an action by its key. The same idempotency key within a day gives the same operation."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {action: _given(parameters)}
        return self.one(Operation, "POST", group_path(group_id, "action"), body=body, headers=headers)

    def act_at_once(
        self, group_id: str, action: str, idempotency_key: str | None = None, **parameters: Any
    ) -> tuple[ProtectionGroup, list[str]]:
        """Runs ``reset_status`` or ``release_quarantine``, done when it answers; gives group and warnings (1.3)."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        path = group_path(group_id, "action")
        answer = self.call("POST", path, body={action: _given(parameters)}, headers=headers)
        return self.make(ProtectionGroup, answer["protection_group"]), list(answer.get("warnings") or ())

    def plan(self, group_id: str, action: str, **parameters: Any) -> Plan:
        """What an action would do; nothing is touched (1.3)."""
        return self.one(Plan, "POST", group_path(group_id, "plan"), body={action: _given(parameters)})

    def failover(self, group_id: str, *, force: bool = False, **parameters: Any) -> Operation:
        """Moves a group to its other site.

        ``force``: the primary site is down; the newest complete point is used. ``parameters``: network_mapping,
        flavor_mapping, recovery_point, allow_partial, plan_hash, preserve_addresses, idempotency_key.
        """
        return self.act(group_id, "failover", force=force or None, **parameters)

    def failback(self, group_id: str, *, reverse_replication: bool = False, **parameters: Any) -> Operation:
        """Moves a group back to its primary site; ``reverse_replication``: and protects it again afterwards."""
        return self.act(group_id, "failback", reverse_replication=reverse_replication or None, **parameters)

    def test_failover(self, group_id: str, *, retain_primary: bool = False, **parameters: Any) -> Operation:
        """Runs a drill on clones. Without ``retain_primary`` the primary's servers are stopped until its cleanup."""
        return self.act(group_id, "test_failover", retain_primary=retain_primary or None, **parameters)

    def test_cleanup(self, group_id: str, **parameters: Any) -> Operation:
        """Removes what a drill made; may be repeated until nothing is left."""
        return self.act(group_id, "test_cleanup", **parameters)

    def sync_volumes(self, group_id: str, **parameters: Any) -> Operation:
        """Makes a group snapshot and ships it to the other site now."""
        return self.act(group_id, "sync_volumes", **parameters)

    def operations(self, limit: int | None = None, **query: Any) -> Iterator[Operation]:
        """The project's operations, newest first; ``query``: protection_group_id, operation_type, status, since."""
        return self.pages(Operation, "/operations", limit=limit, **query)

    def get_operation(self, operation_id: str) -> Operation:
        """An operation by id."""
        return self.one(Operation, "GET", f"/operations/{quote(operation_id)}")

    def events(self, operation_id: str, after: int | None = None, limit: int | None = None) -> Iterator[Event]:
        """The journal of an operation from the entry behind ``after`` on (1.3)."""
        return self.pages(Event, f"/operations/{quote(operation_id)}/events", limit=limit, marker=after)

    def wait_for_operation(
        self,
        operation_id: str,
        timeout: float | None = None,
        interval: float = 2.0,
        callback: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Looks at an operation until nothing more happens by itself; returns it only if it completed.

        ``callback`` gets the operation at every look. Raises ``OperationFailed`` if it ended otherwise or waits for a
        person, ``WaitTimeout`` after ``timeout`` seconds (the operation goes on).
        """
        begun = time.monotonic()
        while True:
            operation = self.get_operation(operation_id)
            if callback is not None:
                callback(operation)
            if operation.status == "completed":
                return operation
            if operation.is_stopped:
                raise exceptions.OperationFailed(operation)
            if timeout is not None and time.monotonic() - begun >= timeout:
                raise exceptions.WaitTimeout(f"{operation_id} has not ended within {timeout:g} s; it goes on")
            time.sleep(interval)
