# SPDX-License-Identifier: Apache-2.0
import pytest
from osc_lib.exceptions import CommandError

from protectorclient import exceptions, sdk
from protectorclient.osc.v1 import (
    health,
    member,
    moves,
    operation,
    plan,
    policy,
    protection_group,
    site,
    sync,
    tenant_mapping,
    ways_out,
)
from tests import conftest

PAIRS = ["--network-mapping", "net-a=net-b", "--network-mapping", "db-a=db-b", "--flavor-mapping", "m1=m2"]
MAPPINGS = {"network_mapping": {"net-a": "net-b", "db-a": "db-b"}, "flavor_mapping": {"m1": "m2"}}


@pytest.mark.parametrize(
    ("command", "line", "key", "parameters"),
    [
        (moves.Failover, PAIRS, "failover", MAPPINGS),
        (moves.Failover, ["--type", "unplanned"], "failover", {"force": True}),
        (moves.Failover, ["--type", "planned"], "failover", {}),
        (moves.Failover, ["--retain-primary"], "failover", {"retain_primary": True}),
        (
            moves.Failover,
            ["--recovery-point", "p.1", "--allow-partial"],
            "failover",
            {"recovery_point": "p.1", "allow_partial": True},
        ),
        (moves.TestFailover, ["--retain-primary", *PAIRS], "test_failover", {**MAPPINGS, "retain_primary": True}),
        (moves.TestFailover, ["--preserve-addresses"], "test_failover", {"preserve_addresses": True}),
        (moves.Failback, ["--reverse-replication"], "failback", {"reverse_replication": True}),
        (moves.TestCleanup, [], "test_cleanup", {}),
        (moves.Sync, [], "sync_volumes", {}),
        (moves.Reprotect, ["--plan-hash", "h"], "reprotect", {"plan_hash": "h"}),
        (ways_out.Cancel, [], "cancel", {}),
        (ways_out.Retry, ["--operation", "op-7"], "retry", {"operation_id": "op-7"}),
        (ways_out.Skip, ["--step", "s", "--reason", "r"], "skip", {"step": "s", "reason": "r"}),
        (
            ways_out.Skip,
            ["--step", "s", "--reason", "r", "--force"],
            "skip",
            {"step": "s", "reason": "r", "force": True},
        ),
        (ways_out.Abandon, ["--reason", "r"], "abandon", {"reason": "r"}),
        (ways_out.Takeover, [], "takeover", {"force": True}),
        (ways_out.Takeover, ["--operation", "op-7"], "takeover", {"force": True, "operation_id": "op-7"}),
    ],
)
def test_actions_send_what_the_documentation_shows(run, api, command, line, key, parameters):
    code, shown = run(command, ["prod-web-app", *line])
    assert code == 0
    assert shown["columns"][:3] == ("id", "operation_type", "status")
    api.find_protection_group.assert_called_once_with("prod-web-app")
    [call] = api.act.call_args_list
    sent = {name: value for name, value in call.kwargs.items() if value is not None}
    assert sent.pop("idempotency_key")
    assert (call.args, sent) == (("group-id", key), parameters)


@pytest.mark.parametrize(
    ("command", "line", "key", "parameters"),
    [
        (ways_out.ReleaseQuarantine, [], "release_quarantine", {}),
        (ways_out.ResetStatus, [], "reset_status", {}),
        (ways_out.ResetStatus, ["--status", "active", "--force"], "reset_status", {"status": "active", "force": True}),
    ],
)
def test_what_is_done_at_once_shows_the_group_and_its_warnings(
    run, connect, api, requests_mock, capsys, command, line, key, parameters
):
    path = f"{conftest.URL}/v1/{conftest.PROJECT}/protection-groups/group-id/action"
    answer = {"protection_group": {"id": "group-id", "status": "active"}, "warnings": ["look twice"]}
    requests_mock.post(path, json=answer)
    api.act_at_once = connect().act_at_once
    code, shown = run(command, ["prod-web-app", *line])
    assert (code, dict(zip(shown["columns"], shown["data"]))["status"]) == (0, "active")
    assert requests_mock.last_request.json() == {key: parameters}
    assert requests_mock.last_request.headers["Idempotency-Key"]
    assert "Warning: look twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(command, ["prod-web-app", "--wait"])


def test_the_plan_of_a_retry_is_shown_only_when_asked_for(run, api):
    run(ways_out.Retry, ["g"])
    api.plan.assert_not_called()
    run(ways_out.Retry, ["g", "--plan-only", "--operation", "op-7"])
    api.plan.assert_called_once_with("group-id", "retry", operation_id="op-7")
    assert api.act.call_count == 1


def test_a_repeated_command_may_bring_its_own_key(run, api):
    run(moves.Sync, ["g", "--idempotency-key", "nightly"])
    assert api.act.call_args.kwargs["idempotency_key"] == "nightly"


def test_plan_only_starts_nothing(run, api):
    code, shown = run(moves.Failover, ["g", "--plan-only", *PAIRS])
    assert code == 0
    api.act.assert_not_called()
    fields = dict(zip(shown["columns"], shown["data"]))
    assert fields["hash"] == "sha256:1"
    assert fields["steps"].human_readable().startswith("2 ")
    assert fields["steps"].machine_readable() == [{"id": "s1"}, {"id": "s2"}]


def test_the_plan_of_any_action_can_be_seen(run, api):
    run(plan.ShowPlan, ["g", "test-failover", "--retain-primary"])
    [call] = api.plan.call_args_list
    assert call.args == ("group-id", "test_failover")
    assert {k: v for k, v in call.kwargs.items() if v is not None} == {"retain_primary": True}


def test_a_service_without_plans_says_so(run, api):
    api.microversion = "1.2"
    with pytest.raises(CommandError, match=r"1\.3"):
        run(plan.ShowPlan, ["g"])
    run(moves.Failover, ["g"])
    api.plan.assert_not_called()
    api.act.assert_called_once()


@pytest.mark.parametrize("status", ["failed", "cancelled", "needs_attention"])
def test_wait_shows_the_record_and_fails_when_the_operation_does(run, api, capsys, status):
    api.get_operation.return_value = conftest.operation(status=status, error_message="no quota")
    code, shown = run(moves.Sync, ["g", "--wait"])
    assert code == 1
    assert dict(zip(shown["columns"], shown["data"]))["status"] == status
    said = capsys.readouterr().err
    assert "no quota" in said
    assert "Next: openstack protector" in said


def test_wait_succeeds_only_on_completion(run, api, capsys):
    code, shown = run(moves.Sync, ["g", "--wait"])
    assert code == 0
    assert dict(zip(shown["columns"], shown["data"]))["status"] == "completed"
    assert "100% completed" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [("cancelled", 0), ("completed", 1), ("failed", 1)])
def test_a_cancellation_is_to_end_cancelled(run, api, status, code):
    api.get_operation.return_value = conftest.operation(status=status)
    assert run(ways_out.Cancel, ["g", "--wait"])[0] == code


def test_without_wait_a_running_operation_is_a_success(run):
    assert run(moves.Sync, ["g"])[0] == 0


def test_a_decision_is_waited_for_from_where_the_operation_began_to_wait(run, api):
    waits = conftest.operation(status="needs_attention")
    api.act.return_value = waits
    api.events.side_effect = [[conftest.event(5, "parked", None)], [conftest.event(5, "parked", None)], [], []]
    api.get_operation.side_effect = [waits, conftest.operation(status="completed")]
    assert run(ways_out.Retry, ["g", "--operation", "op-1", "--wait"])[0] == 0
    assert api.events.call_args_list[0].args == ("op-1",)


def test_an_interrupted_wait_says_how_to_go_on(run, api, capsys, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    api.get_operation.return_value = conftest.operation()
    with pytest.raises(SystemExit) as ended:
        run(operation.WatchOperation, ["op-1"])
    assert ended.value.code == 130
    assert "operation watch op-1" in capsys.readouterr().err


def test_warnings_are_told(run, api, capsys):
    api.act.return_value = conftest.operation(warnings=["primary servers are stopped"])
    run(moves.TestFailover, ["g"])
    assert "primary servers are stopped" in capsys.readouterr().err


def test_the_end_of_a_watch_fits_on_a_screen_and_programs_get_all_of_it(run, api):
    servers = {f"old-{number}": f"new-{number}" for number in range(50)}
    result = {"instances_created": 50, "servers": servers, "recovery_point": {"name": "p.3", "volumes": ["v"] * 50}}
    api.get_operation.return_value = conftest.operation(status="completed", result_data=result)
    for command, line in ((operation.WatchOperation, ["op-1"]), (moves.Sync, ["g", "--wait"])):
        shown = run(command, line)[1]
        cell = dict(zip(shown["columns"], shown["data"]))["result_data"]
        assert cell.machine_readable() == result
        text = cell.human_readable().splitlines()
        assert text == ["instances_created: 50", "servers: 50", "recovery_point: p.3", "(whole: operation show)"]
    shown = run(operation.ShowOperation, ["op-1"])[1]
    assert "old-49: new-49" in dict(zip(shown["columns"], shown["data"]))["result_data"].human_readable()


def test_stages_keep_their_order(run, api):
    stages = ["validate_target_site", "get_latest_snapshot"]
    api.get_operation.return_value = conftest.operation(steps_completed=stages)
    shown = run(operation.ShowOperation, ["op-1"])[1]
    cell = dict(zip(shown["columns"], shown["data"]))["steps_completed"]
    assert cell.human_readable() == "validate_target_site\nget_latest_snapshot"
    assert cell.machine_readable() == stages


def test_operations_are_filtered_by_the_groups_name(run, api):
    api.operations.return_value = [conftest.operation()]
    run(operation.ListOperation, ["--protection-group", "g", "--status", "running"])
    wanted = {"protection_group_id": "group-id", "operation_type": None, "status": "running", "since": None}
    api.operations.assert_called_once_with(limit=100, **wanted)


def test_the_journal_can_be_narrowed_to_a_member(run, api):
    api.events.return_value = [conftest.event(1, "started", "m0.create"), conftest.event(2, "done", "x", member=None)]
    shown = run(operation.ListOperationEvent, ["op-1", "--member", "web-1"])[1]
    assert [row[0] for row in shown["data"]] == [1]
    api.find_member.return_value = sdk.Member(name="web-1")
    shown = run(operation.ListOperationEvent, ["op-1", "--member", conftest.GROUP_ID])[1]
    assert [row[0] for row in shown["data"]] == [1]
    api.find_member.assert_called_once_with("group-id", conftest.GROUP_ID)


def test_the_journal_is_followed_to_its_end(run, api, capsys):
    api.events.return_value = [conftest.event(1, "done", "m0.create", message="verified")]
    with pytest.raises(SystemExit) as ended:
        run(operation.ListOperationEvent, ["op-1", "--follow"])
    assert ended.value.code == 0
    assert "web-1 m0.create  verified" in capsys.readouterr().out


def test_a_group_is_created_with_only_what_was_given(run, api):
    api.create_protection_group.return_value = conftest.group()
    run(protection_group.CreateProtectionGroup, ["g", "--image-mapping", "a=b"])
    api.create_protection_group.assert_called_once_with(name="g", image_mapping={"a": "b"})


def test_a_tenant_who_names_a_site_is_told_to_give_its_id(run, api, connect, requests_mock):
    requests_mock.get(f"{conftest.URL}/v1/admin/sites", status_code=403, json={"errors": [{"detail": "no"}]})
    api.find_site = connect().find_site
    with pytest.raises(CommandError, match="Only administrators"):
        run(protection_group.CreateProtectionGroup, ["g", "--primary-site", "site-a"])


def test_set_can_empty_a_mapping_and_needs_something_to_do(run, api):
    api.update_protection_group.return_value = conftest.group()
    run(protection_group.SetProtectionGroup, ["g", "--no-flavor-mapping"])
    api.update_protection_group.assert_called_once_with("group-id", version=7, flavor_mapping={})
    with pytest.raises(CommandError, match="Nothing to change"):
        run(protection_group.SetProtectionGroup, ["g"])


def test_a_group_whose_peer_is_lost_can_be_deleted(run, api):
    run(protection_group.DeleteProtectionGroup, ["g"])
    api.delete_protection_group.assert_called_with("group-id", force=False, detach_peer=False)
    run(protection_group.DeleteProtectionGroup, ["g", "--force-detach-peer", "--yes"])
    api.delete_protection_group.assert_called_with("group-id", force=True, detach_peer=True)


def test_members_are_removed_only_if_all_are_found(run, api):
    api.find_member.side_effect = [sdk.Member(id="m-1"), exceptions.NotThere("No member")]
    with pytest.raises(CommandError, match="No member"):
        run(member.RemoveMember, ["g", "web-1", "typo"])
    api.remove_member.assert_not_called()


def test_a_side_is_chosen_after_a_conflict(run, api):
    api.find_site.return_value = sdk.Site(id="site-id")
    api.force_sync.return_value = sdk.SyncStatus(status="IN SYNC")
    run(sync.ForceSync, ["g", "--from", "site-b"])
    api.force_sync.assert_called_once_with("group-id", "site-id")


def test_policy_set_keeps_what_is_not_mentioned(run, api, monkeypatch):
    stored = {"primary_fa_url": "https://a", "secondary_fa_url": "https://b", "replication_interval": 600}
    api.get_policy.return_value = sdk.Policy(**stored, primary_fa_api_token="***")
    api.set_policy.return_value = sdk.Policy()
    monkeypatch.setenv("PROTECTOR_PRIMARY_FA_API_TOKEN", "t-a")
    run(policy.SetPolicy, ["g", "--rpo-minutes", "15", "--retention-days", "7"])
    api.set_policy.assert_called_once_with(
        "group-id", **stored, primary_fa_api_token="t-a", rpo_minutes=15, retention={"days": 7}
    )


def test_the_first_policy_needs_both_arrays(run, api, connect, requests_mock):
    gone = {"errors": [{"code": "resource.not_found", "detail": "no policy"}]}
    path = f"{conftest.URL}/v1/{conftest.PROJECT}/protection-groups/group-id/policy"
    requests_mock.get(path, status_code=404, json=gone)
    api.get_policy = connect().get_policy
    with pytest.raises(CommandError, match="--secondary-fa-url"):
        run(policy.SetPolicy, ["g", "--primary-fa-url", "https://a"])


def test_a_site_is_created_with_a_user_or_an_application_credential(run, api, monkeypatch):
    api.create_site.return_value = sdk.Site()
    monkeypatch.setenv("PROTECTOR_SITE_PASSWORD", "hunter2")
    line = ["b", "--auth-url", "http://b:5000/v3", "--username", "u", "--project-name", "service", "--local"]
    run(site.CreateSite, line)
    api.create_site.assert_called_with(
        name="b", auth_url="http://b:5000/v3", username="u", project_name="service", password="hunter2", is_local=True
    )
    line = ["b", "--auth-url", "u", "--application-credential-id", "i", "--application-credential-secret", "s"]
    run(site.CreateSite, line)
    api.create_site.assert_called_with(
        name="b", auth_url="u", application_credential_id="i", application_credential_secret="s"
    )


def test_a_certificate_file_that_is_not_there_is_told(run):
    with pytest.raises(CommandError, match=r"--ca-cert: .*nowhere"):
        run(site.SetSite, ["b", "--ca-cert", "/nowhere"])


def test_a_site_that_fails_validation_fails_the_command_and_shows_the_report(run, api, capsys):
    api.find_site.return_value = sdk.Site(id="site-id")
    check = {"name": "cinder", "ok": False, "warning": False, "reason": "403", "fix": "grant the role"}
    api.validate_site.return_value = sdk.Validation(ok=False, checks=[check])
    code, shown = run(site.ValidateSite, ["site-b"])
    assert code == 1
    assert [cell for row in shown["data"] for cell in row] == ["cinder", False, False, "403", "grant the role"]
    assert "failed: cinder" in capsys.readouterr().err


def test_projects_are_given_by_id_or_name(run, api):
    api.find_site.side_effect = lambda name: sdk.Site(id=f"{name}-id")
    api.create_tenant_mapping.return_value = sdk.TenantMapping()
    line = ["--primary-site", "a", "--primary-project", conftest.PROJECT, "--secondary-site", "b"]
    run(tenant_mapping.CreateTenantMapping, [*line, "--secondary-project", "prod"])
    api.create_tenant_mapping.assert_called_once_with(
        primary_site_id="a-id",
        secondary_site_id="b-id",
        primary_project_id=conftest.PROJECT,
        secondary_project_name="prod",
        secondary_project_domain_name="Default",
    )


def test_health_of_the_site_or_of_a_group(run, api):
    component = {"name": "database", "status": "down", "reason": "gone"}
    api.get_health.return_value = sdk.ServiceHealth(status="down", components=[component])
    shown = run(health.ShowHealth, [])[1]
    assert dict(zip(shown["columns"], shown["data"])) == {"status": "down", "database": "down (gone)"}
    api.get_protection_group_health.return_value = sdk.GroupHealth(failover_ready=True)
    shown = run(health.ShowGroupHealth, ["g"])[1]
    assert dict(zip(shown["columns"], shown["data"]))["failover_ready"] is True
