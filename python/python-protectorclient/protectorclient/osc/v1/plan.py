# SPDX-License-Identifier: Apache-2.0
"""Plans: what an action would do."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from protectorclient.osc.v1 import base, caution, names, options, output

_ACTIONS = {
    "failover": "failover",
    "failback": "failback",
    "test-failover": "test_failover",
    "test-cleanup": "test_cleanup",
    "sync": "sync_volumes",
    "reprotect": "reprotect",
    "retry": "retry",
}


class ShowPlan(base.ShowOne):
    """Show what an action would do: servers, sites, recovery point, steps, quota; nothing is touched"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        parser.add_argument(
            "action",
            metavar="<action>",
            nargs="?",
            choices=tuple(_ACTIONS),
            default="failover",
            help=f"One of: {', '.join(_ACTIONS)} (default: failover)",
        )
        parser.add_argument("--type", choices=("planned", "unplanned"), default="planned", help="Of a failover")
        options.add_mappings(
            parser, ("network_mapping", "flavor_mapping"), "where the group runs now, and its counterpart"
        )
        parser.add_argument("--recovery-point", metavar="<name>", help="Of an unplanned failover or a drill")
        parser.add_argument("--retain-primary", action="store_true", help="Of a drill")
        parser.add_argument("--reverse-replication", action="store_true", help="Of a failback")
        parser.add_argument(
            "--operation", metavar="<operation>", help="What a retry tries again (id; default: the last)"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        look_up = names.Names(self.app.client_manager)
        parameters: dict[str, Any] = {
            f"{kind}_mapping": look_up.mapping(kind, getattr(parsed_args, f"{kind}_mapping"), f"--{kind}-mapping")
            or None
            for kind in ("network", "flavor")
        }
        parameters["force"] = True if parsed_args.type == "unplanned" else None
        parameters["recovery_point"] = parsed_args.recovery_point
        parameters["retain_primary"] = parsed_args.retain_primary or None
        parameters["reverse_replication"] = parsed_args.reverse_replication or None
        parameters["operation_id"] = parsed_args.operation
        group = self.client.find_protection_group(parsed_args.group)
        plan = caution.plan_or_none(self.client, group, _ACTIONS[parsed_args.action], parameters)
        if plan is None:
            raise exceptions.CommandError("This service does not make plans; it needs API version 1.3")
        return output.plan(plan)
