# SPDX-License-Identifier: Apache-2.0
"""Turns whatever goes wrong into words for a person: what happened, and what to do next."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Any

from keystoneauth1 import exceptions as ksa
from openstack import exceptions as sdk
from osc_lib import exceptions as osc

from protectorclient import exceptions

#: What to do next, where the service's sentence does not say it in terms of this command line.
NEXT: dict[str, str] = {
    "auth.unauthenticated": "get a new token (openstack token issue), or log in with a password or an application "
    "credential, which renew themselves",
    "auth.forbidden": "ask an administrator for the role, or use an entry of clouds.yaml that has it",
    "array.error": "openstack protector protection-group health <group> shows the state of the arrays",
    "mapping.invalid": "name both sides by id, as openstack network list (flavor list) shows them at each site",
    "mapping.missing": "add --network-mapping or --flavor-mapping <source>=<target>, or a standing one with "
    "openstack protector protection-group set",
    "member.not_ready": "openstack protector protection-group health <group> tells it per member",
    "operation.needs_force": "make sure that the server in question does not run; then repeat the command with --force",
    "operation.plan_changed": "--plan-only shows the plan as it is now; give its hash, or none",
    "operation.plan_refused": "mend what is named; --plan-only checks again without starting anything",
    "protection_group.busy": "openstack protector operation watch <operation> follows what is running",
    "protection_group.no_members": "openstack protector member add <group> <server>",
    "protection_group.out_of_sync": "openstack protector protection-group sync-status <group>, then sync-force <group>",
    "protection_group.peer_unreachable": "if the other site is lost, work from the surviving one: "
    "openstack --os-cloud <surviving site> protector protection-group failover <group> --type unplanned; "
    "if not, wait until it answers",
    "protection_group.policy_missing": "openstack protector policy set <group> --primary-fa-url ... ",
    "protection_group.quarantined": "openstack protector protection-group sync-status <group>; the other site is "
    "the one to work from",
    "protection_group.wrong_site": "the same command with --os-cloud <the other site>",
    "protection_group.wrong_state": "openstack protector protection-group show <group> and "
    "openstack protector operation list --protection-group <group> tell how it came to that",
    "replication.not_ready": "openstack protector protection-group sync <group> --wait, then again",
    "resource.version_mismatch": "somebody changed it in between; look at it and repeat the command",
    "request.idempotency_mismatch": "use another --idempotency-key",
    "request.version_not_supported": "give a version in that range with --os-protector-api-version",
    "service.unavailable": "repeat the command in a moment; it is safe",
    "tenant_mapping.missing": "an administrator makes it: openstack protector tenant-mapping create",
}


_UNREACHABLE = (ksa.ConnectionError, ksa.RetriableConnectionFailure)
#: Of what happens before the service is asked: exceptions, what stands before their own words, and what to do next.
_LOGIN: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (
        ksa.Unauthorized,
        "Keystone does not accept these credentials: ",
        "a token may have expired or been revoked, a password changed, or the user has no role in the project that is "
        "asked for (OS_PROJECT_NAME); get a new token, or check the entry of clouds.yaml "
        "(openstack --os-cloud <cloud> token issue shows whether it works)",
    ),
    (
        (ksa.MissingRequiredOptions, sdk.ConfigException),
        "",
        "name an entry of clouds.yaml with OS_CLOUD or --os-cloud, and check that it is complete",
    ),
    (ksa.EndpointNotFound, "", "check region and service catalog (openstack catalog list)"),
)
_OPERATION = re.compile(r"op-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def explain(error: Exception, client: Any = None, args: argparse.Namespace | None = None) -> str:
    """The words for an exception; ``client`` adds where and as whom, ``args`` of which group it was, if known."""
    if isinstance(error, exceptions.ApiError):
        return _filled_in(_api(error, client), args)
    if isinstance(error, _UNREACHABLE):
        return _unreachable(error, client)
    if isinstance(error, ksa.DiscoveryFailure):
        # What keystoneauth makes of a Keystone that is down, or of an address that is not one of a Keystone.
        return _silent(_keystone_of(error), error)
    for kinds, before, following in _LOGIN:
        if isinstance(error, kinds):
            return f"{before}{_first_line(error)}\nNext: {following}"
    return str(error)


def _api(error: exceptions.ApiError, client: Any) -> str:
    lines = [_reason(entry) for entry in error.errors] or [str(error.message)]
    if error.status_code == 404 and "resource.not_found" in error.codes:
        lines[-1] += _where(client)
    request = f", {error.request_id}" if error.request_id else ""
    lines[-1] += f" (HTTP {error.status_code}{request})"
    for step in dict.fromkeys(NEXT[code] for code in error.codes if code in NEXT):
        lines.append(f"Next: {step}")
    links = [link["href"] for entry in error.errors for link in entry.get("links") or () if link.get("href")]
    if links and not any(code in NEXT for code in error.codes):
        lines.append(f"More: {links[0]}")
    if not error.errors:
        lines.append("Next: this did not come from Protector; check the endpoint (openstack catalog list)")
    return "\n".join(lines)


def _filled_in(text: str, args: argparse.Namespace | None) -> str:
    # Lines that can be copied: of the group that the command was about, and the operation that the service named.
    group = getattr(args, "group", None)
    if isinstance(group, str):
        text = text.replace("<group>", shlex.quote(group))
    operation = _OPERATION.search(text)
    return text.replace("<operation>", operation.group(0)) if operation else text


def _reason(entry: dict[str, Any]) -> str:
    title, detail = str(entry.get("title") or ""), str(entry.get("detail") or "")
    if not title or not detail or detail.startswith(title):
        return detail or title
    return f"{title}: {detail}"


def _where(client: Any) -> str:
    # A wrong project looks like a missing resource: the service must not tell the difference, we can say who asked.
    try:
        project = client.project_id
    except Exception:
        return ""
    return f" in project {project}, that of the token; is it the right one (OS_CLOUD, OS_PROJECT_NAME)?"


def _unreachable(error: Exception, client: Any) -> str:
    where = ""
    try:
        where = f" at {client.root}"
    except Exception:
        where = ""
    return _silent(f"Protector{where}" if where else "Keystone, or what the catalog names,", error)


def _keystone_of(error: Exception) -> str:
    address = re.search(r"when contacting (\S+?)\.? ", f"{error} ")
    return f"Keystone at {address.group(1)}" if address else "Keystone"


def _silent(who: str, error: Exception) -> str:
    return (
        f"{who} does not answer: {_first_line(error)}\n"
        "Next: check the network and the service (curl its address); if this site is lost, work from the other one "
        "with --os-cloud <the other site>"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    # Of a chain of failed attempts only the last link says something.
    plain = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(timed out|certificate verify failed)", text)
    return next(filter(None, plain.groups())) if plain else text.splitlines()[0]


def as_command_error(error: Exception, client: Any = None, args: argparse.Namespace | None = None) -> Exception:
    """The exception that OpenStackClient prints as its words."""
    if isinstance(error, osc.CommandError):
        return error
    return osc.CommandError(explain(error, client, args))
