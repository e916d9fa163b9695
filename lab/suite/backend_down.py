"""Cinder's back end at the target is down while a failover wants to manage its volumes, and comes back.

Cinder takes a cinder-volume for up until its last heartbeat is 60 s old: it is killed a minute before the failover, so that
the plan still finds it and the manage does not (400 "Service is unavailable at this time.").
"""
import datetime
import os
import signal
import time

from app import mapping
from checks import say
from labsite import STATE

DOWN_AFTER = 60


class BackendDown:
    def __init__(self, quick, seconds=15):
        self.quick, self.seconds = quick, seconds

    def run(self):
        from quick import shell
        q, c = self.quick, self.quick.c
        c.begin("planned failover while site-b's cinder-volume goes down")
        q.app.write(q.a, "backend down %d" % time.time())
        self.kill()
        try:
            while self.age() < DOWN_AFTER - 2:
                time.sleep(0.3)
            answer = q.a.call("POST", "/v1/{tenant}/protection-groups/%s/action" % q.pg, {"failover": {
                "network_mapping": mapping("a", "b"), "flavor_mapping": {"m1.large": "m2.large"}}})
            time.sleep(self.seconds)
            got = q.a.operation(answer["operation"]["id"])
            say("   meanwhile: %s, %d %%, %s" % (got["status"], got["progress"], got["error_message"]))
            c.that(got["status"] == "running" and got["progress"] < 60, "it waits for the back end", got)
        finally:
            shell("up", "b")
        q.ends(q.a, answer, what="planned failover with the back end down for a while")
        q.is_at_b()
        q.app.write(q.b, "backend up %d" % time.time())
        q.failback_by_curl()

    def age(self):
        row = next(s for s in self.quick.b.admin.block_storage.services() if s.binary == "cinder-volume")
        beat = datetime.datetime.fromisoformat(row.updated_at.split(".")[0])
        return (datetime.datetime.utcnow() - beat).total_seconds()

    def kill(self):
        with open(os.path.join(STATE, "b", "run", "cinder-volume.pid")) as f:
            leader = int(f.read())
        os.killpg(leader, signal.SIGKILL)
