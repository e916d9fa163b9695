"""Site A is lost for good: what each command says, the way over, and the way to be rid of what cannot be told there."""

import json

import pytest
from demo_world import MAPPINGS, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), "--scenario", "unplanned") as demo:
        yield demo


def test_the_lost_site_says_to_use_the_other(demo):
    done = demo.run("openstack protector protection-group list", "site-a")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not answer" in done.stderr
    assert "--os-cloud <the other site>" in done.stderr
    assert "Traceback" not in done.stderr


def test_looking_works_at_the_other_site(demo):
    lines = ["protection-group list", "protection-group health prod-web-app", "protection-group sync-status prod-web-app"]
    listed, health, sync = demo.batch([f"protector {line} -f json" for line in lines], "site-b")
    assert [group["Name"] for group in json.loads(listed["out"])] == ["prod-web-app"]
    assert json.loads(health["out"])["sync_status"] == "UNREACHABLE"
    assert json.loads(sync["out"])["status"] == "UNREACHABLE"


def test_what_needs_both_sites_says_which_command_does_not(demo):
    lines = ["failover prod-web-app", "set prod-web-app --description x", "test-failover prod-web-app --retain-primary"]
    answers = demo.batch([f"protector protection-group {line}" for line in lines], "site-b")
    for answer in answers:
        assert (answer["code"], answer["out"]) == (1, ""), answer
        assert "Cannot modify protection group — remote site unreachable" in answer["err"], answer
        assert "protection-group failover prod-web-app --type unplanned" in answer["err"], "a line to copy"


def test_the_plan_names_the_point_and_what_is_lost(demo):
    line = f"protector protection-group failover prod-web-app --type unplanned --plan-only {MAPPINGS}"
    table, machine = demo.batch([line, f"{line} -f json"], "site-b")
    plan = json.loads(machine["out"])
    assert (plan["operation_type"], plan["target_site"]) == ("failover", "site-b")
    assert plan["recovery_point"]["age_seconds"] >= 0
    assert plan["data_loss_seconds"] >= 0
    assert "| recovery_point " in table["out"]
    assert list(demo.connection("site-b").compute.servers()) == []


def test_the_unplanned_failover_of_a_named_point(demo):
    points = demo.openstack("protector protection-group recovery-point list prod-web-app", "site-b")
    named = next(point["Name"] for point in points if point["Usable"])
    script = f"openstack protector protection-group failover prod-web-app --type unplanned {MAPPINGS} --wait -f json"
    done = demo.run(f"{script} --recovery-point {named}", "site-b")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["status"], record["result_data"]["current_primary_site"]) == ("completed", "site-b")
    assert record["result_data"]["recovery_point"]["name"] == named
    assert named in done.stderr, "told before anything is done"
    assert record["result_data"]["data_loss_seconds"] >= 0
    servers = demo.connection("site-b").compute.servers()
    assert sorted((server.name, server.status) for server in servers) == [
        (name, "ACTIVE") for name in ("db-1", "web-1", "web-2")
    ]


def test_a_forced_sync_cannot_tell_a_dead_site(demo):
    done = demo.run("openstack protector protection-group sync-force prod-web-app", "site-b")
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert "remote site unreachable" in done.stderr


def test_an_administrator_deletes_what_can_no_longer_be_told_there(demo):
    admin = demo.connection("site-b-admin").identity
    admin.assign_project_role_to_user(admin.find_project("app"), admin.find_user("admin"), admin.find_role("admin"))
    words = "--os-project-name app protector protection-group delete prod-web-app"
    refused, done = demo.batch([words, f"{words} --force-detach-peer"], "site-b-admin")
    assert refused["code"] == 1, refused
    assert done["code"] == 0, done
    assert "The other site is not told" in done["err"]
    assert list(demo.protector("site-b").protection_groups()) == []
    assert len(list(demo.connection("site-b").compute.servers())) == 3, "never a server"
