# SPDX-License-Identifier: Apache-2.0
import pytest
from osc_lib.exceptions import CommandError

from protectorclient.osc.v1 import action, health, operation, policy, protection_group, site, tenant_mapping
from tests import conftest

PAIRS = ["--network-mapping", "net-a=net-b", "--network-mapping", "db-a=db-b", "--flavor-mapping", "m1=m2"]
MAPPINGS = {"network_mapping": {"net-a": "net-b", "db-a": "db-b"}, "flavor_mapping": {"m1": "m2"}}
NONE = {"network_mapping": None, "flavor_mapping": None}


@pytest.mark.parametrize(
    "command, line, key, parameters",
    [
        (action.Failover, PAIRS, "failover", {**MAPPINGS, "force": None, "retain_primary": None}),
        (action.Failover, ["--type", "unplanned"], "failover", {**NONE, "force": True, "retain_primary": None}),
        (action.Failover, ["--retain-primary"], "failover", {**NONE, "force": None, "retain_primary": True}),
        (action.TestFailover, ["--retain-primary", *PAIRS], "test_failover", {**MAPPINGS, "retain_primary": True}),
        (action.Failback, ["--reverse-replication"], "failback", {**NONE, "reverse_replication": True}),
        (action.TestCleanup, [], "test_cleanup", {}),
        (action.Sync, [], "sync_volumes", {}),
    ],
)
def test_actions_send_what_the_founding_document_shows(run, api, command, line, key, parameters):
    columns, values = run(command, ["prod-web-app", *line], api)
    api.find_group.assert_called_once_with("prod-web-app")
    api.act.assert_called_once_with("group-id", key, idempotency_key=None, **parameters)
    assert columns[:3] == ("id", "operation_type", "status")


def test_wait_fails_when_the_operation_does(run, api, capsys):
    run(action.Sync, ["g", "--wait"], api)
    assert "100% completed" in capsys.readouterr().err
    api.operation.return_value = conftest.operation(status="failed", error_message="no quota")
    with pytest.raises(CommandError, match="no quota"):
        run(action.Sync, ["g", "--wait"], api)


def test_warnings_are_told(run, api, capsys):
    api.act.return_value = conftest.operation(warnings=["primary servers are stopped"])
    run(action.TestFailover, ["g"], api)
    assert "primary servers are stopped" in capsys.readouterr().err


def test_watch_fails_for_an_operation_that_waits_for_a_person(run, api):
    api.operation.return_value = conftest.operation(status="needs_attention", error_message="barrier")
    with pytest.raises(CommandError, match="barrier"):
        run(operation.WatchOperation, ["op-1"], api)


def test_steps_keep_their_order(run, api):
    api.operation.return_value = conftest.operation(steps_completed=["validate_target_site", "get_latest_snapshot"])
    columns, values = run(operation.ShowOperation, ["op-1"], api)
    shown = dict(zip(columns, values))["steps_completed"]
    assert shown.human_readable() == "validate_target_site\nget_latest_snapshot"
    assert shown.machine_readable() == ["validate_target_site", "get_latest_snapshot"]


def test_operations_are_filtered_by_the_groups_name(run, api):
    api.operations.return_value = [conftest.operation()]
    run(operation.ListOperation, ["--protection-group", "g", "--status", "running"], api)
    wanted = {"protection_group_id": "group-id", "operation_type": None, "status": "running", "since": None}
    api.operations.assert_called_once_with(limit=100, **wanted)


def test_a_group_is_created_with_only_what_was_given(run, api):
    api.create_group.return_value = {"id": "1", "name": "g"}
    run(protection_group.CreateProtectionGroup, ["g", "--image-mapping", "a=b"], api)
    api.create_group.assert_called_once_with(name="g", image_mapping={"a": "b"})


def test_set_can_empty_a_mapping_and_needs_something_to_do(run, api):
    api.update_group.return_value = {"id": "1"}
    run(protection_group.SetProtectionGroup, ["g", "--no-flavor-mapping"], api)
    api.update_group.assert_called_once_with("group-id", version=7, flavor_mapping={})
    with pytest.raises(CommandError, match="Nothing to change"):
        run(protection_group.SetProtectionGroup, ["g"], api)


def test_members_are_removed_by_any_of_their_names(run, api):
    api.find_member.return_value = {"id": "member-id"}
    run(protection_group.RemoveMember, ["g", "web-1"], api)
    api.find_member.assert_called_once_with("group-id", "web-1")
    api.remove_member.assert_called_once_with("group-id", "member-id")


def test_tokens_may_come_from_the_environment_and_are_left_out_otherwise(run, api, monkeypatch):
    api.set_policy.return_value = {"primary_fa_api_token": "***"}
    monkeypatch.setenv("PROTECTOR_PRIMARY_FA_API_TOKEN", "t-a")
    line = ["g", "--primary-fa-url", "https://a", "--secondary-fa-url", "https://b", "--rpo-minutes", "15"]
    run(policy.SetPolicy, line, api)
    api.set_policy.assert_called_once_with(
        "group-id",
        primary_fa_url="https://a",
        secondary_fa_url="https://b",
        primary_fa_api_token="t-a",
        rpo_minutes=15,
    )


def test_a_site_is_created_with_a_user_or_an_application_credential(run, api, monkeypatch):
    api.create_site.return_value = {"id": "1"}
    monkeypatch.setenv("PROTECTOR_SITE_PASSWORD", "hunter2")
    line = ["b", "--auth-url", "http://b:5000/v3", "--username", "u", "--project-name", "service", "--local"]
    run(site.CreateSite, line, api)
    api.create_site.assert_called_with(
        name="b", auth_url="http://b:5000/v3", username="u", project_name="service", password="hunter2", is_local=True
    )
    line = ["b", "--auth-url", "u", "--application-credential-id", "i", "--application-credential-secret", "s"]
    run(site.CreateSite, line, api)
    api.create_site.assert_called_with(
        name="b", auth_url="u", application_credential_id="i", application_credential_secret="s"
    )


def test_projects_are_given_by_id_or_name(run, api):
    api.find_site.side_effect = lambda name: {"id": name + "-id"}
    api.create_tenant_mapping.return_value = {"id": "1"}
    line = ["--primary-site", "a", "--primary-project", conftest.PROJECT, "--secondary-site", "b"]
    run(tenant_mapping.CreateTenantMapping, [*line, "--secondary-project", "prod"], api)
    api.create_tenant_mapping.assert_called_once_with(
        primary_site_id="a-id",
        secondary_site_id="b-id",
        primary_project_id=conftest.PROJECT,
        secondary_project_name="prod",
        secondary_project_domain_name="Default",
    )


def test_health_of_the_site_or_of_a_group(run, api):
    component = {"name": "database", "status": "down", "reason": "gone"}
    api.health.return_value = {"status": "down", "components": [component]}
    columns, values = run(health.ShowHealth, [], api)
    assert dict(zip(columns, values)) == {"status": "down", "database": "down (gone)"}
    api.group_health.return_value = {"failover_ready": True}
    assert run(health.ShowHealth, ["g"], api) == (("failover_ready",), (True,))
