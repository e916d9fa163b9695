"""100 servers in 10 groups, failed over at once and back, beside plain openstacksdk scripts that do the same cloud calls."""
import time
from concurrent.futures import ThreadPoolExecutor

import setup
from app import FLAVORS, NETWORKS, App, mapping
from checks import say
from inventory import Inventory
from quick import seconds


class Hundred:
    def __init__(self, quick, servers=100, groups=10):
        self.quick, self.count = quick, groups
        each = servers // groups
        self.names = [["many-%02d-%02d" % (g, i) for i in range(each)] for g in range(groups)]
        self.app = App({"a": quick.a, "b": quick.b}, {n: ("web", 1) for group in self.names for n in group})

    def run(self):
        q, c = self.quick, self.quick.c
        c.begin("%d servers in %d groups are built and protected" % (len(self.app.servers), self.count))
        started = time.time()
        self.app.build()
        c.took("building %d servers" % len(self.app.servers), time.time() - started)
        with ThreadPoolExecutor(4) as pool:
            groups = list(pool.map(lambda n: setup.group(q.a, q.b, "many-%02d" % n, []), range(self.count)))
        started = time.time()
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(self.fill, groups, self.names))
        c.took("adding %d members" % len(self.app.servers), time.time() - started)
        self.app.write(q.a, "many")
        self.move("failover", q.a, q.b, groups)
        self.app.expect(c, q.b, "running", stamp="many", spare=self.kept(q.b, groups))
        self.app.expect(c, q.a, "fenced", original=True, spare=self.kept(q.a, groups))
        self.app.write(q.b, "many back")
        self.move("failback", q.b, q.a, groups)
        self.app.expect(c, q.a, "running", original=True, stamp="many back", spare=self.kept(q.a, groups))
        self.app.expect(c, q.b, "absent", spare=self.kept(q.b, groups))

    def fill(self, pg, names):
        q = self.quick
        there = {m["name"] for m in q.a.call("GET", "/v1/{tenant}/protection-groups/%s/members" % pg)["members"]}
        for name in names:
            if name not in there:
                server = self.app.original[name]
                q.a.call("POST", "/v1/{tenant}/protection-groups/%s/members" % pg, {"member": {"server": server}})

    def move(self, kind, at, to, groups):
        c = self.quick.c
        c.begin("%s of %d groups at once" % (kind, len(groups)))
        body = {"network_mapping": mapping(at.letter, to.letter)}
        if kind == "failback":
            body["reverse_replication"] = True
        else:
            body["flavor_mapping"] = {"m1.large": "m2.large"}
        started = time.time()

        def one(pg):
            answer = at.call("POST", "/v1/{tenant}/protection-groups/%s/action" % pg, {kind: body})
            got = at.follow(answer["operation"]["id"], 3000)
            c.equal((got["status"], got["steps_failed"]), ("completed", []), "%s of group %s" % (kind, pg))
            return seconds(got)

        with ThreadPoolExecutor(len(groups)) as pool:
            each = list(pool.map(one, groups))
        c.took("%s of %d servers in %d groups, wall" % (kind, len(self.app.servers), len(groups)), time.time() - started)
        say("   groups took:", sorted(round(s, 1) for s in each))

    def kept(self, site, groups):
        q, volumes = self.quick, set()
        for pg in groups:
            one = type("One", (), {"pg": pg, "c": q.c})()
            volumes |= type(q).kept_copies(one, site)[0]
        return volumes


class Plain:
    """What a failover does at the clouds, by a script without journal, fence, checks or undo: stop, clone, manage, boot."""

    def __init__(self, quick, servers, threads):
        self.quick, self.names, self.threads = quick, servers, threads

    def run(self):
        q = self.quick
        q.c.begin("plain script: %d servers, %d at once" % (len(self.names), self.threads))
        seen = Inventory(q.a)
        self.tenant_manager()
        started = time.time()
        with ThreadPoolExecutor(self.threads) as pool:
            made = list(pool.map(lambda n: self.one(seen, n), self.names))
        q.c.took("plain script, %d servers, %d at once" % (len(self.names), self.threads), time.time() - started)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.remove, made))

    def one(self, seen, name):
        q = self.quick
        nova, cinder, neutron = q.a.tenant.compute, q.b.admin.block_storage, q.b.tenant.network
        source = seen.server(name)
        nova.stop_server(source)
        nova.wait_for_server(source, "SHUTOFF", interval=0.5, wait=3000)
        volumes = []
        for device, v in sorted(seen.attached(source).items()):
            # The array's part: any volume of this size stands for the clone of a replicated snapshot.
            array_name = "plain-" + v.id
            q.b.array.post_volumes(names=[array_name], volume={"provisioned": v.size << 30})
            made = self.manage(array_name, v)
            q.b.tenant.block_storage.wait_for_status(made, "available", failures=["error"], interval=0.5, wait=3000)
            volumes.append(made)
        net = neutron.find_network(NETWORKS["b"][name_kind(name)])
        port = neutron.create_port(network_id=net.id, name="plain-" + name)
        boot = q.b.tenant.compute
        server = boot.create_server(
            name="plain-" + name, flavor_id=boot.find_flavor(FLAVORS["b"]).id, networks=[{"port": port.id}],
            block_device_mapping=[{"uuid": v.id, "source_type": "volume", "destination_type": "volume",
                                   "boot_index": 0 if i == 0 else -1, "delete_on_termination": False}
                                  for i, v in enumerate(volumes)])
        boot.wait_for_server(server, interval=0.5, wait=3000)
        return source, server, port, volumes

    def manage(self, array_name, v):
        q = self.quick
        body = {"volume": {"host": "cinder-b@pure#pure", "ref": {"source-name": array_name}, "name": "plain-" + v.name,
                           "volume_type": "plain", "bootable": bool(v.is_bootable)}}
        bs = self.tenant_manager()
        got = bs.post("/manageable_volumes", json=body, microversion="3.8")
        if got.status_code != 202:
            raise AssertionError(got.text)
        return q.b.tenant.block_storage.get_volume(got.json()["volume"]["id"])

    def tenant_manager(self):
        """An administrator in the tenant's project, who alone may manage into it."""
        import openstack
        q = self.quick
        if not hasattr(q, "manager"):
            k = q.b.admin.identity
            project = k.find_project("app", domain_id="default")
            admin = k.find_user("admin", domain_id="default")
            k.assign_project_role_to_user(project, admin, k.find_role("admin"))
            q.manager = openstack.connect("site-b-admin", project_name="app")
        return q.manager.block_storage

    def remove(self, made):
        q = self.quick
        source, server, port, volumes = made
        nova, bs = q.b.tenant.compute, q.b.tenant.block_storage
        nova.delete_server(server)
        nova.wait_for_delete(server, interval=0.5, wait=3000)
        q.b.tenant.network.delete_port(port, ignore_missing=True)
        for v in volumes:
            bs.wait_for_status(bs.get_volume(v.id), "available", interval=0.5, wait=600)
            bs.delete_volume(v)
            bs.wait_for_delete(v, wait=600)
        q.a.tenant.compute.start_server(source)
        q.a.tenant.compute.wait_for_server(source, interval=0.5, wait=3000)


def name_kind(name):
    return "db" if name.startswith("db") else "web"
