# SPDX-License-Identifier: Apache-2.0
"""Sites: registered OpenStack clouds."""

import getpass

from osc_lib import exceptions
from osc_lib import utils
from osc_lib.command import command

from protectorclient.osc.v1 import common

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


def _site_options(parser):
    for option, text in _TEXTS:
        parser.add_argument(option, metavar="<" + option[2:] + ">", help=text)
    parser.add_argument(
        "--password",
        metavar="<password>",
        default=utils.env("PROTECTOR_SITE_PASSWORD", default=None),
        help="Password of the service user; better: --password-prompt or the variable PROTECTOR_SITE_PASSWORD, "
        "since a command line can be seen by other users of this machine",
    )
    parser.add_argument("--password-prompt", action="store_true", help="Ask for the password")
    parser.add_argument("--ca-cert", metavar="<file>", help="File with PEM certificates to trust")


def _fields(args):
    fields = {}
    for option, _ in _TEXTS:
        name = option[2:].replace("-", "_")
        value = getattr(args, name)
        if value is not None:
            fields[name] = value
    if args.password_prompt:
        fields["password"] = getpass.getpass("Password of the service user: ")
    elif args.password is not None:
        fields["password"] = args.password
    if args.ca_cert:
        with open(args.ca_cert, encoding="utf-8") as file:
            fields["ca_cert"] = file.read()
    return fields


class CreateSite(command.ShowOne):
    """Register a site (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="<name>", help="Name of the new site")
        parser.add_argument("--auth-url", metavar="<url>", required=True, help="Keystone v3 of the site")
        _site_options(parser)
        parser.add_argument(
            "--application-credential-id", metavar="<id>", help="Application credential in place of a user"
        )
        parser.add_argument(
            "--application-credential-secret",
            metavar="<secret>",
            default=utils.env("PROTECTOR_SITE_APPLICATION_CREDENTIAL_SECRET", default=None),
            help="Its secret (Env: PROTECTOR_SITE_APPLICATION_CREDENTIAL_SECRET)",
        )
        parser.add_argument("--insecure-site", action="store_true", help="Do not check certificates (laboratories)")
        parser.add_argument("--local", action="store_true", help="The site that this Protector runs in")
        return parser

    def take_action(self, parsed_args):
        fields = _fields(parsed_args)
        if parsed_args.application_credential_id:
            fields["application_credential_id"] = parsed_args.application_credential_id
            fields["application_credential_secret"] = parsed_args.application_credential_secret
            fields.pop("password", None)
        if parsed_args.insecure_site:
            fields["insecure"] = True
        if parsed_args.local:
            fields["is_local"] = True
        client = self.app.client_manager.protector
        return common.show(
            client.create_site(name=parsed_args.name, auth_url=parsed_args.auth_url, **fields)
        )


class SetSite(command.ShowOne):
    """Change a site's record or credentials (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("site", metavar="<site>", help="Site (name or id)")
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--auth-url", metavar="<url>", help="New Keystone URL")
        _site_options(parser)
        return parser

    def take_action(self, parsed_args):
        fields = _fields(parsed_args)
        for name in ("name", "auth_url"):
            if getattr(parsed_args, name) is not None:
                fields[name] = getattr(parsed_args, name)
        if not fields:
            raise exceptions.CommandError("Nothing to change: give at least one option")
        client = self.app.client_manager.protector
        site = client.find_site(parsed_args.site)
        return common.show(client.update_site(site["id"], **fields))


class ListSite(command.Lister):
    """List sites (administrators)"""

    def take_action(self, parsed_args):
        sites = self.app.client_manager.protector.sites()
        return common.table(
            sites,
            (
                ("id", "ID"),
                ("name", "Name"),
                ("status", "Status"),
                ("auth_url", "Auth URL"),
                ("region_name", "Region"),
                ("is_local", "Local"),
                ("status_observed_at", "Observed At"),
            ),
        )


class ShowSite(command.ShowOne):
    """Show a site (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("site", metavar="<site>", help="Site (name or id)")
        return parser

    def take_action(self, parsed_args):
        return common.show(self.app.client_manager.protector.find_site(parsed_args.site))


class DeleteSite(command.Command):
    """Remove sites that nothing uses (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("sites", metavar="<site>", nargs="+", help="Site (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        for name in parsed_args.sites:
            client.delete_site(client.find_site(name)["id"])


class ValidateSite(command.Lister):
    """Prove by harmless calls that a site can be used (administrators)

    Fails if a check fails; each line says what was seen and what to do.
    """

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("site", metavar="<site>", help="Site (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        report = client.validate_site(client.find_site(parsed_args.site)["id"])
        self._ok = report["ok"]
        columns = (("name", "Check"), ("ok", "OK"), ("warning", "Warning"), ("reason", "Seen"), ("fix", "To Do"))
        return common.table(report["checks"], columns)

    def run(self, parsed_args):
        result = super().run(parsed_args)
        return result if self._ok else 1


class ListSiteVolumeType(command.Lister):
    """List a site's replication-enabled volume types (administrators)"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("site", metavar="<site>", help="Site (name or id)")
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.protector
        types = client.site_volume_types(client.find_site(parsed_args.site)["id"])
        return common.table(types, (("id", "ID"), ("name", "Name"), ("extra_specs", "Extra Specs")))
