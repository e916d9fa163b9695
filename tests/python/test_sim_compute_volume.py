"""Simulated Nova and Cinder, judged by openstacksdk and python-openstackclient as they are.

The server is `crates/sim/examples/world.rs`; PROTECTOR_SIM_WORLD names a binary that was built before,
else `target/release/examples/world` is taken, built by cargo when it is missing.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import openstack
import openstack.exceptions
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST = "site-a@pure#pure"
MICROVERSION = "2.96"


def binary():
    given = os.environ.get("PROTECTOR_SIM_WORLD")
    if given:
        return given
    built = ROOT / "target" / "release" / "examples" / "world"
    if not built.exists():
        command = ["cargo", "build", "--release", "-p", "protector-sim", "--example", "world"]
        subprocess.run(command, cwd=ROOT, check=True)
    return str(built)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What a fresh world wrote about itself."""
    env_file = tmp_path_factory.mktemp("world") / "world.env"
    process = subprocess.Popen([binary(), "--env-file", str(env_file)])
    try:
        deadline = time.monotonic() + 30
        while not env_file.exists():
            assert process.poll() is None, "the world ended"
            assert time.monotonic() < deadline, "the world did not start"
            time.sleep(0.02)
        yield dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    finally:
        process.terminate()
        process.wait(timeout=20)


def auth(served, user):
    key = user.upper().replace("-", "_")
    return {
        "auth_url": served["SIM_A_AUTH_URL"],
        "username": user,
        "password": served[f"SIM_A_{key}_PASSWORD"],
        "project_name": served[f"SIM_A_{key}_PROJECT"],
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


def connect(served, user, **more):
    return openstack.connect(region_name=served["SIM_A_REGION"], **auth(served, user), **more)


@pytest.fixture(scope="module")
def admin(served):
    return connect(served, "admin")


@pytest.fixture(scope="module")
def member(served, admin):
    admin.compute.create_flavor(name="m1.lab", ram=256, vcpus=1, disk=0)
    return connect(served, "app-user")


@pytest.fixture(scope="module")
def array_a(served):
    """The state of array a, as its dump tells it."""

    def look():
        url = served["SIM_A_ARRAY_PLAIN_URL"] if "SIM_A_ARRAY_PLAIN_URL" in served else None
        if url is None:
            import ssl

            context = ssl.create_default_context(cafile=served["SIM_CA_FILE"])
            with urllib.request.urlopen(served["SIM_A_ARRAY_URL"] + "/_sim/dump", context=context) as r:
                return json.load(r)
        with urllib.request.urlopen(url + "/_sim/dump") as r:
            return json.load(r)

    return look


def allow(served, rule, expression):
    body = json.dumps({rule: expression}).encode()
    request = urllib.request.Request(
        served["SIM_A_URL"] + "/_sim/policy", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status in (200, 201, 204)


def volume(cloud, name, kind, bootable=False, **more):
    more.setdefault("size", 1)
    made = cloud.block_storage.create_volume(name=name, volume_type=kind, **more)
    made = cloud.block_storage.wait_for_status(
        made, "available", failures=["error"], interval=0.05, wait=20)
    if bootable:
        cloud.block_storage.set_volume_bootable_status(made, True)
    return cloud.block_storage.get_volume(made)


def server(cloud, name, boot, networks):
    made = cloud.compute.create_server(
        name=name, flavor_id=cloud.compute.find_flavor("m1.lab").id, networks=networks,
        block_device_mapping=[{
            "uuid": boot.id, "source_type": "volume", "destination_type": "volume",
            "boot_index": 0, "delete_on_termination": False}])
    return cloud.compute.wait_for_server(made, interval=0.05, wait=20)


def settled(cloud, made, status):
    """The server once no task runs any more; it must be in this status then."""
    deadline = time.monotonic() + 20
    while True:
        made = cloud.compute.get_server(made.id)
        if made.task_state is None:
            assert made.status == status
            return made
        assert time.monotonic() < deadline, made.task_state
        time.sleep(0.02)


def test_types_and_volumes(member, admin):
    assert {t.name for t in member.block_storage.types()} == {"replicated", "plain"}
    seen = {t.name: t.extra_specs for t in admin.block_storage.types()}
    assert seen["replicated"]["replication_type"] == "<in> async"
    made = volume(member, "v", "replicated", metadata={"a": "b"})
    assert made.replication_status == "enabled"
    assert made.metadata["array_volume_name"] == f"volume-{made.id}-cinder"
    assert [v.id for v in member.block_storage.volumes(name="v")] == [made.id]
    member.block_storage.extend_volume(made, 3)
    made = member.block_storage.wait_for_status(
        member.block_storage.get_volume(made), "available", interval=0.05, wait=20)
    assert made.size == 3
    member.block_storage.retype_volume(made, "plain", "never")
    made = member.block_storage.wait_for_status(
        member.block_storage.get_volume(made), "available", interval=0.05, wait=20)
    assert made.volume_type == "plain"
    snapshot = member.block_storage.create_snapshot(volume_id=made.id, name="s")
    snapshot = member.block_storage.wait_for_status(snapshot, "available", interval=0.05, wait=20)
    with pytest.raises(openstack.exceptions.BadRequestException):
        member.block_storage.delete_volume(made)
    copy = volume(member, "copy", "plain", snapshot_id=snapshot.id, size=3)
    member.block_storage.delete_volume(copy)
    member.block_storage.delete_snapshot(snapshot)
    member.block_storage.wait_for_delete(snapshot, interval=0.05, wait=20)
    member.block_storage.delete_volume(made)
    member.block_storage.wait_for_delete(made, interval=0.05, wait=20)


def test_volumes_are_paged(member):
    ids = {volume(member, f"page-{n}", "plain").id for n in range(5)}
    found = [v for v in member.block_storage.volumes(limit=2) if v.name.startswith("page-")]
    assert {v.id for v in found} == ids
    for one in found:
        member.block_storage.delete_volume(one)
        member.block_storage.wait_for_delete(one, interval=0.05, wait=20)


def test_the_life_of_a_server(member, array_a):
    boot = volume(member, "root", "replicated", bootable=True)
    member.block_storage.set_volume_metadata(boot, purpose="root")
    member.block_storage.set_volume_image_metadata(boot, hw_firmware_type="uefi")
    network = member.network.find_network("app-net")
    port = member.network.create_port(network_id=network.id, name="p1")
    vm = server(member, "vm1", boot, [{"port": port.id}])
    assert vm.status == "ACTIVE"
    assert vm.addresses["app-net"][0]["addr"] == port.fixed_ips[0]["ip_address"]
    assert member.network.get_port(port).status == "ACTIVE"
    assert member.block_storage.get_volume(boot).status == "in-use"
    data = volume(member, "data", "replicated")
    member.compute.create_volume_attachment(vm, volume_id=data.id)
    member.block_storage.wait_for_status(data, "in-use", interval=0.05, wait=20)
    rows = list(member.compute.volume_attachments(vm))
    assert {row.volume_id for row in rows} == {boot.id, data.id}
    assert len(array_a()["connections"]) == 2

    member.compute.stop_server(vm)
    vm = settled(member, vm, "SHUTOFF")
    with pytest.raises(openstack.exceptions.ConflictException, match="vm_state stopped"):
        member.compute.stop_server(vm)
    assert len(array_a()["connections"]) == 2
    member.compute.start_server(vm)
    vm = settled(member, vm, "ACTIVE")

    member.compute.lock_server(vm, locked_reason="drill")
    with pytest.raises(openstack.exceptions.ConflictException, match="is locked"):
        member.compute.stop_server(vm)
    assert member.compute.get_server(vm.id).is_locked
    member.compute.unlock_server(vm)
    member.compute.set_server_metadata(vm, owner="me")
    member.compute.reboot_server(vm, "HARD")
    vm = settled(member, vm, "ACTIVE")

    with pytest.raises(openstack.exceptions.BadRequestException, match="root device"):
        member.compute.delete_volume_attachment(vm, boot.id)
    member.compute.delete_volume_attachment(vm, data.id)
    member.block_storage.wait_for_status(
        member.block_storage.get_volume(data), "available", interval=0.05, wait=20)
    assert [i.port_id for i in member.compute.server_interfaces(vm)] == [port.id]
    assert "create" in {a.action for a in member.compute.server_actions(vm)}

    with pytest.raises(openstack.exceptions.BadRequestException, match="is not bootable"):
        server(member, "vm2", data, "none")
    member.block_storage.set_volume_bootable_status(data, True)
    with pytest.raises(openstack.exceptions.ConflictException, match="still in use"):
        server(member, "vm2", data, [{"port": port.id}])

    member.compute.delete_server(vm)
    member.compute.wait_for_delete(vm, interval=0.05, wait=20)
    for one in (boot, data):
        seen = member.block_storage.get_volume(one)
        assert (seen.status, seen.attachments) == ("available", [])
    assert member.network.get_port(port).device_id == ""
    member.network.delete_port(port)
    for one in (boot, data):
        member.block_storage.delete_volume(one)
        member.block_storage.wait_for_delete(one, interval=0.05, wait=20)
    assert len(array_a()["connections"]) == 0


def test_manage_and_unmanage(served, member, admin, array_a):
    source = volume(member, "source", "replicated")
    name = source.metadata["array_volume_name"]
    with pytest.raises(openstack.exceptions.ForbiddenException):
        member.block_storage.unmanage_volume(source)
    for rule in ("volume_manage", "volume_unmanage"):
        allow(served, "volume_extension:" + rule, "rule:admin_or_owner")
    member.block_storage.unmanage_volume(source)
    member.block_storage.wait_for_delete(source, interval=0.05, wait=20)
    assert name + "-unmanaged" in array_a()["volumes"]
    answer = member.block_storage.post("/os-volume-manage", json={"volume": {
        "host": HOST, "ref": {"source-name": name + "-unmanaged"}, "name": "managed",
        "volume_type": "replicated", "bootable": True, "metadata": {"lost": "yes"}}})
    assert answer.status_code == 202, answer.text
    made = member.block_storage.get_volume(answer.json()["volume"]["id"])
    made = member.block_storage.wait_for_status(
        made, "available", failures=["error"], interval=0.05, wait=20)
    assert made.metadata == {"array_volume_name": f"volume-{made.id}-cinder", "array_name": "array-a"}
    assert made.is_bootable
    groups = array_a()["volumes"][made.metadata["array_volume_name"]]["protection_groups"]
    assert "cinder-group" in groups
    params = {"host": HOST}
    refused = member.block_storage.get("/manageable_volumes/detail", params=params, microversion="3.8")
    assert refused.status_code == 403
    found = admin.block_storage.get("/manageable_volumes/detail", params=params, microversion="3.8")
    assert found.status_code == 200
    assert {row["reference"]["name"] for row in found.json()["manageable-volumes"]} >= {
        made.metadata["array_volume_name"]}
    managed = admin.block_storage.get_volume(made.id)
    assert managed.host == HOST
    member.block_storage.delete_volume(made)
    member.block_storage.wait_for_delete(made, interval=0.05, wait=20)


def test_keypairs_groups_and_quotas(member, admin):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"
    made = member.compute.create_keypair(name="k", public_key=key)
    assert made.fingerprint.startswith("0f:a2")
    assert [k.name for k in member.compute.keypairs()] == ["k"]
    member.compute.delete_keypair("k")
    group = member.compute.create_server_group(name="g", policy="anti-affinity")
    assert member.compute.get_server_group(group.id).policy == "anti-affinity"
    member.compute.delete_server_group(group)
    project = member.current_project_id
    assert member.compute.get_quota_set(project, usage=True).usage["instances"] >= 0
    assert member.block_storage.get_quota_set(project, usage=True).usage["volumes"] >= 0
    admin.block_storage.update_quota_set(project, volumes=500)
    assert member.block_storage.get_quota_set(project).volumes == 500
    assert member.compute.get_limits().absolute.total_cores_used >= 0
    assert member.block_storage.get_limits().absolute.max_total_volumes == 500
    assert {s.binary for s in admin.block_storage.services()} == {"cinder-scheduler", "cinder-volume"}
    pools = list(admin.block_storage.backend_pools())
    assert pools[0].capabilities["volume_backend_name"] == "pure"
    assert [z.name for z in member.compute.availability_zones()] == ["nova"]
    assert {s.binary for s in admin.compute.services()} >= {"nova-compute"}
    assert len(list(admin.compute.hypervisors())) == 4


def test_the_command_line(served, member):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    env.update({"OS_" + k.upper(): v for k, v in auth(served, "app-user").items()})
    env["OS_REGION_NAME"] = served["SIM_A_REGION"]
    env["OS_COMPUTE_API_VERSION"] = MICROVERSION

    def run(*words, fmt=True):
        command = [sys.executable, "-m", "openstackclient.shell", *words]
        if fmt:
            command += ["-f", "json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (words, done.stderr)
        return json.loads(done.stdout) if fmt and done.stdout.strip() else done.stdout

    made = run("volume", "create", "--size", "1", "--type", "replicated", "--bootable", "cli")
    deadline = time.monotonic() + 20
    while run("volume", "show", made["id"])["status"] != "available":
        assert time.monotonic() < deadline
    vm = run("server", "create", "--flavor", "m1.lab", "--volume", made["id"], "--network", "app-net",
             "--wait", "cli-vm")
    assert vm["status"] == "ACTIVE"
    assert "cli-vm" in [row["Name"] for row in run("server", "list")]
    run("server", "stop", "cli-vm", fmt=False)
    while run("server", "show", "cli-vm")["status"] != "SHUTOFF":
        assert time.monotonic() < deadline + 20
    run("server", "lock", "--reason", "cli", "cli-vm", fmt=False)
    assert run("server", "show", "cli-vm")["locked_reason"] == "cli"
    run("server", "unlock", "cli-vm", fmt=False)
    run("server", "start", "cli-vm", fmt=False)
    assert any(row["ID"] == made["id"] for row in run("volume", "list"))
    run("server", "delete", "--wait", "cli-vm", fmt=False)
    run("volume", "delete", made["id"], fmt=False)
