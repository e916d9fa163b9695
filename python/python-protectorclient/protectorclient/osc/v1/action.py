# SPDX-License-Identifier: Apache-2.0
"""Failover, failback, drills, syncs."""

import sys

from osc_lib.command import command

from protectorclient.osc.v1 import common

OPERATION_COLUMNS = (
    "id",
    "operation_type",
    "status",
    "progress",
    "protection_group_id",
    "source_site_id",
    "target_site_id",
    "started_at",
    "completed_at",
    "error_message",
    "steps_completed",
    "steps_failed",
)


class Action(command.ShowOne):
    """Starts an operation, and waits for it if asked to."""

    action = None
    takes_mappings = False

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        if self.takes_mappings:
            common.add_mapping_options(parser, ("network_mapping", "flavor_mapping"))
        parser.add_argument(
            "--idempotency-key",
            metavar="<key>",
            help="The same key and parameters within 24 hours give the same operation",
        )
        common.add_wait_options(parser)
        return parser

    def parameters(self, parsed_args):
        """Parameters of the action; ``None`` is left out."""
        if not self.takes_mappings:
            return {}
        names = common.Names(self.app.client_manager)
        networks = names.mapping("network", parsed_args.network_mapping, "--network-mapping")
        flavors = names.mapping("flavor", parsed_args.flavor_mapping, "--flavor-mapping")
        return {"network_mapping": networks or None, "flavor_mapping": flavors or None}

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        parameters = self.parameters(parsed_args)
        group = client.find_group(parsed_args.group)
        operation = client.act(
            group["id"], self.action, idempotency_key=parsed_args.idempotency_key, **parameters
        )
        for warning in operation.get("warnings") or ():
            print(f"Warning: {warning}", file=sys.stderr)
        if parsed_args.wait:
            ended = common.watch(client, operation["id"], timeout=parsed_args.timeout, out=sys.stderr)
            operation = common.succeeded(ended)
        return common.show(operation, OPERATION_COLUMNS)


class Failover(Action):
    """Fail a protection group over to its other site

    planned: both sites are up; servers are stopped, a last snapshot is shipped, nothing is lost.
    unplanned: the primary site is down; the newest complete snapshot is used.
    """

    action = "failover"
    takes_mappings = True

    def get_parser(self, prog_name):
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
        return parser

    def parameters(self, parsed_args):
        parameters = super().parameters(parsed_args)
        parameters["force"] = True if parsed_args.type == "unplanned" else None
        parameters["retain_primary"] = True if parsed_args.retain_primary else None
        return parameters


class Failback(Action):
    """Move a protection group back to its primary site"""

    action = "failback"
    takes_mappings = True

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--reverse-replication",
            action="store_true",
            help="Afterwards replicate primary -> secondary again, so that the group is protected",
        )
        return parser

    def parameters(self, parsed_args):
        parameters = super().parameters(parsed_args)
        parameters["reverse_replication"] = True if parsed_args.reverse_replication else None
        return parameters


class TestFailover(Action):
    """Run a drill: the failover's path on clones

    Without --retain-primary the primary's servers are stopped for the drill, and started by its cleanup.
    """

    __test__ = False  # not a test case, whatever its name
    action = "test_failover"
    takes_mappings = True

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--retain-primary", action="store_true", help="Leave the primary's servers running during the drill"
        )
        return parser

    def parameters(self, parsed_args):
        parameters = super().parameters(parsed_args)
        parameters["retain_primary"] = True if parsed_args.retain_primary else None
        return parameters


class TestCleanup(Action):
    """Remove what a drill made; may be repeated until nothing is left"""

    __test__ = False
    action = "test_cleanup"


class Sync(Action):
    """Take a group snapshot and ship it to the other site now"""

    action = "sync_volumes"
