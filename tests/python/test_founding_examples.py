"""Examples 1 to 6 of the founding document, out of its own text, pasted into a shell beside a running demo.

Each example starts where the one before it ended. The order is that of a life: sync (5), drill (3), planned failover (1)
followed to its end (6), failback (4); the unplanned one (2) in a world whose site A is gone.
Run: target/pyvenv/bin/python -m pytest tests/python/test_founding_examples.py
"""

import time

import founding
import pytest
from demo_world import PATIENCE, running_demo

SERVERS = ["db-1", "web-1", "web-2"]


class Shell:
    """A person's shell at site A: token and tenant once, then what is pasted."""

    def __init__(self, demo, folder, cloud="site-a"):
        self.demo, self.cloud = demo, cloud
        self.home = founding.home(demo, folder / "home")
        words = demo.bash(f'{founding.token_and_tenant()}\necho "$TOKEN $TENANT_ID"', cloud).split()
        self.variables = dict(zip(["TOKEN", "TENANT_ID"], words, strict=True))

    def paste(self, script, **more):
        """Status code and body."""
        exports = "".join(f"export {key}={value}\n" for key, value in {**self.variables, **more}.items())
        return founding.paste(self.demo, self.home, exports + script)

    def follow(self, operation):
        """Example 6 again and again, until the operation has ended; gives all records."""
        [poll], looks, give_up = founding.commands(6), [], time.monotonic() + PATIENCE
        while True:
            code, body = self.paste(poll, OP_ID=operation)
            assert code == 200, body
            looks.append(body)
            if body["operation"]["status"] not in ("pending", "running"):
                return looks
            assert time.monotonic() < give_up, body
            time.sleep(0.1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), speed=20) as demo:
        yield demo


@pytest.fixture(scope="module")
def shell(demo, tmp_path_factory):
    return Shell(demo, tmp_path_factory.mktemp("shell"))


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A world whose site A is gone."""
    with running_demo(tmp_path_factory.mktemp("lost"), "--scenario", "unplanned", speed=20) as demo:
        yield demo


def states(demo, cloud):
    with demo.connection(cloud) as connection:
        return sorted((server.name, server.status) for server in connection.compute.servers())


ALL_ACTIVE = [(name, "ACTIVE") for name in SERVERS]
ALL_OFF = [(name, "SHUTOFF") for name in SERVERS]


def test_every_example_was_found():
    assert [len(founding.commands(number)) for number in range(1, 7)] == [1, 1, 2, 1, 1, 1]
    assert [len(founding.answers(number)) for number in range(1, 7)] == [1, 0, 0, 0, 1, 2]


def test_example_5_syncs_the_consistency_group(demo, shell):
    [sync], [documented] = founding.commands(5), founding.answers(5)
    code, body = shell.paste(sync)
    assert code == 202
    founding.alike(demo, documented, body)
    record = shell.follow(body["operation"]["id"])[-1]["operation"]
    assert (record["status"], record["progress"], record["error_message"]) == ("completed", 100, None)
    group = demo.protector().get_protection_group(demo["PG_ID"])
    assert (group.status, group.replication_status) == ("active", "replicating")
    assert group.last_replication_at is not None


def test_example_3_drills_beside_the_running_primary_and_cleans_up(demo, shell):
    drill, cleanup = founding.commands(3)
    [documented] = founding.answers(1)
    code, body = shell.paste(drill)
    assert code == 202, body
    documented["operation"]["operation_type"] = body["operation"]["operation_type"]
    founding.alike(demo, documented, body)
    assert body["operation"]["operation_type"] in ("failover", "test_failover")
    record = shell.follow(body["operation"]["id"])[-1]["operation"]
    assert record["status"] == "completed", record
    group = demo.protector().get_protection_group(demo["PG_ID"])
    assert (group.status, group.current_primary_site_id) == ("active", demo["SITE_A_SITE_ID"])
    assert states(demo, "site-a") == ALL_ACTIVE
    assert [status for _, status in states(demo, "site-b")] == ["ACTIVE"] * 3
    code, body = shell.paste(cleanup)
    assert (code, body["operation"]["operation_type"]) == (202, "test_cleanup"), body
    record = shell.follow(body["operation"]["id"])[-1]["operation"]
    assert record["status"] == "completed", record
    assert states(demo, "site-a") == ALL_ACTIVE
    assert states(demo, "site-b") == []
    with demo.connection("site-b") as connection:
        assert list(connection.block_storage.volumes()) == []


def test_examples_1_and_6_fail_over_and_show_the_way(demo, shell):
    [failover], [accepted] = founding.commands(1), founding.answers(1)
    code, body = shell.paste(failover)
    assert code == 202
    founding.alike(demo, accepted, body)
    looks = shell.follow(body["operation"]["id"])
    midway, completed = founding.answers(6)
    founding.alike(demo, completed, looks[-1])
    stages = completed["operation"]["steps_completed"]
    seen = [look for look in looks if 0 < look["operation"]["progress"] < 100]
    assert seen, "nothing was seen mid-way"
    for look in seen:
        done = look["operation"]["steps_completed"]
        assert done == stages[: len(done)]
        midway["operation"]["steps_completed"] = done
        founding.alike(demo, midway, look)
    group = demo.protector().get_protection_group(demo["PG_ID"])
    assert (group.status, group.current_primary_site_id) == ("failed_over", demo["SITE_B_SITE_ID"])
    assert (states(demo, "site-a"), states(demo, "site-b")) == (ALL_OFF, ALL_ACTIVE)


def test_example_4_fails_back_with_replication_restored(demo, tmp_path):
    at_b = Shell(demo, tmp_path, "site-b")
    [failback] = founding.commands(4)
    code, body = at_b.paste(failback)
    assert (code, body["operation"]["operation_type"]) == (202, "failback"), body
    operation = body["operation"]
    assert (operation["source_site_id"], operation["target_site_id"]) == (demo["SITE_B_SITE_ID"], demo["SITE_A_SITE_ID"])
    give_up = time.monotonic() + PATIENCE
    # Example 6 asks site A, whose token this shell does not have.
    protector = demo.protector("site-b")
    record = protector.wait_for_operation(operation["id"], timeout=give_up - time.monotonic(), interval=0.2)
    assert record.status == "completed", record
    group = demo.protector().get_protection_group(demo["PG_ID"])
    assert (group.status, group.current_primary_site_id) == ("active", demo["SITE_A_SITE_ID"])
    assert group.replication_status == "replicating", "site A is the protected copy again"
    assert states(demo, "site-a") == ALL_ACTIVE
    assert "ACTIVE" not in {status for _, status in states(demo, "site-b")}


def test_example_2_fails_over_without_site_a(lost, tmp_path):
    home = founding.home(lost, tmp_path / "home")
    [script], [documented] = founding.commands(2), founding.answers(1)
    refused = script.replace('"force": true', '"force": false')
    assert refused != script
    code, body = founding.paste(lost, home, refused)
    assert code == 409, body
    assert body["errors"][0]["detail"] == "Cannot modify protection group — remote site unreachable", body
    assert states(lost, "site-b") == []
    code, body = founding.paste(lost, home, script)
    assert code == 202, body
    founding.alike(lost, documented, body)
    protector = lost.protector("site-b")
    record = protector.wait_for_operation(body["operation"]["id"], timeout=PATIENCE, interval=0.2)
    assert record.status == "completed", record
    _, completed = founding.answers(6)
    assert record.steps_completed == completed["operation"]["steps_completed"]
    group = protector.get_protection_group(lost["PG_ID"])
    assert (group.status, group.current_primary_site_id) == ("failed_over", lost["SITE_B_SITE_ID"])
    assert states(lost, "site-b") == ALL_ACTIVE
    assert protector.get_sync_status(lost["PG_ID"]).status == "UNREACHABLE", "as documented"
