"""The founding document's troubleshooting entries: provoke the symptom, see the documented message, apply the documented
fix, end well. Where the document sends people to clean up by hand, nothing is left to be cleaned.

Two Protectors run as processes beside the demo's sites. Each test starts and ends with the group active at site A.
Run: target/pyvenv/bin/python -m pytest tests/python/test_troubleshooting.py
"""

import signal
import time

import founding
import pytest
from protector_processes import MAPPINGS, running_processes

ALL = ["db-1", "web-1", "web-2"]
ACTIVE, SHUTOFF = [[(name, state) for name in ALL] for state in ("ACTIVE", "SHUTOFF")]
UNREACHABLE = "Cannot modify protection group — remote site unreachable"
# Verbatim from the document; "!" is what nobody may.
DOCUMENTED_POLICY = {
    "volume_extension:volume_manage": "rule:admin_or_owner",
    "volume_extension:volume_unmanage": "rule:admin_or_owner",
    "volume_extension:services:index": "rule:admin_or_owner",
}
NOBODY = {"volume_extension:volume_manage": "!", "volume_extension:volume_unmanage": "!"}
FAILBACK = {"failback": {"reverse_replication": True}}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_processes(tmp_path_factory.mktemp("processes"), speed=60) as world:
        yield world


@pytest.fixture(autouse=True)
def active_at_site_a(world):
    """What each test finds, and must leave behind."""
    assert (world.group()["status"], world.servers("A")) == ("active", ACTIVE)
    yield
    group = world.group()
    assert (group["status"], group["current_primary_site_id"]) == ("active", world.site_ids["A"])
    assert world.servers("A") == ACTIVE
    assert "ACTIVE" not in {state for _, state in world.servers("B")}


def refusal(answer, code, status=409):
    assert answer.status_code == status, answer.text
    [error] = answer.json()["errors"]
    assert error["code"] == code, error
    return error["detail"]


def is_over(world, record):
    """A failover that ended well, as the clouds show it."""
    assert (record["status"], record["progress"]) == ("completed", 100), record
    assert record["steps_completed"] == founding.STAGES
    assert record["result_data"]["leaked"] == []
    assert (world.servers("A"), world.servers("B")) == (SHUTOFF, ACTIVE)


def retried(world, failed):
    """The documented "then retry the operation", and home again."""
    answer = world.act("A", retry={})
    assert answer.status_code == 202, answer.text
    operation = answer.json()["operation"]
    assert operation["retry_of"] == failed["id"]
    is_over(world, world.ended("A", operation["id"]))
    world.complete("B", **FAILBACK)


def test_failback_rejected_because_the_group_is_not_failed_over(world):
    refused = world.act("A", failback={})
    assert refusal(refused, "protection_group.wrong_state").startswith("Protection Group is not in failed_over state")
    # "Inspect status and current_primary_site_id. Review operation history filtered by the Protection Group ID."
    group = world.group()
    assert (group["status"], group["current_primary_site_id"]) == ("active", world.site_ids["A"])
    history = world.must("A", "GET", world.tenant("A", f"/operations?protection_group_id={world.group_id}"))
    assert history["operations"] == [], "nothing was started by what was refused"


def test_storage_error_because_replication_never_ran(world):
    drill = {"test_failover": {"retain_primary": True, **MAPPINGS}}
    detail = refusal(world.act("A", **drill), "replication.not_ready")
    assert "does not hold all volumes of the group" in detail, detail
    assert world.servers("B") == [], "nothing was begun"
    policy = world.must("A", "GET", world.of_group("A", "/policy"))["policy"]
    assert policy["replication_interval"] == 300
    # "Force an immediate sync with POST .../consistency-group/sync and wait for it to complete."
    synced = world.must("A", "POST", world.of_group("A", "/consistency-group/sync"))
    assert world.ended("A", synced["operation"]["id"])["status"] == "completed"
    record = world.complete("A", **drill)
    assert len(world.servers("B")) == 3, record
    world.complete("A", test_cleanup={})
    assert world.servers("B") == []


def test_test_cleanup_leaves_orphans_that_it_names(world):
    demo = world.demo
    world.complete("A", sync_volumes={})
    drill = world.complete("A", test_failover={"retain_primary": True, **MAPPINGS})
    undeletable = {
        "service": "volume",
        "method": "DELETE",
        "path": "/volumes/",
        "effect": {"kind": "status", "code": 403, "message": "Policy does not allow"},
    }
    demo.sim("B", "faults", [undeletable])
    failed = world.ended("A", world.started("A", test_cleanup={}))
    assert failed["status"] == "failed", failed
    with demo.connection("site-b") as connection:
        left = [f"server {s.name} ({s.id})" for s in connection.compute.servers()]
        left += [f"volume {v.name} ({v.id})" for v in connection.block_storage.volumes()]
    assert len(left) == 5, left
    assert sorted(failed["result_data"]["leaked"]) == sorted(left), "all that is there, and nothing else"
    assert world.group()["active_test_operation_id"] == drill["id"], "the drill is not forgotten"
    demo.sim("B", "faults", method="DELETE")
    # "Re-issue the test_cleanup action."
    record = world.complete("A", test_cleanup={})
    assert record["result_data"]["leaked"] == []
    assert world.group()["active_test_operation_id"] is None
    with demo.connection("site-b") as connection:
        assert list(connection.compute.servers()) == []
        assert list(connection.block_storage.volumes()) == []


def test_rejected_because_the_remote_site_is_unreachable(world):
    world.end("B", "api")
    assert refusal(world.act("A", failover=MAPPINGS), "protection_group.peer_unreachable") == UNREACHABLE
    change = {"protection_group": {"description": "changed"}}
    assert refusal(world.ask("A", "PATCH", world.of_group("A"), change), "protection_group.peer_unreachable") == UNREACHABLE
    assert world.group()["description"] == "", "changed at neither site"
    assert world.servers("A") == ACTIVE
    # "Confirm protector-api is running on the peer site."
    world.start("B", "api")
    give_up = time.monotonic() + 30
    while (answer := world.act("A", failover=MAPPINGS)).status_code != 202:
        assert refusal(answer, "protection_group.peer_unreachable") == UNREACHABLE
        assert time.monotonic() < give_up, "it is not believed to be back"
        time.sleep(0.1)
    is_over(world, world.ended("A", answer.json()["operation"]["id"]))
    world.complete("B", **FAILBACK)


def test_manage_volumes_into_cinder_fails_with_a_policy_error(world):
    world.demo.sim("B", "policy", NOBODY)
    failed = world.ended("A", world.started("A", failover=MAPPINGS))
    assert failed["status"] == "failed", failed
    assert failed["error_message"].startswith("manage_volumes_into_cinder"), failed
    assert "Policy doesn't allow volume_extension:volume_manage to be performed" in failed["error_message"]
    assert {step["stage"] for step in failed["steps_failed"]} == {"manage_volumes_into_cinder"}
    assert failed["result_data"]["leaked"] == []
    # The rollback gave everything back.
    assert (world.group()["status"], world.servers("A"), world.servers("B")) == ("active", ACTIVE, [])
    with world.demo.connection("site-b") as connection:
        before = {volume.id for volume in connection.block_storage.volumes() if volume.status == "in-use"}
    assert before == set()
    world.demo.sim("B", "policy", DOCUMENTED_POLICY)
    retried(world, failed)


def test_promote_volumes_on_flasharray_fails_with_a_storage_error(world):
    demo = world.demo
    # "The credentials are incorrect": they are refused where they are given.
    policy = world.must("A", "GET", world.of_group("A", "/policy"))["policy"]
    wrong = {key: policy[key] for key in ("primary_fa_url", "secondary_fa_url", "replication_interval", "rpo_minutes")}
    wrong.update(primary_fa_api_token=demo["SITE_A_ARRAY_TOKEN"], secondary_fa_api_token=demo["SITE_A_ARRAY_TOKEN"])
    detail = refusal(world.ask("A", "POST", world.of_group("A", "/policy"), {"policy": wrong}), "array.error")
    assert "secondary array" in detail and "API token" in detail, detail
    assert demo["SITE_A_ARRAY_TOKEN"] not in detail
    # "The FlashArray is unreachable": found before anything is touched.
    demo.sim("B", "partition", {"mode": "refuse"}, of="ARRAY")
    assert "array" in refusal(world.act("A", failover=MAPPINGS), "site.error")
    assert world.servers("A") == ACTIVE
    demo.sim("B", "partition", {"mode": None}, of="ARRAY")
    # And an array that fails in the middle.
    full = {
        "service": "array",
        "method": "POST",
        "path": "/volumes",
        "effect": {"kind": "status", "code": 400, "message": "The array is full."},
    }
    demo.sim("B", "faults", [full], of="ARRAY")
    failed = world.ended("A", world.started("A", failover=MAPPINGS))
    assert failed["status"] == "failed", failed
    assert failed["error_message"].startswith("promote_volumes_on_flasharray"), failed
    assert "The array is full." in failed["error_message"]
    assert (world.group()["status"], world.servers("A"), world.servers("B")) == ("active", ACTIVE, [])
    demo.sim("B", "faults", method="DELETE", of="ARRAY")
    # "If credentials have changed, update the policy."
    right = {**wrong, "secondary_fa_api_token": demo["SITE_B_ARRAY_TOKEN"]}
    world.must("A", "POST", world.of_group("A", "/policy"), {"policy": right})
    retried(world, failed)


def test_stuck_at_running_because_the_engine_died(world):
    operation = world.started("A", failover=MAPPINGS)
    world.when("A", operation, lambda record: record["progress"] >= 55)
    world.end("A", "engine", signal.SIGKILL)
    stuck = world.operation("A", operation)
    time.sleep(1)
    same = world.operation("A", operation)
    assert (same["status"], same["progress"]) == ("running", stuck["progress"]), "nobody works on it"
    # "If the engine is stopped, restart it." No other hand is needed, and nothing was made twice.
    world.start("A", "engine")
    is_over(world, world.ended("A", operation))
    with world.demo.connection("site-b") as connection:
        used = [volume for volume in connection.block_storage.volumes() if volume.status == "in-use"]
    assert len(used) == 5
    world.complete("B", **FAILBACK)


def test_out_of_sync_after_an_unplanned_failover(world):
    demo = world.demo
    world.complete("A", sync_volumes={})
    for what in ("api", "engine"):
        world.end("A", what, signal.SIGKILL)
    for of in ("CLOUD", "ARRAY"):
        demo.sim("A", "partition", {"mode": "refuse"}, of=of)
    assert refusal(world.act("B", failover=MAPPINGS), "protection_group.peer_unreachable") == UNREACHABLE
    record = world.complete("B", failover={"force": True, **MAPPINGS})
    assert record["result_data"]["data_loss_seconds"] >= 0
    assert sync_status(world, "UNREACHABLE")
    for of in ("CLOUD", "ARRAY"):
        demo.sim("A", "partition", {"mode": None}, of=of)
    # Its API alone: what its engine would do by itself must not hide the difference.
    world.start("A", "api")
    found = sync_status(world, "OUT OF SYNC")
    assert (found["local_epoch"], found["local_version"]) > (found["remote_epoch"], found["remote_version"]), found
    world.start("A", "engine")
    world.must("B", "POST", world.of_group("B", "/sync-force"), {})
    found = sync_status(world, "IN SYNC")
    assert (found["local_epoch"], found["local_version"]) == (found["remote_epoch"], found["remote_version"]), found
    # What still ran at site A is stopped by its own engine; until then it says so, and takes no change.
    give_up = time.monotonic() + 60
    while (why := world.group()["quarantine"]) is not None:
        assert "what ran here is being stopped" in why or "sync-force releases" in why, why
        assert time.monotonic() < give_up, why
        time.sleep(0.1)
    assert (world.servers("A"), world.servers("B")) == (SHUTOFF, ACTIVE), "one primary"
    world.complete("B", **FAILBACK)


def sync_status(world, wanted):
    """What site B says, sooner or later."""
    give_up = time.monotonic() + 60
    while True:
        found = world.must("B", "GET", world.of_group("B", "/sync-status"))["sync_status"]
        if found["status"] == wanted:
            return found
        assert time.monotonic() < give_up, found
        time.sleep(0.1)
