"""The plugin in the OpenStackClient of Debian 12 (6.0.0), beside the newest that the other tests use.

PROTECTOR_VENV_DEBIAN12 names an environment with tests/python/requirements-debian12.txt and our package; scripts/install
makes it at target/pyvenv-debian12.
"""

import json
import os
import pathlib

import pytest
from demo_world import ROOT, running_demo

VENV = pathlib.Path(os.environ.get("PROTECTOR_VENV_DEBIAN12", ROOT / "target" / "pyvenv-debian12"))
MAPPINGS = (
    "--network-mapping aaa11111-net-primary-web=bbb22222-net-secondary-web "
    "--network-mapping aaa11111-net-primary-db=bbb22222-net-secondary-db --flavor-mapping m1.large=m2.large"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    assert (VENV / "bin" / "openstack").exists(), f"{VENV} is not there; scripts/install makes it"
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.bin = VENV / "bin"
        yield demo


def test_it_is_the_old_one(demo):
    assert demo.bash("openstack --version").split() == ["openstack", "6.0.0"]


def test_looking(demo):
    lines = ["list", "show prod-web-app", "health prod-web-app", "sync-status prod-web-app"]
    answers = demo.batch([f"protector protection-group {line} -f json" for line in lines])
    listed, shown, health, sync = (json.loads(answer["out"]) for answer in answers)
    assert (listed[0]["Name"], shown["name"], shown["status"]) == ("prod-web-app", "prod-web-app", "active")
    assert (health["sync_status"], sync["status"]) == ("IN SYNC", "IN SYNC")
    [table] = demo.batch(["protector member list prod-web-app"])
    assert "| web-1 " in table["out"]


def test_errors_in_words(demo):
    done = demo.run("openstack protector protection-group show no-such-group")
    assert done.returncode == 1
    assert "there are: prod-web-app" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failover_that_is_waited_for(demo):
    done = demo.run(f"openstack protector protection-group failover prod-web-app {MAPPINGS} --wait -f json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["status"], record["result_data"]["current_primary_site"]) == ("completed", "site-b")
    assert "web-1: " in done.stderr
