# SPDX-License-Identifier: Apache-2.0
import pytest
from osc_lib.exceptions import CommandError

from protectorclient import exceptions
from tests.conftest import PROJECT, URL

GROUPS = f"{URL}/v1/{PROJECT}/protection-groups"
GROUP_ID = "00000000-0000-0000-0000-000000000006"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", f"/v1/{PROJECT}"])
def test_the_root_is_found_in_what_catalogs_name(connect, requests_mock, suffix):
    requests_mock.get(f"{URL}/v1/health", json={"health": {"status": "ok"}})
    assert connect(URL + suffix).health() == {"status": "ok"}


def test_a_call_carries_token_and_version(connect, requests_mock):
    requests_mock.get(f"{URL}/v1/health", json={"health": {}})
    connect(api_version="1.1").health()
    headers = requests_mock.last_request.headers
    assert headers["X-Auth-Token"] == "the-token"
    assert headers["OpenStack-API-Version"] == "protector 1.1"


def test_an_action_is_sent_as_documented(connect, requests_mock):
    requests_mock.post(f"{GROUPS}/{GROUP_ID}/action", status_code=202, json={"operation": {"id": "op-1"}})
    client = connect()
    assert client.act(GROUP_ID, "failover", network_mapping={"a": "b"}, force=None, idempotency_key="k")["id"] == "op-1"
    assert requests_mock.last_request.json() == {"failover": {"network_mapping": {"a": "b"}}}
    assert requests_mock.last_request.headers["Idempotency-Key"] == "k"


def test_errors_keep_codes_sentences_and_request_id(connect, requests_mock):
    sentence = "Cannot modify protection group — remote site unreachable"
    errors = [{"code": "protection_group.peer_unreachable", "detail": sentence}, {"code": "x", "detail": "second"}]
    requests_mock.get(
        f"{GROUPS}/{GROUP_ID}", status_code=409, json={"errors": errors}, headers={"X-OpenStack-Request-Id": "req-1"}
    )
    with pytest.raises(exceptions.ApiError) as caught:
        connect().group(GROUP_ID)
    assert caught.value.codes == ["protection_group.peer_unreachable", "x"]
    assert str(caught.value) == f"{sentence}\nsecond (HTTP 409, req-1)"


def test_a_proxys_error_is_told_too(connect, requests_mock):
    requests_mock.get(f"{GROUPS}/{GROUP_ID}", status_code=404, text="nginx")
    with pytest.raises(exceptions.ApiError) as caught:
        connect().group(GROUP_ID)
    assert not isinstance(caught.value, exceptions.NotFound)
    assert "nginx" in str(caught.value)


def test_a_list_is_read_to_its_end(connect, requests_mock):
    pages = [
        {"json": {"protection_groups": [{"id": "1"}, {"id": "2"}], "protection_groups_links": [{"rel": "next"}]}},
        {"json": {"protection_groups": [{"id": "3"}], "protection_groups_links": []}},
    ]
    requests_mock.get(GROUPS, pages)
    assert [g["id"] for g in connect().groups(status="active")] == ["1", "2", "3"]
    first, second = requests_mock.request_history
    assert first.qs == {"status": ["active"], "limit": ["500"]}
    assert second.qs == {"status": ["active"], "limit": ["500"], "marker": ["2"]}


def test_a_list_that_does_not_go_on_is_an_error_and_no_loop(connect, requests_mock):
    page = {"protection_groups": [{"id": "1"}], "protection_groups_links": [{"rel": "next"}]}
    requests_mock.get(GROUPS, json=page)
    with pytest.raises(CommandError, match="same page"):
        connect().groups()


def test_a_limit_is_kept(connect, requests_mock):
    page = {"protection_groups": [{"id": "1"}], "protection_groups_links": [{"rel": "next"}]}
    requests_mock.get(GROUPS, json=page)
    assert len(connect().groups(limit=1)) == 1
    assert requests_mock.call_count == 1


def test_a_group_is_found_by_name_or_id(connect, requests_mock):
    named = [{"id": "1", "name": "prod"}, {"id": "2", "name": "prod-2"}]
    requests_mock.get(GROUPS, json={"protection_groups": named, "protection_groups_links": []})
    requests_mock.get(f"{GROUPS}/{GROUP_ID}", json={"protection_group": {"id": GROUP_ID}})
    assert connect().find_group("prod")["id"] == "1"
    assert connect().find_group(GROUP_ID)["id"] == GROUP_ID
    with pytest.raises(CommandError, match="No protection group"):
        connect().find_group("nope")


def test_names_cannot_leave_their_place_in_the_path(connect, requests_mock):
    requests_mock.get(f"{URL}/v1/admin/tenant-mappings/..%2Fsites%3Fx", json={"tenant_mapping": {"id": "m"}})
    assert connect().tenant_mapping("../sites?x")["id"] == "m"


def test_without_an_endpoint_or_project_it_says_what_to_do(connect):
    with pytest.raises(CommandError, match="catalog"):
        connect(endpoint=None).health()
    with pytest.raises(CommandError, match="project"):
        connect(project=None).groups()


def test_changes_are_guarded_by_the_version(connect, requests_mock):
    requests_mock.patch(f"{GROUPS}/{GROUP_ID}", json={"protection_group": {"id": GROUP_ID}})
    connect().update_group(GROUP_ID, version=7, description="x")
    assert requests_mock.last_request.headers["If-Match"] == '"7"'
