# SPDX-License-Identifier: Apache-2.0
"""Health of a group, or of the site's Protector."""

from osc_lib.command import command

from protectorclient.osc.v1 import common


class ShowHealth(command.ShowOne):
    """Show what works: of a protection group, or (without one) of this site's Protector"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "group", metavar="<protection-group>", nargs="?", help="Protection group (name or id)"
        )
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        if parsed_args.group:
            health = client.group_health(client.find_group(parsed_args.group)["id"])
            return common.show(health, ("protection_group_id", "failover_ready", "sync_status"))
        health = client.health()
        shown = {"status": health["status"]}
        for component in health["components"]:
            reason = component.get("reason")
            shown[component["name"]] = component["status"] + (f" ({reason})" if reason else "")
        return common.show(shown)
