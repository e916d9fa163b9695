# SPDX-License-Identifier: Apache-2.0
import argparse
import pathlib
from unittest import mock

import pytest
from keystoneauth1 import exceptions as ksa
from osc_lib.exceptions import CommandError

from protectorclient import exceptions
from protectorclient.osc.v1 import explain, moves
from tests import conftest

PAGES = pathlib.Path(__file__).resolve().parents[3] / "docs" / "errors"
# Their sentences say all that there is to do.
SELF_EXPLAINING = {
    "internal",
    "member.not_eligible",
    "request.invalid_value",
    "request.malformed",
    "request.too_large",
    "request.unknown_field",
    "request.unknown_parameter",
    "resource.already_exists",
    "resource.in_use",
    "resource.not_found",
    "service.upstream",
    "site.error",
    "target.quota",
}


def response(status, errors, text=""):
    return mock.Mock(
        status_code=status,
        headers={"x-openstack-request-id": "req-1", "X-OpenStack-Request-Id": "req-1"},
        text=text,
        reason="reason",
        json=mock.Mock(return_value={"errors": errors}),
    )


def error(status, *entries):
    return exceptions.from_response(response(status, list(entries)))


def test_title_detail_next_step_and_request_id_are_told():
    entry = {"code": "protection_group.wrong_state", "title": "Wrong state", "detail": "it is active"}
    text = explain.explain(error(409, entry))
    first, following = text.splitlines()
    assert first == "Wrong state: it is active (HTTP 409, req-1)"
    assert following.startswith("Next: openstack protector protection-group show")


def test_a_title_that_the_sentence_repeats_is_told_once():
    entry = {"code": "x", "title": "Not found", "detail": "Not found: web-1"}
    assert explain.explain(error(409, entry)) == "Not found: web-1 (HTTP 409, req-1)"


def test_every_reason_is_told_and_each_next_step_once():
    entries = [{"code": "mapping.missing", "detail": name} for name in ("net-a", "net-b")]
    text = explain.explain(error(409, *entries))
    assert text.startswith("net-a\nnet-b (HTTP 409")
    assert text.count("Next:") == 1


def test_the_next_step_can_be_copied():
    operation = "op-01a218cb-c629-7048-aa31-811cb8e41d77"
    args = argparse.Namespace(group="prod web")
    busy = error(409, {"code": "protection_group.busy", "detail": f"{operation} holds it"})
    assert f"operation watch {operation} follows" in explain.explain(busy, args=args)
    wrong = error(409, {"code": "protection_group.wrong_state", "detail": "no"})
    assert "protection-group show 'prod web' and" in explain.explain(wrong, args=args)
    assert "protection-group show <group> and" in explain.explain(wrong)


def test_a_code_of_the_future_links_to_its_page():
    entry = {"code": "new.code", "detail": "oh", "links": [{"rel": "help", "href": "https://help"}]}
    assert explain.explain(error(409, entry)).endswith("More: https://help")


def test_a_wrong_project_is_thought_of():
    client = mock.Mock(project_id="p1")
    text = explain.explain(error(404, {"code": "resource.not_found", "detail": "Group x does not exist"}), client)
    assert text.startswith("Group x does not exist in project p1")
    assert "OS_PROJECT_NAME" in text


def test_an_expired_token_is_told_in_words():
    text = explain.explain(ksa.Unauthorized("The request you have made requires authentication."))
    assert "expired" in text
    assert "no role in the project" in text
    assert "Next:" in text
    assert "get a new token" in explain.explain(error(401, {"code": "auth.unauthenticated", "detail": "no"}))


@pytest.mark.parametrize("kind", [ksa.ConnectFailure, ksa.ConnectTimeout, ksa.SSLError])
def test_a_site_that_does_not_answer_is_told_in_words(kind):
    text = explain.explain(kind("Unable to establish connection"), mock.Mock(root="http://site-a:8788"))
    assert text.startswith("Protector at http://site-a:8788 does not answer")
    assert "--os-cloud" in text


def test_a_keystone_that_is_down_is_told_in_words():
    failure = (
        "Failed to discover available identity versions when contacting http://site-a:5000/v3. Attempting to parse "
        "version from URL.: Unable to establish connection to http://site-a:5000/v3: HTTPConnectionPool(host='site-a', "
        'port=5000): Max retries exceeded (Caused by NewConnectionError("...: [Errno 111] Connection refused"))'
    )
    first, following = explain.explain(ksa.DiscoveryFailure(failure)).splitlines()
    assert first == "Keystone at http://site-a:5000/v3 does not answer: Connection refused"
    assert "--os-cloud" in following


def test_an_answer_of_something_else_is_not_taken_for_ours():
    text = explain.explain(exceptions.from_response(response(502, None, text="<html>bad gateway</html>")))
    assert "bad gateway" in text
    assert "did not come from Protector" in text


def test_a_command_fails_in_words(run, api):
    api.find_protection_group.side_effect = error(404, {"code": "resource.not_found", "detail": "no such group"})
    with pytest.raises(CommandError, match="no such group"):
        run(moves.Sync, ["g"])


def test_a_failed_login_is_told_in_words(run, api, monkeypatch):
    def refuse(self, parsed_args):
        raise ksa.Unauthorized("bad password")

    monkeypatch.setattr(moves.Sync, "take_action", refuse)
    with pytest.raises(CommandError, match="does not accept these credentials: bad password"):
        run(moves.Sync, ["g"])


@pytest.mark.skipif(not PAGES.exists(), reason="outside the repository there are no pages to compare with")
def test_every_code_has_a_next_step_or_needs_none():
    codes = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert codes - set(explain.NEXT) - SELF_EXPLAINING == set()
    assert set(explain.NEXT) - codes == set()
    assert conftest.PROJECT not in str(explain.NEXT)
