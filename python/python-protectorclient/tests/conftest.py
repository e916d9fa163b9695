# SPDX-License-Identifier: Apache-2.0
"""A session with a token of a project, and a fake of the client behind commands."""

import argparse
from unittest import mock

import pytest
from keystoneauth1 import session
from keystoneauth1 import plugin

from protectorclient.v1 import client

PROJECT = "3a0f1d2c4b5e46978899aabbccddeeff"
URL = "http://site-a:8788"


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


@pytest.fixture
def connect():
    """Makes clients of the real library over a mocked network."""

    def make(endpoint=URL, project=PROJECT, **kwargs):
        return client.Client(session.Session(auth=Auth(endpoint, project)), **kwargs)

    return make


@pytest.fixture
def run():
    """Parses a command line and runs the command against a fake client."""

    def runner(command_class, line, api, configuration=None):
        app = mock.Mock()
        app.client_manager.protector = api
        app.client_manager.get_configuration.return_value = configuration or {}
        command = command_class(app, argparse.Namespace(), cmd_name="openstack protector x")
        parsed = command.get_parser("openstack").parse_args(line)
        return command.take_action(parsed)

    return runner


@pytest.fixture
def api():
    """A fake client that knows one group."""
    fake = mock.create_autospec(client.Client, instance=True)
    fake.find_group.return_value = {"id": "group-id", "version": 7}
    fake.act.return_value = operation()
    fake.operation.return_value = operation(status="completed", progress=100)
    return fake


def operation(**changes):
    record = {
        "id": "op-1",
        "operation_type": "failover",
        "status": "running",
        "progress": 0,
        "error_message": None,
        "steps_completed": [],
        "steps_failed": [],
    }
    return {**record, **changes}
