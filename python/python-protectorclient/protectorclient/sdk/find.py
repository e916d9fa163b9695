# SPDX-License-Identifier: Apache-2.0
"""Names and ids."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypeVar

from protectorclient import exceptions
from protectorclient.sdk.base import ProtectorResource

_ResourceT = TypeVar("_ResourceT", bound=ProtectorResource)


def is_id(text: str) -> bool:
    """Whether a text is a UUID in any of the forms that OpenStack writes."""
    try:
        uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def only(kind: str, name: str, found: Sequence[_ResourceT], known: Sequence[str] = ()) -> _ResourceT:
    """The one resource of that name; ``known`` are names to choose from if there is none."""
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(item.id for item in found)
        raise exceptions.Ambiguous(f"Several have the name {name!r}; give an id of: {ids}")
    there = f"; there are: {', '.join(known)}" if known else ""
    raise exceptions.NotThere(f"No {kind} has the id or name {name!r}{there}")
