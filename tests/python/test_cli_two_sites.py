"""Two Protectors as processes, one of which dies with its site: `takeover` and `release-quarantine` by the CLI, with success.

Each test starts where the one before it ended: the group active at site A.
"""

import json
import signal
import time

import pytest
from protector_processes import MAPPINGS, running_processes

ALL = ["db-1", "web-1", "web-2"]
# So far the planned failover has come when its site dies: the point is at the other site, servers are being made.
MIDWAY = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_processes(tmp_path_factory.mktemp("processes"), speed=40) as world:
        yield world


def cli(world, letter, line):
    """Runs `openstack protector protection-group ...` at a site; gives exit code, JSON and standard error."""
    script = f"openstack protector protection-group {line} -f json"
    done = world.demo.run(script, f"site-{letter.lower()}", OS_PROTECTOR_ENDPOINT=world.urls[letter])
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def site_a_dies(world):
    for what in ("api", "engine"):
        world.end("A", what, signal.SIGKILL)
    for of in ("CLOUD", "ARRAY"):
        world.demo.sim("A", "partition", {"mode": "refuse"}, of=of)


def site_a_returns(world):
    for of in ("CLOUD", "ARRAY"):
        world.demo.sim("A", "partition", {"mode": None}, of=of)
    for what in ("api", "engine"):
        world.start("A", what)


def quarantined(world, words):
    """What site A says of its quarantine, once it has these words; None: once there is none."""
    give_up = time.monotonic() + 60
    while True:
        why = world.group("A")["quarantine"]
        if (why is None) if words is None else (why is not None and words in why):
            return why
        assert time.monotonic() < give_up, why
        time.sleep(0.1)


def test_takeover_of_what_a_dead_site_was_driving(world):
    operation = world.started("A", failover=MAPPINGS)
    for letter in "AB":
        world.when(letter, operation, lambda record: record["progress"] >= MIDWAY)
    site_a_dies(world)
    give_up = time.monotonic() + 60
    while True:
        code, record, said = cli(world, "B", "takeover beside --wait")
        if code == 0:
            break
        # Too early: nobody may take a site for dead that was heard a moment ago.
        assert time.monotonic() < give_up, said
        assert "HTTP 409" in said, said
    assert (record["id"], record["status"]) == (operation, "completed"), record
    assert "the site that drives its operation is taken to be dead" in said
    assert [name for name, state in world.servers("B") if state == "ACTIVE"] == ALL
    group = world.group("B")
    assert (group["status"], group["current_primary_site_id"]) == ("failed_over", world.site_ids["B"])
    site_a_returns(world)
    quarantined(world, "sync-force releases")
    world.must("B", "POST", world.of_group("B", "/sync-force"), {})
    quarantined(world, None)
    assert [state for _, state in world.servers("A")] == ["SHUTOFF"] * 3
    world.complete("B", failback={"reverse_replication": True})


def test_release_of_a_quarantine_whose_servers_cannot_be_stopped(world):
    world.complete("A", sync_volumes={})
    site_a_dies(world)
    world.complete("B", failover={"force": True, **MAPPINGS})
    unstoppable = {
        "service": "compute",
        "method": "POST",
        "path": "/action",
        "body": "os-stop",
        "effect": {"kind": "status", "code": 403, "message": "Policy does not allow"},
    }
    world.demo.sim("A", "faults", [unstoppable])
    site_a_returns(world)
    why = quarantined(world, "Policy does not allow")
    code, _, said = cli(world, "A", "release-quarantine beside")
    assert code == 1, "the copies differ"
    assert "sync-force" in said, said
    world.must("B", "POST", world.of_group("B", "/sync-force"), {})
    assert world.group("A")["quarantine"] is not None, "what ran there is not safe"
    code, group, said = cli(world, "A", "release-quarantine beside")
    assert (code, group["quarantine"]) == (0, None), said
    assert why in said, "told what is released"
    assert world.group("A")["quarantine"] is None
    # A person took it on: what runs at the old primary is theirs to stop, and nothing does it behind their back.
    assert [state for _, state in world.servers("A")] == ["ACTIVE"] * 3
    assert [name for name, state in world.servers("B") if state == "ACTIVE"] == ALL
