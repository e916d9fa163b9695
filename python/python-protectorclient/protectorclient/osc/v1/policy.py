# SPDX-License-Identifier: Apache-2.0
"""A group's replication policy."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from osc_lib import exceptions, utils

from protectorclient.exceptions import NotFound
from protectorclient.osc.v1 import base, options, output
from protectorclient.redact import Secret

SIDES = ("primary", "secondary")


class SetPolicy(base.ShowOne):
    """Set or change a protection group's replication policy

    Tokens are best given by the variables PROTECTOR_PRIMARY_FA_API_TOKEN and PROTECTOR_SECONDARY_FA_API_TOKEN or
    by --token-prompt: a command line can be seen by other users of this machine. What is not given stays as it is.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        for side in SIDES:
            parser.add_argument(
                f"--{side}-fa-url",
                metavar="<url>",
                help=f"FlashArray of the group's {side} site (needed the first time)",
            )
            variable = f"PROTECTOR_{side.upper()}_FA_API_TOKEN"
            parser.add_argument(
                f"--{side}-fa-api-token",
                metavar="<token>",
                type=Secret,
                default=utils.env(variable, default=None),
                help=f"Its API token (Env: {variable})",
            )
        parser.add_argument("--token-prompt", action="store_true", help="Ask for the tokens")
        parser.add_argument(
            "--replication-interval",
            metavar="<seconds>",
            type=options.positive,
            help="Between scheduled snapshots (default: 300)",
        )
        parser.add_argument("--rpo-minutes", metavar="<minutes>", type=options.positive, help="RPO target")
        for name, text in (
            ("all-for-sec", "Seconds for which all snapshots are kept on the target array"),
            ("per-day", "Snapshots a day that are kept after that"),
            ("days", "For how many days"),
        ):
            parser.add_argument(f"--retention-{name}", metavar="<number>", type=int, help=text)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        fields = self._stored(group.id)
        for side in SIDES:
            self._take_side(side, fields, parsed_args)
        for name in ("replication_interval", "rpo_minutes"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        retention = {
            name: getattr(parsed_args, f"retention_{name}")
            for name in ("all_for_sec", "per_day", "days")
            if getattr(parsed_args, f"retention_{name}") is not None
        }
        if retention:
            fields["retention"] = {**(fields.get("retention") or {}), **retention}
        return output.show(self.client.set_policy(group.id, **fields))

    def _stored(self, group_id: str) -> dict[str, Any]:
        # The API replaces the policy as a whole; what the person does not mention is to stay.
        try:
            policy = self.client.get_policy(group_id)
        except NotFound:
            return {}
        kept = ("primary_fa_url", "secondary_fa_url", "replication_interval", "rpo_minutes", "retention")
        return {name: getattr(policy, name) for name in kept if getattr(policy, name) is not None}

    @staticmethod
    def _take_side(side: str, fields: dict[str, Any], args: argparse.Namespace) -> None:
        url = getattr(args, f"{side}_fa_url")
        if url:
            fields[f"{side}_fa_url"] = url
        if not fields.get(f"{side}_fa_url"):
            raise exceptions.CommandError(f"The group has no policy yet: give --{side}-fa-url")
        token = getattr(args, f"{side}_fa_api_token")
        text = token.reveal() if token else None
        if args.token_prompt:
            text = getpass.getpass(f"API token of the {side} FlashArray (empty: keep): ") or text
        if text:
            fields[f"{side}_fa_api_token"] = text


class ShowPolicy(base.ShowOne):
    """Show a protection group's replication policy; tokens are never shown"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return output.show(self.client.get_policy(self.client.find_protection_group(parsed_args.group).id))
