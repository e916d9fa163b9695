# SPDX-License-Identifier: Apache-2.0
"""The library against the API's own description: what the service tells, the library has."""

import inspect
import json
import pathlib
import re

import pytest

from protectorclient import sdk
from protectorclient.osc.v1 import action, moves, ways_out
from protectorclient.redact import SECRET_FIELDS

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "openapi" / "protector-v1.json"
pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="outside the repository there is nothing to compare with")
VIEWS = {
    "ConsistencyGroupView": sdk.ConsistencyGroup,
    "EventView": sdk.Event,
    "GroupHealthView": sdk.GroupHealth,
    "GroupView": sdk.ProtectionGroup,
    "MemberView": sdk.Member,
    "OperationView": sdk.Operation,
    "PlanView": sdk.Plan,
    "PolicyView": sdk.Policy,
    "RecoveryPointView": sdk.RecoveryPoint,
    "ServiceHealthView": sdk.ServiceHealth,
    "SiteView": sdk.Site,
    "SyncStatusView": sdk.SyncStatus,
    "TenantMappingView": sdk.TenantMapping,
    "ValidationView": sdk.Validation,
    "VolumeTypeView": sdk.VolumeType,
}
#: No resource of a tenant's: discovery, monitoring, the other site's Protector, and what another call does as well.
NOT_OURS = re.compile(r"^/(v1/?|healthz|metrics|openapi\.json|v1/peer/.*|.*/consistency-group/sync)?$")


@pytest.fixture(scope="module")
def document():
    return json.loads(DOCUMENT.read_text())


@pytest.mark.parametrize("view", VIEWS)
def test_every_field_that_is_told_can_be_read(document, view):
    told = set(document["components"]["schemas"][view]["properties"])
    assert told - set(VIEWS[view].field_names) == set()


def test_every_call_can_be_made(document):
    source = "".join(inspect.getsource(base) for base in sdk.Proxy.__mro__ if base.__module__.startswith("protectorc"))
    for path in document["paths"]:
        if NOT_OURS.match(path):
            continue
        last = [part for part in path.split("/") if not part.startswith("{")][-1]
        assert re.search(rf'["/]{re.escape(last)}["/]', source), path


def test_every_action_has_a_command(document):
    keys = set(document["components"]["schemas"]["ActionBody"]["properties"])
    commands = [c for module in (moves, ways_out) for c in vars(module).values() if inspect.isclass(c)]
    assert {c.action for c in commands if issubclass(c, action.Action) and c is not action.Action} == keys


def test_every_parameter_of_an_action_is_sent_by_some_command(document):
    parameters = set(document["components"]["schemas"]["ActionParamsBody"]["properties"])
    source = "".join(inspect.getsource(module) for module in (action, moves, ways_out))
    for name in parameters - {"network_mapping", "flavor_mapping"}:
        assert f'"{name}"' in source, name


def test_every_secret_is_known_to_be_one(document):
    secret = re.compile("password|secret|token")
    schemas = document["components"]["schemas"]
    bodies = ["SiteCreate", "SiteUpdate", "PolicySet"]
    names = {name for body in bodies for name in schemas[body]["properties"] if secret.search(name)}
    assert names == SECRET_FIELDS
