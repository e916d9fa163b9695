"""Cinder's own Pure driver against our array simulator: each call that an operator and a tenant can cause."""
import time

from checks import say

GIB = 1 << 30


class Driver:
    def __init__(self, quick):
        self.quick = quick

    def run(self):
        for site, peer in ((self.quick.a, self.quick.b), (self.quick.b, self.quick.a)):
            self.quick.c.begin("Cinder's Pure driver on array fa-%s" % site.letter)
            self.replication(site, peer)
            self.life(site)
            self.manage(site)

    # What the driver set up at its start.
    def replication(self, site, peer):
        c = self.quick.c
        groups = {g.name: g for g in site.array.get_protection_groups().items}
        own = groups.get("cinder-group")
        if c.that(own is not None, "the driver's group is there", sorted(groups)):
            c.equal(own.replication_schedule.enabled, True, "its schedule is on")
            c.equal(own.replication_schedule.frequency, 300000, "its interval, ms")
        targets = [(t.member.name, t.allowed) for t in site.array.get_protection_groups_targets(group_names=["cinder-group"]).items]
        c.equal(targets, [("fa-" + peer.letter, True)], "the driver's replication target")
        pools = [p for p in site.admin.block_storage.backend_pools()]
        c.equal([(p.name, p.capabilities.get("replication_enabled")) for p in pools],
                [("cinder-%s@pure#pure" % site.letter, True)], "pools")
        services = [s for s in site.admin.block_storage.services() if s.binary == "cinder-volume"]
        c.equal([s.state for s in services], ["up"], "cinder-volume")

    def life(self, site):
        """create, extend, snapshot, volume from snapshot, clone, retype, delete."""
        c, bs = self.quick.c, site.tenant.block_storage
        made = self.ready(site, bs.create_volume(name="drv-one", size=1, volume_type="replicated"))
        held = self.held(site, made.id)
        c.equal(held and held.provisioned, GIB, "created: size on the array")
        c.that(held and held.name in self.members(site), "created: in the driver's replicated group", self.members(site))
        bs.extend_volume(made, 2)
        self.ready(site, made, lambda v: v.size == 2)
        c.equal(self.held(site, made.id).provisioned, 2 * GIB, "extended: size on the array")
        snap = bs.create_snapshot(name="drv-snap", volume_id=made.id)
        bs.wait_for_status(snap, "available", failures=["error"], interval=0.5, wait=300)
        names = [s.name for s in site.array.get_volume_snapshots().items if not s.destroyed and snap.id in s.name]
        c.equal(len(names), 1, "snapshot: on the array")
        child = self.ready(site, bs.create_volume(name="drv-child", size=2, snapshot_id=snap.id))
        c.that(self.held(site, child.id) is not None, "volume from a snapshot: on the array", "absent")
        clone = self.ready(site, bs.create_volume(name="drv-clone", size=2, source_volume_id=made.id, volume_type="replicated"))
        c.that(self.held(site, clone.id) is not None, "clone: on the array", "absent")
        site.admin.block_storage.retype_volume(clone.id, "plain", "never")
        self.ready(site, clone, lambda v: v.volume_type == "plain")
        c.that("volume-%s-cinder" % clone.id not in self.members(site), "retyped: out of the replicated group", self.members(site))
        bs.delete_snapshot(snap)
        bs.wait_for_delete(snap, wait=300)
        c.equal([s.name for s in site.array.get_volume_snapshots().items if not s.destroyed and snap.id in s.name], [],
                "snapshot deleted")
        for v in (child, clone, made):
            bs.delete_volume(v)
            bs.wait_for_delete(v, wait=300)
            c.that(self.held(site, v.id) is None, "%s deleted: gone from the array" % v.name, "still there")

    def manage(self, site):
        """manage, list manageable, unmanage of a volume that was made on the array."""
        c, admin = self.quick.c, site.admin.block_storage
        name = "drv-foreign-%d" % time.time()
        c.equal(site.array.post_volumes(names=[name], volume={"provisioned": GIB}).status_code, 200, "made on the array")
        rows = admin.get("/manageable_volumes/detail?host=cinder-%s@pure%%23pure" % site.letter, microversion="3.8").json()
        found = [r["reference"] for r in rows["manageable-volumes"] if r["reference"].get("name") == name]
        c.equal(found, [{"name": name}], "listed as manageable")
        body = {"volume": {"host": "cinder-%s@pure#pure" % site.letter, "ref": {"source-name": name},
                           "name": "drv-managed", "volume_type": "plain"}}
        got = admin.post("/manageable_volumes", json=body, microversion="3.8")
        if not c.equal(got.status_code, 202, "manage: " + got.text):
            return
        vid = got.json()["volume"]["id"]
        managed = admin.wait_for_status(admin.get_volume(vid), "available", failures=["error"], interval=0.5, wait=300)
        c.equal((managed.name, managed.size), ("drv-managed", 1), "managed")
        c.that(self.held(site, vid) is not None, "managed: under Cinder's name on the array", "absent")
        admin.post("/volumes/%s/action" % vid, json={"os-unmanage": {}})
        admin.wait_for_delete(managed, wait=300)
        left = [v.name for v in site.array.get_volumes().items if vid in v.name and not v.destroyed]
        c.equal(left, ["volume-%s-cinder-unmanaged" % vid], "unmanaged: stays on the array")
        c.equal(site.array.patch_volumes(names=left, volume={"destroyed": True}).status_code, 200, "destroyed by its owner")

    def ready(self, site, volume, until=lambda v: True):
        bs, end = site.tenant.block_storage, time.time() + 300
        while time.time() < end:
            got = bs.get_volume(volume.id)
            if got.status.startswith("error"):
                break
            if got.status == "available" and until(got):
                return got
            time.sleep(0.5)
        self.quick.c.that(False, "volume %s becomes available" % volume.name, (got.status, got.size, got.volume_type))
        say("   see cinder-volume's log of site", site.letter)
        raise AssertionError("volume %s" % got.id)

    def held(self, site, vid):
        rows = [v for v in site.array.get_volumes().items if v.name == "volume-%s-cinder" % vid and not v.destroyed]
        return rows[0] if rows else None

    def members(self, site):
        return sorted(r.member.name for r in site.array.get_protection_groups_volumes(group_names=["cinder-group"]).items)
