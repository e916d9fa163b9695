# SPDX-License-Identifier: Apache-2.0
"""What all commands share: when they log in, how they fail, which exit code they give."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from osc_lib.command import command

from protectorclient.osc.v1 import explain, output

if TYPE_CHECKING:
    from protectorclient.sdk import Proxy


# Formats of cliff's that would print a missing value as the word None, which a script's test takes for something.
_WITHOUT_NULL = frozenset({"csv", "shell", "value"})


class Base(command.Command):
    """A command of this plugin."""

    # OpenStackClient would log in before it has looked at the arguments; we do it in run(), so that a mistyped option
    # is told without any network, and a failed login is told in our words.
    auth_required = False
    exit_code = 0
    _client: Any = None

    @property
    def client(self) -> Proxy:
        """The API."""
        if self._client is None:
            self._client = self.app.client_manager.protector  # type: ignore[attr-defined]
        return cast("Proxy", self._client)

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            self.auth_required = True
            self.app.prepare_to_run_command(self)
            result = super().run(parsed_args)
        except Exception as error:
            raise explain.as_command_error(error, self._client, parsed_args) from error
        return self.exit_code or result

    def fail(self, message: str) -> None:
        """Lets the command print its result and then fail."""
        tell(message)
        self.exit_code = 1


class Command(Base):
    """A command without output."""


class ShowOne(Base, command.ShowOne):
    """A command that shows one thing."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> int:
        return super().produce_output(parsed_args, column_names, _for_shells(parsed_args, data))


class Lister(Base, command.Lister):
    """A command that shows a table."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> int:
        rows = [_for_shells(parsed_args, row) for row in data]
        return super().produce_output(parsed_args, column_names, rows)


def _for_shells(parsed_args: argparse.Namespace, cells: Iterable[Any]) -> tuple[Any, ...]:
    """Cells as the format wants them: where there is no ``null``, what is not known is empty and not the word None."""
    if parsed_args.formatter not in _WITHOUT_NULL:
        return tuple(cells)
    return tuple("" if isinstance(cell, output.Text) and cell.is_missing else cell for cell in cells)


def tell(text: str) -> None:
    """Says something to the person, out of the way of the output that a script reads.

    On a terminal lines are broken between words; elsewhere they stay as they are, so that they can be searched.
    """
    if sys.stderr.isatty():
        width = max(20, shutil.get_terminal_size().columns - 1)
        text = "\n".join(_wrapped(line, width) for line in text.splitlines())
    print(text, file=sys.stderr, flush=True)


def _wrapped(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(), width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )
