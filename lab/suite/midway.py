"""Site a burns in the middle of a planned failover that it drives itself; site b goes on alone."""
import time

from app import mapping
from checks import say

MOMENTS = (1.0, 3.0, 5.0, 7.0)


class Midway:
    """Each time at another moment: before the fence is complete, during the transfer, while servers are made."""

    def __init__(self, quick, moments=MOMENTS):
        self.quick, self.moments = quick, moments

    def run(self):
        for moment in self.moments:
            self.one(moment)

    def one(self, moment):
        from quick import shell
        q, c = self.quick, self.quick.c
        q.sync_by_curl(q.a)
        c.begin("site a burns %.1f s after it accepted a planned failover" % moment)
        q.app.write(q.a, "midway %.1f" % moment)
        body = {"failover": {"network_mapping": mapping("a", "b"), "flavor_mapping": {"m1.large": "m2.large"}}}
        path = "/v1/{tenant}/protection-groups/%s/action" % q.pg
        op = q.a.call("POST", path, body)["operation"]["id"]
        time.sleep(moment)
        seen = q.a.operation(op)
        shell("down", "a", "--kill")
        say("   it was %s at %d %%, %s" % (seen["status"], seen["progress"], seen["steps_completed"]))
        # What was not shipped yet is lost: the newest complete point decides.
        q.app.stamp = None
        self.finish(op, body)
        q.is_at_b(a_state=None)
        q.app.write(q.b, "after midway %.1f" % moment)
        c.begin("site a comes back")
        shell("up", "a")
        q.a.connect()
        q.wait_fence()
        q.app.expect(c, q.b, "running", stamp=q.app.stamp, spare=q.spare(q.b))
        q.app.expect(c, q.a, "fenced", original=True, spare=q.spare(q.a))
        q.b.cli("sync-force", q.pg, "--yes")
        q.status("failed_over", q.b)
        q.failback_by_curl()

    def finish(self, op, body):
        """A forced failover from b where the group is active there, else the dead site's operation is taken over."""
        q, c = self.quick, self.quick.c
        path = "/v1/{tenant}/protection-groups/%s/action" % q.pg
        body["failover"]["force"] = True
        end = time.time() + 240
        while time.time() < end:
            for ask in (body, {"takeover": {"force": True}}):
                status, answer = q.b.call("POST", path, ask, fine=False)
                say("   %s: %s %s" % (next(iter(ask)), status, str(answer)[:300]))
                if status < 300:
                    got = q.b.follow(answer["operation"]["id"])
                    say("   ended:", got["status"], got.get("error_message"))
                    if q.b.group(q.pg)["status"] == "failed_over":
                        c.equal(got["status"], "completed", "the operation that moved the group")
                        return
            time.sleep(10)
        raise AssertionError("site b could not bring the group up: %s" % q.b.group(q.pg))
