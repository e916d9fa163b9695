"""The real py-pure-client drives the simulated arrays over TLS, with certificate verification.

Run: python3 -m venv V; V/bin/pip install py-pure-client pytest; V/bin/pytest tests/python/test_sim_array_pureclient.py
"""

import warnings

import pytest

pypureclient = pytest.importorskip("pypureclient", reason="py-pure-client is not installed")
from pypureclient import flasharray  # noqa: E402
from pypureclient.configuration import Configuration  # noqa: E402
from pypureclient.exceptions import PureError  # noqa: E402

from test_sim_array_common import Wire, arrays, wait_until  # noqa: E402,F401

warnings.filterwarnings("ignore", category=DeprecationWarning)

VERSIONS = ["2.4", "2.16", "2.26", None]
NAMESPACE = "openstack-integration.purestorage.com"
GIB = 1 << 30


def minor(client):
    return int(client.get_rest_version().split(".")[1])


def connect(env, letter, version=None, token=None):
    configuration = Configuration(ssl_ca_cert=env["ARRAY_CA"])
    configuration.verify_ssl = True
    return flasharray.Client(
        env[f"ARRAY_{letter}_URL"].removeprefix("https://"),
        api_token=token or env[f"ARRAY_{letter}_TOKEN"],
        version=version,
        configuration=configuration,
    )


def ok(response):
    assert response.status_code == 200, getattr(response, "errors", response)
    return list(response.items)


def ok_one(response):
    items = ok(response)
    assert len(items) == 1, items
    return items[0]


def has(model, field):
    """Whether the answer has a field: the SDK raises for nulls and for what the version lacks."""
    return getattr(model, field, None) is not None


def refused(response, words, status=400):
    assert response.status_code == status, response
    messages = [error.message or "" for error in response.errors]
    assert any(words in message for message in messages), messages


@pytest.fixture(params=VERSIONS, ids=[v or "newest" for v in VERSIONS])
def pair(request, arrays):  # noqa: F811
    tag = (request.param or "new").replace(".", "-")
    return connect(arrays, "A", request.param), connect(arrays, "B", request.param), tag


def unprotected(client):
    return {"with_default_protection": False} if minor(client) >= 16 else {}


def volume(client, name, **body):
    body = flasharray.VolumePost(**(body or {"provisioned": GIB}))
    return ok_one(client.post_volumes(names=[name], volume=body, **unprotected(client)))


def test_newest_common_version_is_negotiated(arrays):  # noqa: F811
    assert connect(arrays, "A").get_rest_version() == "2.56"
    with pytest.raises((PureError, ValueError)):
        connect(arrays, "A", "2.27")


def test_verification_is_real(arrays):  # noqa: F811
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        flasharray.Client(
            arrays["ARRAY_A_URL"].removeprefix("https://"), api_token=arrays["ARRAY_A_TOKEN"], verify_ssl=True
        )


def test_wrong_token_is_refused(arrays):  # noqa: F811
    with pytest.raises(PureError):
        connect(arrays, "A", token="00000000-0000-4000-8000-000000000000").get_arrays()


def test_replication_set_up_exactly_as_cinder_does_it(pair, arrays):  # noqa: F811
    a, b, tag = pair
    wire = Wire(arrays, "A", "2.4")
    group, remote = f"pg-{tag}", f"array-a:pg-{tag}"
    v1, v2 = f"r1-{tag}", f"r2-{tag}"
    ok(a.post_protection_groups(names=[group]))
    retention = flasharray.RetentionPolicy(all_for_sec=14400, per_day=3, days=7)
    patch = flasharray.ProtectionGroup
    ok(a.patch_protection_groups(names=[group], protection_group=patch(target_retention=retention)))
    schedule = flasharray.ReplicationSchedule
    ok(a.patch_protection_groups(names=[group], protection_group=patch(replication_schedule=schedule(frequency=3600000))))
    ok(a.post_protection_groups_targets(group_names=[group], member_names=["array-b"]))
    refused(a.post_protection_groups_targets(group_names=[group], member_names=["array-b"]), "already includes")
    assert ok_one(b.get_protection_groups(names=[remote])).is_local is False
    allow = flasharray.TargetProtectionGroupPostPatch(allowed=True)
    assert not ok_one(a.get_protection_groups_targets(group_names=[group])).allowed
    ok(b.patch_protection_groups_targets(group_names=[remote], target=allow))
    refused(b.patch_protection_groups_targets(group_names=[remote], target=allow), "already allowed on")
    assert ok_one(a.get_protection_groups_targets(group_names=[group])).allowed

    for name in (v1, v2):
        volume(a, name)
        ok(a.post_hosts(names=[f"h-{name}"], host=flasharray.HostPost(iqns=[f"iqn.2026-01.test:{name}"])))
        ok(a.post_connections(host_names=[f"h-{name}"], volume_names=[name]))
        wire.door("write", host=f"h-{name}", volume=name, stamp="one")
    ok(a.post_protection_groups_volumes(group_names=[group], member_names=[v1, v2]))
    refused(a.post_protection_groups_volumes(group_names=[group], member_names=[v1]), "already belongs to")
    members = ok(a.get_protection_groups_volumes(member_names=[v1]))
    assert [m.group.name for m in members] == [group]
    ok(a.patch_protection_groups(names=[group], protection_group=patch(replication_schedule=schedule(enabled=True))))
    whole = ok_one(a.get_protection_groups(names=[group]))
    assert whole.replication_schedule.enabled and whole.replication_schedule.frequency == 3600000
    assert whole.target_retention.days == 7 and whole.target_count == 1
    assert has(whole, "id") == (minor(a) >= 26)

    # Enabling ships a first snapshot with a number.
    def first():
        rows = ok(b.get_protection_group_snapshots_transfer(source_names=[remote], destroyed=False, sort=["started-"]))
        return [r for r in rows if has(r, "completed") and r.progress == 1.0]

    assert wait_until(first)[-1].name.startswith(f"{remote}.")

    for name in (v1, v2):
        wire.door("write", host=f"h-{name}", volume=name, stamp="two")
    suffix = f"on-demand-{tag}"
    asked = a.post_protection_group_snapshots(
        source_names=[group], replicate_now=True, apply_retention=True,
        protection_group_snapshot=flasharray.ProtectionGroupSnapshotPost(suffix=suffix),
    )
    taken = ok_one(asked)
    assert taken.name == f"{group}.{suffix}" and taken.suffix == suffix
    wire.door("write", host=f"h-{v1}", volume=v1, stamp="three")
    name = f"{remote}.{suffix}"
    # It is listed while it is on its way.
    assert ok_one(b.get_protection_group_snapshots(names=[name])).created == taken.created

    def done():
        row = ok_one(b.get_protection_group_snapshots_transfer(names=[name]))
        return row if has(row, "completed") else None

    row = wait_until(done)
    assert row.progress == 1.0 and row.completed >= row.started
    # Cinder's way of asking: group name in names, a quoted number in the filter.
    rows = ok(b.get_protection_group_snapshots_transfer(
        names=[remote], destroyed=False, sort=["started-"], filter='progress="1.0"'))
    assert name in [r.name for r in rows]
    parts = ok(b.get_volume_snapshots(filter=f"name='{name}.*'", destroyed=False))
    assert sorted(p.name for p in parts) == sorted([f"{name}.{v1}", f"{name}.{v2}"])

    source = flasharray.Reference(name=f"{name}.{v1}")
    clone = volume(b, f"clone-{tag}", source=source)
    assert clone.provisioned == GIB and clone.source.name == v1
    assert clone.serial != ok_one(a.get_volumes(names=[v1])).serial
    state = Wire(arrays, "B", "2.4").dump()
    assert state["volumes"][f"clone-{tag}"]["last_stamp"] == "two"
    assert state["volumes"][f"clone-{tag}"]["content"] == wire.dump()["snapshots"][f"{group}.{suffix}.{v1}"]["content"]


def test_overwrite_with_default_protection_is_refused(pair):
    a, _, tag = pair
    volume(a, f"ow-src-{tag}")
    volume(a, f"ow-dst-{tag}")
    body = flasharray.VolumePost(source=flasharray.Reference(name=f"ow-src-{tag}"))
    if minor(a) >= 16:
        answer = a.post_volumes(
            names=[f"ow-dst-{tag}"], volume=body, overwrite=True, with_default_protection=False)
        refused(answer, "combination")
    before = ok_one(a.get_volumes(names=[f"ow-dst-{tag}"]))
    ok(a.post_volumes(names=[f"ow-dst-{tag}"], volume=body, overwrite=True))
    assert ok_one(a.get_volumes(names=[f"ow-dst-{tag}"])).serial == before.serial


def test_paging_over_a_thousand(pair):
    a, _, tag = pair
    if minor(a) != 26:
        pytest.skip("one version is enough for a thousand volumes")
    for start in range(0, 1100, 100):
        names = [f"page{tag}-{n:04}" for n in range(start, start + 100)]
        body = flasharray.VolumePost(provisioned=1 << 20)
        assert len(ok(a.post_volumes(names=names, volume=body, with_default_protection=False))) == 100
    wanted = f"name='page{tag}-*'"
    found = ok(a.get_volumes(filter=wanted))
    assert len(found) == 1100 and len({v.name for v in found}) == 1100
    answer = a.get_volumes(filter=wanted, limit=5000)
    assert answer.more_items_remaining and answer.continuation_token
    assert a.get_volumes(filter=wanted, limit=1, total_item_count=True).total_item_count == 1100
    counted = a.get_volumes(filter=wanted, total_only=True)
    assert counted.total[0].provisioned == 1100 << 20
    backwards = ok(a.get_volumes(filter=wanted, sort=["name-"], limit=3))
    assert [v.name for v in backwards] == [f"page{tag}-{n}" for n in (1099, 1098, 1097)]


def test_destroy_recover_eradicate(pair):
    a, _, tag = pair
    name = f"gone-{tag}"
    volume(a, name)
    patch = flasharray.VolumePatch
    refused(a.delete_volumes(names=[name]), "not destroyed")
    ok(a.patch_volumes(names=[name], volume=patch(destroyed=True)))
    refused(a.patch_volumes(names=[name], volume=patch(destroyed=True)), "has been destroyed")
    shown = ok_one(a.get_volumes(names=[name]))
    assert shown.destroyed and 0 < shown.time_remaining <= 86_400_000
    assert ok(a.get_volumes(filter=f"name='{name}'", destroyed=False)) == []
    again = a.post_volumes(names=[name], volume=flasharray.VolumePost(provisioned=GIB))
    refused(again, "already exists")
    ok(a.patch_volumes(names=[name], volume=patch(destroyed=False)))
    ok(a.patch_volumes(names=[name], volume=patch(name=f"{name}-2")))
    refused(a.get_volumes(names=[name]), "does not exist")
    ok(a.patch_volumes(names=[f"{name}-2"], volume=patch(destroyed=True)))
    assert a.delete_volumes(names=[f"{name}-2"]).status_code == 200
    refused(a.get_volumes(names=[f"{name}-2"]), "does not exist")
    refused(a.patch_volumes(names=["absent"], volume=patch(destroyed=True)), "does not exist")


def test_tags(pair):
    a, _, tag = pair
    name = f"tagged-{tag}"
    volume(a, name)
    tags = [
        flasharray.Tag(copyable=False, key="ProjectId", namespace=NAMESPACE, value="p1"),
        flasharray.Tag(copyable=True, key="VolType", namespace=NAMESPACE, value="Boot"),
    ]
    assert len(ok(a.put_volumes_tags_batch(resource_names=[name], tag=tags))) == 2
    found = ok(a.get_volumes_tags(resource_names=[name], namespaces=[NAMESPACE]))
    assert {t.key: t.value for t in found} == {"ProjectId": "p1", "VolType": "Boot"}
    assert [v.name for v in ok(a.get_volumes(filter=f"tags('ProjectId','p1') and name='{name}'"))] == [name]
    volume(a, f"{name}-copy", source=flasharray.Reference(name=name))
    copied = ok(a.get_volumes_tags(resource_names=[f"{name}-copy"], namespaces=[NAMESPACE]))
    assert [t.key for t in copied] == ["VolType"]
    a.delete_volumes_tags(resource_names=[name], namespaces=[NAMESPACE])
    assert ok(a.get_volumes_tags(resource_names=[name], namespaces=[NAMESPACE])) == []


def test_hosts_and_connections(pair):
    a, _, tag = pair
    host, name = f"host-{tag}", f"conn-{tag}"
    iqn, wwn = f"iqn.1994-05.com.redhat:{tag}", f"50:00:00:00:00:00:{len(tag):02}:{ord(tag[-1]) % 100:02}"
    volume(a, name)
    refused(a.get_hosts(names=[host]), "Host does not exist")
    ok(a.post_hosts(names=[host], host=flasharray.HostPost(iqns=[iqn], wwns=[wwn])))
    refused(a.post_hosts(names=[host], host=flasharray.HostPost()), "already exists")
    other = a.post_hosts(names=[f"{host}-2"], host=flasharray.HostPost(iqns=[iqn]))
    refused(other, "already in use")
    assert [h.name for h in ok(a.get_hosts(filter=f"iqns='{iqn}' and is_local"))] == [host]
    assert [h.name for h in ok(a.get_hosts(filter=f"wwns='{wwn}' and is_local"))] == [host]
    assert ok(a.get_hosts(filter=f"iqns='{iqn}' and not is_local")) == []
    made = ok_one(a.post_connections(host_names=[host], volume_names=[name]))
    assert made.lun == 1 and made.host.name == host and made.volume.name == name
    refused(a.post_connections(host_names=[host], volume_names=[name]), "already exists")
    assert ok_one(a.get_connections(volume_names=[name])).lun == 1
    assert ok_one(a.get_volumes(names=[name])).connection_count == 1
    refused(a.delete_hosts(names=[host]), "cannot be deleted due to existing connections")
    destroy = a.patch_volumes(names=[name], volume=flasharray.VolumePatch(destroyed=True))
    refused(destroy, "existing connections")
    assert a.delete_connections(host_names=[host], volume_names=[name]).status_code == 200
    refused(a.delete_connections(host_names=[host], volume_names=[name]), "does not exist")
    assert a.delete_hosts(names=[host]).status_code == 200


def test_snapshots_of_one_volume(pair):
    a, _, tag = pair
    name = f"snapped-{tag}"
    volume(a, name)
    body = flasharray.VolumeSnapshotPost(suffix="before")
    assert ok_one(a.post_volume_snapshots(source_names=[name], volume_snapshot=body)).name == f"{name}.before"
    refused(a.post_volume_snapshots(source_names=[name], volume_snapshot=body), "already exists")
    missing = a.post_volumes(
        names=[f"{name}-c"], volume=flasharray.VolumePost(source=flasharray.Reference(name=f"{name}.no")),
        **unprotected(a))
    refused(missing, "does not exist")
    volume(a, f"{name}-c", source=flasharray.Reference(name=f"{name}.before"))
    patch = flasharray.VolumeSnapshotPatch
    ok(a.patch_volume_snapshots(names=[f"{name}.before"], volume_snapshot=patch(name="after")))
    ok(a.patch_volume_snapshots(names=[f"{name}.after"], volume_snapshot=patch(destroyed=True)))
    assert a.delete_volume_snapshots(names=[f"{name}.after"]).status_code == 200


def test_what_cinder_reads(pair):
    a, _, _ = pair
    array = ok_one(a.get_arrays())
    assert array.name == "array-a" and array.id and array.version >= "6.3.4"
    space = ok_one(a.get_arrays_space())
    assert space.capacity and space.space.total_physical is not None and space.space.total_reduction
    assert space.space.total_provisioned is not None
    answer = a.get_arrays_performance(
        start_time=1, end_time=2, resolution=30000, total_item_count=True)
    figures = ok_one(answer)
    assert answer.total_item_count == 1
    for field in ("writes_per_sec", "reads_per_sec", "write_bytes_per_sec", "read_bytes_per_sec",
                  "usec_per_read_op", "usec_per_write_op", "queue_usec_per_mirrored_write_op",
                  "queue_usec_per_read_op", "queue_usec_per_write_op"):
        assert getattr(figures, field) is not None, field
    assert ok_one(a.get_array_connections()).status == "connected"
    assert {p.name for p in ok(a.get_ports(filter="name='CT0.*'"))} >= {"CT0.ETH4"}
    interfaces = ok(a.get_network_interfaces(filter="eth.subtype='physical' and enabled"))
    assert "iscsi" in {service for i in interfaces for service in i.services}
    assert ok(a.get_network_interfaces(filter="eth.subtype='lacp_bond' or eth.subtype='vif'")) == []
    assert {c.status for c in ok(a.get_controllers(filter="status='ready'"))} == {"ready"}
    assert ok(a.get_pods(filter="name='cinder-pod'")) == []
    assert ok(a.get_volumes(filter="pod.name='cinder-pod'")) == []


def test_stretched_pod_shows_on_both_with_one_serial(pair):
    a, b, tag = pair
    pod, name = f"pod-{tag}", f"pod-{tag}::v1"
    ok(a.post_pods(names=[pod], pod=flasharray.PodPost()))
    volume(a, name)
    ok(a.post_pods_arrays(group_names=[pod], member_names=["array-b"]))
    shown = ok_one(b.get_volumes(names=[name]))
    assert shown.serial == ok_one(a.get_volumes(names=[name])).serial and shown.pod.name == pod

    def online():
        both = ok_one(b.get_pods(names=[pod])).arrays
        return len(both) == 2 and {one.status for one in both} == {"online"}

    wait_until(online)
    assert ok_one(a.get_pods(names=[pod])).array_count == 2
    stuck = a.patch_pods(names=[pod], pod=flasharray.PodPatch(destroyed=True), destroy_contents=True)
    refused(stuck, "stretched")
    assert a.delete_pods_arrays(group_names=[pod], member_names=["array-b"]).status_code == 200
    refused(b.get_pods(names=[pod]), "does not exist")
    ok(a.patch_pods(names=[pod], pod=flasharray.PodPatch(destroyed=True), destroy_contents=True))
    assert a.delete_pods(names=[pod], eradicate_contents=True).status_code == 200


def test_parameters_of_later_versions_are_refused(arrays):  # noqa: F811
    wire = Wire(arrays, "A", "2.4")
    answer = wire.call("POST", "/volumes", {"provisioned": GIB}, names="early", with_default_protection=False)
    assert answer.status == 400
    assert wire.call("GET", "/container-default-protections").status in (404, 405)
    wire = Wire(arrays, "A", "2.26")
    assert wire.call("POST", "/volumes/batch", []).status in (404, 405)


def test_expired_session_is_renewed_by_the_sdk(arrays):  # noqa: F811
    a = connect(arrays, "A", "2.26")
    wire = Wire(arrays, "A", "2.26")
    ok(a.get_arrays())
    assert len(wire.call("GET", "/sessions").items) >= 2
    old = wire.session
    wire.door("advance", ms=1_800_001)
    answer = wire.raw("GET", "/api/2.26/arrays", {"x-auth-token": old})
    assert answer.status == 401
    assert answer.json["errors"][0]["message"] == "Invalid session."
    assert answer.json["errors"][0]["location_context"]["name"] == "array-a"
    assert ok_one(a.get_arrays()).name == "array-a"


def test_reader_may_not_write(arrays):  # noqa: F811
    reader = connect(arrays, "A", "2.26", token=arrays["ARRAY_A_READER_TOKEN"])
    ok(reader.get_volumes(limit=1))
    answer = reader.post_volumes(names=["x-reader"], volume=flasharray.VolumePost(provisioned=GIB))
    assert answer.status_code == 403 and "not permitted" in answer.errors[0].message
