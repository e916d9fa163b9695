# SPDX-License-Identifier: Apache-2.0
"""OpenStackClient plugin interface."""

from __future__ import annotations

import argparse
import logging
import re
from typing import Any

from osc_lib import exceptions, utils

from protectorclient import redact

# "1" is the major version: the newest microversion that both client and service know is negotiated.
DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_protector_api_version"
API_NAME = "protector"


def check_api_version(version: str) -> bool:
    """Accepts ``1`` and ``1.<minor>``; whether the service speaks it is for the service to say."""
    if not re.fullmatch(r"1(\.\d+)?", version):
        raise exceptions.CommandError(
            f"{version!r} is not a version of the Protector API; give 1 (the newest) or 1.<minor>, such as 1.3"
        )
    return True


def make_client(instance: Any) -> Any:
    """The API of the cloud that ``--os-cloud`` names: a :class:`protectorclient.sdk.Proxy`."""
    from protectorclient import sdk

    version = instance._api_version[API_NAME]
    client = sdk.attach(instance.sdk_connection, api_version=None if version == "1" else version)
    endpoint = instance.get_configuration().get("protector_endpoint")
    if endpoint:
        client.endpoint_override = endpoint
    return client


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Global options."""
    shell = logging.getLogger("osc_lib.shell")
    if not any(isinstance(known, redact.CommandLineFilter) for known in shell.filters):
        shell.addFilter(redact.CommandLineFilter())
    parser.add_argument(
        "--os-protector-api-version",
        metavar="<protector-api-version>",
        default=utils.env("OS_PROTECTOR_API_VERSION", default=DEFAULT_API_VERSION),
        help="Protector API version, default: the newest that client and service know (Env: OS_PROTECTOR_API_VERSION)",
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
