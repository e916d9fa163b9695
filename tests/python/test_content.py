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
from protector_processes import ENDED, MAPPINGS, running_processes
from writer import Writer, contents, disks, door

ALL = ["db-1", "web-1", "web-2"]
SPEED = 40
# Seconds between two points, and what making and shipping one may take.
INTERVAL, GRACE = 300, 60
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
    """How old the newest point at site B is, in the world's seconds, as array B tells."""
    has = array(world, "B")
    # A replicated group bears its source's name.
    points = [s["created"] for n, s in has["group_snapshots"].items() if ":" in n and not s["destroyed"] and s["completed"]]
    return (has["now"] - max(points)) / 1000


def held_by(log, *cut):
    """What disks hold that were cut off after so many writes each; a writer that stood still, for planted mistakes."""
    writer = Writer.__new__(Writer)
    writer.disks = dict.fromkeys(disk for disk, _ in log)
    writer.log, writer.before = log, {disk: ["before"] for disk in writer.disks}
    of = {disk: ["before", *(stamp for other, stamp in log if other == disk)] for disk in writer.disks}
    return writer, {disk: stamps[: 1 + count] for (disk, stamps), count in zip(of.items(), cut, strict=True)}


def test_the_proof_sees_what_is_not_one_moment():
    log = [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")]
    for cut, point in {(0, 0): 0, (1, 0): 1, (1, 1): 2, (2, 1): 3, (2, 2): 4}.items():
        writer, held = held_by(log, *cut)
        assert writer.point(held) == point
    for torn in [(0, 1), (0, 2), (1, 2), (2, 0)]:
        writer, held = held_by(log, *torn)
        with pytest.raises(AssertionError, match="two moments"):
            writer.point(held)
    writer, held = held_by(log, 2, 1)
    with pytest.raises(AssertionError, match="1 writes are lost"):
        writer.nothing_lost(held)
    for foreign in (["before", "3", "1"], ["before", "1", "x"], ["1"], []):
        with pytest.raises(AssertionError, match="never written|was there before"):
            writer.point({**held, "a": foreign})


def test_planned_there_and_back_loses_nothing(world):
    demo = world.demo
    with Writer(demo, "A", "at A") as at_a:
        at_a.wrote(20)
        record = world.complete("A", failover=MAPPINGS)
        at_a.stop()
        assert record["result_data"]["data_loss_seconds"] == 0
        assert at_a.refused > 0, "it was still writing when the source was fenced"
    held = contents(demo, "B")
    at_a.nothing_lost(held)
    with Writer(demo, "B", "at B") as at_b:
        at_b.wrote(20)
        record = world.complete("B", **FAILBACK)
        at_b.stop()
        assert record["result_data"]["data_loss_seconds"] == 0
        assert at_b.refused > 0
    at_b.nothing_lost(contents(demo, "A"))
    assert (running(world, "A"), running(world, "B")) == (ALL, [])


def test_a_drill_takes_one_moment_and_leaves_the_primary_alone(world):
    demo = world.demo
    world.complete("A", sync_volumes={})
    with Writer(demo, "A", "beside a drill") as writer:
        writer.wrote(20)
        world.complete("A", sync_volumes={})
        before, lags = inventory(world, "A"), [lag(world)]
        operation = world.started("A", **DRILL)
        while (drill := world.operation("A", operation))["status"] not in ENDED:
            lags.append(lag(world))
        assert drill["status"] == "completed", drill
        assert inventory(world, "A") == before
        # Points come as the schedule wants: none was missed, none was held up.
        assert len(lags) > 3 and max(lags) < INTERVAL + GRACE, lags
        assert world.group()["replication_status"] == "replicating"
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
    # The fence locks what it stops, so Nova refuses.
    assert started == [409] * len(ALL)
    assert record["status"] == "completed", record
    assert (running(world, "A"), running(world, "B")) == ([], ALL)
    writer.nothing_lost(contents(demo, "B"))
    world.complete("B", **FAILBACK)
    writer.nothing_lost(contents(demo, "A"))


def test_what_a_target_wrote_before_a_rollback_is_kept(world):
    demo = world.demo
    demo.sim("B", "faults", [{**SLOW_SERVER, "body": "web-2"}])
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
    named = " ".join(copy["what"] for copy in record["result_data"]["kept"])
    for volume, stamp in written.items():
        holding = [n for n, s in array(world, "B")["snapshots"].items() if s["last_stamp"] == stamp and not s["destroyed"]]
        assert holding, f"{stamp} of volume {volume} is lost: {named}"
        assert any(snapshot in named for snapshot in holding), f"{holding} hold it, but the record names {named}"


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
