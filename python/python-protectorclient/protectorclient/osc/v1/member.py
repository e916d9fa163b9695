# SPDX-License-Identifier: Apache-2.0
"""Members: the servers of a protection group."""

from __future__ import annotations

import argparse
from typing import Any

from protectorclient.osc.v1 import base, options, output

_COLUMNS = (
    ("id", "ID"),
    ("name", "Name"),
    ("server_id", "Server"),
    ("flavor", "Flavor"),
    ("observed_at", "Observed At"),
)


def _add_member(parser: argparse.ArgumentParser, **kwargs: Any) -> None:
    parser.add_argument("member", metavar="<member>", help="Member or server (name or id)", **kwargs)


class AddMember(base.ShowOne):
    """Put a server into a protection group"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        parser.add_argument("server", metavar="<server>", help="Server (name or id)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        return output.show(self.client.add_member(group.id, parsed_args.server))


class ListMember(base.Lister):
    """List a protection group's members"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        group = self.client.find_protection_group(parsed_args.group)
        return output.table(self.client.members(group.id), _COLUMNS)


class ShowMember(base.ShowOne):
    """Show a member with all that is known of its server"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        _add_member(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        return output.show(self.client.find_member(group.id, parsed_args.member))


class RemoveMember(base.Command):
    """Take servers out of a protection group; they stay as they are"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        _add_member(parser, nargs="+")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        group = self.client.find_protection_group(parsed_args.group)
        # All are looked up first: a misspelt name changes nothing.
        for member in [self.client.find_member(group.id, name) for name in parsed_args.member]:
            self.client.remove_member(group.id, member.id)


class RefreshMember(base.ShowOne):
    """Read a member's server again and store what changed"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        _add_member(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        member = self.client.find_member(group.id, parsed_args.member)
        return output.show(self.client.refresh_member(group.id, member.id))
