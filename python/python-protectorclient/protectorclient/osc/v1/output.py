# SPDX-License-Identifier: Apache-2.0
"""Resources as cliff shows them: text for people, plain data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cliff import columns
from osc_lib.cli import format_columns

from protectorclient.sdk.base import ProtectorResource

Shown = tuple[tuple[str, ...], tuple[Any, ...]]
#: Pairs of a field's name and its heading.
Columns = Sequence[tuple[str, str]]


def inline(value: Any) -> str:
    """A nested value in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={inline(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return "[" + "; ".join(inline(item) for item in value) + "]"
    return str(value)


class ListColumn(columns.FormattableColumn):  # type: ignore[type-arg]
    """A list in its own order, one line each (osc-lib's sorts, and the order of stages means something)."""

    def human_readable(self) -> str:
        return "\n".join(inline(item) for item in self._value)

    def machine_readable(self) -> list[Any]:
        return list(self._value)


class NestedColumn(columns.FormattableColumn):  # type: ignore[type-arg]
    """A dictionary with structure of its own, one line per key."""

    def human_readable(self) -> str:
        return "\n".join(f"{key}: {inline(value)}" for key, value in self._value.items())

    def machine_readable(self) -> dict[str, Any]:
        return dict(self._value)


class Text(columns.FormattableColumn):  # type: ignore[type-arg]
    """A value that may be missing: an empty cell for people, ``null`` for programs."""

    def human_readable(self) -> str:
        return "" if self._value is None else str(self._value)

    def machine_readable(self) -> Any:
        return self._value


def formatted(value: Any) -> Any:
    """A value as a cell."""
    if isinstance(value, dict):
        if any(isinstance(item, (dict, list)) for item in value.values()):
            return NestedColumn(value)
        return format_columns.DictColumn(value)
    if isinstance(value, (list, tuple)):
        return ListColumn(value)
    return Text(value) if value is None else value


def show(resource: ProtectorResource) -> Shown:
    """One resource with all its fields. Which these are does not depend on the service's answer."""
    fields = resource.fields()
    return tuple(fields), tuple(formatted(value) for value in fields.values())


def pairs(values: dict[str, Any]) -> Shown:
    """A dictionary as one thing."""
    return tuple(values), tuple(formatted(value) for value in values.values())


def table(items: Iterable[ProtectorResource], wanted: Columns) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
    """Resources as rows."""
    headings = tuple(heading for _, heading in wanted)
    return headings, [tuple(formatted(getattr(item, field)) for field, _ in wanted) for item in items]


def rows(items: Iterable[dict[str, Any]], wanted: Columns) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
    """Dictionaries as rows."""
    headings = tuple(heading for _, heading in wanted)
    return headings, [tuple(formatted(item.get(field)) for field, _ in wanted) for item in items]
