# SPDX-License-Identifier: Apache-2.0
"""OpenStackClient plugin interface."""

from osc_lib import utils

DEFAULT_API_VERSION = "1.3"
API_VERSION_OPTION = "os_protector_api_version"
API_NAME = "protector"
API_VERSIONS = ("1", "1.0", "1.1", "1.2", "1.3")


def make_client(instance):
    """The client of the cloud that ``--os-cloud`` names."""
    from protectorclient.v1 import client

    version = instance._api_version[API_NAME]
    options = instance.get_configuration()
    return client.Client(
        session=instance.session,
        # "1" is the major version: the newest that this client knows.
        api_version=DEFAULT_API_VERSION if version == "1" else version,
        endpoint_override=options.get("protector_endpoint"),
        region_name=instance.region_name,
        interface=instance.interface,
    )


def build_option_parser(parser):
    """Global options."""
    parser.add_argument(
        "--os-protector-api-version",
        metavar="<protector-api-version>",
        default=utils.env("OS_PROTECTOR_API_VERSION", default=DEFAULT_API_VERSION),
        help=f"Protector API version, default={DEFAULT_API_VERSION} (Env: OS_PROTECTOR_API_VERSION)",
    )
    parser.add_argument(
        "--os-protector-endpoint",
        metavar="<url>",
        default=utils.env("OS_PROTECTOR_ENDPOINT", default=None),
        help="URL of the Protector API in place of the catalog's (Env: OS_PROTECTOR_ENDPOINT)",
    )
    parser.add_argument(
        "--secondary-cloud",
        metavar="<cloud>",
        default=utils.env("OS_SECONDARY_CLOUD", default=None),
        help=(
            "The other site's entry in clouds.yaml. Not needed: the sites' services synchronise themselves. "
            "If given, names in mappings are looked up in both clouds (Env: OS_SECONDARY_CLOUD)"
        ),
    )
    return parser
