# SPDX-License-Identifier: Apache-2.0
"""Options that several commands take, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from osc_lib import exceptions

Pair = tuple[str, str]


def pair(text: str) -> Pair:
    """``a=b`` of a mapping option."""
    source, equals, target = text.partition("=")
    if not equals or not source or not target:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form <source>=<target>")
    return source, target


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def mapping(pairs: Iterable[Pair], option: str) -> dict[str, str]:
    """A mapping from repeated options; a source may be named only once."""
    result: dict[str, str] = {}
    for source, target in pairs:
        if result.get(source, target) != target:
            raise exceptions.CommandError(f"{option}: {source} is mapped to {result[source]} and to {target}")
        result[source] = target
    return result


def option_of(field: str) -> str:
    """``--network-mapping`` of ``network_mapping``."""
    return "--" + field.replace("_", "-")


def add_mappings(parser: argparse.ArgumentParser, fields: Sequence[str], sides: str) -> None:
    """One repeatable ``--<thing>-mapping a=b`` per field; ``sides`` says which side is which."""
    for field in fields:
        thing = field.replace("_mapping", "").replace("_", " ")
        parser.add_argument(
            option_of(field),
            metavar="<source>=<target>",
            type=pair,
            action="append",
            default=[],
            help=f"{thing.capitalize()} {sides}, each by name or id (repeat option)",
        )


def add_group(parser: argparse.ArgumentParser) -> None:
    """The group that is meant."""
    parser.add_argument("group", metavar="<protection-group>", help="Protection group (name or id)")


def add_site(parser: argparse.ArgumentParser) -> None:
    """The site that is meant."""
    parser.add_argument("site", metavar="<site>", help="Site (name or id)")


def add_operation(parser: argparse.ArgumentParser) -> None:
    """The operation that is meant."""
    parser.add_argument("operation", metavar="<operation>", help="Operation (id)")


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """How long to wait."""
    parser.add_argument(
        "--timeout",
        metavar="<seconds>",
        type=positive,
        help="Longest wait; the operation goes on after it (default: no limit)",
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Not to ask."""
    parser.add_argument("--yes", "-y", action="store_true", help="Do not ask; what will happen is still told")
