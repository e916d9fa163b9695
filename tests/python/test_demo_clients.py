"""Clients that nobody here wrote use a running demo: discovery, the documentation's curl lines, `openstack`, py-pure-client.

Run: target/pyvenv/bin/python -m pytest tests/python/test_demo_clients.py
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import founding
import pytest
from demo_world import PATIENCE, running_demo

# Verbatim from the documentation.
TOKEN_AND_TENANT = """
export TOKEN=$(openstack token issue -f value -c id)
export TENANT_ID=$(openstack token issue -f value -c project_id)
"""
[EXAMPLE_1], [EXAMPLE_6] = founding.commands(1), founding.commands(6)
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


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), speed=10) as demo:
        yield demo


def documented(demo, script):
    """What a documented line prints; only its address is replaced."""
    return demo.bash(script.replace("http://site-a-controller:8788", demo["API_URL"]))


@pytest.fixture(scope="module")
def connection(demo):
    """openstacksdk, configured by the demo's clouds.yaml."""
    with demo.connection() as connection:
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
    started = json.loads(documented(demo, f"export TOKEN={token}\n{EXAMPLE_1}"))
    assert "operation" in started, started
    operation, looks = started["operation"]["id"], []
    while True:
        answer = json.loads(documented(demo, f"export TOKEN={token} OP_ID={operation}\n{EXAMPLE_6}"))
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
        assert look["steps_completed"] == founding.STAGES[: len(look["steps_completed"])]
    assert (record["status"], record["progress"]) == ("completed", 100), record
    assert record["steps_completed"] == founding.STAGES
    assert record["result_data"] == {"instances_created": 3, "volumes_managed": 5, "current_primary_site": "site-b"}
    assert time.strptime(record["completed_at"], "%Y-%m-%dT%H:%M:%SZ") > time.strptime(record["started_at"], "%Y-%m-%dT%H:%M:%SZ")


def test_openstackclient_sees_everything_at_site_b(demo, failover):
    lists = [("site-b", "server list --long"), ("site-b", "volume list"), ("site-a", "server list")]
    # Most of the time of an `openstack` command goes into its own start.
    with ThreadPoolExecutor() as pool:
        servers, volumes, left = pool.map(lambda look: demo.openstack(look[1], look[0]), lists)
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
