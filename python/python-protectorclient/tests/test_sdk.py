# SPDX-License-Identifier: Apache-2.0
import logging

import openstack.exceptions
import pytest

from protectorclient import exceptions, sdk
from tests.conftest import GROUP_ID, PROJECT, URL, VERSIONS

GROUPS = f"{URL}/v1/{PROJECT}/protection-groups"
OPERATIONS = f"{URL}/v1/{PROJECT}/operations"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", f"/v1/{PROJECT}"])
def test_the_root_is_found_in_what_catalogs_name(connect, requests_mock, suffix):
    requests_mock.get(f"{URL}/v1/health", json={"health": {"status": "ok", "components": []}})
    assert connect(URL + suffix).get_health().status == "ok"


@pytest.mark.parametrize(
    ("service", "spoken"), [("1.3", "1.3"), ("1.2", "1.2"), ("1.9", sdk.NEWEST), ("1.10", sdk.NEWEST)]
)
def test_the_newest_version_that_both_know_is_spoken(connect, requests_mock, service, spoken):
    entry = {**VERSIONS["versions"][0], "version": service}
    requests_mock.get(URL + "/", json={"versions": [entry]})
    requests_mock.get(GROUPS, json={"protection_groups": []})
    assert list(connect().protection_groups()) == []
    assert requests_mock.last_request.headers["OpenStack-API-Version"] == f"protector {spoken}"


def test_a_version_that_was_asked_for_is_spoken_without_negotiation(connect, requests_mock):
    requests_mock.get(f"{URL}/v1/health", json={"health": {}})
    connect(api_version="1.1").get_health()
    headers = requests_mock.last_request.headers
    assert headers["X-Auth-Token"] == "the-token"
    assert headers["OpenStack-API-Version"] == "protector 1.1"
    assert requests_mock.call_count == 1


def test_an_action_is_sent_as_documented(connect, requests_mock):
    requests_mock.post(f"{GROUPS}/{GROUP_ID}/action", status_code=202, json={"operation": {"id": "op-1"}})
    started = connect().failover(GROUP_ID, network_mapping={"a": "b"}, flavor_mapping=None, idempotency_key="k")
    assert started.id == "op-1"
    assert requests_mock.last_request.json() == {"failover": {"network_mapping": {"a": "b"}}}
    assert requests_mock.last_request.headers["Idempotency-Key"] == "k"


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda p: p.failover(GROUP_ID, force=True), {"failover": {"force": True}}),
        (lambda p: p.failback(GROUP_ID, reverse_replication=True), {"failback": {"reverse_replication": True}}),
        (lambda p: p.test_failover(GROUP_ID, retain_primary=True), {"test_failover": {"retain_primary": True}}),
        (lambda p: p.test_cleanup(GROUP_ID), {"test_cleanup": {}}),
        (lambda p: p.sync_volumes(GROUP_ID), {"sync_volumes": {}}),
        (lambda p: p.act(GROUP_ID, "abandon", reason="x"), {"abandon": {"reason": "x"}}),
    ],
)
def test_every_action_has_one_key(connect, requests_mock, call, body):
    requests_mock.post(f"{GROUPS}/{GROUP_ID}/action", status_code=202, json={"operation": {"id": "op-1"}})
    call(connect())
    assert requests_mock.last_request.json() == body


def test_errors_keep_codes_sentences_and_request_id(connect, requests_mock):
    sentence = "Cannot modify protection group — remote site unreachable"
    errors = [{"code": "protection_group.peer_unreachable", "detail": sentence}, {"code": "x", "detail": "second"}]
    requests_mock.get(
        f"{GROUPS}/{GROUP_ID}", status_code=409, json={"errors": errors}, headers={"X-OpenStack-Request-Id": "req-1"}
    )
    with pytest.raises(exceptions.Conflict) as caught:
        connect().get_protection_group(GROUP_ID)
    assert isinstance(caught.value, openstack.exceptions.ConflictException)
    assert caught.value.codes == ["protection_group.peer_unreachable", "x"]
    assert str(caught.value) == f"{sentence}\nsecond (HTTP 409, req-1)"


def test_a_proxys_error_is_told_and_is_no_missing_resource(connect, requests_mock):
    requests_mock.get(f"{GROUPS}/{GROUP_ID}", status_code=404, text="<html>nginx</html>")
    with pytest.raises(exceptions.ApiError, match="nginx") as caught:
        connect().get_protection_group(GROUP_ID)
    assert not isinstance(caught.value, exceptions.NotFound)


def page(*ids, more=False):
    links = [{"rel": "next", "href": "x"}] if more else []
    return {"protection_groups": [{"id": i} for i in ids], "protection_groups_links": links}


def test_a_list_is_read_to_its_end(connect, requests_mock):
    requests_mock.get(GROUPS, [{"json": page("1", "2", more=True)}, {"json": page("3")}])
    assert [g.id for g in connect().protection_groups(status="active")] == ["1", "2", "3"]
    first, second = requests_mock.request_history[-2:]
    assert first.qs == {"status": ["active"], "limit": ["500"]}
    assert second.qs == {"status": ["active"], "limit": ["500"], "marker": ["2"]}


def test_a_list_that_does_not_go_on_is_an_error_and_no_loop(connect, requests_mock):
    requests_mock.get(GROUPS, json=page("1", more=True))
    with pytest.raises(exceptions.EndlessList, match="same page"):
        list(connect().protection_groups())


def test_no_more_is_asked_for_than_is_wanted(connect, requests_mock):
    requests_mock.get(GROUPS, json=page("1", "2", more=True))
    assert len(list(connect().protection_groups(limit=2))) == 2
    assert requests_mock.last_request.qs == {"limit": ["2"]}


def test_the_journal_is_read_from_where_one_was(connect, requests_mock):
    body = {"events": [{"seq": 8, "event": "done", "member": "web-1"}], "events_links": []}
    requests_mock.get(f"{OPERATIONS}/op-1/events", json=body)
    [event] = connect().events("op-1", after=7)
    assert (event.seq, event.member) == (8, "web-1")
    assert requests_mock.last_request.qs["marker"] == ["7"]


def test_a_group_is_found_by_name_or_id(connect, requests_mock):
    named = [{"id": "1", "name": "prod"}, {"id": "2", "name": "prod-2"}]
    requests_mock.get(GROUPS, json={"protection_groups": named, "protection_groups_links": []})
    requests_mock.get(f"{GROUPS}/{GROUP_ID}", json={"protection_group": {"id": GROUP_ID}})
    assert connect().find_protection_group("prod").id == "1"
    assert connect().find_protection_group(GROUP_ID).id == GROUP_ID
    with pytest.raises(exceptions.NotThere, match=r"No protection group .* 'nope'; there are: prod, prod-2"):
        connect().find_protection_group("nope")


def test_of_two_with_one_name_an_id_is_wanted(connect, requests_mock):
    sites = [{"id": "1", "name": "s"}, {"id": "2", "name": "s"}]
    requests_mock.get(f"{URL}/v1/admin/sites", json={"sites": sites, "sites_links": []})
    with pytest.raises(exceptions.Ambiguous, match="give an id of: 1, 2"):
        connect().find_site("s")


def test_names_cannot_leave_their_place_in_the_path(connect, requests_mock):
    requests_mock.get(f"{URL}/v1/admin/tenant-mappings/..%2Fsites%3Fx", json={"tenant_mapping": {"id": "m"}})
    assert connect().get_tenant_mapping("../sites?x").id == "m"


def test_without_an_endpoint_or_project_it_says_what_to_do(connect):
    with pytest.raises(exceptions.NoEndpoint, match="catalog"):
        connect(endpoint=None).get_health()
    with pytest.raises(exceptions.NoProject, match="OS_PROJECT_NAME"):
        list(connect(project=None).protection_groups())


def test_changes_are_guarded_by_the_version(connect, requests_mock):
    requests_mock.patch(f"{GROUPS}/{GROUP_ID}", json={"protection_group": {"id": GROUP_ID}})
    connect().update_protection_group(GROUP_ID, version=7, description="x")
    assert requests_mock.last_request.headers["If-Match"] == '"7"'


def test_secrets_are_not_logged(connect, requests_mock, caplog):
    requests_mock.post(f"{GROUPS}/{GROUP_ID}/policy", json={"policy": {"primary_fa_api_token": "***"}})
    with caplog.at_level(logging.DEBUG):
        connect().set_policy(GROUP_ID, primary_fa_url="https://a", primary_fa_api_token="s3cret")
    assert requests_mock.last_request.json()["policy"]["primary_fa_api_token"] == "s3cret"
    assert "s3cret" not in caplog.text
    assert '"primary_fa_api_token": "***"' in caplog.text


def test_resources_are_those_of_the_sdk(connect, requests_mock):
    body = {"id": GROUP_ID, "name": "prod", "status": "active", "network_mapping": {"a": "b"}}
    requests_mock.get(f"{GROUPS}/{GROUP_ID}", json={"protection_group": body})
    requests_mock.get(GROUPS, json={"protection_groups": [body]})
    protector = connect()
    fetched = sdk.ProtectionGroup.new(id=GROUP_ID).fetch(protector)
    assert (fetched.name, fetched.network_mapping, fetched.quarantine) == ("prod", {"a": "b"}, None)
    assert fetched.to_dict()["status"] == "active"
    assert [group.name for group in sdk.ProtectionGroup.list(protector, paginated=False)] == ["prod"]


def test_fields_come_in_their_order_and_are_always_there():
    fields = sdk.Operation(id="op-1", status="running").fields()
    assert list(fields)[:4] == ["id", "operation_type", "status", "progress"]
    assert fields["leaked"] is None


@pytest.mark.parametrize(("current", "target"), [("a", "b"), ("b", "a")])
def test_a_group_goes_to_where_it_is_not(current, target):
    group = sdk.ProtectionGroup(primary_site_id="a", secondary_site_id="b", current_primary_site_id=current)
    assert group.target_site_id == target


def record(status, **more):
    return {"json": {"operation": {"id": "op-1", "status": status, "progress": 0, **more}}}


def test_waiting_ends_with_the_operation(connect, requests_mock):
    requests_mock.get(f"{OPERATIONS}/op-1", [record("pending"), record("running"), record("completed")])
    seen = []
    ended = connect().wait_for_operation("op-1", interval=0, callback=lambda o: seen.append(o.status))
    assert ended.status == "completed"
    assert seen == ["pending", "running", "completed"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "needs_attention"])
def test_waiting_for_an_operation_that_does_not_complete_fails(connect, requests_mock, status):
    requests_mock.get(f"{OPERATIONS}/op-1", [record(status, error_message="no quota")])
    with pytest.raises(exceptions.OperationFailed, match="no quota") as caught:
        connect().wait_for_operation("op-1", interval=0)
    assert caught.value.operation.status == status


def test_waiting_can_be_given_up(connect, requests_mock):
    requests_mock.get(f"{OPERATIONS}/op-1", [record("running")])
    with pytest.raises(exceptions.WaitTimeout, match="goes on"):
        connect().wait_for_operation("op-1", interval=0, timeout=0)
