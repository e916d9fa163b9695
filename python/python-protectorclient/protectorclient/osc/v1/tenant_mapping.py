# SPDX-License-Identifier: Apache-2.0
"""Tenant mappings: a project on one site and its counterpart on the other."""

from __future__ import annotations

import argparse
from typing import Any

from protectorclient.osc.v1 import base, output
from protectorclient.sdk.admin import project_fields
from protectorclient.sdk.find import is_id

_COLUMNS = (
    ("id", "ID"),
    ("primary_site_id", "Primary Site"),
    ("primary_project_id", "Primary Project"),
    ("secondary_site_id", "Secondary Site"),
    ("secondary_project_id", "Secondary Project"),
)


class CreateTenantMapping(base.ShowOne):
    """Pair a project of one site with a project of the other (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        for side, text in (("primary", "One"), ("secondary", "The other")):
            parser.add_argument(f"--{side}-site", metavar="<site>", required=True, help=f"{text} site (name or id)")
            parser.add_argument(
                f"--{side}-project", metavar="<project>", required=True, help="Its project (name or id)"
            )
            parser.add_argument(
                f"--{side}-project-domain", metavar="<domain>", help="Domain of the project's name (default: Default)"
            )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        fields: dict[str, Any] = {}
        for side in ("primary", "secondary"):
            project = getattr(parsed_args, f"{side}_project")
            domain = getattr(parsed_args, f"{side}_project_domain")
            fields[f"{side}_site_id"] = self.client.find_site(getattr(parsed_args, f"{side}_site")).id
            fields.update(project_fields(side, project, domain, is_id(project)))
        return output.show(self.client.create_tenant_mapping(**fields))


class ListTenantMapping(base.Lister):
    """List tenant mappings (administrators)"""

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return output.table(self.client.tenant_mappings(), _COLUMNS)


class ShowTenantMapping(base.ShowOne):
    """Show a tenant mapping (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("mapping", metavar="<tenant-mapping>", help="Tenant mapping (id)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return output.show(self.client.get_tenant_mapping(parsed_args.mapping))


class DeleteTenantMapping(base.Command):
    """Remove tenant mappings that no group uses (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("mappings", metavar="<tenant-mapping>", nargs="+", help="Tenant mapping (id)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        for mapping in parsed_args.mappings:
            self.client.delete_tenant_mapping(mapping)
