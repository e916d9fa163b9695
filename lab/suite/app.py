"""The tenant's application: networks at both sites, servers with their volumes at site a, and what must be kept."""
import json
from concurrent.futures import ThreadPoolExecutor

import openstack

from inventory import Inventory

NETWORKS = {
    "a": {"web": "aaa11111-net-primary-web", "db": "aaa11111-net-primary-db"},
    "b": {"web": "bbb22222-net-secondary-web", "db": "bbb22222-net-secondary-db"},
}
CIDRS = {"web": "10.101.0.0/16", "db": "10.102.0.0/16"}
FLAVORS = {"a": "m1.large", "b": "m2.large"}
THREE = {"web-1": ("web", 2), "web-2": ("web", 2), "db-1": ("db", 1)}
PATIENCE = 900


def networks(site):
    n = site.tenant.network
    for kind, name in NETWORKS[site.letter].items():
        net = n.find_network(name) or n.create_network(name=name)
        if not list(n.subnets(network_id=net.id)):
            n.create_subnet(name=kind, network_id=net.id, ip_version=4, cidr=CIDRS[kind])


def disk(site, name, root):
    bs = site.tenant.block_storage
    v = bs.find_volume(name)
    if not v:
        v = bs.create_volume(name=name, size=1, volume_type="replicated")
        v = bs.wait_for_status(v, "available", failures=["error"], interval=0.5, wait=PATIENCE)
        if root:
            bs.set_volume_bootable_status(v, True)
    return v


class App:
    """`servers`: name -> (network kind, number of volumes)."""

    def __init__(self, sites, servers=None):
        self.sites, self.servers, self.stamp = sites, servers or THREE, None

    def owns(self, name):
        """Whether a server or volume of the project is this application's: those of the many begin with `many-`."""
        return name.startswith("many-") == next(iter(self.servers)).startswith("many-")

    def create_server(self, name):
        site = self.sites["a"]
        kind, count = self.servers[name]
        nova = site.tenant.compute
        if nova.find_server(name):
            return
        disks = [disk(site, "%s-%s" % (name, "data-%d" % i if i else "root"), i == 0) for i in range(count)]
        nova.create_server(
            name=name, flavor_id=nova.find_flavor(FLAVORS["a"]).id, key_name="app-key",
            networks=[{"uuid": site.tenant.network.find_network(NETWORKS["a"][kind]).id}],
            security_groups=[{"name": "web"}], metadata={"tier": kind},
            block_device_mapping=[{
                "uuid": v.id, "source_type": "volume", "destination_type": "volume",
                "boot_index": 0 if i == 0 else -1, "delete_on_termination": False}
                for i, v in enumerate(disks)])

    def build(self):
        for site in self.sites.values():
            networks(site)
        nova = self.sites["a"].tenant.compute
        if not nova.find_keypair("app-key"):
            nova.create_keypair(name="app-key")
        # Not more at once than the clouds' few workers bear.
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(self.create_server, self.servers))
        for name in self.servers:
            nova.wait_for_server(nova.find_server(name), interval=0.5, wait=PATIENCE)
        self.record()

    def record(self):
        """What every recovery must keep, as site a has it now."""
        seen = Inventory(self.sites["a"])
        self.kept = {}
        for name in self.servers:
            server = seen.server(name)
            self.kept[name] = {
                "volumes": {d: v.name for d, v in seen.attached(server).items()},
                "ports": sorted((p.mac_address, tuple(sorted(i["ip_address"] for i in p.fixed_ips)))
                                for p in seen.ports_of(server))}
        self.original = {s.name: s.id for s in seen.servers if self.owns(s.name)}

    def write(self, site, text):
        """Every running guest writes to each of its volumes, through the hosts that are connected."""
        self.stamp = text
        seen = Inventory(site)
        for name in self.servers:
            for v in seen.attached(seen.server(name)).values():
                at = seen.array_volume(v).name
                for host in seen.connected(at):
                    site.door("POST", "write", host=host, volume=at, stamp="%s %s" % (v.name, text))

    # What must be there -------------------------------------------------------------------------

    def expect(self, c, site, state, original=False, spare=frozenset(), stamp=None, suffix="", groups=None):
        """`state`: running, stopped, fenced or absent. `spare`: ids of the tenant's volumes that no server uses."""
        seen = Inventory(site)
        everything = set(seen.volumes)
        others = {s.id for s in seen.servers if not self.owns(s.name)}
        seen.servers = [s for s in seen.servers if self.owns(s.name)]
        seen.volumes = {i: v for i, v in seen.volumes.items() if self.owns(v.name)}
        where = "site %s" % site.letter
        names = set() if state == "absent" else {n + suffix for n in self.servers}
        mine = [s for s in seen.servers if s.name.endswith(suffix or "")]
        if not suffix:
            mine = seen.servers
        c.equal(sorted(s.name for s in mine), sorted(names), where + ": servers")
        dump = site.dump()
        used = set()
        if state == "fenced":
            self.expect_refusal(c, site, seen)
        for name in names:
            used |= self.expect_server(c, site, seen, dump, name, state, original, stamp, suffix)
        left = {i for i in seen.volumes if i not in used}
        c.that(left == set(spare) - used, where + ": volumes beside the servers' own", "unexplained %s, missing %s" % (
            ["%s %s %s" % (i, seen.volumes[i].name, seen.volumes[i].status) for i in left - set(spare)],
            sorted(set(spare) - used - left)))
        ids = {s.id for s in seen.servers}
        stray = ["%s %s of %s" % (p.id, p.name, p.device_id) for p in seen.ports if p.device_id not in ids | others]
        c.equal(stray, [], where + ": ports that no server has")
        c.equal([s.name for s in seen.snapshots], [], where + ": Cinder's snapshots")
        self.expect_array(c, site, seen, everything, groups)
        return seen

    def expect_refusal(self, c, site, seen):
        """The tenant cannot start what was fenced."""
        server = seen.server(next(iter(self.servers)))
        try:
            site.tenant.compute.start_server(server)
            c.that(False, "site %s: the tenant's start of a fenced server is refused" % site.letter, "accepted")
        except openstack.exceptions.ConflictException as error:
            c.that("locked" in str(error), "site %s: the tenant's start of a fenced server is refused" % site.letter, error)

    def expect_server(self, c, site, seen, dump, name, state, original, stamp, suffix):
        server, where = seen.server(name), "site %s: %s" % (site.letter, name)
        if not c.that(server is not None, where + " is there once", [s.name for s in seen.servers]):
            return set()
        base = name[:len(name) - len(suffix)] if suffix else name
        kept, kind = self.kept[base], self.servers[base][0]
        down = state in ("fenced", "stopped")
        c.equal(server.status, "SHUTOFF" if down else "ACTIVE", where + ": status")
        c.equal(bool(server.is_locked), state == "fenced", where + ": locked")
        c.equal(server.compute_host, "compute-" + site.letter, where + ": host")
        c.equal((server.flavor or {}).get("original_name") or server.flavor.name, FLAVORS[site.letter], where + ": flavor")
        c.equal(server.key_name, "app-key", where + ": key pair")
        c.equal(server.metadata.get("tier"), kind, where + ": metadata tier")
        c.equal([g["name"] for g in server.security_groups or []], ["web"], where + ": security groups")
        if original:
            c.equal(server.id, self.original[base], where + ": is the original")
        ports = seen.ports_of(server)
        if not suffix:
            c.equal(sorted((p.mac_address, tuple(sorted(i["ip_address"] for i in p.fixed_ips))) for p in ports),
                    kept["ports"], where + ": MACs and addresses")
            c.equal([seen.networks[p.network_id].name for p in ports if p.network_id in seen.networks],
                    [NETWORKS[site.letter][kind]], where + ": network")
        c.equal([p.status for p in ports], ["ACTIVE" if not down else p.status for p in ports], where + ": ports' status")
        volumes = seen.attached(server)
        c.equal({d: v.name for d, v in volumes.items()},
                {d: n + suffix for d, n in kept["volumes"].items()}, where + ": volumes by device")
        for device, v in volumes.items():
            self.expect_volume(c, site, seen, dump, v, state, stamp, bool(suffix))
        return {v.id for v in volumes.values()}

    def expect_volume(self, c, site, seen, dump, v, state, stamp, drill):
        where = "site %s: volume %s" % (site.letter, v.name)
        c.equal(v.status, "in-use", where + ": status")
        c.equal(len(v.attachments), 1, where + ": attachments")
        c.equal(v.volume_type, "plain" if drill else "replicated", where + ": type")
        c.equal(v.host, "cinder-%s@pure#pure" % site.letter, where + ": backend")
        c.equal(v.is_bootable, v.name.removesuffix("-drill").endswith("-root"), where + ": bootable")
        held = seen.array_volume(v)
        if not c.that(held is not None and not held.destroyed, where + ": is on the array",
                      sorted(seen.array_volumes)):
            return
        c.equal(len(seen.connected(held.name)), 0 if state == "fenced" else 1 if state == "running" else
                len(seen.connected(held.name)), where + ": connections on the array")
        if stamp:
            c.equal((dump["volumes"].get(held.name) or {}).get("last_stamp"),
                    "%s %s" % (v.name.removesuffix("-drill"), stamp), where + ": what its guest wrote last")

    def expect_array(self, c, site, seen, everything, groups):
        where = "array fa-%s" % site.letter
        cinder = {"volume-%s-cinder" % v for v in everything}
        alive = {n for n, v in seen.array_volumes.items() if not v.destroyed}
        c.equal(sorted(cinder - alive), [], where + ": volumes that Cinder has and the array has not")
        c.equal(sorted(alive - cinder), [], where + ": volumes that Cinder does not know")
        if groups is not None:
            c.equal(sorted(n for n, g in seen.groups.items() if not g.destroyed), sorted(groups),
                    where + ": protection groups")


def mapping(first, second):
    return {NETWORKS[first][k]: NETWORKS[second][k] for k in ("web", "db")}


def pretty(data):
    return json.dumps(data, indent=1)
