# SPDX-License-Identifier: Apache-2.0
import argparse
import logging
from unittest import mock

import pytest
from osc_lib.exceptions import CommandError

from protectorclient import redact
from protectorclient.osc.v1 import names, options


@pytest.mark.parametrize("text", ["", "a", "=b", "a="])
def test_a_pair_needs_both_sides(text):
    with pytest.raises(argparse.ArgumentTypeError):
        options.pair(text)


def test_a_value_may_hold_an_equals_sign():
    assert options.pair("a=b=c") == ("a", "b=c")


def test_a_source_is_mapped_once():
    assert options.mapping([("a", "b"), ("a", "b")], "--x") == {"a": "b"}
    with pytest.raises(CommandError, match="--x: a"):
        options.mapping([("a", "b"), ("a", "c")], "--x")


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", ""])
def test_a_number_is_whole_and_above_zero(text):
    with pytest.raises(argparse.ArgumentTypeError):
        options.positive(text)


def test_a_secret_does_not_show_itself():
    parser = argparse.ArgumentParser()
    parser.add_argument("--token", type=redact.Secret)
    parsed = parser.parse_args(["--token", "s3cret"])
    assert "s3cret" not in repr(parsed)
    assert parsed.token.reveal() == "s3cret"


def test_secrets_are_masked_wherever_they_are():
    body = {"site": {"name": "b", "password": "x", "more": [{"primary_fa_api_token": "y"}]}}
    assert redact.has_secrets(body)
    assert redact.masked(body) == {"site": {"name": "b", "password": "***", "more": [{"primary_fa_api_token": "***"}]}}
    assert not redact.has_secrets({"failover": {"force": True}})


@pytest.mark.parametrize(
    "line", ["--primary-fa-api-token s3cret", "--password=s3cret x", "a --secondary-fa-api-token s3cret"]
)
def test_a_logged_command_line_has_no_secrets(caplog, line):
    logger = logging.getLogger("a-shell")
    logger.addFilter(redact.CommandLineFilter())
    logger.warning("START with options: %s", line)
    logger.warning("100% of what is not secret")
    assert "s3cret" not in caplog.text
    assert "***" in caplog.text
    assert "100% of what" in caplog.text


def cloud(**networks):
    connection = mock.Mock()
    found = {name: mock.Mock(id=id_) for name, id_ in networks.items()}
    connection.network.find_network.side_effect = found.get
    return connection


def look_up(primary, secondary, configured="site-b"):
    manager = mock.Mock(sdk_connection=primary)
    manager.get_configuration.return_value = {"secondary_cloud": configured}
    connect = mock.Mock(return_value=secondary)
    return names.Names(manager, connect), connect


def test_names_are_looked_up_in_both_clouds_when_asked():
    both, connect = look_up(cloud(web_a="1", shared="7"), cloud(web_b="2", shared="8"))
    pairs = [("web_a", "web_b"), ("shared", "nowhere")]
    # What is in both clouds or in neither is for the API to decide.
    assert both.mapping("network", pairs, "--x") == {"1": "2", "shared": "nowhere"}
    connect.assert_called_once_with(cloud="site-b")


def test_without_a_secondary_cloud_nothing_is_looked_up():
    both, connect = look_up(cloud(), cloud(), configured=None)
    assert both.mapping("network", [("a", "b")], "--x") == {"a": "b"}
    connect.assert_not_called()


def test_a_cloud_that_is_down_does_not_stop_a_failover():
    dead = mock.Mock()
    dead.network.find_network.side_effect = OSError("down")
    both, _ = look_up(dead, cloud(b="2"))
    assert both.mapping("network", [("a", "b")], "--x") == {"a": "b"}
