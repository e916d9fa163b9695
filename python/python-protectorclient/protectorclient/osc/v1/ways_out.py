# SPDX-License-Identifier: Apache-2.0
"""Ways out of an operation that runs, stopped or failed, and of a group in trouble. All need API version 1.3."""

from __future__ import annotations

import argparse
from typing import Any

from protectorclient.osc.v1.action import Action
from protectorclient.osc.v1.caution import Care
from protectorclient.sdk import ProtectionGroup


def _which(group: ProtectionGroup, args: argparse.Namespace) -> str:
    return str(args.operation or group.current_operation_id or "the last operation")


class Cancel(Action):
    """Stop the running operation of a group and undo what it did"""

    action = "cancel"
    # What went through before the cancellation arrived is told, and is not what was asked for.
    goals = ("cancelled",)
    care = Care.ASK
    takes_operation = True

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return f"Cancelling {_which(group, args)} of {group.name}: it stops, and what it did is undone."


class Retry(Action):
    """Try again what an operation failed at"""

    action = "retry"
    takes_operation = True

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return f"Trying {_which(group, args)} of {group.name} again."


class Skip(Action):
    """Go on without one step of an operation that waits"""

    action = "skip"
    care = Care.ASK
    takes_operation = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--step", metavar="<step>", required=True, help="The step, as operation events names it")
        parser.add_argument("--reason", metavar="<text>", required=True, help="Why it may be left out; it is recorded")
        parser.add_argument(
            "--force", action="store_true", help="Also the barrier that keeps two sites from running at once"
        )
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        more = {"step": args.step, "reason": args.reason, "force": args.force or None}
        return {**super().parameters(args), **more}

    def care_for(self, args: argparse.Namespace) -> Care:
        return Care.TYPE_NAME if args.force else Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        barrier = " The barrier is passed: servers may come to run at BOTH sites." if args.force else ""
        return f"{_which(group, args)} of {group.name} goes on without its step {args.step}.{barrier}"


class Abandon(Action):
    """Give up the rest of an operation; what it leaves is listed"""

    action = "abandon"
    goals = ("completed", "failed", "cancelled")
    care = Care.ASK
    takes_operation = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--reason", metavar="<text>", required=True, help="Why; it is recorded")
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        return {**super().parameters(args), "reason": args.reason}

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return (
            f"Abandoning {_which(group, args)} of {group.name}: nothing more is done or undone; "
            "what it leaves is yours to look after."
        )


class Takeover(Action):
    """Drive on, from this site, the operation of a site that is dead"""

    action = "takeover"
    care = Care.TYPE_NAME
    takes_operation = True

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        return {**super().parameters(args), "force": True}

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return (
            f"Takeover of {group.name}: the site that drives its operation is taken to be dead; this one drives it on."
        )


class ReleaseQuarantine(Action):
    """Make a quarantined group usable again at this site, once both sites agree"""

    action = "release_quarantine"
    at_once = True
    care = Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return f"Release of {group.name} from its quarantine ({group.quarantine or 'none'})."


class ResetStatus(Action):
    """Leave the status error, to one that a fresh look at clouds and arrays proves (administrators)"""

    action = "reset_status"
    at_once = True
    care = Care.ASK

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--status",
            choices=("active", "failed_over", "failed_over_partial"),
            help="The status that it should have (default: the one that is proven)",
        )
        parser.add_argument("--force", action="store_true", help="Its current primary site is lost for good")
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        return {**super().parameters(args), "status": args.status, "force": args.force or None}

    def care_for(self, args: argparse.Namespace) -> Care:
        return Care.TYPE_NAME if args.force else Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        lost = " Its current primary site is recorded as lost for good." if args.force else ""
        to = args.status or "the status that clouds and arrays prove"
        return f"Reset of {group.name} from {group.status} to {to}.{lost}"
