"""Cinder's back end at the target is disabled while a failover wants to manage its volumes, and enabled again."""
import time

from app import mapping
from checks import say


class Disabled:
    def __init__(self, quick, seconds=20):
        self.quick, self.seconds = quick, seconds

    def run(self):
        q, c = self.quick, self.quick.c
        c.begin("planned failover while site-b's cinder-volume is disabled for %d s" % self.seconds)
        q.app.write(q.a, "disabled %d" % time.time())
        answer = q.a.call("POST", "/v1/{tenant}/protection-groups/%s/action" % q.pg, {"failover": {
            "network_mapping": mapping("a", "b"), "flavor_mapping": {"m1.large": "m2.large"}}})
        self.switch("disable")
        try:
            time.sleep(self.seconds)
            got = q.a.operation(answer["operation"]["id"])
            say("   meanwhile: %s, %d %%, %s" % (got["status"], got["progress"], got["error_message"]))
            c.that(got["status"] == "running" and got["progress"] < 60, "it waits for the back end", got)
        finally:
            self.switch("enable")
        q.ends(q.a, answer, what="planned failover with the back end disabled for %d s" % self.seconds)
        q.is_at_b()
        q.app.write(q.b, "enabled %d" % time.time())
        q.failback_by_curl()

    def switch(self, how):
        body = {"host": "cinder-b@pure", "binary": "cinder-volume"}
        got = self.quick.b.admin.block_storage.put("/os-services/" + how, json=body)
        if got.status_code != 200:
            raise AssertionError(got.text)
