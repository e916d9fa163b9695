# SPDX-License-Identifier: Apache-2.0
import importlib
import pathlib
import re

import pytest
from osc_lib.exceptions import CommandError

from protectorclient.osc import plugin

ROOT = pathlib.Path(__file__).parent.parent
LINE = re.compile(r'^"(protector|dr)_([^"]+)" = "([^:"]+):([^"]+)"$', re.M)

DOCUMENTED = """
site create|site list|site show|site set|site delete|site validate|site volume-type list
tenant-mapping create|tenant-mapping list|tenant-mapping show|tenant-mapping delete
protection-group create|protection-group list|protection-group show|protection-group set|protection-group delete
protection-group failover|protection-group failback|protection-group test-failover|protection-group test-cleanup
protection-group sync|protection-group sync-status|protection-group sync-force|protection-group plan
protection-group health|protection-group recovery-point list|protection-group cancel|protection-group retry
protection-group skip|protection-group abandon|protection-group reprotect|protection-group takeover
protection-group release-quarantine|protection-group reset-status|consistency-group show
member add|member list|member show|member remove|member refresh|policy set|policy show
operation list|operation show|operation watch|operation events|health show
"""


def commands(namespace):
    text = (ROOT / "pyproject.toml").read_text()
    return {name: (module, cls) for ns, name, module, cls in LINE.findall(text) if ns == namespace}


def test_every_command_has_its_alias():
    assert len(commands("protector")) > 50
    assert commands("protector") == commands("dr")


def test_every_command_is_there_and_explains_itself():
    for name, (module, cls) in commands("protector").items():
        command = getattr(importlib.import_module(module), cls)
        assert command.__doc__, name
        assert command(None, None).get_parser("x").format_help(), name


def test_the_documented_commands_are_there():
    documented = {name.replace(" ", "_") for name in DOCUMENTED.strip().replace("\n", "|").split("|")}
    assert documented <= set(commands("protector"))


def test_no_command_logs_in_before_it_has_read_its_arguments():
    for module, cls in commands("protector").values():
        assert getattr(importlib.import_module(module), cls).auth_required is False


def test_the_plugin_module_is_what_openstackclient_wants():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'[project.entry-points."openstack.{plugin.API_NAME}.v1"]' in text
    assert plugin.check_api_version(plugin.DEFAULT_API_VERSION)
    assert plugin.check_api_version("1.2")


@pytest.mark.parametrize("version", ["2", "latest", "1.x", ""])
def test_a_version_that_cannot_be_is_refused(version):
    with pytest.raises(CommandError, match="not a version"):
        plugin.check_api_version(version)
