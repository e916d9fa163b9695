# SPDX-License-Identifier: Apache-2.0
"""Says what a dangerous command will do, and asks where there is somebody to answer."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from osc_lib import exceptions as osc

from protectorclient import exceptions
from protectorclient.osc.progress import words
from protectorclient.osc.v1.base import tell
from protectorclient.sdk import Plan, ProtectionGroup, Proxy

#: Actions that have a plan.
PLANNED = ("failover", "failback", "test_failover", "test_cleanup", "sync_volumes", "reprotect")
#: Those whose plan can be asked for; that of a retry is not told before each, since only some retries make a new one.
PLANNABLE = (*PLANNED, "retry")
_SHOWN_SERVERS = 20


class Care(enum.Enum):
    """How much a person must do before it goes on."""

    TELL = "tell"
    ASK = "ask"
    TYPE_NAME = "type name"


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What will happen: a headline, what the plan or the group's record says, and the plan if there is one."""

    headline: str
    lines: tuple[str, ...]
    plan: Plan | None = None

    def text(self) -> str:
        """All of it."""
        return "\n".join([self.headline, *(f"  {line}" for line in self.lines)])


def plan_or_none(client: Proxy, group: ProtectionGroup, action: str, parameters: Mapping[str, Any]) -> Plan | None:
    """The plan; nothing if the service or the API version in use cannot make one. A refusal is raised."""
    if _older(client.microversion, "1.3"):
        return None
    try:
        return client.plan(group.id, action, **parameters)
    except exceptions.NotFound:
        # The group was found a moment ago: it is the plan that this service does not have.
        return None


def _older(version: str, than: str) -> bool:
    return [int(part) for part in version.split(".")] < [int(part) for part in than.split(".")]


def outlook(
    client: Proxy, group: ProtectionGroup, action: str, parameters: Mapping[str, Any], headline: str
) -> Outlook:
    """What an action on a group will do."""
    if action not in PLANNED:
        return Outlook(headline, ())
    plan = plan_or_none(client, group, action, parameters)
    if plan is None:
        return Outlook(headline, tuple(from_record(client, group, _uses_a_point(action, parameters))))
    return Outlook(headline, tuple(from_plan(plan)), plan)


def from_plan(plan: Plan) -> list[str]:
    """The plan in a few lines."""
    lines = [f"from {plan.source_site} to {plan.target_site}"]
    point = plan.recovery_point
    if point:
        lines.append(_point(point.get("name"), point.get("created_at"), point.get("age_seconds")))
    elif plan.operation_type in ("failover", "failback"):
        lines.append("data: a last snapshot is made after the servers have stopped; nothing is lost")
    if plan.data_loss_seconds:
        lines.append(f"data loss: what was written in {words.age(plan.data_loss_seconds)}")
    lines += _servers([_planned_server(member) for member in plan.members or ()])
    if plan.stages:
        total = sum(_steps(stage) for stage in plan.stages)
        forecast = plan.forecast_seconds
        about = f", about {words.age(forecast)} as earlier ones took" if forecast else ""
        lines.append(f"{words.count(total, 'step')} in {words.count(len(plan.stages), 'stage')}{about}")
    for entry in plan.quota or ():
        needed, free = entry.get("needed"), entry.get("free")
        if isinstance(needed, int) and isinstance(free, int) and 0 <= free < needed:
            lines.append(f"quota: {entry.get('resource')} needs {needed}, free {free}")
    lines += [f"not preserved: {item if isinstance(item, str) else _flat(item)}" for item in plan.not_preserved or ()]
    lines += [f"warning: {warning}" for warning in plan.warnings or ()]
    return lines


def _steps(stage: Mapping[str, Any]) -> int:
    steps = stage.get("steps")
    return len(steps) if isinstance(steps, list) else int(steps or 0)


def _flat(item: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in item.items()) if isinstance(item, dict) else str(item)


def _planned_server(member: Mapping[str, Any]) -> str:
    networks = [n.get("name") or n.get("id") if isinstance(n, dict) else str(n) for n in member.get("networks") or ()]
    return "  ".join(filter(None, [str(member.get("name")), member.get("flavor"), ", ".join(filter(None, networks))]))


def _uses_a_point(action: str, parameters: Mapping[str, Any]) -> bool:
    # Everything else moves the newest data, or none.
    is_drill = action == "test_failover" or bool(parameters.get("retain_primary"))
    return is_drill or bool(parameters.get("force"))


def from_record(client: Proxy, group: ProtectionGroup, with_point: bool) -> list[str]:
    """What the group's record says, where there is no plan."""
    names = client.site_names(group.current_primary_site_id, group.target_site_id)
    lines = [f"runs at {names[group.current_primary_site_id]}, the other site is {names[group.target_site_id]}"]
    if with_point:
        lines.append(_newest_point(client, group))
    return lines + _servers([f"{member.name}  {member.flavor}" for member in client.members(group.id)])


def _newest_point(client: Proxy, group: ProtectionGroup) -> str:
    try:
        newest = client.get_consistency_group(group.id).newest_recovery_point
        lag = client.get_protection_group_health(group.id).lag_seconds
    except exceptions.ApiError as error:
        return f"recovery point: not known ({error})"
    if not newest:
        return "recovery point: none that is usable is known"
    return _point(newest.get("name"), newest.get("created_at"), lag)


def _point(name: Any, created: Any, age: Any) -> str:
    old = f", {words.age(float(age))} old" if isinstance(age, (int, float)) else ""
    return f"newest recovery point: {created}{old} ({name})"


def _servers(texts: list[str]) -> list[str]:
    shown = [f"  {text}" for text in texts[:_SHOWN_SERVERS]]
    if len(texts) > _SHOWN_SERVERS:
        shown.append(f"  and {len(texts) - _SHOWN_SERVERS} more")
    return [f"{words.count(len(texts), 'server')}{':' if texts else ''}", *shown]


def confirm(what: Outlook, care: Care, name: str, yes: bool, stdin: TextIO | None = None) -> bool:
    """Tells, and asks if there is somebody to answer. Returns whether a person was asked and agreed.

    Where standard input is no terminal nothing is asked: a script that calls a command means it.
    """
    tell(what.text())
    source = stdin or sys.stdin
    if care is Care.TELL or yes or source is None or not source.isatty():
        return False
    if care is Care.TYPE_NAME:
        _prompt(f"Type the name {name} to go on: ")
        agreed = source.readline().strip() == name
    else:
        _prompt("Go on? [y/N] ")
        agreed = source.readline().strip().lower() in ("y", "yes")
    if not agreed:
        raise osc.CommandError("Nothing was done")
    return True


def _prompt(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
