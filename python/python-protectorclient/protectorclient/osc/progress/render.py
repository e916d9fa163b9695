# SPDX-License-Identifier: Apache-2.0
"""The view as lines of text. Pure: the same view and size give the same lines."""

from __future__ import annotations

import dataclasses

from protectorclient.osc.progress import words
from protectorclient.osc.progress.view import DONE, FAILED, RUNNING, WAITING, Server, StageLine, View

WIDE = 120
_NAME_WIDTH = 24
# Seconds; a forecast of less than this is no better than a word.
_MOMENT = 2


@dataclasses.dataclass(frozen=True)
class Style:
    """Marks and colours; the plain one is for terminals that know no more than ASCII."""

    marks: dict[str, str]
    bar: tuple[str, str]
    arrow: str
    more: str
    colours: dict[str, str]

    def paint(self, text: str, state: str) -> str:
        """A text in the colour of a state."""
        colour = self.colours.get(state)
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and text else text

    def cut(self, text: str, width: int) -> str:
        """A text that is no wider than asked."""
        text = " ".join(text.split())
        return text if len(text) <= width else text[: max(0, width - len(self.more))] + self.more


_COLOURS = {DONE: "32", RUNNING: "1", FAILED: "1;31", WAITING: "2"}
_UNICODE = {DONE: "✔", RUNNING: "▸", FAILED: "✘", WAITING: "·"}
_ASCII = {DONE: "+", RUNNING: ">", FAILED: "x", WAITING: "."}


def style(unicode: bool, colour: bool) -> Style:
    """A style for what the terminal can do."""
    colours = _COLOURS if colour else {}
    if unicode:
        return Style(_UNICODE, ("█", "░"), "→", "…", colours)
    return Style(_ASCII, ("#", "-"), "->", "...", colours)


def lines(view: View, look: Style, width: int, height: int) -> list[str]:
    """At most ``height`` lines, none wider than ``width``."""
    head = _head(view, look, width)
    foot = _foot(view, look, width)
    room = max(0, height - len(head) - len(foot))
    stages, servers = view.stages(), list(view.servers.values())
    if width >= WIDE and servers:
        body = _side_by_side(stages, servers, look, width, room)
    else:
        body = _stacked(stages, servers, look, width, room)
    return (head + body + foot)[: max(1, height)]


def _head(view: View, look: Style, width: int) -> list[str]:
    operation = view.operation
    if operation is None:
        return [look.cut(view.title, width)]
    identity = operation.id
    title = look.cut(view.title, width)
    if len(title) + len(identity) + 2 <= width:
        first = [title + " " * (width - len(title) - len(identity)) + look.paint(identity, WAITING)]
    else:
        first = [title, look.paint(look.cut(identity, width), WAITING)]
    state = FAILED if operation.status in ("failed", "cancelled", "needs_attention") else RUNNING
    state = DONE if operation.status == "completed" else state
    status = operation.status.replace("_", " ")
    times = f"{words.duration(view.elapsed)} elapsed"
    if view.remaining is not None:
        left = view.remaining
        times += f", about {words.duration(left)} left" if left >= _MOMENT else ", almost done"
    elif operation.is_stopped:
        times = f"after {words.duration(view.elapsed)}"
    tail = f" {operation.progress:3d}%  {status}  {times}"
    size = max(10, min(60, width - len(tail)))
    filled = size * max(0, min(100, operation.progress)) // 100
    bar = look.bar[0] * filled + look.bar[1] * (size - filled)
    plain = look.cut(tail.strip(), width)
    if size + len(tail) > width:
        return [*first, plain, ""]
    painted = f" {operation.progress:3d}%  {look.paint(status, state)}  {times}"
    return [*first, look.paint(bar, DONE if state == DONE else "") + painted, ""]


def _foot(view: View, look: Style, width: int) -> list[str]:
    texts = []
    operation = view.operation
    if view.note:
        texts.append((view.note, FAILED))
    if operation is not None and operation.error_message and not view.note:
        texts.append((operation.error_message, FAILED))
    return ["", *(look.paint(look.cut(text, width), state) for text, state in texts)] if texts else []


def _stage_text(stage: StageLine, look: Style, width: int) -> str:
    amount = f"{stage.done}/{stage.total}" if stage.total else ""
    mark = look.paint(look.marks[stage.state], stage.state)
    name = look.cut(stage.name.replace("_", " "), max(8, width - 12))
    gap = " " * max(1, width - 4 - len(name) - len(amount))
    return f"  {mark} {look.paint(name, stage.state)}{gap}{look.paint(amount, stage.state)}"


def _server_text(server: Server, look: Style, width: int, name_width: int) -> str:
    name = look.cut(server.name, name_width).ljust(name_width)
    mark = look.paint(look.marks[server.state], server.state)
    text = look.cut(server.text, max(1, width - name_width - 6))
    painted = look.paint(text, server.state if server.state in (FAILED, WAITING) else "")
    return f"  {mark} {name}  {painted}"


def _name_width(servers: list[Server]) -> int:
    return min(_NAME_WIDTH, max((len(server.name) for server in servers), default=0))


def _server_lines(servers: list[Server], look: Style, width: int, room: int) -> list[str]:
    size = _name_width(servers)
    if len(servers) <= room:
        return [_server_text(server, look, width, size) for server in servers]
    if room < 2:
        return []
    # Whoever is in trouble or at work is worth a line; the rest is counted.
    order = {FAILED: 0, RUNNING: 1, WAITING: 2, DONE: 3}
    ranked = sorted(servers, key=lambda server: (order[server.state], words.natural(server.name)))
    shown, rest = ranked[: room - 1], ranked[room - 1 :]
    tally = [(state, sum(server.state == state for server in rest)) for state in (FAILED, RUNNING, WAITING, DONE)]
    counted = ", ".join(f"{number} {state}" for state, number in tally if number)
    return [
        *(
            _server_text(server, look, width, size)
            for server in sorted(shown, key=lambda server: words.natural(server.name))
        ),
        "    " + look.cut(f"and {words.count(len(rest), 'server')} more: {counted}", width - 4),
    ]


def _stacked(stages: list[StageLine], servers: list[Server], look: Style, width: int, room: int) -> list[str]:
    top = [_stage_text(stage, look, min(width, 60)) for stage in stages]
    left = room - len(top) - 1
    bottom = _server_lines(servers, look, width, left) if servers and left > 0 else []
    return [*top, "", *bottom] if bottom else top


def _side_by_side(stages: list[StageLine], servers: list[Server], look: Style, width: int, room: int) -> list[str]:
    column = 56
    left = [_stage_text(stage, look, column) for stage in stages][:room]
    right = _server_lines(servers, look, width - column - 4, room)
    rows = []
    for index in range(max(len(left), len(right))):
        cell = left[index] if index < len(left) else " " * column
        rows.append(f"{cell}    {right[index]}" if index < len(right) else cell)
    return rows
