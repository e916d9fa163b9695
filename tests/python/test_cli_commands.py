"""Every other command of `openstack protector` against a demo: looks as table and JSON, and what changes something."""

import json

import pytest
from cli_looks import ADMIN, LOOKS, judge, look
from demo_world import MAPPINGS, running_demo
from protectorclient.osc.progress.words import has_words


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.sync()
        yield demo


@pytest.fixture(scope="module")
def looks(demo):
    """What every look says, in both forms, by command."""
    return look(demo)


@pytest.mark.parametrize(("command", "names"), [row[1:] for row in LOOKS], ids=[row[1] for row in LOOKS])
def test_what_looks_is_a_table_for_people_and_json_for_programs(looks, command, names):
    judge(looks[command], names)


def test_json_has_structure_and_nulls(looks):
    shown = json.loads(looks["protection-group show prod-web-app"][1]["out"])
    assert (shown["quarantine"], shown["image_mapping"], shown["epoch"]) == (None, {}, 1)
    member = json.loads(looks["member show prod-web-app web-1"][1]["out"])
    assert [volume["device"] for volume in member["volumes"]] == ["/dev/vda", "/dev/vdb"]
    assert json.loads(looks["policy show prod-web-app"][1]["out"])["primary_fa_api_token"] == "***"


def test_the_plan_names_servers_sites_and_steps(looks):
    plan = json.loads(looks["protection-group plan prod-web-app {mappings}"][1]["out"])
    assert (plan["operation_type"], plan["source_site"], plan["target_site"]) == ("failover", "site-a", "site-b")
    assert [member["name"] for member in plan["members"]] == ["db-1", "web-1", "web-2"]
    assert {step["member"] for step in plan["steps"]} >= {"db-1", "web-1", "web-2"}


def test_names_are_looked_up_in_both_clouds_when_the_other_is_named(demo):
    [known, typo] = demo.batch(
        [
            f"--secondary-cloud site-b protector protection-group plan prod-web-app {MAPPINGS} -f json",
            "--secondary-cloud site-b protector protection-group plan prod-web-app --flavor-mapping m1.large=m2.lrge",
        ]
    )
    assert [member["flavor"] for member in json.loads(known["out"])["members"]] == ["m2.large"] * 3
    assert typo["code"] == 1
    assert "m2.lrge" in typo["err"]


def test_other_forms_and_single_columns(demo):
    line = "protector protection-group list -c Name -c Status -f"
    yaml, value, csv = demo.batch([f"{line} yaml", f"{line} value", f"{line} csv"])
    assert yaml["out"] == "- Name: prod-web-app\n  Status: active\n"
    assert value["out"] == "prod-web-app active\n"
    assert csv["out"].split() == ['"Name","Status"', '"prod-web-app","active"']


def test_what_is_not_known_is_empty_in_a_shell(demo):
    line = "protector protection-group show prod-web-app -c quarantine -f"
    value, shell = demo.batch([f"{line} value", f"{line} shell"])
    assert (value["out"], shell["out"]) == ("\n", 'quarantine=""\n')


def changed(demo, lines, cloud="site-a"):
    """Runs lines that change something; the JSON that each says, or nothing."""
    answers = demo.batch([f"protector {line}" for line in lines], cloud)
    for answer in answers:
        assert answer["code"] == 0, answer
    return [json.loads(answer["out"]) if answer["out"].strip() else None for answer in answers]


def test_a_group_comes_and_goes(demo):
    created, changed_, _ = changed(
        demo,
        [
            "protection-group create second --description one --flavor-mapping m1.large=m2.large -f json",
            "protection-group set second --name third --no-flavor-mapping -f json",
            "protection-group delete third",
        ],
    )
    assert (created["description"], created["flavor_mapping"]) == ("one", {"m1.large": "m2.large"})
    assert (changed_["id"], changed_["name"], changed_["flavor_mapping"]) == (created["id"], "third", {})
    assert [group.name for group in demo.protector().protection_groups()] == ["prod-web-app"]


def test_members_come_and_go(demo):
    refreshed, _, added = changed(
        demo,
        [
            "member refresh prod-web-app web-2 -f json",
            "member remove prod-web-app web-2",
            "member add prod-web-app web-2 -f json",
        ],
    )
    assert refreshed["name"] == added["name"] == "web-2"
    assert sorted(member.name for member in demo.protector().members(demo["PG_ID"])) == ["db-1", "web-1", "web-2"]


def test_a_policy_is_changed_in_part(demo):
    [policy] = changed(demo, ["policy set prod-web-app --rpo-minutes 30 --retention-days 9 -f json"])
    assert (policy["rpo_minutes"], policy["retention"]["days"]) == (30, 9)
    assert policy["primary_fa_url"] == demo["SITE_A_ARRAY_URL"]


def test_sites_and_mappings_of_administrators(demo):
    for cloud in (ADMIN, "site-b-admin"):
        demo.connection(cloud).identity.create_project(name="second", domain_id="default")
    site, mapping = changed(
        demo,
        [
            "site set site-b --description 'the other one' -f json",
            "tenant-mapping create --primary-site site-a --primary-project second "
            "--secondary-site site-b --secondary-project second -f json",
        ],
        ADMIN,
    )
    assert site["description"] == "the other one"
    shown, _ = changed(
        demo, [f"tenant-mapping show {mapping['id']} -f json", f"tenant-mapping delete {mapping['id']}"], ADMIN
    )
    assert shown == mapping
    assert mapping["id"] not in [m.id for m in demo.protector(ADMIN).tenant_mappings()]


def test_a_site_that_cannot_be_reached_or_is_in_use_is_refused(demo):
    create = "site create third --auth-url http://127.0.0.1:1/v3 --username u --project-name service --password p4ss"
    created, deleted = demo.batch([f"protector {create}", "protector site delete site-b"], ADMIN)
    assert created["code"] == deleted["code"] == 1
    assert "keystone at third is not available" in created["err"]
    assert "p4ss" not in created["err"]
    assert "HTTP 409" in deleted["err"]
    assert sorted(site.name for site in demo.protector(ADMIN).sites()) == ["site-a", "site-b"]


def test_a_forced_sync_of_what_agrees_changes_nothing(demo):
    line = "protection-group sync-force prod-web-app"
    before = demo.protector().get_protection_group(demo["PG_ID"]).version
    for status in changed(demo, [f"{line} -f json", f"{line} --from {demo['SITE_A_SITE_ID']} -f json"]):
        assert (status["status"], status["local_version"], status["remote_version"]) == ("IN SYNC", before, before)
    [table, by_name] = demo.batch([f"protector {line}", f"protector {line} --from site-a"])
    assert "| IN SYNC " in table["out"]
    # A tenant may not read the list of sites, so a name cannot be looked up for them.
    assert by_name["code"] == 1
    assert "give the id of site-a" in by_name["err"]


def test_sync_with_wait(demo):
    done = demo.run("openstack protector protection-group sync prod-web-app --wait -f json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["operation_type"], record["status"]) == ("sync_volumes", "completed")
    assert demo.protector().get_protection_group(demo["PG_ID"]).last_replication_at


# Nothing runs and nothing is wrong: each says so in words and changes nothing.
WAYS_OUT = [
    "cancel prod-web-app",
    "retry prod-web-app",
    "skip prod-web-app --step m0.stop --reason test",
    "abandon prod-web-app --reason test",
    "reprotect prod-web-app",
    "takeover prod-web-app",
    "release-quarantine prod-web-app",
    "failback prod-web-app",
    "test-cleanup prod-web-app",
]


@pytest.fixture(scope="module")
def refusals(demo):
    lines = [f"protector protection-group {words}" for words in WAYS_OUT]
    answers = demo.batch(lines)
    reset = "protector protection-group reset-status prod-web-app --status active"
    return dict(zip([*WAYS_OUT, "reset-status"], [*answers, *demo.batch([reset])], strict=True))


@pytest.mark.parametrize("words", [*WAYS_OUT, "reset-status"])
def test_ways_out_of_nothing_are_refused_in_words(refusals, words):
    refusal = refusals[words]
    assert (refusal["code"], refusal["out"]) == (1, "")
    assert "HTTP 40" in refusal["err"]
    assert "prod-web-app" in refusal["err"]
    assert "Traceback" not in refusal["err"]


def test_a_failover_that_is_waited_for_and_its_journal(demo):
    done = demo.run(f"openstack dr protection-group failover prod-web-app {MAPPINGS} --wait -f json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["status"], record["progress"]) == ("completed", 100)
    assert len(record["result_data"]["servers"]) == 3
    for words in ("Planned failover of prod-web-app", "web-1", "100% completed"):
        assert words in done.stderr
    events, followed, watched = demo.batch(
        [
            f"protector operation events {record['id']} --member web-1 -f json",
            f"protector operation events {record['id']} --follow",
            f"protector operation watch {record['id']} -f json",
        ]
    )
    journal = json.loads(events["out"])
    assert {event["Member"] for event in journal} == {"web-1"}
    # The progress display tells each step in words.
    assert [event["Step"] for event in journal if event["Step"] and not has_words(event["Step"])] == []
    assert "ended" in followed["out"].splitlines()[-1]
    assert json.loads(watched["out"])["id"] == record["id"]


def test_a_group_may_stay_where_it_is(demo):
    done = demo.run("openstack protector protection-group reprotect prod-web-app --wait -f json", "site-b")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["operation_type"] == "reprotect"
    group = demo.protector("site-b").get_protection_group(demo["PG_ID"])
    assert (group.status, group.primary_site_id) == ("active", demo["SITE_B_SITE_ID"])
