# SPDX-License-Identifier: Apache-2.0
"""Protection groups."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from protectorclient.exceptions import Forbidden
from protectorclient.osc.v1 import base, caution, options, output
from protectorclient.sdk import Proxy
from protectorclient.sdk.find import is_id
from protectorclient.sdk.groups import MAPPING_FIELDS

_COLUMNS = (
    ("id", "ID"),
    ("name", "Name"),
    ("status", "Status"),
    ("replication_type", "Replication"),
    ("replication_status", "Replication Status"),
    ("current_primary_site_id", "Current Primary Site"),
    ("last_replication_at", "Last Replication"),
    ("version", "Version"),
)
_STANDING = "at the group's primary site, and its counterpart at the secondary (standing mapping)"


def site_id(client: Proxy, name_or_id: str) -> str:
    """The id of a site; only administrators may look names up."""
    if is_id(name_or_id):
        return name_or_id
    try:
        return client.find_site(name_or_id).id
    except Forbidden as error:
        raise exceptions.CommandError(
            f"Only administrators may look up the name of a site; give the id of {name_or_id} "
            "(protection-group show has those of a group)"
        ) from error


class CreateProtectionGroup(base.ShowOne):
    """Create a protection group on both sites"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="<name>", help="Name of the new group")
        parser.add_argument("--description", metavar="<text>", help="Free text")
        parser.add_argument(
            "--replication-type", choices=("async", "sync"), help="Cannot be changed later (default: async)"
        )
        parser.add_argument(
            "--primary-site", metavar="<site>", help="Where it runs (name or id; default: the site that is asked)"
        )
        parser.add_argument(
            "--secondary-site", metavar="<site>", help="The other site (name or id; default: the one mapped to)"
        )
        parser.add_argument("--primary-volume-type", metavar="<type>", help="Replicated type there (name or id)")
        parser.add_argument("--secondary-volume-type", metavar="<type>", help="Replicated type there (name or id)")
        options.add_mappings(parser, MAPPING_FIELDS, _STANDING)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        fields: dict[str, Any] = {"name": parsed_args.name}
        for side in ("primary", "secondary"):
            site = getattr(parsed_args, f"{side}_site")
            fields[f"{side}_site_id"] = site_id(self.client, site) if site else None
            fields[f"{side}_volume_type"] = getattr(parsed_args, f"{side}_volume_type")
        fields["description"] = parsed_args.description
        fields["replication_type"] = parsed_args.replication_type
        for field in MAPPING_FIELDS:
            fields[field] = options.mapping(getattr(parsed_args, field), options.option_of(field)) or None
        given = {name: value for name, value in fields.items() if value is not None}
        return output.show(self.client.create_protection_group(**given))


class ListProtectionGroup(base.Lister):
    """List protection groups"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--status", metavar="<status>", help="Only groups in this status")
        parser.add_argument("--limit", metavar="<number>", type=options.positive, help="At most this many")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        groups = self.client.protection_groups(limit=parsed_args.limit, status=parsed_args.status)
        return output.table(groups, _COLUMNS)


class ShowProtectionGroup(base.ShowOne):
    """Show a protection group"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return output.show(self.client.find_protection_group(parsed_args.group))


class SetProtectionGroup(base.ShowOne):
    """Change a protection group's name, description or standing mappings

    A mapping option replaces the stored mapping as a whole.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--description", metavar="<text>", help="New text")
        options.add_mappings(parser, MAPPING_FIELDS, _STANDING)
        for field in MAPPING_FIELDS:
            option = field.replace("_", "-")
            parser.add_argument(f"--no-{option}", action="store_true", help=f"Remove the standing {option}")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        fields: dict[str, Any] = {}
        for name in ("name", "description"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        for field in MAPPING_FIELDS:
            pairs = getattr(parsed_args, field)
            if pairs:
                fields[field] = options.mapping(pairs, options.option_of(field))
            elif getattr(parsed_args, f"no_{field}"):
                fields[field] = {}
        if not fields:
            raise exceptions.CommandError("Nothing to change: give at least one option")
        group = self.client.find_protection_group(parsed_args.group)
        return output.show(self.client.update_protection_group(group.id, version=group.version, **fields))


class DeleteProtectionGroup(base.Command):
    """Delete protection groups; never a server or a volume"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("groups", metavar="<protection-group>", nargs="+", help="Protection group (name or id)")
        parser.add_argument(
            "--force-detach-peer",
            action="store_true",
            help="The other site is lost for good: delete here what can no longer be told there (administrators)",
        )
        options.add_yes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        lost = parsed_args.force_detach_peer
        for group in [self.client.find_protection_group(name) for name in parsed_args.groups]:
            headline = f"Deletion of {group.name}: its servers and volumes stay, and are not protected any more."
            if lost:
                headline += " The other site is not told."
            care = caution.Care.TYPE_NAME if lost else caution.Care.ASK
            caution.confirm(caution.Outlook(headline, ()), care, group.name, parsed_args.yes)
            self.client.delete_protection_group(group.id, force=lost, detach_peer=lost)


class ShowConsistencyGroup(base.ShowOne):
    """Show a group's volumes, array names and newest usable recovery point"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        group = self.client.find_protection_group(parsed_args.group)
        return output.show(self.client.get_consistency_group(group.id))


class ListRecoveryPoint(base.Lister):
    """List the group-consistent points on the target array, newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_group(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        points = self.client.recovery_points(self.client.find_protection_group(parsed_args.group).id)
        columns = (
            ("name", "Name"),
            ("created_at", "Data As Of"),
            ("age_seconds", "Age (s)"),
            ("usable", "Usable"),
            ("progress", "Progress"),
            ("volume_count", "Volumes"),
            ("reason", "Reason"),
        )
        return output.table(points, columns)
