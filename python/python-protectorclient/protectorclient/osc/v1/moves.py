# SPDX-License-Identifier: Apache-2.0
"""Failover, failback, drills, syncs, reprotection."""

from __future__ import annotations

import argparse
from typing import Any

from protectorclient.osc.v1.action import Action
from protectorclient.osc.v1.caution import Care
from protectorclient.sdk import ProtectionGroup


class Failover(Action):
    """Fail a protection group over to its other site

    planned: both sites are up; servers are stopped, a last snapshot is shipped, nothing is lost.
    unplanned: the primary site is down; the newest complete recovery point is used.
    """

    action = "failover"
    care = Care.ASK
    takes_mappings = True
    takes_point = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--type",
            choices=("planned", "unplanned"),
            default="planned",
            help="unplanned bypasses the check of the other site: only for a genuine outage (default: planned)",
        )
        parser.add_argument(
            "--retain-primary",
            action="store_true",
            help="A drill: test failover with the primary's servers left running",
        )
        parser.add_argument(
            "--allow-partial",
            action="store_true",
            help="unplanned: go on with what can be rebuilt, although something has no counterpart at the target",
        )
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        parameters = super().parameters(args)
        parameters["force"] = True if args.type == "unplanned" else None
        parameters["retain_primary"] = args.retain_primary or None
        parameters["allow_partial"] = args.allow_partial or None
        return parameters

    def care_for(self, args: argparse.Namespace) -> Care:
        if args.type == "unplanned":
            return Care.TYPE_NAME
        return Care.TELL if args.retain_primary else Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        if args.type == "unplanned":
            return (
                f"Unplanned failover of {group.name}: its current primary site is taken to be lost. What was written "
                "there after the recovery point is lost."
            )
        if args.retain_primary:
            return f"Drill of {group.name} on clones; the primary's servers go on running."
        return (
            f"Planned failover of {group.name}: its servers are stopped, and started at the other site. "
            "Nothing is lost."
        )


class Failback(Action):
    """Move a protection group back to its primary site"""

    action = "failback"
    care = Care.ASK
    takes_mappings = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--reverse-replication",
            action="store_true",
            help="Afterwards replicate primary -> secondary again, so that the group is protected",
        )
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        parameters = super().parameters(args)
        parameters["reverse_replication"] = args.reverse_replication or None
        return parameters

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        after = "and is protected again" if args.reverse_replication else "and is NOT protected until the next sync"
        return (
            f"Failback of {group.name}: its servers are stopped where they run, their data moves back, and they start "
            f"at its primary site; it is back there afterwards, {after}."
        )


class TestFailover(Action):
    """Run a drill: the failover's path on clones

    Without --retain-primary the primary's servers are stopped for the drill, and started by its cleanup.
    """

    __test__ = False  # not a test case, whatever its name
    action = "test_failover"
    takes_mappings = True
    takes_point = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--retain-primary", action="store_true", help="Leave the primary's servers running during the drill"
        )
        return parser

    def parameters(self, args: argparse.Namespace) -> dict[str, Any]:
        parameters = super().parameters(args)
        parameters["retain_primary"] = args.retain_primary or None
        return parameters

    def care_for(self, args: argparse.Namespace) -> Care:
        return Care.TELL if args.retain_primary else Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        if args.retain_primary:
            return f"Drill of {group.name} on clones; the primary's servers go on running."
        return (
            f"Drill of {group.name} on clones; THE PRIMARY'S SERVERS ARE STOPPED until test-cleanup "
            "(--retain-primary leaves them running)."
        )


class TestCleanup(Action):
    """Remove what a drill made; may be repeated until nothing is left"""

    __test__ = False
    action = "test_cleanup"
    care = Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        drill = group.active_test_operation_id or "(none is open)"
        return f"Cleanup of {group.name}: what its drill {drill} made is deleted; servers that it stopped are started."


class Sync(Action):
    """Take a group snapshot and ship it to the other site now"""

    action = "sync_volumes"

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return f"Sync of {group.name}: a group snapshot is made and shipped to the other site."


class Reprotect(Action):
    """Accept the site where a failed-over group runs as its primary, and protect it towards the other"""

    action = "reprotect"
    care = Care.ASK

    def headline(self, group: ProtectionGroup, args: argparse.Namespace) -> str:
        return (
            f"Reprotection of {group.name}: the site where it runs becomes its primary, the other its secondary; "
            "replication is reversed and a first sync is made. There is no failback after it, but a failover."
        )
