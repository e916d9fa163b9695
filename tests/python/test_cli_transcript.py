"""The founding document's section "Using the OSC CLI instead of cURL", line by line, against a running demo.

The commands are verbatim, apart from the id of the operation. Networks have the document's names, and what its short
examples leave open stands in the group's mappings. Each step starts where the one before it ended, and asserts its end.
"""

import os
import pty
import re
import select
import signal
import subprocess
import time

import founding
import pytest
from demo_world import DEBIAN12, running_demo

PLANNED_FAILOVER = r"""
openstack protector protection-group failover prod-web-app \
  --network-mapping net-primary-web=net-secondary-web \
  --network-mapping net-primary-db=net-secondary-db \
  --flavor-mapping m1.large=m2.large
"""
UNPLANNED_FAILOVER = r"""
openstack protector protection-group failover prod-web-app \
  --type unplanned \
  --network-mapping net-primary-web=net-secondary-web
"""
TEST_FAILOVER = r"""
openstack protector protection-group test-failover prod-web-app \
  --retain-primary \
  --network-mapping net-primary-web=net-secondary-web
"""
FAILBACK = r"""
openstack protector protection-group failback prod-web-app \
  --reverse-replication \
  --network-mapping net-secondary-web=net-primary-web
"""
# Not in that section, but it ends what its drill began.
TEST_CLEANUP = "openstack protector protection-group test-cleanup prod-web-app"
SHOW_OPERATION = "openstack protector operation show op-456abc78-..."
WATCH_OPERATION = "watch -n 5 openstack protector operation show op-456abc78-..."
LIST_OPERATIONS = "openstack protector operation list"
LIST_GROUPS = "openstack protector protection-group list"
SYNC_FORCE = "openstack protector protection-group sync-force prod-web-app"
SYNC_STATUS = "openstack protector protection-group sync-status prod-web-app"

OPERATION = re.compile(r"op-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
FAILOVER_STAGES = founding.STAGES


@pytest.fixture(scope="module", params=["newest", "debian12"])
def demo(request, tmp_path_factory):
    """With the newest clients, and with those of Debian 12."""
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        if request.param == "debian12":
            demo.bin = DEBIAN12 / "bin"
        for cloud, name in [("site-a", "aaa11111-net-primary"), ("site-b", "bbb22222-net-secondary")]:
            network = demo.connection(cloud).network
            for net in ("web", "db"):
                found = network.find_network(f"{name}-{net}", ignore_missing=False)
                network.update_network(found, name=found.name.partition("-")[2])
        networks = {f"net-primary-{net}": f"net-secondary-{net}" for net in ("web", "db")}
        protector = demo.protector()
        protector.update_protection_group(
            demo["PG_ID"], network_mapping=networks, flavor_mapping={"m1.large": "m2.large"}
        )
        # What a member's networks are called is read again, for the day on which their cloud cannot be asked.
        for member in list(protector.members(demo["PG_ID"])):
            protector.refresh_member(demo["PG_ID"], member.id)
        # As documented: at least one replication must have completed.
        demo.sync()
        yield demo


def done(demo, command, cloud="site-a"):
    """Runs a documented command as it stands; gives the operation when it has ended well."""
    printed = demo.bash(command, cloud)
    assert "| operation_type " in printed, "a table for a person"
    [found] = set(OPERATION.findall(printed.split("| protection_group_id")[0]))
    return demo.protector(cloud).wait_for_operation(found, timeout=60, interval=0.2)


def group(demo, cloud="site-a"):
    return demo.protector(cloud).find_protection_group("prod-web-app")


def servers(demo, cloud):
    return {server.name: server.status for server in demo.connection(cloud).compute.servers()}


def test_protection_group_list(demo):
    printed = demo.bash(LIST_GROUPS)
    assert "prod-web-app" in printed
    assert "active" in printed


def test_test_failover_leaves_the_primary_alone(demo):
    before = servers(demo, "site-a")
    record = done(demo, TEST_FAILOVER)
    assert (record.operation_type, record.status) == ("test_failover", "completed")
    shown = group(demo)
    assert (shown.status, shown.active_test_operation_id) == ("active", record.id)
    assert servers(demo, "site-a") == before == dict.fromkeys(["db-1", "web-1", "web-2"], "ACTIVE")
    assert sorted(servers(demo, "site-b").values()) == ["ACTIVE"] * 3


def test_test_cleanup_leaves_nothing(demo):
    record = done(demo, TEST_CLEANUP)
    assert (record.operation_type, record.status) == ("test_cleanup", "completed")
    assert group(demo).active_test_operation_id is None
    assert servers(demo, "site-b") == {}
    assert list(demo.connection("site-b").block_storage.volumes()) == []


def test_planned_failover(demo):
    record = done(demo, PLANNED_FAILOVER)
    assert record.steps_completed == FAILOVER_STAGES
    assert record.result_data["current_primary_site"] == "site-b"
    shown = group(demo)
    assert (shown.status, shown.current_primary_site_id) == ("failed_over", demo["SITE_B_SITE_ID"])
    assert servers(demo, "site-b") == dict.fromkeys(["db-1", "web-1", "web-2"], "ACTIVE")
    assert set(servers(demo, "site-a").values()) == {"SHUTOFF"}


def test_operation_show_and_list(demo):
    [newest] = demo.protector().operations(limit=1)
    assert newest.operation_type == "failover"
    printed = demo.bash(SHOW_OPERATION.replace("op-456abc78-...", newest.id))
    for stage in FAILOVER_STAGES:
        assert stage in printed
    assert newest.id in demo.bash(LIST_OPERATIONS)


def test_operation_show_under_watch(demo):
    [newest] = demo.protector().operations(limit=1)
    assert newest.id in watched(demo, WATCH_OPERATION.replace("op-456abc78-...", newest.id), "completed")


def watched(demo, command, until):
    """What `watch` draws on a terminal of its own, until a word appears."""
    master, slave = pty.openpty()
    script = f"source {demo.env_file}; exec {command}"
    env = {**os.environ, "PATH": f"{demo.bin}:{os.environ['PATH']}", "TERM": "xterm", "COLUMNS": "160", "LINES": "60"}
    process = subprocess.Popen(
        ["bash", "-c", script], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
    )
    os.close(slave)
    drawn, deadline = b"", time.monotonic() + 60
    try:
        while until.encode() not in drawn:
            assert time.monotonic() < deadline, drawn.decode(errors="replace")
            if select.select([master], [], [], 1)[0]:
                drawn += os.read(master, 65536)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
        os.close(master)
    return drawn.decode(errors="replace")


def test_failback(demo):
    record = done(demo, FAILBACK, "site-b")
    assert (record.operation_type, record.steps_completed) == ("failback", FAILOVER_STAGES)
    shown = group(demo)
    assert (shown.status, shown.current_primary_site_id) == ("active", demo["SITE_A_SITE_ID"])
    assert shown.replication_status == "replicating"
    assert servers(demo, "site-a") == dict.fromkeys(["db-1", "web-1", "web-2"], "ACTIVE")
    assert "ACTIVE" not in servers(demo, "site-b").values()


@pytest.fixture(scope="module")
def site_a_is_down(demo):
    """Cloud and array of site A, as seen from everywhere; gives what brings them back."""

    def reach(mode):
        for of in ("CLOUD", "ARRAY"):
            demo.sim("A", "partition", {"mode": mode}, of=of)

    demo.sync()
    reach("refuse")
    yield lambda: reach(None)
    reach(None)


def test_unplanned_failover(demo, site_a_is_down):
    record = done(demo, UNPLANNED_FAILOVER, "site-b")
    assert (record.status, record.steps_completed) == ("completed", FAILOVER_STAGES)
    assert record.result_data["data_loss_seconds"] >= 0
    shown = group(demo, "site-b")
    assert (shown.status, shown.current_primary_site_id) == ("failed_over", demo["SITE_B_SITE_ID"])
    assert servers(demo, "site-b") == dict.fromkeys(["db-1", "web-1", "web-2"], "ACTIVE")
    assert "IN SYNC" not in demo.bash(SYNC_STATUS, "site-b")


def test_the_sites_agree_after_a_forced_sync(demo, site_a_is_down):
    site_a_is_down()
    demo.bash(SYNC_FORCE, "site-b")
    assert "IN SYNC" in demo.bash(SYNC_STATUS, "site-b")
    status = demo.protector("site-b").get_sync_status(demo["PG_ID"])
    assert (status.local_version, status.local_epoch) == (status.remote_version, status.remote_epoch)
    assert group(demo).current_primary_site_id == demo["SITE_B_SITE_ID"]
    assert set(servers(demo, "site-a").values()) == {"SHUTOFF"}, "what still ran there was stopped"
