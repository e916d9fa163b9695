# SPDX-License-Identifier: Apache-2.0
"""Shows the view: redrawn in place on a terminal, as a line per change elsewhere."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

from protectorclient.osc.progress import render, words
from protectorclient.osc.progress.view import DONE, FAILED, View


class Live:
    """A block at the foot of the terminal, drawn over at each look."""

    #: Seconds between two looks.
    interval = 1.0

    def __init__(self, stream: TextIO, look: render.Style) -> None:
        self._stream = stream
        self._look = look
        self._drawn = 0

    def update(self, view: View) -> None:
        """Draws the view over what was drawn before."""
        size = shutil.get_terminal_size()
        # A line as wide as the terminal would wrap on some; one line less than its height, or it would scroll.
        drawn = render.lines(view, self._look, max(20, size.columns - 1), max(4, size.lines - 1))
        up = f"\x1b[{self._drawn}A\r" if self._drawn else ""
        self._stream.write(up + "".join(f"{line}\x1b[K\n" for line in drawn) + "\x1b[J")
        self._stream.flush()
        self._drawn = len(drawn)

    def close(self, view: View) -> None:
        """Leaves the last picture where it is."""
        self.update(view)
        self._stream.write("\n")
        self._stream.flush()


class Plain:
    """A line per change: for logs, pipes and cron's mails."""

    interval = 2.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""
        self._told: dict[str, str] = {}

    def update(self, view: View) -> None:
        """Tells what has changed."""
        operation = view.operation
        if operation is None:
            return
        running = [stage for stage in view.stages() if stage.running]
        doing = ", ".join(f"{stage.name} {stage.done}/{stage.total}" for stage in running)
        line = f"{operation.progress:3d}% {operation.status:<12} {doing}".rstrip()
        if view.note:
            line += f" ({view.note})"
        if line != self._last:
            left = view.remaining
            about = f" (about {words.duration(left)} left)" if left is not None else ""
            self._write(f"{words.duration(view.elapsed):>7} {line}{about}")
            self._last = line
        for server in view.servers.values():
            # One line when a server is up or has failed; what happens in between is in the journal.
            if server.state in (DONE, FAILED) and self._told.get(server.name) != server.text:
                self._told[server.name] = server.text
                self._write(f"{words.duration(view.elapsed):>7} {server.name}: {server.text}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def close(self, view: View) -> None:
        """Tells the end."""
        self.update(view)


def for_stream(stream: TextIO) -> Live | Plain:
    """The display that suits where the output goes."""
    if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return Plain(stream)
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Live(stream, render.style(unicode=encoding == "utf8", colour="NO_COLOR" not in os.environ))
