"""`kill -9` of the engine that drives, at random moments of planned failovers and failbacks: no double, no leak."""
import random
import time

from app import mapping
from checks import say
from engine import Engine

LEASE = 5


class Kills:
    def __init__(self, quick, runs, seed):
        self.quick, self.runs, self.seed = quick, runs, seed

    def run(self):
        q, c = self.quick, self.quick.c
        engines = {"a": Engine("a"), "b": Engine("b")}
        for engine in engines.values():
            engine.kill()
            engine.start(LEASE)
        draw, done, where = random.Random(self.seed), 0, []
        try:
            while done < self.runs:
                at, kind = (q.a, "failover") if done % 2 == 0 else (q.b, "failback")
                c.begin("kill %d of %d, seed %d: engine of %s during a %s" % (done + 1, self.runs, self.seed, at.name, kind))
                q.app.write(at, "kill %d" % done)
                where.append(self.one(at, kind, engines[at.letter], draw.uniform(0.0, 9.0)))
                q.is_at_b() if kind == "failover" else q.is_at_a("active")
                self.no_doubles()
                done += 1
        finally:
            say("killed at (seconds, progress, stages done):", where)
            for engine in engines.values():
                engine.kill()
                engine.start()

    def one(self, at, kind, engine, moment):
        q = self.quick
        first, second = ("a", "b") if kind == "failover" else ("b", "a")
        body = {"network_mapping": mapping(first, second)}
        if kind == "failback":
            body["reverse_replication"] = True
        else:
            body["flavor_mapping"] = {"m1.large": "m2.large"}
        started = time.time()
        answer = at.call("POST", "/v1/{tenant}/protection-groups/%s/action" % q.pg, {kind: body})
        time.sleep(max(0.0, started + moment - time.time()))
        engine.kill()
        seen = at.operation(answer["operation"]["id"])
        time.sleep(0.5)
        engine.start(LEASE)
        q.ends(at, answer, what="%s with its engine killed" % kind)
        return round(moment, 1), seen["progress"], len(seen["steps_completed"])

    def no_doubles(self):
        """Nothing of the application's names runs twice, here or there."""
        from inventory import Inventory
        q = self.quick
        up = [s.name for site in (q.a, q.b) for s in Inventory(site).servers if s.status == "ACTIVE" and q.app.owns(s.name)]
        q.c.equal(sorted(up), sorted(q.app.servers), "servers that run, of both sites together")


