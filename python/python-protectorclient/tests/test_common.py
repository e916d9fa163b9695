# SPDX-License-Identifier: Apache-2.0
import argparse
import io
from unittest import mock

import pytest
from osc_lib.exceptions import CommandError

from protectorclient.osc.v1 import common
from tests import conftest


@pytest.mark.parametrize("text", ["", "a", "=b", "a="])
def test_a_pair_needs_both_sides(text):
    with pytest.raises(argparse.ArgumentTypeError):
        common.pair(text)


def test_a_value_may_hold_an_equals_sign():
    assert common.pair("a=b=c") == ("a", "b=c")


def test_a_source_is_mapped_once():
    assert common.mapping([("a", "b"), ("a", "b")], "--x") == {"a": "b"}
    with pytest.raises(CommandError, match="--x: a"):
        common.mapping([("a", "b"), ("a", "c")], "--x")


def test_watch_tells_each_change_once_and_ends():
    client = mock.Mock()
    running = conftest.operation(progress=10, stages=[{"name": "recreate_instances", "running": 1}])
    client.operation.side_effect = [running, running, conftest.operation(status="completed", progress=100)]
    out, naps = io.StringIO(), []
    ended = common.watch(client, "op-1", out=out, sleep=naps.append)
    assert ended["status"] == "completed"
    assert out.getvalue() == " 10% running      recreate_instances\n100% completed\n"
    assert naps == [2, 2]


def test_watch_gives_up_after_its_time():
    client = mock.Mock()
    client.operation.return_value = conftest.operation()
    times = iter([0, 1, 6])
    with pytest.raises(CommandError, match="within 5 s"):
        common.watch(client, "op-1", timeout=5, sleep=lambda _: None, clock=lambda: next(times))


def cloud(**networks):
    connection = mock.Mock()
    found = {name: mock.Mock(id=id_) for name, id_ in networks.items()}
    connection.network.find_network.side_effect = lambda name: found.get(name)
    return connection


def names(primary, secondary, configured="site-b"):
    manager = mock.Mock(sdk_connection=primary)
    manager.get_configuration.return_value = {"secondary_cloud": configured}
    connect = mock.Mock(return_value=secondary)
    return common.Names(manager, connect), connect


def test_names_are_looked_up_in_both_clouds_when_asked():
    lookup, connect = names(cloud(web_a="1", shared="7"), cloud(web_b="2", shared="8"))
    pairs = [("web_a", "web_b"), ("shared", "nowhere")]
    # What is in both clouds or in neither is for the API to decide.
    assert lookup.mapping("network", pairs, "--x") == {"1": "2", "shared": "nowhere"}
    connect.assert_called_once_with(cloud="site-b")


def test_without_a_secondary_cloud_nothing_is_looked_up():
    lookup, connect = names(cloud(), cloud(), configured=None)
    assert lookup.mapping("network", [("a", "b")], "--x") == {"a": "b"}
    connect.assert_not_called()


def test_a_cloud_that_is_down_does_not_stop_a_failover():
    dead = mock.Mock()
    dead.network.find_network.side_effect = OSError("down")
    lookup, _ = names(dead, cloud(b="2"))
    assert lookup.mapping("network", [("a", "b")], "--x") == {"a": "b"}
