# SPDX-License-Identifier: Apache-2.0
import io
import itertools
import re

import pytest
from keystoneauth1 import exceptions as ksa

from protectorclient import exceptions
from protectorclient.osc.progress import display, follow, render, view, words
from tests.conftest import event, operation

STAGES = [
    {"name": "validate_target_site", "done": 3, "total": 3, "running": 0},
    {"name": "promote_volumes_on_flasharray", "done": 1, "total": 5, "running": 2},
    {"name": "recreate_instances", "done": 0, "total": 8, "running": 0},
]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def a_view(servers=3, **changes):
    shown = view.View("failover of prod-web-app", [f"web-{number}" for number in range(servers)])
    record = operation(id="op-01a217be-b7aa-72e4-a1e1-540e844b3d85", progress=40, stages=STAGES, **changes)
    shown.take_operation(record, 20.0)
    shown.take_events([event(1, "started", "m0.clone0", member="web-0"), event(2, "done", "m1.create", member="web-1")])
    shown.take_operation(record, 20.0)
    return shown


@pytest.mark.parametrize("width", [40, 79, 80, 119, 120, 159, 200])
@pytest.mark.parametrize("servers", [0, 3, 200])
@pytest.mark.parametrize("height", [4, 12, 24, 50])
@pytest.mark.parametrize("look", [render.style(True, True), render.style(False, False)])
def test_no_picture_is_larger_than_the_terminal(width, servers, height, look):
    shown = a_view(servers, error_message="quota " * 60, steps_failed=[{"stage": "recreate_instances", "error": "x"}])
    lines = render.lines(shown, look, width, height)
    assert len(lines) <= height
    assert max(len(COLOUR.sub("", line)) for line in lines) <= width
    assert "failover" in lines[0]


def test_a_picture_of_80_columns():
    lines = render.lines(a_view(), render.style(False, False), 79, 24)
    assert lines == [
        "failover of prod-web-app                op-01a217be-b7aa-72e4-a1e1-540e844b3d85",
        "#############---------------------  40%  running  0:25 elapsed, about 0:37 left",
        "",
        "  + validate target site                                 3/3",
        "  > promote volumes on flasharray                        1/5",
        "  . recreate instances                                   0/8",
        "",
        "  > web-0  cloning a volume on the array",
        "  + web-1  server is up",
        "  . web-2  waiting",
    ]


def test_a_wide_terminal_shows_servers_beside_the_stages():
    lines = render.lines(a_view(), render.style(False, False), 159, 24)
    assert any("validate target site" in line and "web-0" in line for line in lines)
    assert len(lines) < len(render.lines(a_view(), render.style(False, False), 79, 24))


def test_of_many_servers_those_in_trouble_are_shown():
    shown = a_view(100)
    shown.take_events([event(3, "failed", "m77.create", member="web-77", message="No valid host")])
    text = "\n".join(render.lines(shown, render.style(False, False), 79, 24))
    assert "x web-77" in text
    assert "No valid host" in text
    assert re.search(r"and 8\d servers more: .*waiting", text)

    assert "    and 8" in text, "below the servers"


def test_servers_are_in_the_order_of_their_numbers():
    shown = view.View("x", ["web-10", "web-2", "db", "web-1"])
    assert list(shown.servers) == ["db", "web-1", "web-2", "web-10"]


def test_the_last_seconds_are_not_counted():
    shown = a_view()
    shown.take_operation(operation(progress=98, status="running", stages=STAGES), 20.0)
    assert "almost done" in "\n".join(render.lines(shown, render.style(False, False), 79, 24))


def test_the_end_has_no_eta_and_says_how_long_it_took():
    shown = a_view()
    shown.take_operation(operation(status="completed", progress=100), 60.0)
    assert shown.remaining is None
    assert "after 1:05" in "\n".join(render.lines(shown, render.style(False, False), 79, 24))


def test_an_operation_that_ran_before_we_looked_has_its_whole_time():
    shown = a_view()
    # The journal's last entry is 5 seconds after the start, by the service's clock.
    assert shown.elapsed == 25.0


def test_what_a_server_does_follows_the_journal():
    shown = view.View("x")
    shown.take_events(
        [event(1, "started", "m0.clone0"), event(2, "started", "m0.clone1"), event(3, "done", "m0.clone0")]
    )
    assert shown.servers["web-1"].text == "cloning a volume on the array"
    shown.take_events([event(4, "done", "m0.clone1")])
    assert (shown.servers["web-1"].text, shown.servers["web-1"].state) == ("volume cloned", view.RUNNING)
    shown.take_events([event(5, "started", "m0.create"), event(6, "done", "m0.create")])
    assert shown.servers["web-1"].state == view.DONE
    shown.take_events([event(7, "undo_started", "m0.create"), event(8, "undone", "m0.create")])
    assert shown.servers["web-1"].text == "undone: server is up"


@pytest.mark.parametrize(
    ("step", "kind"),
    [("m1.clone0", "clone"), ("m12.stop", "stop"), ("snapshot", "snapshot"), ("key0", "key"), ("", "")],
)
def test_steps_have_kinds(step, kind):
    assert words.kind_of(step) == kind


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (62, "1:02"), (3723, "1:02:03"), (-5, "0:00")])
def test_durations(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(35, "35 s"), (290, "4 min 50 s"), (12000, "3 h 20 min"), (187200, "2 days 4 h")]
)
def test_ages(seconds, text):
    assert words.age(seconds) == text


def test_times_of_the_api_are_read_with_and_without_fractions():
    assert words.between("2025-11-03T10:00:00Z", "2025-11-03T10:00:05.123456789Z") == 5
    assert words.between("nonsense", "2025-11-03T10:00:05Z") is None


class Clock:
    def __init__(self, step=1.0):
        self.times = itertools.count(0, step)

    def __call__(self):
        return next(self.times)


class NoTerminal(io.StringIO):
    def isatty(self):
        return False


def follower(api, out, step=1.0):
    return follow.Follower(api, display.Plain(out), sleep=lambda seconds: None, clock=Clock(step))


def test_without_a_terminal_each_change_is_a_line(api):
    running = operation(progress=10, stages=[{"name": "recreate_instances", "done": 1, "total": 3, "running": 1}])
    api.get_operation.side_effect = [running, running, operation(status="completed", progress=100)]
    api.events.side_effect = [[], [event(1, "done", "m0.create")], [], []]
    out = NoTerminal()
    assert follower(api, out).follow(operation()).status == "completed"
    lines = [line.split(maxsplit=1)[1] for line in out.getvalue().splitlines()]
    assert [re.sub(r" \(about.*", "", line) for line in lines] == [
        "0% running",
        "10% running      recreate_instances 1/3",
        "web-1: server is up",
        "100% completed",
    ]


def test_a_service_that_is_away_for_a_while_does_not_end_the_wait(api):
    api.get_operation.side_effect = [ksa.ConnectFailure("down"), operation(status="completed", progress=100)]
    out = NoTerminal()
    assert follower(api, out).follow(operation()).status == "completed"
    assert "does not answer; trying again" in out.getvalue()


def test_a_service_that_stays_away_does(api):
    api.get_operation.side_effect = ksa.ConnectFailure("down")
    with pytest.raises(ksa.ConnectFailure):
        follower(api, NoTerminal(), step=50).follow(operation())


def test_the_journal_is_read_on_from_the_last_entry(api):
    api.get_operation.side_effect = [operation(), operation(status="completed")]
    api.events.side_effect = [[event(4, "started", "m0.stop")], [], []]
    follower(api, NoTerminal()).follow(operation())
    assert [call.kwargs["after"] for call in api.events.call_args_list] == [None, 4, 4]


def test_a_decision_is_waited_for_until_it_was_taken_up(api):
    waits = operation(status="needs_attention", error_message="before")
    again = operation(status="needs_attention", error_message="after")
    # Taken up at the third look, where the record is older than the journal.
    api.get_operation.side_effect = [waits, waits, again]
    parked = [event(79, "parked", None), event(80, "asked", None, member=None)]
    api.events.side_effect = [parked, [], [event(90, "parked", None)], []]
    ended = follower(api, NoTerminal()).follow(waits, parked=79)
    assert ended.error_message == "after"
    assert api.get_operation.call_count == 3


def test_an_operation_that_waits_is_not_watched_any_further(api):
    api.events.return_value = [event(79, "parked", None)]
    follower(api, NoTerminal()).follow(operation(status="needs_attention"))
    api.get_operation.assert_not_called()


def test_waiting_has_an_end_when_told(api):
    api.get_operation.return_value = operation()
    with pytest.raises(exceptions.WaitTimeout, match="operation watch op-1"):
        follower(api, NoTerminal()).follow(operation(), timeout=5)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_is_drawn_over(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    out = Terminal()
    screen = display.for_stream(out)
    screen.update(a_view())
    drawn = out.getvalue().count("\n")
    screen.update(a_view())
    assert f"\x1b[{drawn}A\r" in out.getvalue()


@pytest.mark.parametrize(("stream", "term"), [(NoTerminal(), "xterm"), (Terminal(), "dumb")])
def test_what_cannot_be_drawn_over_gets_lines(monkeypatch, stream, term):
    monkeypatch.setenv("TERM", term)
    assert isinstance(display.for_stream(stream), display.Plain)
