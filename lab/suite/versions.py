"""What was judged, and by whom."""
import importlib.metadata
import os
import subprocess

PACKAGES = ["keystone", "glance", "openstack-placement", "nova", "neutron", "cinder", "os-brick", "py-pure-client",
            "openstacksdk", "python-openstackclient", "python-protectorclient"]


def shown(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions():
    found = ["%s %s" % (p, importlib.metadata.version(p)) for p in PACKAGES]
    found.append(shown(os.environ["PROTECTOR_BIN"], "--version"))
    found.append("commit " + shown("git", "-C", os.environ["LAB_DIR"], "rev-parse", "--short", "HEAD"))
    found += shown("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "mariadb-server", "rabbitmq-server",
                   "memcached").splitlines()
    return found
