# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets out of logs, tracebacks and whatever prints parsed arguments."""

from __future__ import annotations

import logging
import re
from typing import Any

MASK = "***"
SECRET_FIELDS = frozenset(
    {
        "application_credential_secret",
        "password",
        "primary_fa_api_token",
        "secondary_fa_api_token",
    }
)


class Secret(str):
    """Text that does not show itself: ``repr`` is what argparse and loggers print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK

    def reveal(self) -> str:
        """The text itself, as a plain string."""
        return str.__str__(self)


_OPTION = re.compile(r"(--(?:(?:primary|secondary)-fa-api-token|application-credential-secret|password)(?:=|\s+))(\S+)")


class CommandLineFilter(logging.Filter):
    """Masks our secret options where OpenStackClient logs the command line; it knows only its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything through, without secrets."""
        message = record.getMessage()
        without = _OPTION.sub(rf"\1{MASK}", message)
        if without != message:
            record.msg, record.args = without, ()
        return True


def has_secrets(body: Any) -> bool:
    """Whether a JSON body holds a secret somewhere."""
    if isinstance(body, dict):
        return any(key in SECRET_FIELDS or has_secrets(value) for key, value in body.items())
    if isinstance(body, list):
        return any(has_secrets(item) for item in body)
    return False


def masked(body: Any) -> Any:
    """A copy of a JSON body in which secrets are replaced."""
    if isinstance(body, dict):
        return {key: MASK if key in SECRET_FIELDS and value else masked(value) for key, value in body.items()}
    if isinstance(body, list):
        return [masked(item) for item in body]
    return body
