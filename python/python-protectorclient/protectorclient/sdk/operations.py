# SPDX-License-Identifier: Apache-2.0
"""Operations, their journals and their plans."""

from __future__ import annotations

from typing import Any, TypedDict

from openstack import resource

from protectorclient.sdk.base import ProtectorResource

#: An operation in one of these has ended; its record never changes again.
TERMINAL = frozenset({"completed", "failed", "cancelled"})
#: In this one it goes on only after a person's decision: retry, skip or abandon.
WAITS_FOR_A_PERSON = "needs_attention"


class Stage(TypedDict):
    """How far one stage is: steps done, in all, and under way."""

    name: str
    done: int
    total: int
    running: int


class Operation(ProtectorResource):
    """One run of a failover, failback, drill, its cleanup, a sync or a reprotection."""

    resource_key = "operation"
    resources_key = "operations"
    base_path = "/operations"
    allow_fetch = allow_list = True

    id: str = resource.Body("id")
    """``op-`` and a UUID."""
    operation_type: str = resource.Body("operation_type")
    """``failover``, ``failback``, ``test_failover``, ``test_cleanup``, ``sync_volumes`` or ``reprotect``."""
    status: str = resource.Body("status")
    """``pending``, ``running``, ``rolling_back``, ``completed`` or ``failed``; from 1.3 also ``cancelling``,
    ``cancelled`` and ``needs_attention``."""
    progress: int = resource.Body("progress")
    """0 to 100; never falls, and is 100 only on completion."""
    protection_group_id: str = resource.Body("protection_group_id")
    """Its group."""
    source_site_id: str = resource.Body("source_site_id")
    """From."""
    target_site_id: str = resource.Body("target_site_id")
    """To."""
    started_at: str = resource.Body("started_at")
    """When it was accepted."""
    completed_at: str | None = resource.Body("completed_at")
    """When it ended."""
    error_message: str | None = resource.Body("error_message")
    """What went wrong, for a person."""
    steps_completed: list[str] = resource.Body("steps_completed", type=list)
    """Stages that are done, in order."""
    steps_failed: list[dict[str, Any]] = resource.Body("steps_failed", type=list)
    """What failed: stage, step, member, error, retries."""
    result_data: dict[str, Any] | None = resource.Body("result_data")
    """What came of it (1.1)."""
    stages: list[Stage] | None = resource.Body("stages")
    """Progress of each stage (1.3)."""
    warnings: list[str] | None = resource.Body("warnings")
    """What a person should know (1.3)."""
    leaked: list[dict[str, Any]] | None = resource.Body("leaked")
    """What could not be removed, and why (1.3)."""
    retry_of: str | None = resource.Body("retry_of")
    """The operation that this one tries again (1.3)."""
    project_id: str | None = resource.Body("project_id")
    """Its project (1.3)."""
    user_id: str | None = resource.Body("user_id")
    """Who asked for it (1.3)."""
    request_id: str | None = resource.Body("request_id")
    """The call that started it (1.3)."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in TERMINAL

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more happens by itself: it has ended, or waits for a person."""
        return self.is_over or self.status == WAITS_FOR_A_PERSON


class Event(ProtectorResource):
    """One entry of an operation's journal (1.3)."""

    resources_key = "events"

    seq: int = resource.Body("seq")
    """From 1, without holes."""
    at: str = resource.Body("at")
    """When, to the microsecond."""
    event: str = resource.Body("event")
    """``started``, ``done``, ``failed`` and others."""
    stage: str | None = resource.Body("stage")
    """Its stage."""
    step: str | None = resource.Body("step")
    """Its step."""
    member: str | None = resource.Body("member")
    """The member that it is about, by name."""
    message: str = resource.Body("message")
    """For a person."""


class Plan(ProtectorResource):
    """What an action would do, computed without touching anything (1.3)."""

    resource_key = "plan"

    operation_type: str = resource.Body("operation_type")
    """What would run."""
    source_site: str = resource.Body("source_site")
    """From."""
    target_site: str = resource.Body("target_site")
    """To."""
    recovery_point: dict[str, Any] | None = resource.Body("recovery_point")
    """Name, created_at and age_seconds of the point that would be used; ``None``: one would be made."""
    data_loss_seconds: int | None = resource.Body("data_loss_seconds")
    """What would be lost; ``None``: not known."""
    forecast_seconds: int | None = resource.Body("forecast_seconds")
    """How long it will take, from earlier ones; ``None``: there are none."""
    members: list[dict[str, Any]] = resource.Body("members", type=list)
    """Each with name, server_id, flavor and networks at the target, and the number of volumes that move."""
    stages: list[dict[str, Any]] = resource.Body("stages", type=list)
    """Each with name and number of steps."""
    steps: list[dict[str, Any]] = resource.Body("steps", type=list)
    """Each with id, kind, stage, member and the steps that it comes after."""
    quota: list[dict[str, Any]] = resource.Body("quota", type=list)
    """Each with resource, needed and free."""
    warnings: list[str] = resource.Body("warnings", type=list)
    """What a person should know."""
    not_preserved: list[Any] = resource.Body("not_preserved", type=list)
    """What would be different at the target."""
    hash: str = resource.Body("hash")
    """An action that carries it is refused if the world has changed since."""
