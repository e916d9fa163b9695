"""The real, unmodified Cinder Pure iSCSI driver against the simulated arrays, without any Cinder service.

It needs the whole of Cinder, so it is skipped where that is not installed. To run it (some minutes):
  python3 -m venv V; V/bin/pip install cinder py-pure-client pytest
  V/bin/pytest tests/python/test_sim_array_cinder.py
"""

import types
import uuid
from unittest import mock

import pytest

pytest.importorskip("cinder", reason="cinder is not installed")
from cinder import context, coordination, objects  # noqa: E402

objects.register_all()
from cinder import exception  # noqa: E402
from cinder.volume import driver as base_driver  # noqa: E402
from cinder.volume import volume_types  # noqa: E402
from cinder.volume.drivers import pure  # noqa: E402
from cinder.volume.drivers.san import san  # noqa: E402

from test_sim_array_common import Wire, serve, wait_until  # noqa: E402

ASYNC = {"replication_enabled": "<is> True", "replication_type": "<in> async"}
NAMESPACE = "openstack-integration.purestorage.com"


class Settings:
    """The driver's configuration: defaults, and what the test says."""

    config_group = "pure"

    def __init__(self, **given):
        for option in [*pure.PURE_OPTS, *san.san_opts, *base_driver.volume_opts, *base_driver.iser_opts]:
            setattr(self, option.dest, option.default)
        for name, value in given.items():
            setattr(self, name, value)

    def append_config_values(self, options):
        pass

    def safe_get(self, name):
        return getattr(self, name, None)


class Volume(dict):
    """As much of a Cinder volume as the driver looks at."""

    __getattr__ = dict.get

    def __init__(self, kind, size=1, **more):
        identity = str(uuid.uuid4())
        super().__init__(
            id=identity, name=f"volume-{identity}", name_id=identity, size=size, host="ctl@pure#pool",
            project_id="p1", user_id="u1", volume_type=kind, volume_type_id=kind["id"], provider_id=None,
            group=None, group_id=None, metadata={}, multiattach=False, bootable=False, encryption_key_id=None,
            display_name=None, display_description=None, consistencygroup_id=None, source_volid=None,
            snapshot_id=None, volume_attachment=[], attached_host=None, previous_status="available",
            admin_metadata={}, replication_status=None, **more)

    def __setattr__(self, name, value):
        self[name] = value

    def save(self):
        pass


class Kind(dict):
    __getattr__ = dict.get

    def is_replicated(self):
        return self["extra_specs"].get("replication_enabled") == "<is> True"


KINDS = {
    "async": Kind(id="async", name="async", qos_specs_id=None, extra_specs=ASYNC),
    "plain": Kind(id="plain", name="plain", qos_specs_id=None, extra_specs={}),
}


def make_driver(env):
    target = {
        "backend_id": "array-b", "san_ip": env["ARRAY_B_URL"].removeprefix("https://"),
        "api_token": env["ARRAY_B_TOKEN"], "type": "async",
    }
    settings = Settings(
        san_ip=env["ARRAY_A_URL"].removeprefix("https://"), pure_api_token=env["ARRAY_A_TOKEN"],
        volume_backend_name="pure", replication_device=[target], driver_ssl_cert_verify=False,
        driver_ssl_cert_path=None, use_chap_auth=False)
    driver = pure.PureISCSIDriver(configuration=settings)
    driver.do_setup(None)
    return driver


@pytest.fixture(scope="module", params=["strict", "lenient"])
def world(request, tmp_path_factory):
    flags = ["--lenient"] if request.param == "lenient" else []
    server = serve(tmp_path_factory.mktemp("cinder"), *flags)
    env = next(server)
    by_id = mock.patch.object(volume_types, "get_volume_type", lambda _, kind, **__: KINDS[kind])
    admin = mock.patch.object(context, "get_admin_context", lambda *_, **__: mock.Mock(is_admin=True))
    fetch = mock.patch.object(
        volume_types, "get_volume_type_extra_specs", lambda kind, key=False: KINDS[kind]["extra_specs"])
    # No service runs, so nobody else wants the driver's locks.
    locks = mock.patch.object(coordination.COORDINATOR, "get_lock", lambda _: mock.MagicMock())
    # The driver asks Cinder's database for the attachments: here there are none.
    row = Kind(volume_attachment=[], bootable=False)
    database = mock.patch.object(objects.Volume, "get_by_id", lambda *_, **__: row)
    with by_id, admin, fetch, locks, database:
        driver = make_driver(env)
        yield types.SimpleNamespace(
            driver=driver, a=Wire(env, "A", "2.26"), b=Wire(env, "B", "2.26"), mood=request.param, env=env)
    server.close()


def array_name(volume):
    return f"volume-{volume.id}-cinder"


def created(world, kind):
    volume = Volume(KINDS[kind])
    update = world.driver.create_volume(volume)
    volume.update(update or {})
    return volume


def test_set_up_made_the_backend_wide_group(world):
    group = world.a.dump()["groups"]["cinder-group"]
    assert group["targets"] == [{"name": "array-b", "allowed": True}]
    assert group["replication_schedule"]["enabled"] and group["replication_schedule"]["frequency"] == 3_600_000
    assert group["target_retention"] == {"all_for_sec": 14400, "days": 7, "per_day": 3}
    # A second start finds everything as it is.
    make_driver(world.env)


def test_stats(world):
    stats = world.driver.get_volume_stats(refresh=True)
    assert stats["replication_enabled"] and stats["replication_targets"] == ["array-b"]
    assert stats["total_capacity_gb"] == 100 << 10


def test_create_attach_snapshot_clone_extend_delete(world):
    volume = created(world, "async")
    name = array_name(volume)
    shown = world.a.dump()["volumes"][name]
    assert shown["protection_groups"] == ["cinder-group"] and not shown["destroyed"]
    assert {"ProjectId"} <= {tag["key"] for tag in shown["tags"] if tag["namespace"] == NAMESPACE}
    connector = {"initiator": "iqn.1994-05.com.redhat:guest", "host": "compute-1", "multipath": False}
    info = world.driver.initialize_connection(volume, connector)
    assert info["data"]["target_luns"] == [1, 1, 1, 1]
    assert len(set(info["data"]["target_portals"])) == 4
    assert info["data"]["wwn"] == "3624a9370" + shown["serial"].lower()
    assert len(world.a.dump()["connections"]) == 1
    world.driver.terminate_connection(volume, connector)
    assert world.a.dump()["connections"] == []
    identity = str(uuid.uuid4())
    snapshot = Kind(id=identity, name=f"snapshot-{identity}", volume_name=volume.name, volume_id=volume.id,
                    volume=volume, volume_size=1, cgsnapshot=None, group_snapshot=None, cgsnapshot_id=None,
                    group_snapshot_id=None)
    world.driver.create_snapshot(snapshot)
    assert f"{name}.snapshot-{identity}" in world.a.dump()["snapshots"]
    restored = Volume(KINDS["plain"])
    world.driver.create_volume_from_snapshot(restored, snapshot)
    clone = Volume(KINDS["plain"])
    world.driver.create_cloned_volume(clone, volume)
    world.driver.extend_volume(clone, 3)
    volumes = world.a.dump()["volumes"]
    assert volumes[array_name(restored)]["source"]["name"] == name
    assert volumes[array_name(clone)]["provisioned"] == 3 << 30
    world.driver.delete_snapshot(snapshot)
    for one in (restored, clone, volume):
        world.driver.delete_volume(one)
        assert world.a.dump()["volumes"][array_name(one)]["destroyed"]


def test_manage_list_unmanage(world):
    world.a.call("POST", "/volumes", {"provisioned": (1 << 30) + 512}, names="x1", with_default_protection=False)
    serial = world.a.dump()["volumes"]["x1"]["serial"]
    volume = Volume(KINDS["async"])
    reference = {"source-name": "x1"}
    assert world.driver.manage_existing_get_size(volume, reference) == 2
    update = world.driver.manage_existing(volume, reference)
    assert update["metadata"]["array_volume_name"] == array_name(volume)
    shown = world.a.dump()["volumes"][array_name(volume)]
    assert shown["serial"] == serial and shown["protection_groups"] == ["cinder-group"]
    listed = world.driver.get_manageable_volumes([], None, 1000, 0, ["size"], ["asc"])
    assert array_name(volume) in {one["reference"]["name"] for one in listed}
    world.driver.unmanage(volume)
    shown = world.a.dump()["volumes"][f"{array_name(volume)}-unmanaged"]
    assert shown["serial"] == serial and shown["tags"] == []
    with pytest.raises(exception.ManageExistingInvalidReference):
        world.driver.manage_existing_get_size(volume, {"source-name": "absent"})


def test_connected_volumes_are_not_managed(world):
    world.a.call("POST", "/volumes", {"provisioned": 1 << 30}, names="busy", with_default_protection=False)
    world.a.call("POST", "/hosts", {}, names="other")
    world.a.call("POST", "/connections", {}, host_names="other", volume_names="busy")
    with pytest.raises(exception.ManageExistingInvalidReference):
        world.driver.manage_existing(Volume(KINDS["async"]), {"source-name": "busy"})


def test_failover_is_refused_or_works_as_the_array_is_told(world):
    volume = created(world, "async")
    name = array_name(volume)
    world.a.call("POST", "/protection-group-snapshots", {"suffix": "now"}, source_names="cinder-group",
                 replicate_now=True, apply_retention=True)

    def arrived():
        return world.b.dump()["group_snapshots"]["array-a:cinder-group.now"]["completed"]

    wait_until(arrived)
    # The driver overwrites with with_default_protection=false: real arrays are said to refuse that.
    if world.mood == "strict":
        with pytest.raises(Exception, match="Invalid parameter combination"):
            world.driver.failover_host(None, [volume], "array-b", [])
        return
    backend, updates, _ = world.driver.failover_host(None, [volume], "array-b", [])
    assert backend == "array-b"
    assert updates[0]["updates"]["replication_status"] == "failed-over"
    copy = world.b.dump()["volumes"][name]
    assert copy["source"]["name"] == name
    assert copy["serial"] != world.a.dump()["volumes"][name]["serial"]
