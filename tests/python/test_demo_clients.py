"""Clients that nobody here wrote use a running demo: discovery, the documentation's curl lines, `openstack`, py-pure-client.

PROTECTOR_BIN names the program (default: target/release/protector).
Run: target/pyvenv/bin/python -m pytest tests/python/test_demo_clients.py
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PROTECTOR_BIN", ROOT / "target" / "release" / "protector"))
PATIENCE = 60

# Verbatim from the documentation; `host` below is the only thing that is replaced.
TOKEN_AND_TENANT = """
export TOKEN=$(openstack token issue -f value -c id)
export TENANT_ID=$(openstack token issue -f value -c project_id)
"""
EXAMPLE_1 = """
curl -s -X POST \\
http://site-a-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \\
-H "X-Auth-Token: $TOKEN" \\
-H "Content-Type: application/json" \\
-H "OpenStack-API-Version: protector 1.1" \\
-d '{
"failover": {
"network_mapping": {
"aaa11111-net-primary-web": "bbb22222-net-secondary-web",
"aaa11111-net-primary-db": "bbb22222-net-secondary-db"
},
"flavor_mapping": {
"m1.large": "m2.large"
},
"force": false
}
}'
"""
EXAMPLE_6 = """
curl -s \\
http://site-a-controller:8788/v1/$TENANT_ID/operations/$OP_ID \\
-H "X-Auth-Token: $TOKEN" \\
-H "OpenStack-API-Version: protector 1.1"
"""
STARTED = [
    "id",
    "operation_type",
    "status",
    "progress",
    "source_site_id",
    "target_site_id",
    "started_at",
    "completed_at",
    "error_message",
    "steps_completed",
    "steps_failed",
]
STAGES = [
    "validate_target_site",
    "get_latest_snapshot",
    "promote_volumes_on_flasharray",
    "manage_volumes_into_cinder",
    "recreate_instances",
    "update_protection_group_state",
]


class Demo:
    """The running demo and its shell variables."""

    def __init__(self, env_file):
        self.env_file = env_file
        words = shlex.split(env_file.read_text())
        self.env = dict(word.split("=", 1) for word in words if "=" in word)

    def __getitem__(self, key):
        return self.env[key]

    def bash(self, script, **variables):
        """Runs a script after the env file, as a person would after `source`."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        # `openstack` of the environment that runs the tests.
        clean["PATH"] = f"{pathlib.Path(sys.executable).parent}:{clean['PATH']}"
        script = f"set -euo pipefail\nsource {shlex.quote(str(self.env_file))}\n{script}"
        done = subprocess.run(
            ["bash", "-c", script], env={**clean, **variables}, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def documented(self, script, **variables):
        return self.bash(script.replace("http://site-a-controller:8788", self["API_URL"]), **variables)

    def openstack(self, cloud, *words):
        return json.loads(self.bash(f"openstack --os-cloud {cloud} {shlex.join(words)} -f json"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if not BIN.exists():
        pytest.fail(f"{BIN} is not there; build it, or name another with PROTECTOR_BIN")
    folder = tmp_path_factory.mktemp("demo")
    env_file, log = folder / "demo.env", folder / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(BIN), "demo", "--no-failover", "--speed", "10", "--env-file", str(env_file)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        # The last thing that it says; by then the env file is whole.
        while b"Everything keeps running" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Demo(env_file)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert code == 0, log.read_text()


@pytest.fixture(scope="module")
def connection(demo):
    """openstacksdk, configured by the demo's clouds.yaml."""
    openstack = pytest.importorskip("openstack")
    config = openstack.config.OpenStackConfig(config_files=[demo["OS_CLIENT_CONFIG_FILE"]], load_envvars=False)
    with openstack.connection.Connection(config=config.get_one(cloud="site-a")) as connection:
        yield connection


def ours(connection, kind, **options):
    """A client of the API's version 1, as the catalog and the API's own version document lead there."""
    region = connection.config.region_name
    return kind(
        connection.session, service_type="disaster-recovery", region_name=region, min_version="1", max_version="1.latest", **options
    )


@pytest.fixture(scope="module")
def failover(demo):
    """The failover of Example 1, followed as in Example 6 to its end: first answer, looks, last record."""
    begun = time.monotonic()
    words = demo.bash(f'{TOKEN_AND_TENANT}\necho "$TOKEN $TENANT_ID"').split()
    token, tenant = words
    assert tenant == demo["SITE_A_TENANT_ID"]
    started = json.loads(demo.documented(f"export TOKEN={token}\n{EXAMPLE_1}"))
    assert "operation" in started, started
    operation, looks = started["operation"]["id"], []
    while True:
        answer = json.loads(demo.documented(f"export TOKEN={token} OP_ID={operation}\n{EXAMPLE_6}"))
        record = answer["operation"]
        looks.append(record)
        if record["status"] not in ("pending", "running"):
            return started, looks, record
        assert time.monotonic() < begun + PATIENCE, record
        time.sleep(0.2)


def test_keystoneauth_discovers_the_api(demo, connection):
    from keystoneauth1.adapter import Adapter

    api = ours(connection, Adapter)
    assert api.get_endpoint().rstrip("/") == demo["API_URL"] + "/v1"
    data = api.get_endpoint_data()
    assert data.api_version[0] == 1, data.api_version
    assert data.min_microversion == (1, 0), data.min_microversion
    assert data.max_microversion >= (1, 3), data.max_microversion
    [regions] = api.get_all_version_data().values()
    [version] = regions["public"]["disaster-recovery"]
    assert (version["status"], version["min_microversion"]) == ("CURRENT", "1.0"), version


def test_the_sdk_s_proxy_speaks_every_microversion(demo, connection):
    from openstack.proxy import Proxy

    # Ours is in none of the SDK's lists: the generic proxy has to do, over what it discovers.
    api = ours(connection, Proxy)
    group = f"/{demo['TENANT_ID']}/protection-groups/{demo['PG_ID']}"
    for version in ["1.0", "1.1", "1.2", "1.3"]:
        answer = api.get(group, microversion=version)
        assert answer.status_code == 200, answer.text
        assert answer.json()["protection_group"]["name"] == "prod-web-app"
        assert answer.headers["OpenStack-API-Version"] == f"disaster-recovery {version}"
        assert "openstack-api-version" in answer.headers["Vary"].lower()
    assert api.get(group).headers["OpenStack-API-Version"].endswith(" 1.0")
    refused = api.get(group, microversion="1.99", raise_exc=False)
    assert refused.status_code == 406, refused.text
    error = refused.json()["errors"][0]
    assert (error["min_version"], error["code"]) == ("1.0", "request.version_not_supported"), error


def test_sdk_errors_carry_our_reason(demo, connection):
    from keystoneauth1.adapter import Adapter
    from keystoneauth1.exceptions.http import Conflict, NotFound

    api = ours(connection, Adapter, default_microversion="1.3")
    group = f"/{demo['TENANT_ID']}/protection-groups/{demo['PG_ID']}"
    with pytest.raises(Conflict) as refused:
        api.post(f"{group}/action", json={"failback": {}})
    reason = refused.value.response.json()["errors"][0]
    assert reason["detail"].startswith("Protection Group is not in failed_over state"), reason
    assert refused.value.request_id == reason["request_id"]
    with pytest.raises(NotFound):
        api.get(f"{group}-not")


def test_example_1_answers_as_documented(demo, failover):
    started, _, _ = failover
    assert list(started) == ["operation"]
    operation = started["operation"]
    assert list(operation)[: len(STARTED)] == STARTED, "names and order"
    assert set(operation) - set(STARTED) == {"protection_group_id"}
    assert operation["operation_type"] == "failover"
    assert operation["status"] in ("pending", "running")
    assert (operation["source_site_id"], operation["target_site_id"]) == (demo["SITE_A_SITE_ID"], demo["SITE_B_SITE_ID"])
    assert operation["progress"] == 0
    assert (operation["steps_completed"], operation["steps_failed"]) == ([], [])
    assert (operation["completed_at"], operation["error_message"]) == (None, None)


def test_example_6_shows_the_way_and_the_end(failover):
    _, looks, record = failover
    progress = [look["progress"] for look in looks]
    assert progress == sorted(progress)
    assert any(0 < value < 100 for value in progress), "nothing was seen mid-way"
    for look in looks:
        assert look["steps_completed"] == STAGES[: len(look["steps_completed"])]
    assert (record["status"], record["progress"]) == ("completed", 100), record
    assert record["steps_completed"] == STAGES
    assert record["result_data"] == {"instances_created": 3, "volumes_managed": 5, "current_primary_site": "site-b"}
    assert time.strptime(record["completed_at"], "%Y-%m-%dT%H:%M:%SZ") > time.strptime(record["started_at"], "%Y-%m-%dT%H:%M:%SZ")


def test_openstackclient_sees_everything_at_site_b(demo, failover):
    lists = [("site-b", "server", "list", "--long"), ("site-b", "volume", "list"), ("site-a", "server", "list")]
    # Most of the time of an `openstack` command goes into its own start.
    with ThreadPoolExecutor() as pool:
        servers, volumes, left = pool.map(lambda words: demo.openstack(*words), lists)
    assert sorted(s["Name"] for s in servers) == ["db-1", "web-1", "web-2"], servers
    assert {s["Status"] for s in servers} == {"ACTIVE"}, servers
    assert len(volumes) == 5 and {v["Status"] for v in volumes} == {"in-use"}, volumes
    attached = {a["server_id"] for v in volumes for a in v["Attached to"]}
    assert attached == {s["ID"] for s in servers}
    assert {s["Status"] for s in left} == {"SHUTOFF"}, left


def test_py_pure_client_sees_the_volumes_change_arrays(demo, failover):
    assert len(connected(demo, "B")) == 5
    assert connected(demo, "A") == [], "the fence"


def connected(demo, letter):
    """Names of the volumes of the tenant's application that a host is connected to, as the SDK tells them."""
    pytest.importorskip("pypureclient", reason="py-pure-client is not installed")
    from pypureclient import flasharray
    from pypureclient.configuration import Configuration

    configuration = Configuration(ssl_ca_cert=demo["ARRAY_CA"])
    configuration.verify_ssl = True
    client = flasharray.Client(
        demo[f"SITE_{letter}_ARRAY_URL"].removeprefix("https://"),
        api_token=demo[f"SITE_{letter}_ARRAY_TOKEN"],
        configuration=configuration,
    )
    response = client.get_connections()
    assert response.status_code == 200, response
    return sorted({item.volume.name for item in response.items})
