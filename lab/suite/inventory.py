"""What is there, read by openstacksdk and py-pure-client: never by the product's own code."""
from concurrent.futures import ThreadPoolExecutor


class Inventory:
    """Servers, volumes and ports of the tenant's project at one site, and all of the site's array."""

    def __init__(self, site):
        project = site.tenant.current_project_id
        c = site.admin

        def mine(rows):
            return [r for r in rows if r.project_id == project]

        with ThreadPoolExecutor(6) as pool:
            servers = pool.submit(lambda: mine(c.compute.servers(all_projects=True, project_id=project)))
            volumes = pool.submit(lambda: mine(c.block_storage.volumes(all_projects=True, project_id=project)))
            ports = pool.submit(lambda: mine(c.network.ports(project_id=project)))
            networks = pool.submit(lambda: mine(c.network.networks(project_id=project)))
            snapshots = pool.submit(lambda: mine(c.block_storage.snapshots(all_projects=True)))
            array = pool.submit(self.read_array, site)
            self.servers = servers.result()
            self.volumes = {v.id: v for v in volumes.result()}
            self.ports = ports.result()
            self.networks = {n.id: n for n in networks.result()}
            self.snapshots = snapshots.result()
            array.result()

    def read_array(self, site):
        def all_of(ask, **how):
            got = ask(**how)
            if got.status_code != 200:
                raise AssertionError("array %s: %s" % (site.letter, got.errors))
            return list(got.items)

        array = site.array
        self.array_volumes = {v.name: v for v in all_of(array.get_volumes)}
        self.connections = all_of(array.get_connections)
        self.groups = {g.name: g for g in all_of(array.get_protection_groups)}
        self.group_snapshots = all_of(array.get_protection_group_snapshots)
        self.group_members = {}
        for row in all_of(array.get_protection_groups_volumes):
            self.group_members.setdefault(row.group.name, set()).add(row.member.name)

    def server(self, name):
        found = [s for s in self.servers if s.name == name]
        return found[0] if len(found) == 1 else None

    def attached(self, server):
        """device -> volume of this server, as Cinder has it."""
        return {a["device"]: v for v in self.volumes.values() for a in v.attachments
                if a["server_id"] == server.id}

    def ports_of(self, server):
        return [p for p in self.ports if p.device_id == server.id]

    def array_volume(self, volume):
        return self.array_volumes.get("volume-%s-cinder" % volume.id)

    def connected(self, name):
        return [c.host.name for c in self.connections if c.volume.name == name]
