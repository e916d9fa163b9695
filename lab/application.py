#!/usr/bin/env python3
"""application.py STATE_DIR COMMAND - Protector's accounts and the tenant's application at both sites.

accounts      at both sites, as admin: role and user "protector", the catalogue's entry, the flavor;
              the endpoint of Protector is what lab.env.sh says
build         at site a, as the tenant: networks at both sites, 3 servers with 5 replicated volumes, all ACTIVE
stamp TEXT    every volume of the application at site a gets TEXT written by its guest (through the array's door)
stamps SITE   what each volume in the tenant's project at SITE holds, one line each

Idempotent, except that stamp writes again.
"""
import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

import openstack

STATE, COMMAND = sys.argv[1], sys.argv[2]
os.environ["OS_CLIENT_CONFIG_FILE"] = STATE + "/clouds.yaml"
SECRETS = dict(line.strip().split("=", 1)
               for line in open(STATE + "/secrets.env") if "=" in line)
NUMBER = {"a": 1, "b": 2}
NETWORKS = {
    "a": {"web": "aaa11111-net-primary-web", "db": "aaa11111-net-primary-db"},
    "b": {"web": "bbb22222-net-secondary-web", "db": "bbb22222-net-secondary-db"},
}
CIDRS = {"web": "10.101.0.0/16", "db": "10.102.0.0/16"}
FLAVORS = {"a": "m1.large", "b": "m2.large"}
VOLUMES = {"web-1": 2, "web-2": 2, "db-1": 1}
PATIENCE = 600


def cloud(site, admin=False):
    return openstack.connect("site-%s%s" % (site, "-admin" if admin else ""))


def protector_url(site):
    return "http://127.0.%d.1:%d8788" % (NUMBER[site], NUMBER[site])


def accounts(site):
    c = cloud(site, admin=True)
    k = c.identity
    role = k.find_role("protector") or k.create_role(name="protector")
    service = k.find_project("service", domain_id="default")
    user = (k.find_user("protector", domain_id="default") or
            k.create_user(name="protector", domain_id="default",
                          password=SECRETS["PROTECTOR_PW"]))
    for name in ("admin", "service"):
        k.assign_project_role_to_user(service, user, k.find_role(name))
    entry = next((s for s in k.services() if s.type == "disaster-recovery"),
                 None) or k.create_service(name="protector",
                                           type="disaster-recovery")
    if not list(k.endpoints(service_id=entry.id)):
        k.create_endpoint(service_id=entry.id, interface="public",
                          url=protector_url(site),
                          region_id="Region" + site.upper())
    if not c.compute.find_flavor(FLAVORS[site]):
        c.compute.create_flavor(name=FLAVORS[site], ram=256, vcpus=1, disk=0)
    print("site %s: role %s, user %s, endpoint %s" % (
        site, role.name, user.name, protector_url(site)))


def networks(site):
    n = cloud(site).network
    for kind, name in NETWORKS[site].items():
        net = n.find_network(name) or n.create_network(name=name)
        if not list(n.subnets(network_id=net.id)):
            n.create_subnet(name=kind, network_id=net.id, ip_version=4,
                            cidr=CIDRS[kind])


def volume(bs, name, size, bootable):
    v = bs.find_volume(name)
    if not v:
        v = bs.create_volume(name=name, size=size, volume_type="replicated")
        v = bs.wait_for_status(v, "available", failures=["error"],
                               interval=1, wait=PATIENCE)
        if bootable:
            bs.set_volume_bootable_status(v, True)
    return v


def build():
    for site in "ab":
        networks(site)
    c = cloud("a")
    nova, bs = c.compute, c.block_storage
    if not nova.find_keypair("app-key"):
        nova.create_keypair(name="app-key")
    servers = []
    for name, count in VOLUMES.items():
        server = nova.find_server(name)
        if not server:
            disks = [volume(bs, "%s-%s" % (name, "data-%d" % i if i else
                                           "root"), 1, i == 0)
                     for i in range(count)]
            net = c.network.find_network(NETWORKS["a"][name[:-2]])
            server = nova.create_server(
                name=name, flavor_id=nova.find_flavor(FLAVORS["a"]).id,
                networks=[{"uuid": net.id}], key_name="app-key",
                security_groups=[{"name": "web"}],
                metadata={"tier": name[:-2]},
                block_device_mapping=[{
                    "uuid": v.id, "source_type": "volume",
                    "destination_type": "volume",
                    "boot_index": 0 if i == 0 else -1,
                    "delete_on_termination": False}
                    for i, v in enumerate(disks)])
        servers.append(server)
    for server in servers:
        server = nova.wait_for_server(server, interval=1, wait=PATIENCE)
        print("%s %s %s" % (server.id, server.name, server.status))


def array(site, method, path, **query):
    ctx = ssl.create_default_context(cafile=STATE + "/tls/array.crt")
    url = "https://127.0.%d.1:%d8443/_sim/%s?%s" % (
        NUMBER[site], NUMBER[site], path, urllib.parse.urlencode(query))
    return urllib.request.urlopen(
        urllib.request.Request(url, method=method), context=ctx).read()


def on_array(site):
    """(Cinder name, array name, state on the array) of each volume."""
    held = json.loads(array(site, "GET", "dump"))["volumes"]
    for v in cloud(site).block_storage.volumes():
        name = next((n for n in held if v.id in n), None)
        yield v.name, name, held.get(name, {})


def stamp(text):
    hosts = json.loads(array("a", "GET", "dump"))["hosts"]
    for name, array_name, _ in sorted(on_array("a")):
        for host in hosts:
            try:
                array("a", "POST", "write", host=host, volume=array_name,
                      stamp="%s %s" % (name, text))
                print("%s <- %s" % (array_name, text))
            except urllib.error.HTTPError as e:
                print("%s on %s: %s" % (array_name, host, e.read().decode()))


def stamps(site):
    for name, array_name, state in sorted(on_array(site)):
        print("%s | %s | %s" % (name, array_name, state.get("last_stamp")))


if __name__ == "__main__":
    if COMMAND == "accounts":
        for s in "ab":
            accounts(s)
    elif COMMAND == "build":
        build()
    elif COMMAND == "stamp":
        stamp(sys.argv[3])
    elif COMMAND == "stamps":
        stamps(sys.argv[3])
    else:
        sys.exit("unknown command " + COMMAND)
