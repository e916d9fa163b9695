"""Operations that do not end as they should: what `--wait` says, which exit code it gives, and each way out.

Each step starts where the one before it ended. What goes wrong is made to by the simulated clouds.
"""

import json

import pytest
from demo_world import MAPPINGS, running_demo

FAILOVER = f"protector protection-group failover prod-web-app {MAPPINGS} --wait -f json"
# A server that cannot be built, and one that can but is not to be deleted again: the way back stops half-way.
BAD_SERVER = {
    "service": "compute",
    "method": "POST",
    "path": "/servers",
    "body": "web-2",
    "effect": {"kind": "status", "code": 400, "message": "No such thing"},
}
NO_DELETING = {
    "service": "compute",
    "method": "DELETE",
    "path": "/servers/",
    "effect": {"kind": "status", "code": 403, "message": "Policy does not allow"},
}
# World's time, of which the demo's clock makes less: long enough for another command to arrive in between.
SLOW_SERVER = {"service": "compute", "method": "POST", "path": "/servers", "effect": {"kind": "slow", "ms": 120000}}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), speed=20) as demo:
        yield demo


def run(demo, *lines, cloud="site-a"):
    """Runs lines in one process; answers exit code, JSON and standard error of each."""
    answers = demo.batch(lines, cloud)
    for answer in answers:
        assert "Traceback" not in answer["err"], answer["err"]
    return [(a["code"], json.loads(a["out"]) if a["out"].strip() else None, a["err"]) for a in answers]


def faults(demo, *rules):
    """From now on these go wrong at site B, and nothing else does."""
    demo.sim("B", "faults", method="DELETE")
    if rules:
        demo.sim("B", "faults", list(rules))


def group(demo):
    return demo.protector().get_protection_group(demo["PG_ID"])


def running_at(demo, cloud):
    return sorted(s.name for s in demo.connection(cloud).compute.servers() if s.status == "ACTIVE")


ALL = ["db-1", "web-1", "web-2"]


def test_a_failover_that_fails_is_undone_and_gives_code_1(demo):
    faults(demo, BAD_SERVER)
    [(code, record, said)] = run(demo, FAILOVER)
    assert (code, record["status"]) == (1, "failed")
    assert f"{record['id']} ended failed: " in said
    assert "web-2: nova at site-b: No such thing" in said
    assert f"operation events {record['id']}" in said
    assert (group(demo).status, running_at(demo, "site-a")) == ("active", ALL)


def test_one_that_needs_a_person_gives_code_1_too(demo):
    faults(demo, BAD_SERVER, NO_DELETING)
    [(code, record, said)] = run(demo, FAILOVER)
    assert (code, record["status"]) == (1, "needs_attention")
    assert f"{record['id']} needs attention: " in said
    assert "retry, skip or abandon" in said
    watched, refused = run(
        demo,
        f"protector operation watch {record['id']} -f json",
        "protector protection-group skip prod-web-app --step m0.create --reason test",
    )
    assert (watched[0], watched[1]["status"]) == (1, "needs_attention")
    assert refused[0] == 1
    assert "without force" in refused[2]


def test_a_retry_in_vain_is_waited_for_until_it_was_tried(demo):
    before = group(demo).current_operation_id
    [(code, record, _)] = run(demo, "protector protection-group retry prod-web-app --wait -f json")
    assert (code, record["id"], record["status"]) == (1, before, "needs_attention")
    events = [event.event for event in demo.protector().events(before)]
    assert events.count("parked") == 2


def test_a_retry_goes_on_with_the_way_back(demo):
    faults(demo)
    [(code, record, said)] = run(demo, "protector protection-group retry prod-web-app --wait -f json")
    # It ended, but what was wanted did not come true.
    assert (code, record["status"]) == (1, "failed"), said
    assert (group(demo).status, running_at(demo, "site-a")) == ("active", ALL)
    assert running_at(demo, "site-b") == []


def test_a_retry_of_what_failed_is_a_new_operation(demo):
    [failed] = demo.protector().operations(limit=1)
    retry = "protector protection-group retry prod-web-app"
    planned, (code, record, said) = run(demo, f"{retry} --plan-only -f json", f"{retry} --wait -f json")
    assert (planned[0], planned[1]["operation_type"]) == (0, "failover"), planned
    assert (code, record["status"], record["retry_of"]) == (0, "completed", failed.id), said
    assert (group(demo).status, running_at(demo, "site-b")) == ("failed_over", ALL)


def test_what_is_cancelled_is_undone(demo):
    [(code, _, said)] = run(demo, "protector protection-group failback prod-web-app --wait -f json", cloud="site-b")
    assert code == 0, said
    faults(demo, SLOW_SERVER)
    started, cancelled = run(
        demo,
        FAILOVER.replace(" --wait", ""),
        "protector protection-group cancel prod-web-app --wait -f json",
    )
    assert started[0] == 0, started
    code, record, said = cancelled
    # What was asked for came true.
    assert (code, record["status"]) == (0, "cancelled"), said
    faults(demo)
    assert (group(demo).status, running_at(demo, "site-a")) == ("active", ALL)


def test_a_wait_may_end_before_the_operation_does(demo):
    faults(demo, SLOW_SERVER)
    [(code, record, said)] = run(demo, FAILOVER.replace("--wait", "--wait --timeout 1"))
    assert (code, record) == (1, None)
    assert "has not ended within 1 s; it goes on" in said
    operation = group(demo).current_operation_id
    assert f"operation watch {operation}" in said
    faults(demo)
    [(code, record, said)] = run(demo, f"protector operation watch {operation} -f json")
    assert (code, record["status"]) == (0, "completed"), said
    [(code, _, said)] = run(demo, "protector protection-group failback prod-web-app --wait -f json", cloud="site-b")
    assert code == 0, said


def test_what_is_skipped_and_abandoned_is_listed(demo):
    faults(demo, BAD_SERVER, NO_DELETING)
    [(code, record, _)] = run(demo, FAILOVER)
    assert (code, record["status"]) == (1, "needs_attention")
    stuck = "m0.create" if "m0.create" in record["error_message"] else "m1.create"
    skipped, abandoned = run(
        demo,
        f"protector protection-group skip prod-web-app --step {stuck} --reason 'a person saw it' --force --wait -f json",
        "protector protection-group abandon prod-web-app --reason 'the rest by hand' --wait -f json",
    )
    assert "servers may come to run at BOTH sites" in skipped[2]
    assert skipped[1]["status"] == "needs_attention", "a volume in use cannot be undone either"
    code, record, said = abandoned
    assert (code, record["status"]) == (0, "failed"), said
    assert "the rest by hand" in record["error_message"]
    assert stuck in {step["step"] for step in record["result_data"]["left"]}
    assert group(demo).status == "error"


def test_the_status_is_reset_by_an_administrator_to_what_is_proved(demo):
    faults(demo)
    admin = demo.connection("site-a-admin").identity
    role, user = admin.find_role("admin"), admin.find_user("admin")
    project = admin.find_project("app")
    admin.assign_project_role_to_user(project, user, role)
    reset = "--os-project-name app protector protection-group reset-status prod-web-app -f json"
    [(code, _, said)] = run(demo, reset + " --status failed_over", cloud="site-a-admin")
    assert code == 1
    assert "HTTP 409" in said, said
    [(code, shown, said)] = run(demo, reset, cloud="site-a-admin")
    if code:
        # The fresh look says what is in the way; that is then what a person mends first.
        assert "HTTP 409" in said, said
    else:
        assert shown["status"] == "active"
