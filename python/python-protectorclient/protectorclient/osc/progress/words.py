# SPDX-License-Identifier: Apache-2.0
"""Steps, times and counts in words."""

from __future__ import annotations

import datetime
import re

# (while it runs, when it is done); what is missing here is told by its own name.
_STEPS: dict[str, tuple[str, str]] = {
    "arrive": ("waiting for the server", "server is up"),
    "clone": ("cloning a volume on the array", "volume cloned"),
    "connect": ("reconnecting its volumes", "volumes reconnected"),
    "content": ("putting the new data into a volume", "data is back in its volume"),
    "create": ("creating the server", "server is up"),
    "delete": ("deleting", "deleted"),
    "dress": ("setting volume metadata", "volume metadata set"),
    "fill": ("copying a security group's rules", "security group's rules copied"),
    "finish": ("completing the server", "server is up"),
    "fence": ("disconnecting its volumes", "volumes disconnected"),
    "free": ("freeing a port of the original", "port freed"),
    "left_out": ("left out", "left out"),
    "lock": ("locking the source server", "source locked"),
    "manage": ("taking a volume into Cinder", "volume in Cinder"),
    "original": ("reading the original server", "original read"),
    "port": ("creating a port", "port created"),
    "power": ("restoring the power state", "power state restored"),
    "record": ("recording array connections", "connections recorded"),
    "restart": ("starting the stopped server again", "server is up"),
    "retire": ("removing the server at the other site", "server at the other site removed"),
    "secure": ("keeping the old content of a volume", "old content kept"),
    "start": ("starting the server", "server started"),
    "stop": ("stopping the source server", "source stopped"),
    "unfence": ("reconnecting its volumes", "volumes reconnected"),
    "unplug": ("taking a port over", "port taken over"),
    "unlock": ("unlocking the source server", "source unlocked"),
    "verify": ("reading the source again", "up, and the source is down"),
}
_STEP = re.compile(r"^(?:.*\.)?([a-z_-]+?)\d*$")


def kind_of(step: str) -> str:
    """``clone`` of the step ``m1.clone0``."""
    match = _STEP.match(step)
    return match.group(1) if match else step


def has_words(step: str) -> bool:
    """Whether a step is told by more than its name."""
    return kind_of(step) in _STEPS


def phrase(step: str, event: str, message: str) -> str:
    """What an entry of the journal says about a member."""
    running, done = _STEPS.get(kind_of(step), (kind_of(step), f"{kind_of(step)} done"))
    if event == "started":
        return running
    if event == "done":
        return done
    if event == "undo_started":
        return f"undoing: {done}"
    if event == "undone":
        return f"undone: {done}"
    if event in ("failed", "undo_failed", "warning"):
        return f"{running}: {message}" if message else f"{running}: {event}"
    return f"{running}: {event}"


def duration(seconds: float) -> str:
    """``0:42``, ``12:05``, ``1:02:03``."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{whole % 60:02d}"
    return f"{minutes}:{whole % 60:02d}"


def age(seconds: float) -> str:
    """An age as people say it: ``35 s``, ``4 min 50 s``, ``3 h 20 min``, ``2 days 4 h``."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {whole % 60} s"
    return f"{whole} s"


def moment(text: str) -> datetime.datetime | None:
    """A time of the API, or nothing if it is not one."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z$", text)
    if match is None:
        return None
    return datetime.datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)


def between(earlier: str, later: str) -> float | None:
    """Seconds between two times of the API; both are of the service's clock, never of this machine's."""
    first, second = moment(earlier), moment(later)
    return None if first is None or second is None else (second - first).total_seconds()


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key by which ``web-2`` comes before ``web-10``."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]


def count(number: int, thing: str) -> str:
    """``1 server``, ``3 servers``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
