# SPDX-License-Identifier: Apache-2.0
"""A group's replication policy."""

import getpass

from osc_lib import utils
from osc_lib.command import command

from protectorclient.osc.v1 import common


class SetPolicy(command.ShowOne):
    """Set or replace a protection group's replication policy

    Tokens are best given by the variables PROTECTOR_PRIMARY_FA_API_TOKEN and PROTECTOR_SECONDARY_FA_API_TOKEN or
    by --token-prompt: a command line can be seen by other users of this machine. A token that is not given stays
    as it is stored.
    """

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        for side in ("primary", "secondary"):
            parser.add_argument(
                f"--{side}-fa-url", metavar="<url>", required=True, help=f"FlashArray of the group's {side} site"
            )
            parser.add_argument(
                f"--{side}-fa-api-token",
                metavar="<token>",
                default=utils.env(f"PROTECTOR_{side.upper()}_FA_API_TOKEN", default=None),
                help=f"Its API token (Env: PROTECTOR_{side.upper()}_FA_API_TOKEN)",
            )
        parser.add_argument("--token-prompt", action="store_true", help="Ask for the tokens")
        parser.add_argument(
            "--replication-interval", metavar="<seconds>", type=int, help="Between scheduled snapshots (default: 300)"
        )
        parser.add_argument("--rpo-minutes", metavar="<minutes>", type=int, help="RPO target")
        return parser

    def take_action(self, parsed_args):
        fields = {
            "primary_fa_url": parsed_args.primary_fa_url,
            "secondary_fa_url": parsed_args.secondary_fa_url,
        }
        for side in ("primary", "secondary"):
            name = f"{side}_fa_api_token"
            token = getattr(parsed_args, name)
            if parsed_args.token_prompt:
                token = getpass.getpass(f"API token of the {side} FlashArray (empty: keep): ") or token
            if token:
                fields[name] = token
        for name in ("replication_interval", "rpo_minutes"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        return common.show(client.set_policy(group["id"], **fields))


class ShowPolicy(command.ShowOne):
    """Show a protection group's replication policy; tokens are never shown"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        return common.show(client.policy(client.find_group(parsed_args.group)["id"]))
