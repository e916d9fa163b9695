# SPDX-License-Identifier: Apache-2.0
"""Sites: registered OpenStack clouds."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from osc_lib import exceptions, utils

from protectorclient.osc.v1 import base, options, output
from protectorclient.redact import Secret

_TEXTS = (
    ("--description", "Free text"),
    ("--region-name", "Region of the catalog to use"),
    ("--protector-url", "Protector's API there (default: from the catalog)"),
    ("--username", "Service user"),
    ("--project-name", "Project of the service user"),
    ("--user-domain-name", "Domain of the service user"),
    ("--project-domain-name", "Domain of the project"),
    ("--cinder-host", "host@backend#pool of the replicated backend, if it must not be looked up"),
)
_COLUMNS = (
    ("id", "ID"),
    ("name", "Name"),
    ("status", "Status"),
    ("auth_url", "Auth URL"),
    ("region_name", "Region"),
    ("is_local", "Local"),
    ("status_observed_at", "Observed At"),
)


def _site_options(parser: argparse.ArgumentParser) -> None:
    for option, text in _TEXTS:
        parser.add_argument(option, metavar="<" + option[2:] + ">", help=text)
    parser.add_argument(
        "--password",
        metavar="<password>",
        type=Secret,
        default=utils.env("PROTECTOR_SITE_PASSWORD", default=None),
        help="Password of the service user; better: --password-prompt or the variable PROTECTOR_SITE_PASSWORD, "
        "since a command line can be seen by other users of this machine",
    )
    parser.add_argument("--password-prompt", action="store_true", help="Ask for the password")
    parser.add_argument("--ca-cert", metavar="<file>", help="File with PEM certificates to trust")


def _fields(args: argparse.Namespace) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for option, _ in _TEXTS:
        name = option[2:].replace("-", "_")
        if getattr(args, name) is not None:
            fields[name] = getattr(args, name)
    if args.password_prompt:
        fields["password"] = getpass.getpass("Password of the service user: ")
    elif args.password is not None:
        fields["password"] = args.password.reveal()
    if args.ca_cert:
        try:
            with open(args.ca_cert, encoding="utf-8") as file:
                fields["ca_cert"] = file.read()
        except OSError as error:
            raise exceptions.CommandError(f"--ca-cert: {error}") from error
    return fields


class CreateSite(base.ShowOne):
    """Register a site (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="<name>", help="Name of the new site")
        parser.add_argument("--auth-url", metavar="<url>", required=True, help="Keystone v3 of the site")
        _site_options(parser)
        parser.add_argument(
            "--application-credential-id", metavar="<id>", help="Application credential in place of a user"
        )
        parser.add_argument(
            "--application-credential-secret",
            metavar="<secret>",
            type=Secret,
            default=utils.env("PROTECTOR_SITE_APPLICATION_CREDENTIAL_SECRET", default=None),
            help="Its secret (Env: PROTECTOR_SITE_APPLICATION_CREDENTIAL_SECRET)",
        )
        parser.add_argument("--insecure-site", action="store_true", help="Do not check certificates (laboratories)")
        parser.add_argument("--local", action="store_true", help="The site that this Protector runs in")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        fields = _fields(parsed_args)
        if parsed_args.application_credential_id:
            secret = parsed_args.application_credential_secret
            if not secret:
                raise exceptions.CommandError(
                    "--application-credential-id needs its secret: PROTECTOR_SITE_APPLICATION_CREDENTIAL_SECRET"
                )
            fields["application_credential_id"] = parsed_args.application_credential_id
            fields["application_credential_secret"] = secret.reveal()
            fields.pop("password", None)
        if parsed_args.insecure_site:
            fields["insecure"] = True
        if parsed_args.local:
            fields["is_local"] = True
        return output.show(self.client.create_site(name=parsed_args.name, auth_url=parsed_args.auth_url, **fields))


class SetSite(base.ShowOne):
    """Change a site's record or credentials (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_site(parser)
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--auth-url", metavar="<url>", help="New Keystone URL")
        _site_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        fields = _fields(parsed_args)
        for name in ("name", "auth_url"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        if not fields:
            raise exceptions.CommandError("Nothing to change: give at least one option")
        return output.show(self.client.update_site(self.client.find_site(parsed_args.site).id, **fields))


class ListSite(base.Lister):
    """List sites (administrators)"""

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return output.table(self.client.sites(), _COLUMNS)


class ShowSite(base.ShowOne):
    """Show a site (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_site(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> output.Shown:
        return output.show(self.client.find_site(parsed_args.site))


class DeleteSite(base.Command):
    """Remove sites that nothing uses (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("sites", metavar="<site>", nargs="+", help="Site (name or id)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        for site in [self.client.find_site(name) for name in parsed_args.sites]:
            self.client.delete_site(site.id)


class ValidateSite(base.Lister):
    """Prove by harmless calls that a site can be used (administrators)

    Fails if a check fails; each line says what was seen and what to do.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_site(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        report = self.client.validate_site(self.client.find_site(parsed_args.site).id)
        if not report.ok:
            failed = [check["name"] for check in report.checks if not check["ok"]]
            self.fail(f"{parsed_args.site} cannot be used yet; failed: {', '.join(failed)}")
        columns = (("name", "Check"), ("ok", "OK"), ("warning", "Warning"), ("reason", "Seen"), ("fix", "To Do"))
        return output.rows([dict(check) for check in report.checks], columns)


class ListSiteVolumeType(base.Lister):
    """List a site's replication-enabled volume types (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        options.add_site(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        types = self.client.site_volume_types(self.client.find_site(parsed_args.site).id)
        return output.table(types, (("id", "ID"), ("name", "Name"), ("extra_specs", "Extra Specs")))
