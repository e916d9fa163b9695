# SPDX-License-Identifier: Apache-2.0
"""What actions on a group share: plan, caution, idempotency, waiting."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from osc_lib import exceptions as osc

from protectorclient.exceptions import ApiError
from protectorclient.osc.progress import follow
from protectorclient.osc.v1 import base, caution, names, options, output
from protectorclient.sdk import Operation, ProtectionGroup


def finish(command: Action, operation: Operation, args: argparse.Namespace, parked: int | None = None) -> output.Shown:
    """Shows the record, waiting if asked to: the exit code is then 0 only if the operation ended as it should."""
    _warn(operation.warnings or ())
    if args.wait:
        operation = watch(command, operation, timeout=args.timeout, goals=command.goals, parked=parked)
    return output.operation(operation, brief=args.wait)


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        base.tell(f"Warning: {warning}")


def watch(
    command: base.ShowOne,
    operation: Operation,
    *,
    interval: float | None = None,
    timeout: float | None = None,
    goals: tuple[str, ...] = ("completed",),
    parked: int | None = None,
) -> Operation:
    """Follows an operation to its end; the command fails if that is not a good one."""
    try:
        operation = follow.Follower(command.client).follow(operation, interval, timeout, parked)
    except follow.Interrupted as interruption:
        base.tell(str(interruption))
        raise SystemExit(130) from None
    if operation.status in goals:
        return operation
    if operation.status == "needs_attention":
        command.fail(
            f"{operation.id} needs attention: {operation.error_message or 'its steps_failed say why'}\n"
            "Next: openstack protector protection-group retry, skip or abandon "
            f"{operation.protection_group_id}"
        )
    else:
        reason = operation.error_message or "its steps_failed say why"
        command.fail(
            f"{operation.id} ended {operation.status}: {reason}\n"
            f"Next: openstack protector operation events {operation.id} tells step by step"
        )
    return operation


class Action(base.ShowOne):
    """A command that starts an operation on a group."""

    action: ClassVar[str]
    care: ClassVar[caution.Care] = caution.Care.TELL
    takes_mappings: ClassVar[bool] = False
    #: Takes a named recovery point and the like: failovers and drills.
    takes_point: ClassVar[bool] = False
    takes_operation: ClassVar[bool] = False
    #: Done when the service answers, with the group as it is then: nothing to wait for.
    at_once: ClassVar[bool] = False
    #: How the operation is to end for a wait to be a success.
    goals: ClassVar[tuple[str, ...]] = ("completed",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        if self.takes_mappings:
            options.add_mappings(
                parser, ("network_mapping", "flavor_mapping"), "where the group runs now, and its counterpart"
            )
        if self.takes_point:
            parser.add_argument(
                "--recovery-point",
                metavar="<name>",
                help="Use this point (protection-group recovery-point list) in place of the newest",
            )
            parser.add_argument(
                "--preserve-addresses",
                action="store_true",
                help="Keep IP and MAC addresses also where they could meet those of the primary",
            )
        if self.takes_operation:
            parser.add_argument(
                "--operation",
                metavar="<operation>",
                help="The operation that is meant (id); default: the current one, else the last",
            )
        if self.action in caution.PLANNABLE:
            parser.add_argument("--plan-only", action="store_true", help="Show the plan and do nothing")
            parser.add_argument(
                "--plan-hash",
                metavar="<hash>",
                help="Only if the plan still is the one with this hash (shown by --plan-only)",
            )
        parser.add_argument(
            "--idempotency-key",
            metavar="<key>",
            help="The same key and parameters within 24 hours give the same operation, whoever repeats the command",
        )
        if not self.at_once:
            parser.add_argument(
                "--wait", action="store_true", help="Wait until the operation has ended, and show how it goes"
            )
            options.add_timeout(parser)
        options.add_yes(parser)
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        """Parameters of the action; ``None`` is left out."""
        found: dict[str, Any] = {}
        if self.takes_mappings:
            look_up = names.Names(self.app.client_manager)
            for kind in ("network", "flavor"):
                pairs = getattr(args, f"{kind}_mapping")
                found[f"{kind}_mapping"] = look_up.mapping(kind, pairs, f"--{kind}-mapping") or None
        if self.takes_point:
            found["recovery_point"] = args.recovery_point
            found["preserve_addresses"] = args.preserve_addresses or None
        if self.takes_operation:
            found["operation_id"] = args.operation
        return found

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        """What will happen, in a sentence."""
        raise NotImplementedError

    def care_for(self, args: argparse.Namespace) -> caution.Care:
        """How much must be confirmed."""
        return self.care

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        parameters = self.parameters(parsed_args)
        group = self.client.find_protection_group(parsed_args.group)
        planned = self.action in caution.PLANNABLE
        if planned and parsed_args.plan_only:
            plan = caution.plan_or_none(self.client, group, self.action, parameters)
            if plan is None:
                raise osc.CommandError("This service does not make plans; it needs API version 1.3")
            return output.plan(plan)
        outlook = caution.outlook(self.client, group, self.action, parameters, self.headline(group, parsed_args))
        agreed = caution.confirm(outlook, self.care_for(parsed_args), group.name, parsed_args.yes)
        if planned and parsed_args.plan_hash:
            parameters["plan_hash"] = parsed_args.plan_hash
        elif agreed and outlook.plan is not None:
            # What a person agreed to is what runs, or nothing does.
            parameters["plan_hash"] = outlook.plan.hash
        # A key of our own: a lost answer is asked for again, and not a second operation started.
        key = parsed_args.idempotency_key or str(uuid.uuid4())
        if self.at_once:
            changed, warnings = self.client.act_at_once(group.id, self.action, idempotency_key=key, **parameters)
            _warn(warnings)
            return output.show(changed)
        parked = self._parked(group, parsed_args) if self.takes_operation and parsed_args.wait else None
        operation = self.client.act(group.id, self.action, idempotency_key=key, **parameters)
        return finish(self, operation, parsed_args, parked)

    def _parked(self, group: ProtectionGroup, args: argparse.Namespace) -> int | None:
        meant = args.operation or group.current_operation_id
        if not meant:
            return None
        try:
            return follow.parking(self.client.events(meant))
        except ApiError:
            # No journal, or no such operation: the action itself will tell.
            return None
