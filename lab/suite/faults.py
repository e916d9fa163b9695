"""Round trips with a layer of faults between Protector and the real services: Nova, Cinder, Neutron, Glance and the arrays."""
import json
import os
import subprocess
import sys

from app import mapping
from checks import say
from setup import admin_cli  # noqa: F401

PORTS = {"compute": 8774, "block-storage": 8776, "network": 9696, "image": 9292}
BESIDE = 30


class Faults:
    """The catalog's public endpoints, which Protector takes, and the policy's arrays lead to the proxy; we go past it."""

    def __init__(self, quick, trips, rate, seed):
        self.quick, self.trips, self.rate, self.seed = quick, trips, rate, seed

    def run(self):
        q = self.quick
        pairs = []
        for site in (q.a, q.b):
            for port in [*PORTS.values(), 8443]:
                number = site.n * 10000 + port
                pairs.append("%s:%d=%s:%d" % (site.ip, number + BESIDE, site.ip, number))
        proxy = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "proxy.py"),
                                  str(self.seed), str(self.rate), *pairs], stdout=subprocess.PIPE, text=True)
        try:
            if proxy.stdout.readline().strip() != "ready":
                raise AssertionError("the proxy does not start")
            self.lead(BESIDE)
            for trip in range(self.trips):
                self.trip(trip)
        finally:
            self.lead(0)
            proxy.terminate()
            counts = proxy.communicate()[0].strip()
            say("exchanges by fate:", counts)
            q.c.that("cut" in counts and "after" in counts, "the proxy did break something", counts)

    def lead(self, beside):
        q = self.quick
        for site in (q.a, q.b):
            k = site.admin.identity
            kinds = {s.id: s.type for s in k.services()}
            for e in k.endpoints(interface="public"):
                port = PORTS.get(kinds.get(e.service_id))
                if port:
                    path = e.url.split("/", 3)[3:]
                    k.update_endpoint(e, url="/".join(["http://%s:%d" % (site.ip, site.n * 10000 + port + beside), *path]))
        body = {"policy": {"primary_fa_url": "https://%s:%d" % (q.a.ip, 18443 + beside),
                           "secondary_fa_url": "https://%s:%d" % (q.b.ip, 28443 + beside),
                           "primary_fa_api_token": q.a.array_token, "secondary_fa_api_token": q.b.array_token}}
        q.a.call("POST", "/v1/{tenant}/protection-groups/%s/policy" % q.pg, body)
        # Protector's log-ins keep the catalog that they got with their token: new processes log in anew.
        from engine import Engine
        for letter in "ab":
            engine = Engine(letter)
            engine.kill()
            engine.start(5)

    def trip(self, number):
        q, c = self.quick, self.quick.c
        for at, kind in ((q.a, "failover"), (q.b, "failback")):
            c.begin("faults, trip %d of %d, seed %d: %s" % (number + 1, self.trips, self.seed, kind))
            q.app.write(at, "faults %d %s" % (number, kind))
            first, second = (at.letter, "b" if at is q.a else "a")
            body = {"network_mapping": mapping(first, second)}
            if kind == "failback":
                body["reverse_replication"] = True
            else:
                body["flavor_mapping"] = {"m1.large": "m2.large"}
            answer = self.ask(at, kind, body)
            q.ends(at, answer, what="%s through faults" % kind)
            q.is_at_b() if kind == "failover" else q.is_at_a("active")

    def ask(self, at, kind, body):
        """A request that a fault refuses changed nothing: the tenant asks again."""
        for _ in range(12):
            status, answer = at.call("POST", "/v1/{tenant}/protection-groups/%s/action" % self.quick.pg, {kind: body}, fine=False)
            if status < 300:
                return answer
            say("   asked again after", status, json.dumps(answer)[:300])
            self.quick.c.that(status in (409, 502, 503, 504), "a refusal under faults says that it may be repeated", (status, answer))
        raise AssertionError("refused 12 times")
