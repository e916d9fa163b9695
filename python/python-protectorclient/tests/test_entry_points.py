# SPDX-License-Identifier: Apache-2.0
import importlib
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
LINE = re.compile(r'^"(protector|dr)_([^"]+)" = "([^:"]+):([^"]+)"$', re.M)


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
        parser = command(None, None).get_parser("x")
        assert parser.format_help(), name


def test_the_documented_commands_are_there():
    documented = """
        site_list site_validate protection-group_list protection-group_show protection-group_policy-show
        protection-group_sync-status protection-group_sync-force protection-group_failover
        protection-group_failback protection-group_test-failover operation_list operation_show
        failover failback test-failover test-cleanup member_add member_remove policy_create policy_show
        site_list-volume-types health_show
    """.split()
    assert set(documented) <= set(commands("protector"))


def test_the_plugin_module_is_what_openstackclient_wants():
    from protectorclient.osc import plugin

    text = (ROOT / "pyproject.toml").read_text()
    assert f'[project.entry-points."openstack.{plugin.API_NAME}.v1"]' in text
    assert plugin.DEFAULT_API_VERSION in plugin.API_VERSIONS
    assert callable(plugin.make_client) and callable(plugin.build_option_parser)
