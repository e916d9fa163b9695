#!/usr/bin/env python3
"""accounts.py SITE STATE_DIR [--wait [--relearn]] - Keystone content of one site.

Without --wait: service project, users and roles, the catalogue, the demo
project "app" with its member user "app-user", and STATE_DIR/clouds.yaml with
the clouds site-a-admin, site-a, site-b-admin, site-b.  With --wait: return
when nova-compute and cinder-volume of the site report up; with --relearn also
hard reboot every ACTIVE server, so that a restarted fake virt driver knows it.
Idempotent.
"""
import os
import sys
import time

import openstack
import yaml

SITE, STATE = sys.argv[1], sys.argv[2]
N = {"a": 1, "b": 2}[SITE]
IP, REGION = "127.0.%d.1" % N, "Region" + SITE.upper()
SECRETS = dict(line.strip().split("=", 1)
               for line in open(STATE + "/secrets.env") if "=" in line)


def url(port, path=""):
    return "http://%s:%d%s%s" % (IP, N, port, path)


CATALOGUE = [
    ("keystone", "identity", url("5000", "/v3")),
    ("glance", "image", url("9292")),
    ("placement", "placement", url("8778")),
    ("nova", "compute", url("8774", "/v2.1")),
    ("neutron", "network", url("9696")),
    ("cinder", "block-storage", url("8776", "/v3")),
    ("protector", "disaster-recovery", url("8788")),
]


def cloud(site, user, password, project):
    n = {"a": 1, "b": 2}[site]
    return {"region_name": "Region" + site.upper(),
            # Public endpoints may lead through a layer of faults: faults.py.
            "interface": "internal",
            "identity_api_version": 3, "volume_api_version": 3,
            "auth": {"auth_url": "http://127.0.%d.1:%d5000/v3" % (n, n),
                     "username": user, "password": password,
                     "project_name": project,
                     "user_domain_name": "Default",
                     "project_domain_name": "Default"}}


def write_clouds():
    clouds = {}
    for s in "ab":
        clouds["site-%s-admin" % s] = cloud(s, "admin", SECRETS["ADMIN_PW"],
                                            "admin")
        clouds["site-%s" % s] = cloud(s, "app-user", SECRETS["MEMBER_PW"],
                                      "app")
    path = STATE + "/clouds.yaml"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
              "w") as f:
        yaml.safe_dump({"clouds": clouds}, f)
    return path


def accounts():
    c = openstack.connect("site-%s-admin" % SITE)
    k = c.identity
    domain = "default"
    projects = {}
    for name in ("service", "app"):
        projects[name] = (k.find_project(name, domain_id=domain) or
                          k.create_project(name=name, domain_id=domain))
    roles = {n: k.find_role(n) or k.create_role(name=n)
             for n in ("admin", "member", "service")}
    for svc in ("glance", "placement", "nova", "neutron", "cinder"):
        u = (k.find_user(svc, domain_id=domain) or
             k.create_user(name=svc, domain_id=domain,
                           password=SECRETS["SERVICE_PW"]))
        for r in ("admin", "service"):
            k.assign_project_role_to_user(projects["service"], u, roles[r])
    # Protector's: its service user, and the role that Cinder's policy names.
    k.find_role("protector") or k.create_role(name="protector")
    u = (k.find_user("protector", domain_id=domain) or
         k.create_user(name="protector", domain_id=domain,
                       password=SECRETS["PROTECTOR_PW"]))
    for r in ("admin", "service"):
        k.assign_project_role_to_user(projects["service"], u, roles[r])
    u = (k.find_user("app-user", domain_id=domain) or
         k.create_user(name="app-user", domain_id=domain,
                       password=SECRETS["MEMBER_PW"]))
    k.assign_project_role_to_user(projects["app"], u, roles["member"])
    services = {s.type: s for s in k.services()}
    have = {(e.service_id, e.interface) for e in k.endpoints()}
    for name, kind, where in CATALOGUE:
        s = services.get(kind) or k.create_service(name=name, type=kind)
        for face in ("public", "internal"):
            if (s.id, face) not in have:
                k.create_endpoint(service_id=s.id, interface=face, url=where,
                                  region_id=REGION)


def wait_up(seconds=600):
    """Wait for a heartbeat newer than this call of every daemon."""
    c = openstack.connect("site-%s-admin" % SITE)
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    end = time.time() + seconds
    need = {"nova-compute", "nova-conductor", "nova-scheduler",
            "cinder-volume", "cinder-scheduler"}
    up, trouble = set(), None
    while time.time() < end:
        try:
            rows = (list(c.compute.services()) +
                    list(c.block_storage.services()))
            up = {s.binary for s in rows if s.state == "up"
                  and (s.updated_at or "") >= start}
            if need <= up and list(c.block_storage.backend_pools()):
                return
        except openstack.exceptions.SDKException as e:
            trouble = e
        time.sleep(1)
    sys.exit("not up after %d s: %s %s" % (seconds, sorted(need - up),
                                           trouble or ""))


def relearn():
    c = openstack.connect("site-%s-admin" % SITE).compute
    servers = [s for s in c.servers(all_projects=True)
               if s.status == "ACTIVE"]
    for s in servers:
        c.reboot_server(s, "HARD")
    for s in servers:
        c.wait_for_server(c.get_server(s), interval=0.3, wait=600)


if __name__ == "__main__":
    os.environ["OS_CLIENT_CONFIG_FILE"] = write_clouds()
    if "--wait" in sys.argv:
        wait_up()
    else:
        accounts()
    if "--relearn" in sys.argv:
        relearn()
