# SPDX-License-Identifier: Apache-2.0
"""Protection groups, their members, and what is known of their copies."""

from osc_lib import exceptions
from osc_lib.command import command

from protectorclient.osc.v1 import common


class CreateProtectionGroup(command.ShowOne):
    """Create a protection group on both sites"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="<name>", help="Name of the new group")
        parser.add_argument("--description", metavar="<text>", help="Free text")
        parser.add_argument(
            "--replication-type", choices=("async", "sync"), help="Cannot be changed later (default: async)"
        )
        parser.add_argument("--primary-site", metavar="<site-id>", help="Where it runs (default: the site asked)")
        parser.add_argument("--secondary-site", metavar="<site-id>", help="The other site (default: the mapped one)")
        parser.add_argument("--primary-volume-type", metavar="<type>", help="Replicated type there (name or id)")
        parser.add_argument("--secondary-volume-type", metavar="<type>", help="Replicated type there (name or id)")
        common.add_mapping_options(parser, common.MAPPING_FIELDS, "Standing mapping: ")
        return parser

    def take_action(self, parsed_args):
        fields = {"name": parsed_args.name}
        for name, value in (
            ("description", parsed_args.description),
            ("replication_type", parsed_args.replication_type),
            ("primary_site_id", parsed_args.primary_site),
            ("secondary_site_id", parsed_args.secondary_site),
            ("primary_volume_type", parsed_args.primary_volume_type),
            ("secondary_volume_type", parsed_args.secondary_volume_type),
        ):
            if value is not None:
                fields[name] = value
        for field in common.MAPPING_FIELDS:
            pairs = getattr(parsed_args, field)
            if pairs:
                fields[field] = common.mapping(pairs, "--" + field.replace("_", "-"))
        return common.show(self.app.client_manager.protector.create_group(**fields))


class ListProtectionGroup(command.Lister):
    """List protection groups"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("--status", metavar="<status>", help="Only groups in this status")
        parser.add_argument("--limit", metavar="<number>", type=int, help="At most this many")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        groups = client.groups(status=parsed_args.status, limit=parsed_args.limit)
        return common.table(
            groups,
            (
                ("id", "ID"),
                ("name", "Name"),
                ("status", "Status"),
                ("replication_type", "Replication"),
                ("replication_status", "Replication Status"),
                ("current_primary_site_id", "Current Primary Site"),
                ("last_replication_at", "Last Replication"),
                ("version", "Version"),
            ),
        )


class ShowProtectionGroup(command.ShowOne):
    """Show a protection group"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        return common.show(self.app.client_manager.protector.find_group(parsed_args.group))


class SetProtectionGroup(command.ShowOne):
    """Change a protection group's name, description or standing mappings

    A mapping option replaces the stored mapping as a whole.
    """

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--description", metavar="<text>", help="New text")
        common.add_mapping_options(parser, common.MAPPING_FIELDS, "Standing mapping: ")
        for field in common.MAPPING_FIELDS:
            option = field.replace("_", "-")
            parser.add_argument(f"--no-{option}", action="store_true", help=f"Remove the {option}")
        return parser

    def take_action(self, parsed_args):
        fields = {}
        for name in ("name", "description"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        for field in common.MAPPING_FIELDS:
            pairs = getattr(parsed_args, field)
            if pairs:
                fields[field] = common.mapping(pairs, "--" + field.replace("_", "-"))
            elif getattr(parsed_args, "no_" + field):
                fields[field] = {}
        if not fields:
            raise exceptions.CommandError("Nothing to change: give at least one option")
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        return common.show(client.update_group(group["id"], version=group["version"], **fields))


class DeleteProtectionGroup(command.Command):
    """Delete protection groups; never a server or a volume"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "groups", metavar="<protection-group>", nargs="+", help="Protection group (name or id)"
        )
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        for name in parsed_args.groups:
            client.delete_group(client.find_group(name)["id"])


_MEMBER_COLUMNS = (
    ("id", "ID"),
    ("name", "Name"),
    ("server_id", "Server"),
    ("flavor", "Flavor"),
    ("observed_at", "Observed At"),
)


class AddMember(command.ShowOne):
    """Put a server into a protection group"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        parser.add_argument("server", metavar="<server>", help="Server (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        return common.show(client.add_member(group["id"], parsed_args.server))


class RemoveMember(command.Command):
    """Take servers out of a protection group; they stay as they are"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        parser.add_argument("members", metavar="<member>", nargs="+", help="Member or server (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        for name in parsed_args.members:
            client.remove_member(group["id"], client.find_member(group["id"], name)["id"])


class RefreshMember(command.ShowOne):
    """Read a member's server again and store what changed"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        parser.add_argument("member", metavar="<member>", help="Member or server (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        member = client.find_member(group["id"], parsed_args.member)
        return common.show(client.refresh_member(group["id"], member["id"]))


class ListMember(command.Lister):
    """List a protection group's members"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        return common.table(client.members(group["id"]), _MEMBER_COLUMNS)


class ShowSyncStatus(command.ShowOne):
    """Show whether both sites hold the same metadata"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        return common.show(client.sync_status(client.find_group(parsed_args.group)["id"]))


class ForceSync(command.ShowOne):
    """Push the group's metadata to the other site, or choose a side after a conflict"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        parser.add_argument(
            "--from", dest="from_site", metavar="<site-id>", help="After a conflict: the site whose copy is taken"
        )
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        group = client.find_group(parsed_args.group)
        return common.show(client.sync_force(group["id"], parsed_args.from_site))


class ShowConsistencyGroup(command.ShowOne):
    """Show a group's volumes, array names and newest usable recovery point"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        return common.show(client.consistency_group(client.find_group(parsed_args.group)["id"]))


class ListRecoveryPoint(command.Lister):
    """List the group-consistent points on the target array, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        common.group_argument(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        points = client.recovery_points(client.find_group(parsed_args.group)["id"])
        columns = (
            ("name", "Name"),
            ("created_at", "Data As Of"),
            ("completed_at", "Transferred At"),
            ("progress", "Progress"),
            ("volume_count", "Volumes"),
        )
        return common.table(points, columns)
