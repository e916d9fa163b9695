# SPDX-License-Identifier: Apache-2.0
"""Health of a group, or of the site's Protector."""

from __future__ import annotations

import argparse

from protectorclient.osc.v1 import base, options, output


class ShowHealth(base.ShowOne):
    """Show what works: of a protection group, or (without one) of this site's Protector"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="<protection-group>", nargs="?", help="Protection group (name or id)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        if parsed_args.group:
            return _of_group(self, parsed_args.group)
        health = self.client.get_health()
        shown = {"status": health.status}
        for component in health.components:
            reason = component.get("reason")
            shown[component["name"]] = component["status"] + (f" ({reason})" if reason else "")
        return output.pairs(shown)


class ShowGroupHealth(base.ShowOne):
    """Show whether a protection group could fail over now, and if not, why"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return _of_group(self, parsed_args.group)


def _of_group(command: base.ShowOne, name: str) -> output.Shown:
    group = command.client.find_protection_group(name)
    return output.show(command.client.get_protection_group_health(group.id))
