# SPDX-License-Identifier: Apache-2.0
"""Follows an operation to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from keystoneauth1 import exceptions as ksa
from openstack import exceptions as sdk

from protectorclient import exceptions
from protectorclient.osc.progress import display
from protectorclient.osc.progress.view import View
from protectorclient.sdk import Event, Operation, Proxy

_NO_ANSWER = (ksa.ConnectionError, ksa.RetriableConnectionFailure)
#: A service that restarts, or a network that hiccups, does not end the wait.
PATIENCE = 120.0


def parking(events: Iterable[Event]) -> int:
    """The last entry with which an operation began to wait for a person; 0: none."""
    return max((event.seq for event in events if event.event == "parked"), default=0)


class Interrupted(Exception):
    """The person stopped watching; the operation goes on."""


class Follower:
    """Looks at an operation again and again, and shows what it sees."""

    def __init__(
        self,
        client: Proxy,
        screen: display.Live | display.Plain | None = None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._screen = screen or display.for_stream(sys.stderr)
        self._sleep = sleep or time.sleep
        self._clock = clock
        self._after: int | None = None
        self._has_events = True
        self._parked = 0

    def follow(
        self,
        operation: Operation,
        interval: float | None = None,
        timeout: float | None = None,
        parked: int | None = None,
    ) -> Operation:
        """The operation when it has ended or waits for a person. Raises ``WaitTimeout``, ``Interrupted``.

        ``parked``: the entry of its journal with which it began to wait before a person decided. The decision is taken
        up a moment after it is accepted, and until then the record says that it waits still.
        """
        view = View(*self._heading(operation))
        begun = self._clock()
        try:
            while True:
                view.take_operation(operation, self._clock() - begun)
                self._read_events(view, operation.id)
                view.take_operation(operation, self._clock() - begun)
                if operation.is_over or (operation.is_stopped and parked is None):
                    return operation
                if operation.is_stopped and self._waits_again(parked or 0):
                    # Read again: the record is older than the journal.
                    operation = self._look(view, operation)
                    view.take_operation(operation, self._clock() - begun)
                    if operation.is_stopped:
                        return operation
                self._screen.update(view)
                if timeout is not None and self._clock() - begun >= timeout:
                    raise exceptions.WaitTimeout(
                        f"{operation.id} has not ended within {timeout:g} s; it goes on. "
                        f"Follow it with: openstack protector operation watch {operation.id}"
                    )
                self._sleep(interval or self._screen.interval)
                operation = self._look(view, operation)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{operation.id} goes on without you.\n"
                f"Follow it with: openstack protector operation watch {operation.id}\n"
                f"Stop and undo it with: openstack protector protection-group cancel {operation.protection_group_id}"
            ) from None
        finally:
            self._screen.close(view)

    def _waits_again(self, parked: int) -> bool:
        return not self._has_events or self._parked > parked

    def _heading(self, operation: Operation) -> tuple[str, list[str]]:
        kind = operation.operation_type.replace("_", " ")
        try:
            group = self._client.get_protection_group(operation.protection_group_id)
            members = [member.name for member in self._client.members(group.id)]
        except sdk.SDKException:
            return kind, []
        return f"{kind} of {group.name}", members

    def _look(self, view: View, last: Operation) -> Operation:
        begun = self._clock()
        while True:
            try:
                operation = self._client.get_operation(last.id)
                view.note = None
                return operation
            except exceptions.ApiError as error:
                if (error.status_code or 0) < 500 or self._clock() - begun > PATIENCE:
                    raise
                view.note = f"Protector says: {error}"
            except _NO_ANSWER:
                if self._clock() - begun > PATIENCE:
                    raise
                view.note = "Protector does not answer; trying again"
            self._screen.update(view)
            self._sleep(self._screen.interval)

    def _read_events(self, view: View, operation_id: str) -> None:
        if not self._has_events:
            return
        try:
            events = list(self._client.events(operation_id, after=self._after))
        except exceptions.ApiError as error:
            # Before 1.3 there is no journal to be read; a passing trouble will be over at the next look.
            self._has_events = (error.status_code or 0) >= 500
            return
        except _NO_ANSWER:
            return
        view.take_events(events)
        self._parked = parking(events) or self._parked
        if events:
            self._after = events[-1].seq
