# SPDX-License-Identifier: Apache-2.0
"""Whether both sites hold the same metadata, and what to do if not."""

from __future__ import annotations

import argparse

from protectorclient.osc.v1 import base, caution, options, output
from protectorclient.osc.v1.protection_group import site_id


class ShowSyncStatus(base.ShowOne):
    """Show whether both sites hold the same metadata"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        return output.show(self.client.get_sync_status(group.id))


class ForceSync(base.ShowOne):
    """Push the group's metadata to the other site, or choose a side after a conflict"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        parser.add_argument(
            "--from",
            dest="from_site",
            metavar="<site>",
            help="After a conflict: the site (name or id) whose copy is taken; the other's is given up",
        )
        options.add_yes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        chosen = site_id(self.client, parsed_args.from_site) if parsed_args.from_site else None
        if chosen:
            headline = (
                f"Sync of {group.name} from {parsed_args.from_site}: its copy of the metadata becomes that of both "
                "sites; the other site's copy is given up, and what it made of its own is quarantined."
            )
            caution.confirm(caution.Outlook(headline, ()), caution.Care.TYPE_NAME, group.name, parsed_args.yes)
        return output.show(self.client.force_sync(group.id, chosen))
