# SPDX-License-Identifier: Apache-2.0
"""The real library over a mocked network, and a fake of the library behind the commands."""

import argparse
from unittest import mock

import pytest
from keystoneauth1 import plugin, session
from openstack import connection

from protectorclient import sdk

PROJECT = "3a0f1d2c4b5e46978899aabbccddeeff"
URL = "http://site-a:8788"
GROUP_ID = "00000000-0000-0000-0000-000000000006"
VERSIONS = {
    "versions": [{"id": "v1", "status": "CURRENT", "min_version": "1.0", "version": "1.3", "links": []}],
}


class Auth(plugin.BaseAuthPlugin):
    """What Keystone would say."""

    def __init__(self, endpoint=URL, project=PROJECT):
        super().__init__()
        self.endpoint = endpoint
        self.project = project

    def get_token(self, session, **kwargs):
        return "the-token"

    def get_endpoint(self, session, **kwargs):
        return self.endpoint

    def get_project_id(self, session, **kwargs):
        return self.project


@pytest.fixture(autouse=True)
def _no_naps(monkeypatch):
    """Tests never sleep."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def connect(requests_mock):
    """Makes clients of the real library over a mocked network."""
    requests_mock.get(URL + "/", json=VERSIONS)

    def make(endpoint=URL, project=PROJECT, api_version=None):
        over = connection.Connection(session=session.Session(auth=Auth(endpoint, project)))
        return sdk.attach(over, api_version)

    return make


@pytest.fixture
def run(api):
    """Parses a command line and runs the command against a fake of the library; gives exit code and what it showed."""

    def runner(command_class, line, configuration=None):
        app = mock.Mock()
        app.client_manager.protector = api
        app.client_manager.get_configuration.return_value = configuration or {}
        command = command_class(app, argparse.Namespace(), cmd_name="openstack protector x")
        shown = {}
        if hasattr(command, "produce_output"):
            # What is printed, and how, is cliff's; what is shown is ours.
            def keep(parsed_args, column_names, data):
                shown.update(columns=tuple(column_names), data=data)

            command.produce_output = keep
        parsed = command.get_parser("openstack").parse_args(line)
        code = command.run(parsed)
        return code, shown

    return runner


@pytest.fixture
def api():
    """A fake library that knows one group."""
    fake = mock.create_autospec(sdk.Proxy, instance=True)
    fake.microversion = "1.3"
    fake.find_protection_group.return_value = group()
    fake.get_protection_group.return_value = group()
    fake.members.return_value = [sdk.Member(id="m-1", name="web-1", flavor="m1.large")]
    fake.act.return_value = operation()
    fake.act_at_once.return_value = (group(), [])
    fake.get_operation.return_value = operation(status="completed", progress=100)
    fake.events.return_value = []
    fake.plan.return_value = plan()
    return fake


def group(**changes):
    fields = {
        "id": "group-id",
        "name": "prod-web-app",
        "status": "active",
        "version": 7,
        "primary_site_id": "a",
        "secondary_site_id": "b",
        "current_primary_site_id": "a",
    }
    return sdk.ProtectionGroup(**{**fields, **changes})


def operation(**changes):
    fields = {
        "id": "op-1",
        "operation_type": "failover",
        "status": "running",
        "progress": 0,
        "protection_group_id": "group-id",
        "error_message": None,
        "started_at": "2025-11-03T10:00:00Z",
        "steps_completed": [],
        "steps_failed": [],
    }
    return sdk.Operation(**{**fields, **changes})


def plan(**changes):
    fields = {
        "operation_type": "failover",
        "source_site": "site-a",
        "target_site": "site-b",
        "recovery_point": None,
        "members": [{"name": "web-1", "flavor": "m2.large", "networks": [{"name": "net-b"}]}],
        "steps": [{"id": "s1"}, {"id": "s2"}],
        "stages": [{"name": "validate_target_site", "steps": 2}],
        "quota": [{"resource": "cores", "needed": 4, "free": 2}],
        "warnings": ["careful"],
        "not_preserved": ["web-1: MAC"],
        "hash": "sha256:1",
    }
    return sdk.Plan(**{**fields, **changes})


def event(seq, name, step, member="web-1", message="", at="2025-11-03T10:00:05.123456Z"):
    fields = {"seq": seq, "at": at, "event": name, "step": step, "member": member, "message": message}
    return sdk.Event(stage="recreate_instances", **fields)
