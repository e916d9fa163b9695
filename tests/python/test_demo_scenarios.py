"""Each scenario of the demo, judged by what openstacksdk and py-pure-client read at both sites, not by our own answers.

PROTECTOR_BIN names the program (default: target/release/protector).
Run: target/pyvenv/bin/python -m pytest tests/python/test_demo_scenarios.py
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PROTECTOR_BIN", ROOT / "target" / "release" / "protector"))
PATIENCE = 150
SPEED = "20"
SERVERS, VOLUMES = 3, 5


class Scenario:
    """A demo that has played its scenario and keeps running."""

    def __init__(self, name, folder):
        self.env_file, self.out, self.err = folder / "demo.env", folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [
                    *[str(BIN), "demo", "--scenario", name, "--json", "--speed", SPEED],
                    *["--env-file", str(self.env_file)],
                ],
                stdout=out,
                stderr=err,
            )
        self.operation = self._await_record()["operation"]
        words = shlex.split(self.env_file.read_text())
        self.env = dict(word.split("=", 1) for word in words if "=" in word)

    def _await_record(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return json.loads(self.out.read_text())
            except json.JSONDecodeError:
                ended = self.process.poll()
                assert ended is None, f"the demo ended with {ended}: {self.err.read_text()}"
                assert time.monotonic() < deadline, self.err.read_text()
                time.sleep(0.1)

    def close(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cloud(self, letter):
        """The tenant's connection at a site."""
        import openstack

        return openstack.connection.Connection(
            auth_url=self.env[f"SITE_{letter}_AUTH_URL"],
            username="app-user",
            password="app-password",
            project_name="app",
            user_domain_name="Default",
            project_domain_name="Default",
            app_name="scenario-tests",
        )

    def array(self, letter):
        """The array of a site."""
        from pypureclient import flasharray
        from pypureclient.configuration import Configuration

        configuration = Configuration(ssl_ca_cert=self.env["ARRAY_CA"])
        configuration.verify_ssl = True
        return flasharray.Client(
            self.env[f"SITE_{letter}_ARRAY_URL"].removeprefix("https://"),
            api_token=self.env[f"SITE_{letter}_ARRAY_TOKEN"],
            configuration=configuration,
        )

    def read(self, letter, path):
        """What Protector of a site answers a tenant."""
        session, api = self.cloud(letter).session, self.env[f"SITE_{letter}_API_URL"]
        tenant, headers = self.env[f"SITE_{letter}_TENANT_ID"], {"OpenStack-API-Version": "protector 1.3"}
        return session.get(f"{api}/v1/{tenant}{path}", headers=headers).json()

    def group(self, letter):
        """The group as a site shows it."""
        return self.read(letter, f"/protection-groups/{self.env['PG_ID']}")["protection_group"]

    def agrees(self, status, primary, copies="IN SYNC"):
        """Both sites show the same document, and neither is quarantined."""
        groups = [self.group("A"), self.group("B")]
        for letter, group in zip("AB", groups, strict=True):
            assert group["status"] == status and group["quarantine"] is None, group
            assert group["current_primary_site_id"] == self.env[f"SITE_{primary}_SITE_ID"], group
            sync = self.read(letter, f"/protection-groups/{self.env['PG_ID']}/sync-status")["sync_status"]
            assert sync["status"] == copies, sync
        assert (groups[0]["epoch"], groups[0]["version"]) == (groups[1]["epoch"], groups[1]["version"]), groups

    def operations(self, letter, kind):
        """Ids and statuses of a site's operations of a kind."""
        listed = self.read(letter, f"/operations?operation_type={kind}")["operations"]
        return sorted((o["id"], o["status"]) for o in listed)

    def inventory(self, letter):
        """What a site has: servers by status, volumes by status, ports in use, live array volumes with connections."""
        cloud, array = self.cloud(letter), self.array(letter)
        servers, volumes = list(cloud.compute.servers()), list(cloud.block_storage.volumes())
        ports = [p for p in cloud.network.ports(project_id=cloud.current_project_id) if p.device_owner.startswith("compute:")]
        connections = list(array.get_connections().items)
        return {
            "servers": sorted((s.name, s.status) for s in servers),
            "unlocked": sum(not s.is_locked for s in servers),
            "active": sum(s.status == "ACTIVE" for s in servers),
            "attached": sum(v.status == "in-use" for v in volumes),
            "volumes": len(volumes),
            "ports": len(ports),
            "connected": len({c.volume.name for c in connections}),
            "addresses": sorted(a["ip_address"] for p in ports for a in p.fixed_ips),
            "macs": sorted(p.mac_address for p in ports),
            "points": sorted(s.name for s in array.get_protection_group_snapshots().items),
        }


def play(name, tmp_path):
    if not BIN.exists():
        pytest.fail(f"{BIN} is not there; build it, or name another with PROTECTOR_BIN")
    return Scenario(name, tmp_path)


@pytest.fixture
def scenario(request, tmp_path):
    played = play(request.param, tmp_path)
    yield played
    played.close()


def runs_everything(site):
    assert site["active"] == SERVERS, site
    assert site["attached"] == VOLUMES, site
    assert site["connected"] == VOLUMES, site
    assert site["ports"] == SERVERS, site


def is_fenced_and_locked(site):
    is_fenced(site)
    assert len(site["servers"]) == SERVERS and site["unlocked"] == 0, site


def is_fenced(site):
    assert {status for _, status in site["servers"]} == {"SHUTOFF"}, site
    assert site["connected"] == 0, site


@pytest.mark.parametrize("scenario", ["planned"], indirect=True)
def test_planned(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(b)
    is_fenced(a)
    assert (a["addresses"], a["macs"]) == (b["addresses"], b["macs"])
    assert b["volumes"] == VOLUMES, b


@pytest.mark.parametrize("scenario", ["unplanned"], indirect=True)
def test_unplanned(scenario):
    runs_everything(scenario.inventory("B"))
    with pytest.raises(Exception, match="(?i)connect"):
        scenario.cloud("A").compute.get("/servers", retries=0, connect_retries=0)
    assert scenario.operation["result_data"]["data_loss_seconds"] >= 0


@pytest.mark.parametrize("scenario", ["drill"], indirect=True)
def test_drill_and_cleanup_leave_nothing(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(a)
    assert b["servers"] == [] and b["volumes"] == 0 and b["ports"] == 0 and b["connected"] == 0, b
    live = [v.name for v in scenario.array("B").get_volumes(destroyed=False).items]
    assert live == [], live


@pytest.mark.parametrize(("scenario", "rounds"), [("failback", 1), ("roundtrip", 2)], indirect=["scenario"])
def test_there_and_back(scenario, rounds):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(a)
    assert a["volumes"] == VOLUMES and len(a["servers"]) == SERVERS, a
    assert b["servers"] == [] and b["ports"] == 0 and b["connected"] == 0, b
    # What each round left at B is kept until the retention passes, and named in the record.
    assert b["volumes"] == VOLUMES * rounds, b
    kept = {str(copy) for copy in scenario.operation["result_data"]["kept"]}
    assert len(kept) == 2 * VOLUMES, kept


@pytest.mark.parametrize("scenario", ["sync-replication"], indirect=True)
def test_synchronous_replication(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(a)
    assert a["volumes"] == VOLUMES and len(a["servers"]) == SERVERS and a["unlocked"] == SERVERS, a
    assert b["servers"] == [] and b["ports"] == 0 and b["connected"] == 0, b
    # What ran at B was retyped and is kept; the drill's copies and the failover's clones are gone.
    assert b["volumes"] == VOLUMES, b
    scenario.agrees("active", "A")
    for letter, own in (("A", a), ("B", b)):
        array, cloud = scenario.array(letter), scenario.cloud(letter)
        assert {v.volume_type for v in cloud.block_storage.volumes()} == {"replicated-sync"}
        pods = list(array.get_pods(destroyed=False).items)
        assert [(p.name, {c.status for c in p.arrays}, p.array_count) for p in pods] == [("cinder-pod", {"online"}, 2)]
        live = [v.name for v in array.get_volumes(destroyed=False).items]
        assert len(live) == 2 * VOLUMES and all(name.startswith("cinder-pod::volume-") for name in live), live
        group = f"cinder-pod::protector-{scenario.env['PG_ID']}"
        groups = [g.name for g in array.get_protection_groups(destroyed=False).items if "protector-" in g.name]
        assert groups == [group], groups
        members = [m.member.name for m in array.get_protection_groups_volumes(group_names=[group]).items]
        assert len(members) == VOLUMES, members
        # Points are the group's own at both arrays: nothing is sent, and none is half there.
        assert own["points"] and all(p.startswith(f"{group}.") for p in own["points"] if "protector-" in p), own["points"]


@pytest.mark.parametrize("scenario", ["partial"], indirect=True)
def test_partial_is_completed(scenario):
    b = scenario.inventory("B")
    runs_everything(b)
    assert b["volumes"] == VOLUMES, b


@pytest.mark.parametrize("scenario", ["partition"], indirect=True)
def test_partition_ends_with_one_primary_and_nothing_twice(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(b)
    is_fenced_and_locked(a)
    assert b["volumes"] == VOLUMES and len(b["servers"]) == SERVERS, b
    assert (a["addresses"], a["macs"]) == (b["addresses"], b["macs"])
    scenario.agrees("failed_over", "B")
    assert scenario.operations("A", "failover") == scenario.operations("B", "failover")
    assert [status for _, status in scenario.operations("A", "failover")] == ["completed"]


@pytest.mark.parametrize("scenario", ["returning-site", "restored-backup"], indirect=True)
def test_the_application_is_home_again(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(a)
    assert a["volumes"] == VOLUMES and len(a["servers"]) == SERVERS and a["unlocked"] == SERVERS, a
    assert b["servers"] == [] and b["ports"] == 0 and b["connected"] == 0, b
    scenario.agrees("active", "A")


@pytest.mark.parametrize("scenario", ["both-forced"], indirect=True)
def test_both_forced_ends_as_a_person_chose(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(b)
    assert b["volumes"] == VOLUMES and len(b["servers"]) == SERVERS, b
    is_fenced_and_locked(a)
    # What was written at A under force is still there.
    assert a["volumes"] == VOLUMES, a
    scenario.agrees("failed_over", "B")


@pytest.mark.parametrize("scenario", ["dead-site-midway"], indirect=True)
def test_a_dead_site_holds_nothing_up_and_goes_on_with_nothing(scenario):
    a, b = scenario.inventory("A"), scenario.inventory("B")
    runs_everything(a)
    assert a["volumes"] == VOLUMES and len(a["servers"]) == SERVERS and a["unlocked"] == SERVERS, a
    is_fenced_and_locked(b)
    assert b["volumes"] == VOLUMES, b
    scenario.agrees("failed_over", "A")
    # The record of what was taken over is the same at both.
    assert scenario.operations("A", "failover") == scenario.operations("B", "failover")
    assert {status for _, status in scenario.operations("B", "failover")} == {"completed"}
