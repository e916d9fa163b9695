# SPDX-License-Identifier: Apache-2.0
"""Tenant mappings: a project on one site and its counterpart on the other."""

from osc_lib.command import command

from protectorclient.osc.v1 import common
from protectorclient.v1.client import is_id


def _project(fields, side, value, domain):
    # Keystone's ids are UUIDs without dashes; a name of that form must be given with its domain.
    if is_id(value) and domain is None:
        fields[f"{side}_project_id"] = value
    else:
        fields[f"{side}_project_name"] = value
        fields[f"{side}_project_domain_name"] = domain or "Default"


class CreateTenantMapping(command.ShowOne):
    """Pair a project of one site with a project of the other (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        for side, text in (("primary", "One"), ("secondary", "The other")):
            parser.add_argument(f"--{side}-site", metavar="<site>", required=True, help=f"{text} site (name or id)")
            parser.add_argument(
                f"--{side}-project", metavar="<project>", required=True, help="Its project (name or id)"
            )
            parser.add_argument(
                f"--{side}-project-domain", metavar="<domain>", help="Domain of the project's name (default: Default)"
            )
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        fields = {
            "primary_site_id": client.find_site(parsed_args.primary_site)["id"],
            "secondary_site_id": client.find_site(parsed_args.secondary_site)["id"],
        }
        _project(fields, "primary", parsed_args.primary_project, parsed_args.primary_project_domain)
        _project(fields, "secondary", parsed_args.secondary_project, parsed_args.secondary_project_domain)
        return common.show(client.create_tenant_mapping(**fields))


class ListTenantMapping(command.Lister):
    """List tenant mappings (administrators)"""

    def take_action(self, parsed_args):
        mappings = self.app.client_manager.protector.tenant_mappings()
        return common.table(
            mappings,
            (
                ("id", "ID"),
                ("primary_site_id", "Primary Site"),
                ("primary_project_id", "Primary Project"),
                ("secondary_site_id", "Secondary Site"),
                ("secondary_project_id", "Secondary Project"),
            ),
        )


class ShowTenantMapping(command.ShowOne):
    """Show a tenant mapping (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("mapping", metavar="<tenant-mapping>", help="Tenant mapping (id)")
        return parser

    def take_action(self, parsed_args):
        return common.show(self.app.client_manager.protector.tenant_mapping(parsed_args.mapping))


class DeleteTenantMapping(command.Command):
    """Remove tenant mappings that no group uses (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("mappings", metavar="<tenant-mapping>", nargs="+", help="Tenant mapping (id)")
        return parser

    def take_action(self, parsed_args):
        for mapping in parsed_args.mappings:
            self.app.client_manager.protector.delete_tenant_mapping(mapping)
