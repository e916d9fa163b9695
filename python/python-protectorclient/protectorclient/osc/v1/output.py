# SPDX-License-Identifier: Apache-2.0
"""Resources as cliff shows them: text for people, plain data for programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliff import columns
from osc_lib.cli import format_columns

from protectorclient.sdk.base import ProtectorResource

Shown = tuple[tuple[str, ...], tuple[Any, ...]]
#: Pairs of a field's name and its heading.
Columns = Sequence[tuple[str, str]]

_LONG_LINE = 56
_ROOMY_TERMINAL = 120


def inline(value: Any) -> str:
    """A nested value in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={inline(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return "[" + "; ".join(inline(item) for item in value) + "]"
    return str(value)


def outline(value: Any) -> list[str]:
    """A nested value as indented lines, which a table cell does not have to break."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _entry(str(key), item)]
    if isinstance(value, (list, tuple)):
        return [line for item in value for line in _item(item)]
    return [str(value)]


def _entry(key: str, item: Any) -> list[str]:
    if item in ({}, [], ()):
        return [f"{key}: none"]
    if isinstance(item, (Mapping, list, tuple)):
        return [f"{key}:", *(f"  {line}" for line in outline(item))]
    text = str(item)
    if len(key) + len(text) <= _LONG_LINE or shutil.get_terminal_size().columns >= _ROOMY_TERMINAL:
        return [f"{key}: {text}"]
    return [f"{key}:", f"  {text}"]


def _item(item: Any) -> list[str]:
    if not isinstance(item, (Mapping, list, tuple)):
        return [str(item)]
    text = inline(item)
    if len(text) <= _LONG_LINE:
        return [text]
    first, *rest = outline(item)
    return [f"- {first}", *(f"  {line}" for line in rest)]


class ListColumn(columns.FormattableColumn):  # type: ignore[type-arg]
    """A list in its own order (osc-lib's sorts, and the order of stages means something)."""

    def human_readable(self) -> str:
        return "\n".join(outline(self._value))

    def machine_readable(self) -> list[Any]:
        return list(self._value)


class NestedColumn(columns.FormattableColumn):  # type: ignore[type-arg]
    """A dictionary with structure of its own."""

    def human_readable(self) -> str:
        return "\n".join(outline(self._value))

    def machine_readable(self) -> dict[str, Any]:
        return dict(self._value)


class StagesColumn(ListColumn):
    """The stages of an operation: how far each is."""

    def human_readable(self) -> str:
        return "\n".join(f"{stage['name']}: {stage['done']} of {stage['total']}" for stage in self._value)


class StepsColumn(ListColumn):
    """The steps of a plan: a number for people, all of them for programs."""

    def human_readable(self) -> str:
        return f"{len(self._value)} (all of them with -f json)"


class BriefColumn(NestedColumn):
    """A result whose maps of ids are counted for people: they would push what was watched off the screen."""

    def human_readable(self) -> str:
        return "\n".join([*(self._line(key, item) for key, item in self._value.items()), "(whole: operation show)"])

    @staticmethod
    def _line(key: str, item: Any) -> str:
        if isinstance(item, Mapping) and item.get("name"):
            item = item["name"]
        elif isinstance(item, (Mapping, list, tuple)):
            item = len(item) or "none"
        return "\n".join(_entry(key, item))


class Text(columns.FormattableColumn):  # type: ignore[type-arg]
    """A value that may be missing: an empty cell for people, ``null`` for programs."""

    @property
    def is_missing(self) -> bool:
        """Whether there is no value."""
        return self._value is None

    def human_readable(self) -> str:
        return "" if self._value is None else str(self._value)

    def machine_readable(self) -> Any:
        return self._value


def formatted(value: Any) -> Any:
    """A value as a cell."""
    if isinstance(value, Mapping):
        if any(isinstance(item, (Mapping, list)) for item in value.values()):
            return NestedColumn(value)
        return format_columns.DictColumn(dict(value))
    if isinstance(value, (list, tuple)):
        return ListColumn(value)
    return Text(value) if value is None else value


def show(
    resource: ProtectorResource, special: Mapping[str, type[columns.FormattableColumn[Any]]] | None = None
) -> Shown:
    """One resource with all its fields. Which these are does not depend on the service's answer."""
    fields = resource.fields()
    cells = [
        special[name](value) if special and name in special and value else formatted(value)
        for name, value in fields.items()
    ]
    return tuple(fields), tuple(cells)


def operation(resource: ProtectorResource, brief: bool = False) -> Shown:
    """An operation; ``brief`` at the end of a watch."""
    return show(resource, {"stages": StagesColumn, **({"result_data": BriefColumn} if brief else {})})


def plan(resource: ProtectorResource) -> Shown:
    """A plan."""
    return show(resource, {"steps": StepsColumn})


def pairs(values: Mapping[str, Any]) -> Shown:
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
