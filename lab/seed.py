#!/usr/bin/env python3
"""seed.py SITE STATE_DIR - seed data.

Idempotent: as admin the volume types "replicated"
(replication_enabled='<is> True', replication_type='<in> async') and "plain",
the site's flavor and the image "tiny"; as the member app-user the security
group "web".
"""
import os
import sys
import time

import openstack

SITE, STATE = sys.argv[1], sys.argv[2]
os.environ["OS_CLIENT_CONFIG_FILE"] = STATE + "/clouds.yaml"
T0 = time.time()


def say(*words):
    print("%6.1fs [%s]" % (time.time() - T0, SITE), *words, flush=True)


def seed():
    c = openstack.connect("site-%s-admin" % SITE)
    types = {t.name: t for t in c.block_storage.types()}
    if "replicated" not in types:
        t = c.block_storage.create_type(name="replicated")
        c.block_storage.update_type_extra_specs(
            t, volume_backend_name="pure", replication_enabled="<is> True",
            replication_type="<in> async")
    if "plain" not in types:
        t = c.block_storage.create_type(name="plain")
        c.block_storage.update_type_extra_specs(t,
                                                volume_backend_name="pure")
    name = {"a": "m1.large", "b": "m2.large"}[SITE]
    if not c.compute.find_flavor(name):
        c.compute.create_flavor(name=name, ram=256, vcpus=1, disk=0)
    if not c.image.find_image("tiny"):
        c.image.create_image(name="tiny", data=b"\0" * 65536,
                             container_format="bare", disk_format="raw",
                             visibility="public", min_disk=0)
    m = openstack.connect("site-" + SITE)
    n = m.network
    if not n.find_security_group("web"):
        sg = n.create_security_group(name="web")
        n.create_security_group_rule(
            security_group_id=sg.id, direction="ingress", ethertype="IPv4",
            protocol="tcp", port_range_min=443, port_range_max=443)
    say("seeded")


if __name__ == "__main__":
    seed()
