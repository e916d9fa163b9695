# SPDX-License-Identifier: Apache-2.0
"""Operations: runs of failover, failback, drills and syncs."""

import sys

from osc_lib.command import command

from protectorclient.osc.v1 import common
from protectorclient.osc.v1.action import OPERATION_COLUMNS


class ListOperation(command.Lister):
    """List operations, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("--protection-group", metavar="<protection-group>", help="Only of this group (name or id)")
        parser.add_argument("--operation-type", metavar="<type>", help="Only of this type: failover, test_failover ...")
        parser.add_argument("--status", metavar="<status>", help="Only in this status")
        parser.add_argument("--since", metavar="<time>", help="Only those started at or after (2025-11-03T10:00:00Z)")
        parser.add_argument("--limit", metavar="<number>", type=int, default=100, help="At most this many (default: 100)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = parsed_args.protection_group
        operations = client.operations(
            protection_group_id=client.find_group(group)["id"] if group else None,
            operation_type=parsed_args.operation_type,
            status=parsed_args.status,
            since=parsed_args.since,
            limit=parsed_args.limit,
        )
        return common.table(
            operations,
            (
                ("id", "ID"),
                ("operation_type", "Type"),
                ("status", "Status"),
                ("progress", "Progress"),
                ("protection_group_id", "Protection Group"),
                ("started_at", "Started At"),
                ("completed_at", "Completed At"),
            ),
        )


class ShowOperation(command.ShowOne):
    """Show an operation"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("operation", metavar="<operation>", help="Operation (id)")
        return parser

    def take_action(self, parsed_args):
        operation = self.app.client_manager.protector.operation(parsed_args.operation)
        return common.show(operation, OPERATION_COLUMNS)


class WatchOperation(command.ShowOne):
    """Follow an operation until it ends; fails if it does not complete"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("operation", metavar="<operation>", help="Operation (id)")
        parser.add_argument(
            "--interval", metavar="<seconds>", type=float, default=2.0, help="Between two looks (default: 2)"
        )
        parser.add_argument(
            "--timeout", metavar="<seconds>", type=int, default=0, help="Longest wait; 0 (default): no limit"
        )
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        operation = common.watch(
            client, parsed_args.operation, max(parsed_args.interval, 0.2), parsed_args.timeout, out=sys.stderr
        )
        return common.show(common.succeeded(operation), OPERATION_COLUMNS)
