# SPDX-License-Identifier: Apache-2.0
"""What is known of a running operation, as far as it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from protectorclient.osc.progress import words
from protectorclient.sdk import Event, Operation
from protectorclient.sdk.operations import Stage

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
_STATE_OF_EVENT = {
    "started": RUNNING,
    "undo_started": RUNNING,
    "done": RUNNING,
    "undone": RUNNING,
    "failed": FAILED,
    "undo_failed": FAILED,
}
# When one of these is done and nothing more runs, the server is where it should be.
_LAST_STEPS = frozenset({"arrive", "create", "finish", "power", "restart", "retire", "start", "verify"})


@dataclasses.dataclass
class Server:
    """A member of the group."""

    name: str
    state: str = WAITING
    text: str = "waiting"


@dataclasses.dataclass
class StageLine:
    """A stage."""

    name: str
    state: str
    done: int
    total: int
    running: int


class View:
    """Grows with each look at the operation and each entry of its journal."""

    def __init__(self, title: str, members: Iterable[str] = ()) -> None:
        self.title = title
        self.operation: Operation | None = None
        self.elapsed = 0.0
        self.note: str | None = None
        self.servers = {name: Server(name) for name in sorted(members, key=words.natural)}
        self._head_start: float | None = None
        self._open: dict[str, set[str]] = {}

    def take_operation(self, operation: Operation, watched: float) -> None:
        """A look at the record, after so many seconds of watching."""
        self.operation = operation
        self.elapsed = (self._head_start or 0.0) + watched
        for failed in operation.steps_failed or ():
            server = self._server(failed.get("member"))
            if server is not None:
                server.state, server.text = FAILED, str(failed.get("error") or "failed")
        if operation.status == "completed":
            for server in self.servers.values():
                if server.state == RUNNING:
                    server.state = DONE

    def take_events(self, events: Iterable[Event]) -> None:
        """More of the journal."""
        last = None
        for event in events:
            last = event
            server = self._server(event.member)
            if server is None or not event.step:
                continue
            self._track(server, event)
        if self._head_start is None and last is not None and self.operation is not None:
            # How long it has run before we looked, by the service's own clock.
            self._head_start = words.between(self.operation.started_at, last.at) or 0.0

    def _track(self, server: Server, event: Event) -> None:
        under_way = self._open.setdefault(server.name, set())
        step = str(event.step)
        if event.event in ("started", "undo_started"):
            under_way.add(step)
        else:
            under_way.discard(step)
        # What still runs says more than what has just ended.
        if event.event in ("done", "undone") and under_way:
            server.text = words.phrase(sorted(under_way)[0], "started", "")
        else:
            server.text = words.phrase(step, event.event, event.message)
        server.state = _STATE_OF_EVENT.get(event.event, RUNNING)
        if event.event == "done" and not under_way and words.kind_of(step) in _LAST_STEPS:
            server.state = DONE

    def _server(self, name: str | None) -> Server | None:
        if not name:
            return None
        if name not in self.servers:
            self.servers[name] = Server(name)
        return self.servers[name]

    def stages(self) -> list[StageLine]:
        """The stages in order, as far as the API version tells them."""
        operation = self.operation
        if operation is None:
            return []
        failed = {str(entry.get("stage")) for entry in operation.steps_failed or ()}
        completed = operation.steps_completed or []
        known: list[Stage] = operation.stages or [
            {"name": name, "done": 0, "total": 0, "running": 0} for name in completed
        ]
        return [self._stage(entry, failed, completed) for entry in known]

    @staticmethod
    def _stage(entry: Stage, failed: set[str], completed: list[str]) -> StageLine:
        name, done, total, running = entry["name"], entry["done"], entry["total"], entry["running"]
        state = WAITING
        if name in failed:
            state = FAILED
        elif name in completed or 0 < total == done:
            state = DONE
        elif running or done:
            state = RUNNING
        return StageLine(name, state, done, total, running)

    @property
    def remaining(self) -> float | None:
        """Seconds that are left if the pace stays; nothing before there is something to go by."""
        operation = self.operation
        if operation is None or operation.status != "running" or not 5 <= operation.progress < 100:
            return None
        return self.elapsed * (100 - operation.progress) / operation.progress
