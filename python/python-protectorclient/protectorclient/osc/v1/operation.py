# SPDX-License-Identifier: Apache-2.0
"""Operations: runs of failovers, failbacks, drills, cleanups and syncs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from typing import Any, cast

from protectorclient.osc.v1 import action, base, options, output
from protectorclient.sdk import Event
from protectorclient.sdk.find import is_id

_COLUMNS = (
    ("id", "ID"),
    ("operation_type", "Type"),
    ("status", "Status"),
    ("progress", "Progress"),
    ("protection_group_id", "Protection Group"),
    ("started_at", "Started At"),
    ("completed_at", "Completed At"),
)
_EVENT_COLUMNS = (
    ("seq", "Seq"),
    ("at", "At"),
    ("event", "Event"),
    ("stage", "Stage"),
    ("step", "Step"),
    ("member", "Member"),
    ("message", "Message"),
)


class ListOperation(base.Lister):
    """List operations, newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--protection-group", metavar="<protection-group>", help="Only of this group (name or id)")
        parser.add_argument("--operation-type", metavar="<type>", help="Only of this type: failover, test_failover ...")
        parser.add_argument("--status", metavar="<status>", help="Only in this status")
        parser.add_argument("--since", metavar="<time>", help="Only those started at or after (2025-11-03T10:00:00Z)")
        parser.add_argument(
            "--limit", metavar="<number>", type=options.positive, default=100, help="At most this many (default: 100)"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        group = parsed_args.protection_group
        operations = self.client.operations(
            protection_group_id=self.client.find_protection_group(group).id if group else None,
            operation_type=parsed_args.operation_type,
            status=parsed_args.status,
            since=parsed_args.since,
            limit=parsed_args.limit,
        )
        return output.table(operations, _COLUMNS)


class ShowOperation(base.ShowOne):
    """Show an operation"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_operation(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return output.operation(self.client.get_operation(parsed_args.operation))


class WatchOperation(base.ShowOne):
    """Follow an operation until it ends; fails if it does not complete"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_operation(parser)
        parser.add_argument(
            "--interval", metavar="<seconds>", type=float, help="Between two looks (default: 1, without a terminal 2)"
        )
        options.add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        interval = None if parsed_args.interval is None else max(parsed_args.interval, 0.2)
        operation = self.client.get_operation(parsed_args.operation)
        watched = action.watch(self, operation, interval=interval, timeout=parsed_args.timeout)
        return output.operation(watched, brief=True)


class ListOperationEvent(base.Lister):
    """List the journal of an operation, step by step, with the members that each is about"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_operation(parser)
        parser.add_argument("--after", metavar="<seq>", type=options.positive, help="Only entries behind this one")
        parser.add_argument("--limit", metavar="<number>", type=options.positive, help="At most this many")
        parser.add_argument("--member", metavar="<member>", help="Only those about this member (name or id)")
        parser.add_argument(
            "--follow", action="store_true", help="A line per entry as it comes, until the operation ends"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        parsed_args.member = self._member_name(parsed_args)
        if parsed_args.follow:
            self._follow(parsed_args)
            raise SystemExit(0)
        return output.table(self._read(parsed_args, parsed_args.after), _EVENT_COLUMNS)

    def _member_name(self, args: argparse.Namespace) -> str | None:
        # The journal speaks of members by name.
        if not is_id(args.member):
            return cast("str | None", args.member)
        group_id = self.client.get_operation(args.operation).protection_group_id
        return self.client.find_member(group_id, args.member).name

    def _read(self, args: argparse.Namespace, after: int | None) -> Iterable[Event]:
        events = self.client.events(args.operation, after=after, limit=args.limit)
        return (event for event in events if args.member in (None, event.member))

    def _follow(self, args: argparse.Namespace) -> None:
        after = args.after
        while True:
            # Looked at first: what is written until it has ended is then surely read.
            stopped = self.client.get_operation(args.operation).is_stopped
            for event in self.client.events(args.operation, after=after):
                after = event.seq
                if args.member in (None, event.member):
                    about = " ".join(filter(None, [event.member, event.step]))
                    sys.stdout.write(f"{event.at} {event.event:<12} {about}  {event.message}\n")
            sys.stdout.flush()
            if stopped:
                return
            time.sleep(1)
