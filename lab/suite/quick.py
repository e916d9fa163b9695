"""Every operation of the founding document on 3 servers with 5 volumes, in both directions, by curl and by the CLI."""
import json
import re
import subprocess
import os
import time

import documented
import setup
from app import App, mapping
from checks import say
from labsite import STATE

STAGES = ["validate_target_site", "get_latest_snapshot", "promote_volumes_on_flasharray",
          "manage_volumes_into_cinder", "recreate_instances", "update_protection_group_state"]
LAB = os.environ["LAB_DIR"]


class Quick:
    def __init__(self, c, a, b):
        self.c, self.a, self.b = c, a, b
        self.app = App({"a": a, "b": b})

    # Steps ---------------------------------------------------------------------------------------

    def prepare(self):
        c = self.c
        setup.sites(c, self.a, self.b)
        c.begin("the tenant builds and protects its application")
        self.app.build()
        self.app.write(self.a, "built")
        self.pg = setup.group(self.a, self.b, "prod-web-app", sorted(self.app.servers))
        for site in (self.a, self.b):
            members = json.loads(site.cli("member", "list", self.pg, "-f", "json"))
            c.equal(len(members), 3, "members as %s knows them" % site.name)
        self.is_at_a("active")
        self.sync_by_curl(self.a)

    def is_at_a(self, status):
        c = self.c
        self.app.expect(c, self.a, "running", original=True, spare=self.spare(self.a), stamp=self.app.stamp)
        self.app.expect(c, self.b, "absent", spare=self.spare(self.b))
        self.status(status, self.a)

    def is_at_b(self, a_state="fenced", status="failed_over"):
        c = self.c
        self.app.expect(c, self.b, "running", spare=self.spare(self.b), stamp=self.app.stamp)
        if a_state:
            self.app.expect(c, self.a, a_state, original=True, spare=self.spare(self.a))
        self.status(status, self.b, both=bool(a_state))

    def status(self, status, primary, both=True):
        sites = {s["name"]: s["id"] for s in primary.call("GET", "/v1/admin/sites", cloud=primary.name + "-admin")["sites"]}
        for site in (self.a, self.b) if both else (primary,):
            got = site.group(self.pg)
            self.c.equal(got["status"], status, "%s says the group is" % site.name)
            self.c.equal(got["current_primary_site_id"], sites[primary.name], "%s says the primary is" % site.name)
        if both:
            got = json.loads(self.a.cli("sync-status", self.pg, "-f", "json"))
            self.c.that("IN SYNC" in json.dumps(got).upper().replace("_", " "), "sync status", got)

    def ends(self, site, answer, want="completed", stages=STAGES, what=None):
        c = self.c
        if not c.that("operation" in answer, "the request is accepted", answer):
            raise SystemExit(1)
        op = answer["operation"]
        got = site.follow(op["id"])
        c.equal(got["status"], want, "operation %s" % op["id"])
        if got["status"] != want:
            say(json.dumps(got, indent=1)[:4000])
            raise SystemExit(1)
        c.equal(got["progress"], 100, "progress")
        if stages:
            c.equal(got["steps_completed"], stages, "steps_completed")
        c.equal(got["steps_failed"], [], "steps_failed")
        c.equal((got.get("result_data") or {}).get("leaked", []), [], "leaked")
        polled = site.documented(documented.POLL, OP_ID=op["id"])["operation"]
        c.equal(polled["status"], "completed", "the documented poll's status")
        if what:
            c.took(what, seconds(got))
        return got

    def by_cli(self, site, *words, want=0):
        code, text = site.cli(*words, "--wait", "--yes", "--timeout", "1200", "-f", "json", fine=False)
        if not self.c.equal(code, want, "exit code of `%s`" % " ".join(words)):
            say(text[-3000:])
            raise SystemExit(1)
        return text

    def sync_by_curl(self, site):
        self.c.begin("sync_volumes by curl at " + site.name)
        answer = site.documented(documented.SYNC, PG_ID=self.pg)
        self.ends(site, answer, stages=None, what="sync_volumes")

    def drill_by_curl(self):
        c = self.c
        c.begin("test_failover by curl, primary retained")
        op = self.ends(self.a, self.a.documented(documented.DRILL, PG_ID=self.pg), what="test_failover, 3 servers")
        data = op["result_data"]
        c.equal(data.get("instances_created"), 3, "instances_created")
        self.drill_is_there("running")
        c.begin("test_cleanup by curl")
        op = self.ends(self.a, self.a.documented(documented.CLEANUP, PG_ID=self.pg),
                       stages=["delete_test_instances", "delete_test_volumes", "verify_no_leftovers"], what="test_cleanup")
        self.is_at_a("active")

    def drill_is_there(self, at_a):
        self.app.expect(self.c, self.a, at_a, original=True, spare=self.spare(self.a), stamp=self.app.stamp if at_a == "running" else None)
        self.app.expect(self.c, self.b, "running", suffix="-drill", spare=self.spare(self.b))

    def drill_by_cli(self):
        c = self.c
        c.begin("test-failover by the CLI, primary stopped")
        self.by_cli(self.a, "protection-group", "test-failover", "prod-web-app", *maps("a", "b"))
        self.drill_is_there("stopped")
        c.begin("test-cleanup by the CLI")
        self.by_cli(self.a, "protection-group", "test-cleanup", "prod-web-app")
        self.is_at_a("active")

    def failover_by_curl(self):
        c = self.c
        c.begin("planned failover by curl")
        self.app.write(self.a, "before failover %d" % time.time())
        op = self.ends(self.a, self.a.documented(documented.FAILOVER, PG_ID=self.pg), what="planned failover, 3 servers")
        c.equal(op["result_data"].get("instances_created"), 3, "instances_created")
        c.equal(op["result_data"].get("volumes_managed"), 5, "volumes_managed")
        self.is_at_b()
        self.app.write(self.b, "at b %d" % time.time())

    def failback_by_curl(self):
        self.c.begin("failback by curl with reverse_replication")
        self.sync_by_curl(self.b)
        self.app.write(self.b, "before failback %d" % time.time())
        op = self.ends(self.b, self.b.documented(documented.FAILBACK, PG_ID=self.pg), what="failback, 3 servers")
        c = self.c
        c.equal(len([k for k in op["result_data"].get("kept", []) if "snapshot" in k["what"]]), 5, "safety snapshots kept")
        self.is_at_a("active")

    def kept_copies(self, site):
        """Volumes and snapshots at this site that the group's failbacks say they kept: the claim that is checked."""
        here = {s["name"]: s["id"] for s in site.call("GET", "/v1/admin/sites", cloud=site.name + "-admin")["sites"]}[site.name]
        volumes, snapshots = set(), set()
        for op in site.call("GET", "/v1/{tenant}/operations?limit=500&protection_group_id=" + self.pg)["operations"]:
            for kept in (op.get("result_data") or {}).get("kept", []):
                if kept["site_id"] == here:
                    volumes |= {kept["what"]["volume"]} if "volume" in kept["what"] else set()
                    snapshots |= {kept["what"]["snapshot"]} if "snapshot" in kept["what"] else set()
        return volumes, snapshots

    def spare(self, site):
        volumes, snapshots = self.kept_copies(site)
        there = {s.name for s in site.array.get_volume_snapshots().items if not s.destroyed}
        self.c.equal(sorted(snapshots - there), [], "%s: safety snapshots that must be kept and are not" % site.name)
        return volumes

    def round_by_cli(self):
        c = self.c
        c.begin("planned failover by the CLI")
        self.app.write(self.a, "cli %d" % time.time())
        self.by_cli(self.a, "protection-group", "failover", "prod-web-app", *maps("a", "b"))
        self.is_at_b()
        c.begin("sync by the CLI at site-b")
        self.by_cli(self.b, "protection-group", "sync", "prod-web-app")
        c.begin("failback by the CLI without reverse replication")
        self.app.write(self.b, "cli back %d" % time.time())
        self.by_cli(self.b, "protection-group", "failback", "prod-web-app", *maps("b", "a", flavors=False))
        self.is_at_a("active")

    def disaster(self):
        c = self.c
        self.sync_by_curl(self.a)
        self.c.begin("site a burns; forced failover by curl")
        self.app.write(self.a, "lost %d" % time.time())
        lost, self.app.stamp = self.app.stamp, None
        shell("down", "a", "--kill")
        status, got = self.b.call("POST", "/v1/{tenant}/protection-groups/%s/action" % self.pg,
                                  {"failover": {"network_mapping": mapping("a", "b")}}, fine=False)
        c.that(status == 409 or status == 503, "without force it is refused", (status, got))
        c.that("remote site unreachable" in json.dumps(got), "and says why", got)
        op = self.ends(self.b, self.b.documented(documented.FORCED, PG_ID=self.pg), what="forced failover, 3 servers")
        self.is_at_b(a_state=None)
        say("   data loss:", op["result_data"].get("data_loss_seconds"))
        self.app.write(self.b, "after the disaster %d" % time.time())
        c.begin("site a comes back: quarantine")
        shell("up", "a")
        self.a.connect()
        end = time.time() + 180
        while time.time() < end:
            try:
                if self.a.group(self.pg).get("quarantine"):
                    break
            except Exception as error:
                say("   ", error)
            time.sleep(2)
        got = self.a.group(self.pg)
        c.that(got.get("quarantine"), "site a's copy is quarantined", got)
        self.app.expect(c, self.b, "running", stamp=self.app.stamp, spare=self.spare(self.b))
        self.wait_fence()
        self.app.expect(c, self.a, "fenced", original=True, spare=self.spare(self.a))
        c.begin("forced sync")
        got = self.b.cli("sync-status", self.pg, "-f", "json")
        c.that("IN SYNC" not in got.upper().replace("_", " "), "before it the sites are not in sync", got)
        self.b.cli("sync-force", self.pg, "--yes")
        self.status("failed_over", self.b)
        c.that(not self.a.group(self.pg).get("quarantine"), "quarantine is over", "still quarantined")
        self.failback_by_curl()

    def wait_fence(self):
        from inventory import Inventory
        end = time.time() + 180
        while time.time() < end:
            if all(s.status == "SHUTOFF" and s.is_locked for s in Inventory(self.a).servers if self.app.owns(s.name)):
                return
            time.sleep(2)

    def parts(self):
        return {"drill-curl": self.drill_by_curl, "drill-cli": self.drill_by_cli,
                "failover-curl": self.failover_by_curl, "failback-curl": self.failback_by_curl,
                "round-cli": self.round_by_cli, "disaster": self.disaster}


def maps(first, second, flavors=True):
    words = []
    for one, other in mapping(first, second).items():
        words += ["--network-mapping", "%s=%s" % (one, other)]
    if flavors:
        words += ["--flavor-mapping", "m1.large=m2.large"]
    return words


def shell(*words):
    done = subprocess.run([os.path.join(LAB, words[0]), *words[1:]], capture_output=True, text=True)
    say("   lab/%s: %s" % (" ".join(words), (done.stdout + done.stderr).strip().splitlines()[-1:]))
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)


def seconds(op):
    def at(text):
        from datetime import datetime
        return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    return (at(op["completed_at"]) - at(op["started_at"])).total_seconds()
