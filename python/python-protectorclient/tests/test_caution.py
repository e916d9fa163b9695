# SPDX-License-Identifier: Apache-2.0
import io

import pytest
from osc_lib.exceptions import CommandError

from protectorclient import exceptions, sdk
from protectorclient.osc.v1 import caution, moves, ways_out
from tests import conftest


class Terminal(io.StringIO):
    def isatty(self):
        return True


def answer(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", Terminal(text))


def test_what_will_happen_is_told_from_the_plan(run, capsys):
    run(moves.Failover, ["prod-web-app"])
    told = capsys.readouterr().err
    for words in (
        "Planned failover of prod-web-app",
        "from site-a to site-b",
        "nothing is lost",
        "1 server:",
        "web-1  m2.large  net-b",
        "2 steps in 1 stage",
        "quota: cores needs 4, free 2",
        "not preserved: web-1: MAC",
        "warning: careful",
    ):
        assert words in told


def test_the_age_of_the_recovery_point_is_told(run, api, capsys):
    point = {"name": "p.3", "created_at": "2025-11-03T10:00:00Z", "age_seconds": 290}
    api.plan.return_value = conftest.plan(recovery_point=point, data_loss_seconds=290, forecast_seconds=420)
    run(moves.Failover, ["g", "--type", "unplanned"])
    told = capsys.readouterr().err
    assert "newest recovery point: 2025-11-03T10:00:00Z, 4 min 50 s old (p.3)" in told
    assert "data loss: what was written in 4 min 50 s" in told
    assert "about 7 min 0 s as earlier ones took" in told
    assert "taken to be lost" in told


def test_without_a_plan_the_groups_record_tells(run, api, capsys):
    api.microversion = "1.2"
    api.site_names.return_value = {"a": "site-a", "b": "site-b"}
    newest = {"name": "p.3", "created_at": "2025-11-03T10:00:00Z"}
    api.get_consistency_group.return_value = sdk.ConsistencyGroup(newest_recovery_point=newest)
    api.get_protection_group_health.return_value = sdk.GroupHealth(lag_seconds=7300)
    run(moves.TestFailover, ["g", "--retain-primary"])
    told = capsys.readouterr().err
    assert "runs at site-a, the other site is site-b" in told
    assert "2 h 1 min old (p.3)" in told
    assert "web-1  m1.large" in told


def test_where_nobody_can_answer_nothing_is_asked(run, api, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    run(moves.Failover, ["g", "--type", "unplanned"])
    assert "plan_hash" not in api.act.call_args.kwargs


@pytest.mark.parametrize("text", ["y\n", "yes\n", "Y\n"])
def test_yes_goes_on_with_exactly_that_plan(run, api, monkeypatch, text):
    answer(monkeypatch, text)
    run(moves.Failover, ["g"])
    assert api.act.call_args.kwargs["plan_hash"] == "sha256:1"


@pytest.mark.parametrize("text", ["", "\n", "n\n", "prod\n"])
def test_anything_else_does_nothing(run, api, monkeypatch, text):
    answer(monkeypatch, text)
    with pytest.raises(CommandError, match="Nothing was done"):
        run(moves.Failover, ["g"])
    api.act.assert_not_called()


@pytest.mark.parametrize(("text", "goes_on"), [("y\n", False), ("prod-web\n", False), ("prod-web-app\n", True)])
@pytest.mark.parametrize(
    ("command", "line"),
    [
        (moves.Failover, ["--type", "unplanned"]),
        (ways_out.Takeover, []),
        (ways_out.ResetStatus, ["--status", "active", "--force"]),
        (ways_out.Skip, ["--step", "s", "--reason", "r", "--force"]),
    ],
)
def test_what_may_lose_data_wants_the_groups_name(run, api, monkeypatch, text, goes_on, command, line):
    answer(monkeypatch, text)
    if goes_on:
        run(command, ["g", *line])
    else:
        with pytest.raises(CommandError, match="Nothing was done"):
            run(command, ["g", *line])
    assert (api.act.called or api.act_at_once.called) is goes_on


@pytest.mark.parametrize("line", [["--type", "unplanned", "--yes"], ["-y"]])
def test_yes_never_asks(run, api, monkeypatch, line):
    answer(monkeypatch, "")
    run(moves.Failover, ["g", *line])
    api.act.assert_called_once()


@pytest.mark.parametrize(
    ("command", "line"), [(moves.TestFailover, ["--retain-primary"]), (moves.Sync, []), (ways_out.Retry, [])]
)
def test_what_touches_nothing_is_not_asked_for(run, api, monkeypatch, command, line):
    answer(monkeypatch, "")
    run(command, ["g", *line])
    api.act.assert_called_once()


def test_a_refused_plan_starts_nothing(run, api, connect, requests_mock):
    reasons = [{"code": "target.quota", "detail": "cores"}, {"code": "mapping.missing", "detail": "net-a"}]
    path = f"{conftest.URL}/v1/{conftest.PROJECT}/protection-groups/group-id/plan"
    requests_mock.post(path, status_code=409, json={"errors": reasons})
    api.plan = connect().plan
    with pytest.raises(CommandError, match="cores\nnet-a"):
        run(moves.Failover, ["g"])
    api.act.assert_not_called()


def test_a_service_that_knows_no_plans_is_tolerated(connect, requests_mock):
    path = f"{conftest.URL}/v1/{conftest.PROJECT}/protection-groups/group-id/plan"
    requests_mock.post(path, status_code=404, json={"errors": [{"code": "resource.not_found", "detail": "no path"}]})
    assert caution.plan_or_none(connect(), conftest.group(), "failover", {}) is None


def test_many_servers_are_told_in_short():
    members = [{"name": f"web-{number}"} for number in range(100)]
    lines = caution.from_plan(conftest.plan(members=members))
    assert "100 servers:" in lines
    assert "  and 80 more" in lines


def test_an_error_about_the_record_is_told_and_stops_nothing(api):
    api.site_names.return_value = {"a": "a", "b": "b"}
    response = type("R", (), {"status_code": 503, "headers": {}, "text": "", "reason": "x", "request": None})()
    api.get_consistency_group.side_effect = exceptions.ApiError(response, [{"detail": "array down"}])
    lines = caution.from_record(api, conftest.group(), with_point=True)
    assert any("not known (array down" in line for line in lines)
