# SPDX-License-Identifier: Apache-2.0
"""What the commands share."""

import argparse
import logging
import time

from cliff import columns
from osc_lib import exceptions
from osc_lib import utils
from osc_lib.cli import format_columns

from protectorclient import exceptions as errors

LOG = logging.getLogger(__name__)

TERMINAL = ("completed", "failed", "cancelled")

MAPPING_FIELDS = (
    "network_mapping",
    "flavor_mapping",
    "image_mapping",
    "security_group_mapping",
    "keypair_mapping",
)


def pair(text):
    """``a=b`` of a mapping option."""
    source, equals, target = text.partition("=")
    if not equals or not source or not target:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form <source>=<target>")
    return source, target


def mapping(pairs, option):
    """A mapping from repeated options; a source may be named only once."""
    result = {}
    for source, target in pairs or ():
        if result.get(source, target) != target:
            raise exceptions.CommandError(f"{option}: {source} is mapped to {result[source]} and to {target}")
        result[source] = target
    return result


def add_mapping_options(parser, fields, help_prefix=""):
    """One repeatable ``--<thing>-mapping a=b`` per field."""
    for field in fields:
        thing = field.removesuffix("_mapping").replace("_", " ")
        parser.add_argument(
            "--" + field.replace("_", "-"),
            metavar="<source>=<target>",
            type=pair,
            action="append",
            default=[],
            help=f"{help_prefix}{thing} at the source site and its counterpart at the target, "
            "each by name or id (repeat option)",
        )


def group_argument(parser):
    parser.add_argument("group", metavar="<protection-group>", help="Protection group (name or id)")


def add_wait_options(parser):
    parser.add_argument("--wait", action="store_true", help="Wait until the operation has ended")
    parser.add_argument(
        "--timeout", metavar="<seconds>", type=int, default=0, help="Longest wait; 0 (default): no limit"
    )


class OrderedColumn(columns.FormattableColumn):
    """A list in its own order (osc-lib's ListColumn sorts, and the order of steps means something)."""

    def human_readable(self):
        return "\n".join(
            utils.format_dict(item) if isinstance(item, dict) else str(item) for item in self._value
        )

    def machine_readable(self):
        return list(self._value)


def _formatted(value):
    if isinstance(value, dict):
        return format_columns.DictColumn(value)
    if isinstance(value, list):
        return OrderedColumn(value)
    return value


def show(resource, first=("id", "name", "status")):
    """A dictionary as ShowOne wants it: well-known fields first."""
    keys = [k for k in first if k in resource]
    keys += [k for k in resource if k not in keys]
    return tuple(keys), tuple(_formatted(resource[k]) for k in keys)


def table(items, fields):
    """Dictionaries as Lister wants them; ``fields`` are (field, heading)."""
    headings = tuple(heading for _, heading in fields)
    rows = (tuple(_formatted(item.get(field)) for field, _ in fields) for item in items)
    return headings, rows


def current(operation):
    """What an operation does now, in one line."""
    stages = operation.get("stages") or []
    running = [s["name"] for s in stages if s.get("running")]
    done = operation.get("steps_completed") or []
    doing = ", ".join(running) or (done[-1] + " done" if done else "")
    return f"{operation['progress']:3d}% {operation['status']:<12} {doing}".rstrip()


def watch(client, operation_id, interval=2, timeout=0, out=None, sleep=time.sleep, clock=time.monotonic):
    """Polls until the operation has ended; ``out`` gets a line per change."""
    begun = clock()
    last = None
    while True:
        operation = client.operation(operation_id)
        line = current(operation)
        if out is not None and line != last:
            out.write(line + "\n")
            out.flush()
        last = line
        if operation["status"] in TERMINAL:
            return operation
        if operation["status"] == "needs_attention":
            # Waits for a person: going on waiting would be for nothing.
            raise errors.OperationFailed(
                f"{operation_id} needs attention: {operation.get('error_message') or 'see its steps_failed'}"
            )
        if timeout and clock() - begun >= timeout:
            raise errors.OperationFailed(f"{operation_id} has not ended within {timeout} s; it goes on")
        sleep(interval)


def succeeded(operation):
    """The operation, if it reached its goal."""
    if operation["status"] != "completed":
        reason = operation.get("error_message") or "see its steps_failed"
        raise errors.OperationFailed(f"{operation['id']} ended {operation['status']}: {reason}")
    return operation


class Names:
    """Looks names up in both clouds, when ``--secondary-cloud`` is given.

    The API takes names as well as ids. A look-up here finds misspelt names before anything is asked; a name that
    is in both clouds, or in neither, is left to the API, which knows which site is the source.
    """

    def __init__(self, client_manager, connect=None):
        self._manager = client_manager
        self._connect = connect
        self._clouds = None

    def _secondary(self):
        options = self._manager.get_configuration()
        return options.get("secondary_cloud")

    def clouds(self):
        if self._clouds is None:
            connect = self._connect
            if connect is None:
                import openstack

                connect = openstack.connect
            self._clouds = [self._manager.sdk_connection, connect(cloud=self._secondary())]
        return self._clouds

    def resolve(self, kind, value):
        """The id of a network or flavor, or the value as it is."""
        found = []
        for cloud in self.clouds():
            look_up = {
                "network": lambda c: c.network.find_network(value),
                "flavor": lambda c: c.compute.find_flavor(value),
            }[kind]
            try:
                resource = look_up(cloud)
            except Exception as error:  # a cloud that is down must not stop an unplanned failover
                LOG.warning("%s %s was not looked up in every cloud: %s", kind, value, error)
                return value
            if resource is not None:
                found.append(resource.id)
        return found[0] if len(set(found)) == 1 else value

    def mapping(self, kind, pairs, option):
        result = mapping(pairs, option)
        if not result or not self._secondary():
            return result
        return {self.resolve(kind, s): self.resolve(kind, t) for s, t in result.items()}
