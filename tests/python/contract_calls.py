"""The calls of our adapters (crates/openstack), success and error, made once on any OpenStack: what came back, by name.

It knows neither simulators nor the laboratory: `Cloud` is an address and an administrator's password.
"""

import uuid

from contract_wire import Wire, fields

COMPUTE = {"OpenStack-API-Version": "compute 2.96", "X-OpenStack-Nova-API-Version": "2.96"}
VOLUME = {"OpenStack-API-Version": "volume 3.59"}
NOBODY = "00000000-0000-4000-8000-000000000000"
# What crates/openstack/src/*_wire.rs reads.
SERVER = [
    "id name status OS-EXT-STS:task_state tenant_id user_id locked description flavor flavor.original_name flavor.vcpus",
    "flavor.ram flavor.disk flavor.ephemeral flavor.swap flavor.extra_specs key_name OS-EXT-SRV-ATTR:user_data",
    "config_drive metadata tags OS-EXT-AZ:availability_zone server_groups os-extended-volumes:volumes_attached",
    "os-extended-volumes:volumes_attached.0.id os-extended-volumes:volumes_attached.0.delete_on_termination image created",
]
VOLUME_FIELDS = [
    "id name description status size volume_type bootable encrypted multiattach group_id os-vol-tenant-attr:tenant_id",
    "metadata attachments",
]
PORT = [
    "id name network_id mac_address fixed_ips fixed_ips.0.subnet_id fixed_ips.0.ip_address security_groups",
    "port_security_enabled allowed_address_pairs binding:vnic_type device_id tags",
]


class Cloud(Wire):
    """All calls. Everything that they need is made here, and removed."""

    def run(self):
        """Everything; gives the outcomes."""
        try:
            self._identity()
            self._image()
            self._network()
            self._compute_small()
            self._volume()
            self._server()
        finally:
            for undo in reversed(self._cleanup):
                undo()
        return self.outcomes

    # -- Keystone

    def _identity(self):
        k = self.root
        answer = self.login("admin", self.admin_password, "admin")
        assert answer.status_code == 201, answer.text
        self.tokens["admin"] = answer.headers["X-Subject-Token"]
        unique = uuid.uuid4().hex[:8]
        self.user, self.password, self.project = f"contract-{unique}", f"pw-{unique}", f"contract-{unique}"
        made = self.call("POST", f"{k}/projects", who="admin", body={"project": {"name": self.project, "domain_id": "default"}})
        self.project_id = made.json()["project"]["id"]
        self.later("DELETE", f"{k}/projects/{self.project_id}", "admin")
        user = {"name": self.user, "password": self.password, "domain_id": "default"}
        made = self.call("POST", f"{k}/users", who="admin", body={"user": user})
        self.user_id = made.json()["user"]["id"]
        self.later("DELETE", f"{k}/users/{self.user_id}", "admin")
        roles = self.do("keystone.roles", "GET", f"{k}/roles?name=member", ["roles.0.id", "roles.0.name"], who="admin")
        role = roles["roles"][0]["id"]
        grant = f"{k}/projects/{self.project_id}/users/{self.user_id}/roles/{role}"
        self.do("keystone.grant", "PUT", grant, who="admin")
        self.do("keystone.grant.again", "PUT", grant, who="admin")
        self.do("keystone.grant.of nobody", "PUT", f"{k}/projects/{NOBODY}/users/{self.user_id}/roles/{role}", who="admin")
        token = [
            f"token.{field}"
            for field in "user.id user.name project.id project.name expires_at issued_at roles.0.name catalog.0.type "
            "catalog.0.endpoints.0.interface catalog.0.endpoints.0.url catalog.0.endpoints.0.region_id".split()
        ]
        answer = self.login(self.user, self.password, self.project)
        body = self.record("keystone.login", answer, token, header="X-Subject-Token" in answer.headers)
        self.tokens["tenant"] = answer.headers["X-Subject-Token"]
        for service in body["token"]["catalog"]:
            for endpoint in service["endpoints"]:
                if endpoint["interface"] == "public":
                    self.catalog.setdefault(service["type"], endpoint["url"].rstrip("/"))
        self.record("keystone.login.wrong password", self.login(self.user, "wrong", self.project))
        self.record("keystone.login.unknown project", self.login(self.user, self.password, "no-such-project"))
        self.record("keystone.login.unknown user", self.login("no-such-user", "x", self.project))
        self.tokens["nobody"] = "gAAAA-not-a-token"
        self.do("keystone.no token", "GET", f"{k}/projects/{self.project_id}", who=None)
        self.do("keystone.wrong token", "GET", f"{k}/projects/{self.project_id}", who="nobody")
        subject = {"X-Subject-Token": self.tokens["tenant"]}
        fields_of_token = [path for path in token if "catalog" not in path]
        self.do("keystone.validate", "GET", f"{k}/auth/tokens?nocatalog", fields_of_token, who="admin", headers=subject)
        subject = {"X-Subject-Token": "gAAAA-not-a-token"}
        self.do("keystone.validate.unknown", "GET", f"{k}/auth/tokens?nocatalog", who="admin", headers=subject)
        self.do("keystone.domains", "GET", f"{k}/domains?name=Default", ["domains.0.id", "domains.0.name"], who="admin")
        self.do("keystone.domains.tenant", "GET", f"{k}/domains?name=Default")
        self.do("keystone.roles.tenant", "GET", f"{k}/roles?name=member")
        named = f"{k}/projects?name={self.project}&domain_id=default"
        self.do("keystone.projects", "GET", named, ["projects.0.id", "projects.0.name", "projects.0.enabled"], who="admin")
        self.do("keystone.projects.tenant", "GET", named)
        one = ["project.id", "project.name", "project.domain_id", "project.enabled"]
        self.do("keystone.project", "GET", f"{k}/projects/{self.project_id}", one, who="admin")
        self.do("keystone.project.absent", "GET", f"{k}/projects/{NOBODY}", who="admin")
        self._trusts(k)

    def _trusts(self, k):
        trust = {
            "trustor_user_id": self.user_id,
            "trustee_user_id": self.user_id,
            "project_id": self.project_id,
            "impersonation": True,
            "allow_redelegation": False,
            "expires_at": None,
            "roles": [{"name": "member"}],
        }
        made = self.do("keystone.trust", "POST", f"{k}/OS-TRUST/trusts", ["trust.id"], body={"trust": trust})
        body = {"trust": {**trust, "roles": [{"name": "admin"}]}}
        self.do("keystone.trust.of a role that one has not", "POST", f"{k}/OS-TRUST/trusts", body=body)
        of = f"{k}/OS-TRUST/trusts?trustor_user_id={self.user_id}"
        self.do("keystone.trusts", "GET", of, ["trusts.0.id", "trusts.0.trustee_user_id", "trusts.0.project_id"])
        url = f"{k}/OS-TRUST/trusts/{made['trust']['id']}"
        answer = self.login(self.user, self.password, trust=made["trust"]["id"])
        self.record("keystone.login.trust", answer, ["token.user.id", "token.project.id", "token.OS-TRUST:trust.id"])
        self.do("keystone.trust.delete", "DELETE", url)
        self.do("keystone.trust.delete.again", "DELETE", url)
        self.record("keystone.login.deleted trust", self.login(self.user, self.password, trust=made["trust"]["id"]))

    # -- Glance

    def _image(self):
        glance = self.url("image")
        glance = glance if glance.endswith("/v2") else f"{glance}/v2"
        wanted = ["images.0.id", "images.0.name", "images.0.status"]
        self.do("glance.images", "GET", f"{glance}/images?status=active", wanted)
        self.do("glance.wrong token", "GET", f"{glance}/images?status=active", who="nobody")

    # -- Neutron

    def _network(self):
        n = self.url("network")
        n = n if n.endswith("/v2.0") else f"{n}/v2.0"
        wanted = fields("network", ["id name project_id tenant_id shared router:external"])
        body = {"network": {"name": "contract", "description": "d", "admin_state_up": True}}
        network = self.do("neutron.network.create", "POST", f"{n}/networks", wanted, body=body)["network"]["id"]
        self.later("DELETE", f"{n}/networks/{network}")
        wanted = fields("subnet", ["id network_id cidr name"])
        body = {"subnet": {"name": "s", "network_id": network, "cidr": "10.77.0.0/24", "ip_version": 4, "gateway_ip": None}}
        subnet = self.do("neutron.subnet.create", "POST", f"{n}/subnets", wanted, body=body)["subnet"]["id"]
        self.do("neutron.subnet.overlapping", "POST", f"{n}/subnets", body=body)
        lists = {"networks": "id name project_id shared router:external", "subnets": "id network_id cidr name"}
        for what, names in lists.items():
            self.do(f"neutron.{what}", "GET", f"{n}/{what}", fields(f"{what}.0", [names]))
        # Security groups.
        wanted = fields("security_group", ["id name description security_group_rules"])
        body = {"security_group": {"name": "contract", "description": "d"}}
        group = self.do("neutron.security group.create", "POST", f"{n}/security-groups", wanted, body=body)
        group = group["security_group"]["id"]
        self.later("DELETE", f"{n}/security-groups/{group}")
        body = {"security_group": {"description": "other"}}
        self.do("neutron.security group.describe", "PUT", f"{n}/security-groups/{group}", wanted, body=body)
        rule = {
            "security_group_id": group,
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": "tcp",
            "port_range_min": 80,
            "port_range_max": 80,
            "remote_ip_prefix": None,
            "remote_group_id": group,
            "description": "",
        }
        body = {"security_group_rule": rule}
        made = self.do("neutron.rule.create", "POST", f"{n}/security-group-rules", ["security_group_rule.id"], body=body)
        self.do("neutron.rule.create.again", "POST", f"{n}/security-group-rules", body=body)
        wanted = fields("security_groups.0", ["id name description security_group_rules"])
        self.do("neutron.security groups", "GET", f"{n}/security-groups?project_id={self.project_id}", wanted)
        url = f"{n}/security-group-rules/{made['security_group_rule']['id']}"
        self.do("neutron.rule.delete", "DELETE", url)
        self.do("neutron.rule.delete.again", "DELETE", url)
        # Ports.
        address = {"subnet_id": subnet, "ip_address": "10.77.0.50"}
        new = {"name": "contract", "network_id": network, "fixed_ips": [address], "security_groups": [group]}
        new["mac_address"] = "fa:16:3e:77:00:50"
        made = self.do("neutron.port.create", "POST", f"{n}/ports", fields("port", PORT), body={"port": new})
        port = made["port"]["id"]
        self.later("DELETE", f"{n}/ports/{port}")
        self.do("neutron.port.address in use", "POST", f"{n}/ports", body={"port": {**new, "mac_address": "fa:16:3e:77:00:51"}})
        taken = {**new, "fixed_ips": [{"subnet_id": subnet}]}
        self.do("neutron.port.mac in use", "POST", f"{n}/ports", body={"port": taken})
        elsewhere = {**new, "mac_address": "fa:16:3e:77:00:52", "fixed_ips": [{"ip_address": "10.99.0.1", "subnet_id": subnet}]}
        self.do("neutron.port.address elsewhere", "POST", f"{n}/ports", body={"port": elsewhere})
        self.do("neutron.port.unknown network", "POST", f"{n}/ports", body={"port": {"network_id": NOBODY}})
        self.do("neutron.port", "GET", f"{n}/ports/{port}", fields("port", PORT))
        self.do("neutron.ports", "GET", f"{n}/ports?name=contract&project_id={self.project_id}", fields("ports.0", PORT))
        self.do("neutron.port.absent", "GET", f"{n}/ports/{NOBODY}")
        links = ["security_groups.0.id", "security_groups.1", "security_groups_links.0.rel", "security_groups_links.0.href"]
        self.do("neutron.page", "GET", f"{n}/security-groups?project_id={self.project_id}&limit=1", links)
        quota = f"{n}/quotas/{self.project_id}"
        self.do("neutron.quota.set", "PUT", quota, ["quota.port"], who="admin", body={"quota": {"port": 1}})
        self.do("neutron.port.over quota", "POST", f"{n}/ports", body={"port": {"network_id": network}})
        self.do("neutron.quota.set.tenant", "PUT", quota, body={"quota": {"port": 50}})
        self.do("neutron.quota.delete", "DELETE", quota, who="admin")
        self.do("neutron.port.rename", "PUT", f"{n}/ports/{port}", ["port.id", "port.name"], body={"port": {"name": "renamed"}})
        self.do("neutron.network.delete.in use", "DELETE", f"{n}/networks/{network}")
        self.do("neutron.security group.delete.in use", "DELETE", f"{n}/security-groups/{group}")
        self.do("neutron.quota details", "GET", f"{n}/quotas/{self.project_id}/details", ["quota.port.limit", "quota.port.used"])
        self.do("neutron.quota", "GET", f"{n}/quotas/{self.project_id}", ["quota.port"])
        self.do("neutron.wrong token", "GET", f"{n}/ports", who="nobody")
        extra = self.call("POST", f"{n}/ports", body={"port": {"network_id": network}}).json()["port"]["id"]
        self.do("neutron.port.delete", "DELETE", f"{n}/ports/{extra}")
        self.do("neutron.port.delete.again", "DELETE", f"{n}/ports/{extra}")
        self.port, self.network, self.neutron = port, network, n

    # -- Nova, without servers

    def _compute_small(self):
        nova = self.url("compute")
        self.nova = nova
        root = nova[: nova.index("/v2.1")]
        self.do("nova.versions", "GET", f"{root}/", ["versions.0.id", "versions.0.version", "versions.0.min_version"], who=None)
        wanted = fields("flavors.0", ["id name vcpus ram disk OS-FLV-EXT-DATA:ephemeral swap extra_specs"])
        flavors = self.do("nova.flavors", "GET", f"{nova}/flavors/detail", wanted, headers=COMPUTE)["flavors"]
        self.flavor = min((f for f in flavors if f["disk"] == 0), key=lambda f: f["ram"])["id"]
        self.do("nova.flavor.absent", "GET", f"{nova}/flavors/{NOBODY}", headers=COMPUTE)
        zones = ["availabilityZoneInfo.0.zoneName", "availabilityZoneInfo.0.zoneState.available"]
        self.do("nova.zones", "GET", f"{nova}/os-availability-zone", zones, headers=COMPUTE)
        limits = "maxTotalInstances totalInstancesUsed maxTotalCores totalCoresUsed maxTotalRAMSize totalRAMUsed"
        self.do("nova.limits", "GET", f"{nova}/limits", fields("limits.absolute", [limits]), headers=COMPUTE)
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJc5zdRHAVJzHg0DJ0jNRSJkuhGHnB6j1Ca0Yc3b9wP1 contract"
        body = {"keypair": {"name": "contract", "public_key": key}}
        self.do("nova.keypair.create", "POST", f"{nova}/os-keypairs", headers={}, body=body)
        self.later("DELETE", f"{nova}/os-keypairs/contract")
        self.do("nova.keypair.create.again", "POST", f"{nova}/os-keypairs", headers={}, body=body)
        wanted = ["keypairs.0.keypair.name", "keypairs.0.keypair.public_key"]
        self.do("nova.keypairs", "GET", f"{nova}/os-keypairs", wanted, headers=COMPUTE)
        url = f"{nova}/os-keypairs/contract?user_id={self.user_id}"
        self.do("nova.keypair.of a user", "GET", url, ["keypair.name", "keypair.public_key"], who="admin", headers=COMPUTE)
        self.do("nova.keypair.absent", "GET", f"{nova}/os-keypairs/no-such-key", headers=COMPUTE)
        body = {"server_group": {"name": "contract", "policy": "anti-affinity"}}
        wanted = fields("server_group", ["id name policy members"])
        made = self.do("nova.server group.create", "POST", f"{nova}/os-server-groups", wanted, headers=COMPUTE, body=body)
        self.group = made["server_group"]["id"]
        self.later("DELETE", f"{nova}/os-server-groups/{self.group}")
        wanted = fields("server_groups.0", ["id name policy members"])
        self.do("nova.server groups", "GET", f"{nova}/os-server-groups?limit=100&offset=0", wanted, headers=COMPUTE)
        body["server_group"]["policy"] = "no-such-policy"
        self.do("nova.server group.wrong policy", "POST", f"{nova}/os-server-groups", headers=COMPUTE, body=body)
        self.do("nova.server group.delete.absent", "DELETE", f"{nova}/os-server-groups/{NOBODY}", headers=COMPUTE)
        self.do("nova.server.absent", "GET", f"{nova}/servers/{NOBODY}", headers=COMPUTE)
        self.do("nova.server.delete.absent", "DELETE", f"{nova}/servers/{NOBODY}", headers=COMPUTE)
        self.do("nova.wrong token", "GET", f"{nova}/servers", who="nobody", headers=COMPUTE)
        self.do("nova.unknown microversion", "GET", f"{nova}/servers", headers={"OpenStack-API-Version": "compute 2.999"})

    # -- Cinder

    def _volume(self):
        c = self.url("block-storage", "volumev3")
        c = c if c.endswith("/v3") or "/v3/" in c else f"{c}/v3"
        self.cinder = c if c.endswith(self.project_id) else f"{c}/{self.project_id}"
        c, h = self.cinder, VOLUME
        wanted = fields("volume_types.0", ["id name extra_specs"])
        types = self.do("cinder.types", "GET", f"{c}/types?is_public=None", wanted, headers=h)["volume_types"]
        type_id = next(t["id"] for t in types if t["name"] == self.volume_type)
        self.do("cinder.encryption.tenant", "GET", f"{c}/types/{type_id}/encryption", headers=h)
        as_admin = {"who": "admin", "headers": h}
        self.do("cinder.encryption", "GET", f"{self._as_admin()}/types/{type_id}/encryption", **as_admin)
        limits = "maxTotalVolumes totalVolumesUsed maxTotalVolumeGigabytes totalGigabytesUsed"
        self.do("cinder.limits", "GET", f"{c}/limits", fields("limits.absolute", [limits]), headers=h)
        pools = ["pools.0.name", "pools.0.capabilities.volume_backend_name"]
        self.do("cinder.pools", "GET", f"{self._as_admin()}/scheduler-stats/get_pools?detail=True", pools, **as_admin)
        self.do("cinder.pools.tenant", "GET", f"{c}/scheduler-stats/get_pools?detail=True", headers=h)
        services = fields("services.0", ["binary host state status"])
        self.do("cinder.services", "GET", f"{self._as_admin()}/os-services?binary=cinder-volume", services, **as_admin)
        self.do("cinder.services.tenant", "GET", f"{c}/os-services?binary=cinder-volume", headers=h)
        nowhere = {"volume": {"host": "protector-right-check@none#none", "ref": {"source-name": "protector-right-check"}}}
        self.do("cinder.manage.tenant", "POST", f"{c}/os-volume-manage", headers=h, body=nowhere)
        self.do("cinder.manage.unknown host", "POST", f"{self._as_admin()}/os-volume-manage", body=nowhere, **as_admin)
        self.do("cinder.volume.absent", "GET", f"{c}/volumes/{NOBODY}", headers=h)
        self.do("cinder.volume.delete.absent", "DELETE", f"{c}/volumes/{NOBODY}", headers=h)
        self.do("cinder.wrong token", "GET", f"{c}/volumes/detail", who="nobody", headers=h)
        self.volumes = []
        for name in ("root", "data"):
            body = {"volume": {"name": name, "description": "d", "size": 1, "volume_type": self.volume_type}}
            wanted = ["volume.id"] if name == "root" else []
            made = self.do(f"cinder.volume.create.{name}", "POST", f"{c}/volumes", wanted, headers=h, body=body)
            self.volumes.append(made["volume"]["id"])
            url = f"{c}/volumes/{self.volumes[-1]}"
            self.later("DELETE", url, headers=h, until_gone=True)
            self.await_state(f"cinder.volume.create.{name}.state", url, "volume.status", ("available", "error"), h)
        root, data = (f"{c}/volumes/{volume}" for volume in self.volumes)
        links = ["volumes.0.id", "volumes.1", "volumes_links.0.rel", "volumes_links.0.href"]
        self.do("cinder.page", "GET", f"{c}/volumes/detail?limit=1", links, headers=h)
        self.do("cinder.page.last", "GET", f"{c}/volumes/detail?limit=1&marker={self._oldest(c)}", ["volumes.0"], headers=h)
        quota = f"{self._as_admin()}/os-quota-sets/{self.project_id}"
        self.do("cinder.quota.set", "PUT", quota, ["quota_set.volumes"], body={"quota_set": {"volumes": 2}}, **as_admin)
        body = {"volume": {"name": "x", "size": 1, "volume_type": self.volume_type}}
        self.do("cinder.volume.over quota", "POST", f"{c}/volumes", headers=h, body=body)
        self.do("cinder.volume", "GET", root, fields("volume", VOLUME_FIELDS), headers=h)
        self.do("cinder.volume.admin", "GET", f"{self._as_admin()}/volumes/{self.volumes[0]}", ["volume.os-vol-host-attr:host"], **as_admin)
        self.do("cinder.volumes", "GET", f"{c}/volumes/detail", fields("volumes.0", VOLUME_FIELDS), headers=h)
        self.do("cinder.volumes.by status", "GET", f"{c}/volumes?status=available", ["volumes.0.id"], headers=h)
        self.do("cinder.metadata", "POST", f"{root}/metadata", ["metadata"], headers=h, body={"metadata": {"k": "v"}})
        self.do("cinder.metadata.too long", "POST", f"{root}/metadata", headers=h, body={"metadata": {"k": "v" * 300}})
        self.do("cinder.set bootable", "POST", f"{root}/action", headers=h, body={"os-set_bootable": {"bootable": True}})
        image = {"os-set_image_metadata": {"metadata": {"hw_firmware_type": "uefi"}}}
        self.do("cinder.set image metadata", "POST", f"{root}/action", ["metadata"], headers=h, body=image)
        self.do("cinder.volume.with image metadata", "GET", root, ["volume.volume_image_metadata.hw_firmware_type"], headers=h)
        self.do("cinder.unmanage.tenant", "POST", f"{data}/action", headers=h, body={"os-unmanage": {}})

    def _oldest(self, c):
        """The last one of the whole list."""
        return self.call("GET", f"{c}/volumes", headers=VOLUME).json()["volumes"][-1]["id"]

    def _as_admin(self):
        """Cinder's address in the administrator's own project, whatever the catalog's form."""
        return self.cinder.replace(self.project_id, self._admin_project())

    def _admin_project(self):
        if "admin project" not in self.catalog:
            subject = {"X-Subject-Token": self.tokens["admin"]}
            answer = self.call("GET", f"{self.root}/auth/tokens?nocatalog", who="admin", headers=subject)
            self.catalog["admin project"] = answer.json()["token"]["project"]["id"]
        return self.catalog["admin project"]

    # -- a server with two volumes and one port

    def _server(self):
        nova, h = self.nova, COMPUTE
        disk = {"source_type": "volume", "destination_type": "volume", "delete_on_termination": False}
        devices = [{**disk, "uuid": volume, "boot_index": n if n == 0 else -1} for n, volume in enumerate(self.volumes)]
        new = {
            "name": "contract",
            "flavorRef": self.flavor,
            "networks": [{"port": self.port}],
            "block_device_mapping_v2": devices,
            "metadata": {"tier": "web"},
            "tags": ["t1"],
            "key_name": "contract",
            "description": "d",
            "user_data": "I2Nsb3VkLWNvbmZpZwo=",
        }
        url = f"{nova}/servers"
        self.do("nova.server.unknown flavor", "POST", url, headers=h, body={"server": {**new, "flavorRef": NOBODY}})
        self.do("nova.server.unknown port", "POST", url, headers=h, body={"server": {**new, "networks": [{"port": NOBODY}]}})
        self.do("nova.server.unknown key", "POST", url, headers=h, body={"server": {**new, "key_name": "no-such-key"}})
        unknown = [{**devices[0], "uuid": NOBODY}]
        self.do("nova.server.unknown volume", "POST", url, headers=h, body={"server": {**new, "block_device_mapping_v2": unknown}})
        quota = f"{nova}/os-quota-sets/{self.project_id}"
        zero = {"quota_set": {"instances": 0}}
        self.do("nova.quota.set", "PUT", quota, ["quota_set.instances"], who="admin", headers=h, body=zero)
        self.do("nova.server.over quota", "POST", url, headers=h, body={"server": new})
        self.do("nova.quota.delete", "DELETE", quota, who="admin", headers=h)
        body = {"server": new, "os:scheduler_hints": {"group": self.group}}
        server = self.do("nova.server.create", "POST", url, ["server.id"], headers=h, body=body)["server"]["id"]
        url = f"{nova}/servers/{server}"
        self.later("DELETE", url, headers=h, until_gone=True)
        self.await_state("nova.server.create.state", url, "server.status", ("ACTIVE", "ERROR"), h)
        self.do("nova.server", "GET", url, fields("server", SERVER), headers=h)
        self.do("nova.servers", "GET", f"{nova}/servers/detail?name=contract", fields("servers.0", SERVER), headers=h)
        self.do("nova.servers.by tag", "GET", f"{nova}/servers/detail?tags=t1", ["servers.0.id"], headers=h)
        self.do("nova.servers.by status", "GET", f"{nova}/servers?status=ACTIVE", ["servers.0.id"], headers=h)
        wanted = fields("volumeAttachments.0", ["volumeId device delete_on_termination"])
        self.do("nova.attachments", "GET", f"{url}/os-volume_attachments", wanted, headers=h)
        first = f"{self.cinder}/volumes/{self.volumes[0]}"
        wanted = ["volume.status", "volume.attachments.0.server_id", "volume.attachments.0.device"]
        self.do("cinder.volume.attached", "GET", first, wanted, headers=VOLUME)
        self.do("cinder.volume.delete.in use", "DELETE", first, headers=VOLUME)
        keep = {"volumeAttachment": {"volumeId": self.volumes[1], "delete_on_termination": False}}
        self.do("nova.keep volume", "PUT", f"{url}/os-volume_attachments/{self.volumes[1]}", headers=h, body=keep)
        wanted = ["port.device_id", "port.device_owner"]
        self.do("neutron.port.bound", "GET", f"{self.neutron}/ports/{self.port}", wanted)
        self._power(url)
        self._parts(url)
        self.do("nova.server.delete", "DELETE", url, headers=h)
        self.await_state("nova.server.delete.state", url, "server.status", ("gone",), h)
        self.do("nova.server.delete.again", "DELETE", url, headers=h)
        self.await_state("cinder.volume.detached.state", first, "volume.status", ("available", "error"), VOLUME)
        # A port that was given stays, and is free again.
        self.do("neutron.port.after its server", "GET", f"{self.neutron}/ports/{self.port}", ["port.device_id"])
        self._manage()
        self.do("cinder.volume.delete", "DELETE", first, headers=VOLUME)
        self.await_state("cinder.volume.delete.state", first, "volume.status", ("gone", "error_deleting"), VOLUME)

    def _power(self, url):
        def act(name, action, **options):
            self.do(name, "POST", f"{url}/action", headers=COMPUTE, body=action, **options)

        act("nova.start.running", {"os-start": None})
        act("nova.stop", {"os-stop": None})
        self.await_state("nova.stop.state", url, "server.status", ("SHUTOFF", "ERROR"), COMPUTE)
        act("nova.stop.again", {"os-stop": None})
        act("nova.lock", {"lock": {"locked_reason": "protector"}}, who="admin")
        self.do("nova.server.locked", "GET", url, ["server.locked"], headers=COMPUTE)
        act("nova.start.locked", {"os-start": None})
        act("nova.unlock.tenant", {"unlock": None})
        act("nova.unlock", {"unlock": None}, who="admin")
        act("nova.unlock.again", {"unlock": None}, who="admin")
        act("nova.start", {"os-start": None})
        self.await_state("nova.start.state", url, "server.status", ("ACTIVE", "ERROR"), COMPUTE)
        act("nova.unknown action", {"no-such-action": None})

    def _parts(self, url):
        h = COMPUTE
        self.do("nova.tag.delete", "DELETE", f"{url}/tags/t1", headers=h)
        self.do("nova.tag.delete.again", "DELETE", f"{url}/tags/t1", headers=h)
        self.do("nova.interface.delete.absent", "DELETE", f"{url}/os-interface/{NOBODY}", headers=h)
        self.do("nova.interface.attach.in use", "POST", f"{url}/os-interface", headers=h, body={"interfaceAttachment": {"port_id": self.port}})
        self.do("nova.interface.attach.absent", "POST", f"{url}/os-interface", headers=h, body={"interfaceAttachment": {"port_id": NOBODY}})
        self.do("nova.metadata.set", "PUT", f"{url}/metadata/k", ["meta.k"], headers=h, body={"meta": {"k": "v"}})
        self.do("nova.metadata.delete", "DELETE", f"{url}/metadata/k", headers=h)
        self.do("nova.metadata.delete.again", "DELETE", f"{url}/metadata/k", headers=h)

    def _manage(self):
        """Out of Cinder, and in again: what a failover does with a volume at the target."""
        h, volume = VOLUME, self.volumes[1]
        admin = self._as_admin()
        host = self.call("GET", f"{admin}/volumes/{volume}", who="admin", headers=h).json()["volume"]["os-vol-host-attr:host"]
        self.do("cinder.unmanage", "POST", f"{admin}/volumes/{volume}/action", who="admin", headers=h, body={"os-unmanage": {}})
        url = f"{self.cinder}/volumes/{volume}"
        self.await_state("cinder.unmanage.state", url, "volume.status", ("gone", "error_unmanaging", "error"), h)
        ref = {"source-name": f"volume-{volume}-cinder-unmanaged"}
        body = {
            "volume": {
                "host": host,
                "ref": ref,
                "name": "managed",
                "description": "d",
                "bootable": True,
                "volume_type": self.volume_type,
                "metadata": {"ours": "1"},
            }
        }
        # In the administrator's own project: a plain member may not.
        made = self.do("cinder.manage", "POST", f"{admin}/os-volume-manage", ["volume.id", "volume.status"], who="admin", headers=h, body=body)
        url = f"{admin}/volumes/{made['volume']['id']}"
        self.later("DELETE", url, "admin", headers=h, until_gone=True)
        tenant, self.tokens["tenant"] = self.tokens["tenant"], self.tokens["admin"]
        self.await_state("cinder.manage.state", url, "volume.status", ("available", "error", "error_managing"), h)
        self.tokens["tenant"] = tenant
        wanted = ["volume.name", "volume.bootable", "volume.volume_type", "volume.metadata.ours", "volume.metadata.array_volume_name"]
        self.do("cinder.managed", "GET", url, wanted, who="admin", headers=h)
        self.do("cinder.manage.again", "POST", f"{admin}/os-volume-manage", who="admin", headers=h, body=body)
        self.do("cinder.managed.delete", "DELETE", url, who="admin", headers=h)
