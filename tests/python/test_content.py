"""What comes up is exactly one group-consistent point: a writer stamps all volumes before and during each scenario.

Two Protectors as processes beside the demo's sites. Each test starts with the group active at site A and ends so, but
for the last one.
Run: target/pyvenv/bin/python -m pytest tests/python/test_content.py
"""

import datetime
import json
import signal
import ssl
import time
import urllib.request

import pytest
from protector_processes import MAPPINGS, running_processes
from writer import Writer, contents, disks, door

ALL = ["db-1", "web-1", "web-2"]
SPEED = 40
FAILBACK = {"failback": {"reverse_replication": True}}
DRILL = {"test_failover": {"retain_primary": True, **MAPPINGS}}
# World's time, of which the demo's clock makes less.
SLOW_SERVER = {"service": "compute", "method": "POST", "path": "/servers", "effect": {"kind": "slow", "ms": 120000}}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_processes(tmp_path_factory.mktemp("processes"), speed=SPEED) as world:
        yield world


def running(world, letter):
    return [name for name, state in world.servers(letter) if state == "ACTIVE"]


def array(world, letter):
    """All that an array has, as its simulator tells."""
    context = ssl.create_default_context(cafile=world.demo["ARRAY_CA"])
    with urllib.request.urlopen(f"{world.demo[f'SITE_{letter}_ARRAY_URL']}/_sim/dump", context=context) as answer:
        return json.load(answer)


def seconds(instant):
    return datetime.datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()


def inventory(world, letter):
    """What a drill must leave as it is at the primary: the tenant's things, and what the array serves and ships."""
    with world.demo.connection(f"site-{letter.lower()}") as connection:
        servers = sorted((s.id, s.name, s.status, s.is_locked) for s in connection.compute.servers())
        volumes = sorted((v.id, v.status, v.volume_type) for v in connection.block_storage.volumes())
        ports = sorted((p.id, p.mac_address, p.device_id) for p in connection.network.ports())
    has = array(world, letter)
    groups = {name: [g["volumes"], g["targets"], g["replication_schedule"]] for name, g in has["groups"].items() if ":" not in name}
    connected = sorted((c["volume"], c["host"], c["lun"]) for c in has["connections"])
    return {
        "servers": servers,
        "volumes": volumes,
        "ports": ports,
        "array volumes": sorted(has["volumes"]),
        "connected": connected,
        "groups": groups,
    }


def lag(world):
    """Seconds since the last point that has arrived, and how old that one was when it did."""
    health = world.must("A", "GET", world.of_group("A", "/health"))
    return health


def test_planned_there_and_back_loses_nothing(world):
    demo = world.demo
    with Writer(demo, "A", "at A") as at_a:
        at_a.wrote(20)
        world.complete("A", failover=MAPPINGS)
        at_a.stop()
        assert at_a.refused > 0, "it was still writing when the source was fenced"
    held = contents(demo, "B")
    at_a.nothing_lost(held)
    with Writer(demo, "B", "at B") as at_b:
        at_b.wrote(20)
        world.complete("B", **FAILBACK)
        at_b.stop()
        assert at_b.refused > 0
    at_b.nothing_lost(contents(demo, "A"))
    assert (running(world, "A"), running(world, "B")) == (ALL, [])


def test_a_drill_takes_one_moment_and_leaves_the_primary_alone(world):
    demo = world.demo
    world.complete("A", sync_volumes={})
    with Writer(demo, "A", "beside a drill") as writer:
        writer.wrote(20)
        world.complete("A", sync_volumes={})
        before, replication = inventory(world, "A"), world.group()
        drill = world.complete("A", **DRILL)
        assert inventory(world, "A") == before
        after = world.group()
        assert after["replication_status"] == replication["replication_status"] == "replicating"
        assert seconds(after["last_replication_at"]) >= seconds(replication["last_replication_at"])
        held = contents(demo, "B")
        again = world.act("A", **DRILL)
        assert again.status_code == 409, again.text
        assert drill["id"] in again.text, "it says which drill is there"
        world.complete("A", test_cleanup={})
        assert inventory(world, "A") == before
        writer.wrote(10)
        writer.stop()
        assert writer.refused == 0, "the primary never stopped"
    assert 0 < writer.point(held) < len(writer.log)
    writer.nothing_lost(contents(demo, "A"))
    assert world.servers("B") == []


def test_a_failover_in_the_middle_of_a_drill(world):
    demo = world.demo
    world.complete("A", sync_volumes={})
    drill = world.complete("A", **DRILL)
    rehearsed = {server for server, _ in disks(demo, "B").values()}
    with Writer(demo, "A", "during a drill") as writer:
        writer.wrote(20)
        world.complete("A", failover=MAPPINGS)
        writer.stop()
    group = world.group()
    assert (group["status"], group["active_test_operation_id"]) == ("failed_over", drill["id"])
    with demo.connection("site-b") as connection:
        live = {s.id for s in connection.compute.servers() if s.status == "ACTIVE" and s.id not in rehearsed}
    assert len(live) == 3
    world.complete("B", test_cleanup={})
    with demo.connection("site-b") as connection:
        assert {s.id for s in connection.compute.servers()} == live, "cleaned up is the drill alone"
    writer.nothing_lost(contents(demo, "B"))
    world.complete("B", **FAILBACK)
    writer.nothing_lost(contents(demo, "A"))


def test_a_source_server_that_its_owner_starts_meanwhile(world):
    demo = world.demo
    demo.sim("B", "faults", [SLOW_SERVER])
    with Writer(demo, "A", "of a stubborn owner") as writer, demo.connection() as owner:
        writer.wrote(20)
        operation = world.started("A", failover=MAPPINGS)
        give_up = time.monotonic() + 60
        while {server.status for server in owner.compute.servers()} != {"SHUTOFF"}:
            assert time.monotonic() < give_up, "the source is not stopped"
        started = []
        for server in owner.compute.servers():
            answer = owner.compute.post(f"/servers/{server.id}/action", json={"os-start": None})
            started.append(answer.status_code)
        record = world.ended("A", operation)
        writer.stop()
    demo.sim("B", "faults", method="DELETE")
    if set(started) == {409}:
        # Refused by Nova: the fence locks what it stopped.
        assert record["status"] == "completed", record
        assert (running(world, "A"), running(world, "B")) == ([], ALL)
        writer.nothing_lost(contents(demo, "B"))
        world.complete("B", **FAILBACK)
    else:
        assert record["status"] == "failed", record
        assert world.group()["current_primary_site_id"] == world.site_ids["A"], "before the swap"
    assert (world.group()["status"], running(world, "A"), running(world, "B")) == ("active", ALL, [])
    writer.nothing_lost(contents(demo, "A"))


def test_what_a_target_wrote_before_a_rollback_is_kept(world):
    demo = world.demo
    demo.sim("B", "faults", [{**SLOW_SERVER, "body": "web-2", "effect": {"kind": "slow", "ms": 400000}}])
    with Writer(demo, "A", "before a rollback") as writer:
        writer.wrote(20)
        operation = world.started("A", failover=MAPPINGS)
        give_up = time.monotonic() + 60
        while "db-1" not in running(world, "B"):
            assert time.monotonic() < give_up, world.servers("B")
            time.sleep(0.05)
        written = {}
        for (name, device), (server, volume) in disks(demo, "B").items():
            stamp = f"{name} {device} at B"
            status, _ = door(demo, "B", "write", {"server": server, "volume": volume, "stamp": stamp})
            if status == 204:
                written[volume] = stamp
        assert written, "a server that is ACTIVE writes"
        assert world.act("A", cancel={}).status_code == 202
        record = world.ended("A", operation)
        writer.stop()
    demo.sim("B", "faults", method="DELETE")
    assert record["status"] == "cancelled", record
    assert (world.group()["status"], running(world, "A"), world.servers("B")) == ("active", ALL, [])
    writer.nothing_lost(contents(demo, "A"))
    kept = {copy["what"].get("snapshot") for copy in record["result_data"]["kept"]}
    snapshots = {s["last_stamp"]: name for name, s in array(world, "B")["snapshots"].items() if not s["destroyed"]}
    for volume, stamp in written.items():
        assert stamp in snapshots, f"{stamp} of volume {volume} is lost: {record['result_data']['kept']}"
        assert snapshots[stamp] in kept, f"{snapshots[stamp]} is there, but named nowhere"


def test_unplanned_loses_no_more_than_it_reports(world):
    demo = world.demo
    with Writer(demo, "A", "until the end") as writer:
        writer.wrote(20)
        world.complete("A", sync_volumes={})
        writer.wrote(30)
        ahead = array(world, "A")["now"] / 1000 - time.time()
        writer.stop()
        for what in ("api", "engine"):
            world.end("A", what, signal.SIGKILL)
        for of in ("CLOUD", "ARRAY"):
            demo.sim("A", "partition", {"mode": "refuse"}, of=of)
        died = time.time()
    record = world.complete("B", failover={"force": True, **MAPPINGS})
    assert running(world, "B") == ALL
    held = writer.point(contents(demo, "B"))
    lost = writer.times[held:]
    assert 20 <= held < len(writer.log), "something before the sync, not all after it"
    # In the world's time, which runs faster than ours: the look was taken at the writer's end.
    reported = record["result_data"]["data_loss_seconds"]
    at_death = died + ahead
    first_lost = at_death - (died - lost[0]) * SPEED
    since = seconds(record["started_at"]) - reported
    assert first_lost >= since - 2, f"a write of {first_lost} is lost, reported are losses since {since}"
