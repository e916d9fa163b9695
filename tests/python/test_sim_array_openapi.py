"""Every answer of a broad run against the simulated arrays is checked with Pure's OpenAPI descriptions.

PROTECTOR_FLASHARRAY_OPENAPI names the folder with FA2.X.spec.yaml (default: ../shared/reference/
flasharray-openapi beside the repository). Without it the tests are skipped, loudly.
Run: V/bin/pip install pytest jsonschema PyYAML; V/bin/pytest tests/python/test_sim_array_openapi.py
"""

import os
import pathlib
import warnings

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

from test_sim_array_common import ROOT, Wire, serve, wait_until  # noqa: E402

FOLDER = pathlib.Path(
    os.environ.get("PROTECTOR_FLASHARRAY_OPENAPI", ROOT.parent / "shared/reference/flasharray-openapi"))
VERSIONS = ["2.4", "2.16", "2.26", "2.56"]
GIB = 1 << 30
# The descriptions never say "nullable", but these are null while there is nothing to tell.
MAY_BE_NULL = {"continuation_token", "total_item_count", "completed", "started", "progress",
               "data_transferred", "physical_bytes_written"}


class Description:
    def __init__(self, version):
        path = FOLDER / f"FA{version}.spec.yaml"
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.version = version
        self.document = yaml.load(path.read_text(), Loader=loader)
        self.validators = {}
        self.seen = set()

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    def convert(self, node, name=""):
        """An OAS 3.0 schema as a strict JSON schema: allOf is merged, unknown fields are errors."""
        node = self.resolve(node)
        kind, properties, items = node.get("type"), {}, node.get("items")
        enum = node.get("enum")
        for part in node.get("allOf", []):
            part = self.convert(part, name)
            properties.update(part.get("properties", {}))
            kind = kind or part.get("x-kind")
            items = items or part.get("x-items")
        choices = [self.convert(part, name) for key in ("oneOf", "anyOf") for part in node.get(key, [])]
        for key, value in node.get("properties", {}).items():
            properties[key] = self.convert(value, key)
        out = {"x-kind": kind, "x-items": items}
        if properties:
            out |= {"properties": properties, "additionalProperties": False}
            kind = "object"
        if choices and not properties:
            out["anyOf"] = choices
        elif kind:
            out["type"] = kind
        if enum:
            out["enum"] = enum
        if kind == "array" and items:
            out["items"] = self.convert(items, name)
        if node.get("nullable") or name in MAY_BE_NULL:
            out = {"anyOf": [out, {"type": "null"}], "x-kind": kind, "x-items": items}
        return out

    def validator(self, method, path):
        key = (method, path)
        if key not in self.validators:
            operation = self.document["paths"][f"/api/{self.version}{path}"][method.lower()]
            content = self.resolve(operation["responses"]["200"]).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            self.validators[key] = schema and jsonschema.Draft202012Validator(self.convert(schema))
        return self.validators[key]

    def check(self, method, path, answer):
        self.seen.add((method, path))
        validator = self.validator(method, path)
        if validator is None:
            assert answer.json is None, f"{method} {path}: a body where none is described"
            return
        assert answer.json is not None, f"{method} {path}: no body"
        faults = [f"{list(e.absolute_path)}: {e.message[:300]}" for e in validator.iter_errors(answer.json)]
        assert not faults, f"{method} {path} ({self.version}): " + "; ".join(faults[:5])


class Checked(Wire):
    """Speaks to one array and checks every answer."""

    def __init__(self, env, letter, description):
        super().__init__(env, letter, description.version)
        self.description = description

    def ok(self, method, path, body=None, **query):
        answer = self.call(method, path, body, **query)
        assert answer.status == 200, f"{method} {path} {query}: {answer.status} {answer.text}"
        self.description.check(method, path, answer)
        return answer

    def no(self, words, method, path, body=None, **query):
        answer = self.call(method, path, body, **query)
        assert answer.status == 400, f"{method} {path} {query}: {answer.status} {answer.text}"
        assert set(answer.json) == {"errors"} and answer.json["errors"], answer.text
        for error in answer.json["errors"]:
            assert isinstance(error["message"], str) and set(error) <= {"context", "message", "location_context"}
        assert words in answer.message, answer.message


@pytest.fixture(scope="module", params=VERSIONS)
def described(request, tmp_path_factory):
    version = request.param
    if not (FOLDER / f"FA{version}.spec.yaml").exists():
        message = f"CONFORMANCE NOT TESTED: no FA{version}.spec.yaml in {FOLDER}"
        warnings.warn(message)
        print(f"\n*** {message} ***")
        pytest.skip(message)
    description = Description(version)
    server = serve(tmp_path_factory.mktemp("openapi"))
    env = next(server)
    yield Checked(env, "A", description), Checked(env, "B", description), int(version.split(".")[1])
    server.close()


def test_the_checker_itself_finds_faults(described):
    validator = described[0].description.validator("GET", "/volumes")

    def faults(item, **more):
        return [error.message for error in validator.iter_errors({"items": [item], **more})]

    assert faults({"name": "v", "space": {"shared": 1}}, continuation_token=None) == []
    for wrong in ({"bogus": 1}, {"space": {"bogus": 1}}, {"provisioned": "1"}, {"pod": {"id": None}}, {"name": None}):
        assert faults(wrong), wrong
    assert faults({}, bogus=1)


def unprotected(minor):
    return {"with_default_protection": False} if minor >= 16 else {}


def test_a_broad_run_conforms(described):
    a, b, minor = described
    a.description.seen.clear()
    login = a.login()
    a.description.check("POST", "/login", login)
    arrays_and_hardware(a, minor)
    volumes(a, minor)
    hosts(a, minor)
    replication(a, b, minor)
    pods(a, b, minor)
    accounts_and_defaults(a, minor)
    b.login()
    logout = b.raw("POST", f"/api/{b.version}/logout", {"x-auth-token": b.session})
    assert logout.status == 200
    assert len(a.description.seen) >= (70 if minor >= 16 else 65), sorted(a.description.seen)


def arrays_and_hardware(a, minor):
    for path in ("/arrays", "/arrays/space", "/arrays/performance", "/controllers", "/ports",
                 "/network-interfaces", "/array-connections", "/array-connections/connection-key"):
        assert a.ok("GET", path).items
    a.ok("PATCH", "/arrays", {"idle_timeout": 1_800_000})
    a.no("Missing or invalid", "PATCH", "/arrays", {"idle_timeout": 1234})
    a.ok("PATCH", "/array-connections", {"default_limit": 1 << 30}, names="array-b")
    a.no("does not exist", "GET", "/array-connections", names="nowhere")


def volumes(a, minor):
    plain = unprotected(minor)
    a.ok("POST", "/volumes", {"provisioned": GIB}, names=["v1", "v2"], **plain)
    a.ok("POST", "/volumes", {"source": {"name": "v1"}}, names="v3", **plain)
    a.ok("POST", "/volumes", {"source": {"name": "v1"}}, names="v3", overwrite=True)
    a.no("already exists", "POST", "/volumes", {"provisioned": GIB}, names="v1", **plain)
    a.no("between 1 and 63 characters", "POST", "/volumes", {"provisioned": GIB}, names="v.1", **plain)
    a.no("No such volume or snapshot", "POST", "/volumes", {"source": {"name": "v9"}}, names="v4", **plain)
    one = a.ok("GET", "/volumes", names="v1").items[0]
    a.ok("GET", "/volumes", ids=one["id"])
    a.no("cannot be set together", "GET", "/volumes", ids=one["id"], names="v1")
    page = a.ok("GET", "/volumes", limit=2, total_item_count=True)
    assert page.json["more_items_remaining"] and page.json["total_item_count"] == 3
    a.ok("GET", "/volumes", continuation_token=page.json["continuation_token"])
    a.ok("GET", "/volumes", total_only=True)
    a.ok("GET", "/volumes", sort="created,name-", filter="provisioned>=1 and not destroyed")
    a.no("Invalid filter", "GET", "/volumes", filter="nonsense='1'")
    a.no("Invalid query parameter", "GET", "/volumes", bogus="1")
    a.no("Invalid body field", "POST", "/volumes", {"size": 1}, names="v5", **plain)
    for path in ("/volumes/space", "/volumes/performance"):
        a.ok("GET", path, names="v1")
    a.ok("PATCH", "/volumes", {"provisioned": 2 * GIB}, names="v2")
    a.no("truncation", "PATCH", "/volumes", {"provisioned": GIB}, names="v2")
    a.ok("PATCH", "/volumes", {"provisioned": GIB}, names="v2", truncate=True)
    a.ok("PATCH", "/volumes", {"qos": {"bandwidth_limit": 1 << 27, "iops_limit": 1000}}, names="v2")
    a.ok("PATCH", "/volumes", {"requested_promotion_state": "demoted"}, names="v2")
    a.ok("PATCH", "/volumes", {"name": "v2b"}, names="v2")
    a.ok("PATCH", "/volumes", {"destroyed": True}, names="v2b")
    a.ok("GET", "/volumes", destroyed=True)
    a.ok("DELETE", "/volumes", names="v2b")
    a.ok("POST", "/volume-snapshots", {"suffix": "s1"}, source_names="v1")
    a.ok("POST", "/volume-snapshots", source_names="v1")
    a.ok("GET", "/volume-snapshots", source_names="v1")
    a.ok("GET", "/volume-snapshots/transfer")
    a.ok("PATCH", "/volume-snapshots", {"name": "s2"}, names="v1.s1")
    a.ok("PATCH", "/volume-snapshots", {"destroyed": True}, names="v1.s2")
    a.ok("DELETE", "/volume-snapshots", names="v1.s2")
    tags = [{"key": "k", "value": "v", "namespace": "ns", "copyable": False}]
    a.ok("PUT", "/volumes/tags/batch", tags, resource_names="v1")
    assert a.ok("GET", "/volumes/tags", namespaces="ns").items
    a.ok("DELETE", "/volumes/tags", resource_names="v1", namespaces="ns")
    a.ok("POST", "/volume-groups", {}, names="vg")
    a.ok("POST", "/volumes", {"provisioned": GIB}, names="vg/in", **plain)
    a.ok("GET", "/volume-groups")
    a.ok("GET", "/volume-groups/volumes")
    a.ok("GET", "/volumes/volume-groups", member_names="vg/in")
    a.ok("PATCH", "/volume-groups", {"name": "vg2"}, names="vg")
    a.ok("PATCH", "/volume-groups", {"destroyed": True}, names="vg2", destroy_contents=True)
    a.ok("DELETE", "/volume-groups", names="vg2", eradicate_contents=True)
    if minor >= 32:
        batch = [{"name": "b1", "provisioned": GIB}, {"name": "b2", "source": {"name": "v1"}}]
        assert len(a.ok("POST", "/volumes/batch", batch, with_default_protection=False).items) == 2
        a.no("already exists", "POST", "/volumes/batch", batch, with_default_protection=False)
    else:
        assert a.call("POST", "/volumes/batch", []).status in (404, 405)


def hosts(a, minor):
    a.ok("POST", "/hosts", {"iqns": ["iqn.2026-01.x:1"], "chap": {"host_password": "p", "host_user": "u"}}, names="h1")
    a.ok("POST", "/hosts", {"wwns": ["5000000000000001"]}, names="h2")
    a.ok("POST", "/hosts", {"nqns": ["nqn.x"], "personality": "esxi"}, names="h3")
    assert "p" != a.ok("GET", "/hosts", names="h1").items[0]["chap"]["host_password"]
    a.ok("PATCH", "/hosts", {"add_iqns": ["iqn.2026-01.x:2"], "remove_iqns": ["iqn.2026-01.x:1"]}, names="h1")
    a.ok("POST", "/host-groups", {}, names="hg")
    a.ok("POST", "/host-groups/hosts", group_names="hg", member_names=["h1", "h2"])
    a.ok("GET", "/host-groups/hosts")
    a.ok("GET", "/hosts/host-groups", member_names="h1")
    a.ok("GET", "/host-groups")
    shared = a.ok("POST", "/connections", {}, host_group_names="hg", volume_names="v1").items[0]
    assert shared["lun"] == 254
    private = a.ok("POST", "/connections", {}, host_names="h3", volume_names=["v1", "v3"]).items
    assert [one["lun"] for one in private] == [1, 2]
    assert len(a.ok("GET", "/connections", volume_names="v1").items) == 3
    assert a.ok("GET", "/volumes", names="v1").items[0]["connection_count"] == 2
    a.no("single name", "POST", "/connections", {}, host_names=["h1", "h3"], volume_names=["v1", "v3"])
    a.no("LUN", "POST", "/connections", {"lun": 4096}, host_names="h1", volume_names="v3")
    a.no("existing connections", "DELETE", "/host-groups", names="hg")
    a.ok("DELETE", "/connections", host_group_names="hg", volume_names="v1")
    a.ok("DELETE", "/connections", host_names="h3", volume_names=["v1", "v3"])
    a.ok("DELETE", "/host-groups/hosts", group_names="hg", member_names=["h1", "h2"])
    a.ok("PATCH", "/host-groups", {"name": "hg2"}, names="hg")
    a.ok("DELETE", "/host-groups", names="hg2")
    a.ok("DELETE", "/hosts", names=["h1", "h2", "h3"])


def replication(a, b, minor):
    a.ok("POST", "/protection-groups", names="pg")
    a.ok("PATCH", "/protection-groups", {"target_retention": {"all_for_sec": 14400, "per_day": 3, "days": 7}}, names="pg")
    changed = a.ok("PATCH", "/protection-groups", {"replication_schedule": {"frequency": 86_400_000}}, names="pg").items[0]
    assert changed["target_retention"]["days"] == 7
    a.ok("PATCH", "/protection-groups", {"replication_schedule": {"at": 3600, "blackout": {"start": 0, "end": 7_200_000}}}, names="pg")
    a.ok("PATCH", "/protection-groups", {"replication_schedule": {"frequency": 3_600_000}}, names="pg")
    a.no("at least 5 minutes", "PATCH", "/protection-groups", {"replication_schedule": {"frequency": 60_000}}, names="pg")
    a.ok("POST", "/protection-groups/volumes", group_names="pg", member_names=["v1", "v3"])
    a.no("no targets", "POST", "/protection-group-snapshots", {}, source_names="pg", replicate_now=True)
    a.ok("POST", "/protection-groups/targets", group_names="pg", member_names="array-b")
    b.ok("GET", "/protection-groups", names="array-a:pg")
    b.ok("GET", "/protection-groups/targets", group_names="array-a:pg")
    a.no("target array only", "PATCH", "/protection-groups/targets", {"allowed": True}, group_names="pg")
    b.ok("PATCH", "/protection-groups/targets", {"allowed": True}, group_names="array-a:pg")
    a.ok("GET", "/protection-groups/targets", group_names="pg", member_names="array-b")
    a.ok("GET", "/protection-groups", total_only=True)
    a.ok("GET", "/protection-groups/volumes", group_names="pg")
    a.ok("GET", "/volumes/protection-groups", member_names="v1")
    a.no("used together", "POST", "/protection-group-snapshots", {}, source_names="pg", replicate=True, replicate_now=True)
    snap = a.ok("POST", "/protection-group-snapshots", {"suffix": "x1"}, source_names="pg", replicate_now=True, apply_retention=True)
    assert snap.items[0]["name"] == "pg.x1"
    a.ok("POST", "/protection-group-snapshots", {}, source_names="pg", replicate=True)
    a.ok("POST", "/protection-group-snapshots", {"suffix": "local"}, source_names="pg")
    a.ok("GET", "/protection-group-snapshots/transfer", source_names="pg")
    for one in (a, b):
        one.ok("GET", "/protection-group-snapshots")

    def done():
        rows = b.ok("GET", "/protection-group-snapshots/transfer", source_names="array-a:pg", sort="started-").items
        b.ok("GET", "/volume-snapshots/transfer")
        return len(rows) == 2 and all(row["completed"] for row in rows)

    wait_until(done)
    b.ok("POST", "/volumes", {"source": {"name": "array-a:pg.x1.v1"}}, names="copy", **unprotected(minor))
    b.ok("POST", "/protection-groups", names="restored", source_names="array-a:pg.x1")
    assert len(b.ok("GET", "/protection-groups/volumes", group_names="restored").items) == 2
    if minor >= 25:
        a.ok("POST", "/protection-group-snapshots/replica", names="pg.local", on="array-b")
    a.no("alone", "PATCH", "/volume-snapshots", {"destroyed": True}, names="pg.local.v1", replication_snapshot=True)
    a.ok("PATCH", "/protection-group-snapshots", {"name": "renamed"}, names="pg.local")
    a.ok("PATCH", "/protection-group-snapshots", {"destroyed": True}, names="pg.renamed")
    a.ok("DELETE", "/protection-group-snapshots", names="pg.renamed")
    b.ok("PATCH", "/protection-group-snapshots", {"destroyed": True}, names="array-a:pg.x1")
    b.ok("PATCH", "/protection-groups/targets", {"allowed": False}, group_names="array-a:pg")
    a.ok("DELETE", "/protection-groups/volumes", group_names="pg", member_names="v3")
    a.ok("DELETE", "/volumes/protection-groups", group_names="pg", member_names="v1")
    a.ok("POST", "/volumes/protection-groups", group_names="pg", member_names="v1")
    a.ok("DELETE", "/protection-groups/targets", group_names="pg", member_names="array-b")
    a.ok("PATCH", "/protection-groups", {"name": "pg2"}, names="pg")
    a.ok("PATCH", "/protection-groups", {"destroyed": True}, names="pg2")
    a.ok("DELETE", "/protection-groups", names="pg2")


def pods(a, b, minor):
    a.ok("POST", "/pods", {}, names="pod")
    a.ok("POST", "/volumes", {"provisioned": GIB}, names="pod::pv", **unprotected(minor))
    a.ok("POST", "/pods/arrays", group_names="pod", member_names="array-b")
    b.ok("GET", "/pods", names="pod")
    a.ok("GET", "/pods/arrays", group_names="pod")
    b.ok("GET", "/volumes", filter="pod.name='pod'")
    if minor >= 36:
        assert len(a.ok("GET", "/pods/members", pod_names="pod").items) == 2
    a.ok("DELETE", "/pods/arrays", group_names="pod", member_names="array-b")
    assert b.ok("GET", "/pods", destroyed=True).items[0]["name"].startswith("pod.restretch")
    a.ok("PATCH", "/pods", {"name": "pod2"}, names="pod")
    a.no("not empty", "PATCH", "/pods", {"destroyed": True}, names="pod2")
    a.ok("PATCH", "/pods", {"destroyed": True}, names="pod2", destroy_contents=True)
    a.ok("DELETE", "/pods", names="pod2", eradicate_contents=True)
    a.ok("GET", "/remote-pods")
    a.ok("GET", "/pod-replica-links")


def accounts_and_defaults(a, minor):
    a.ok("GET", "/admins")
    a.ok("GET", "/admins/api-tokens", expose_api_token=True)
    a.ok("GET", "/sessions")
    if minor < 16:
        return
    a.ok("POST", "/protection-groups", names="safe")
    protections = {"default_protections": [{"name": "safe", "type": "protection_group"}]}
    a.ok("PATCH", "/container-default-protections", protections, names="array-a")
    a.ok("GET", "/container-default-protections")
    a.ok("POST", "/volumes", {"provisioned": GIB}, names="by-default")
    a.ok("POST", "/volumes", {"provisioned": GIB}, names="without", with_default_protection=False)
    a.no("combination", "POST", "/volumes", {"source": {"name": "v1"}}, names="without", overwrite=True, with_default_protection=False)
    members = a.ok("GET", "/protection-groups/volumes", group_names="safe").items
    assert [m["member"]["name"] for m in members] == ["by-default"]
    a.ok("PATCH", "/protection-groups", {"retention_lock": "ratcheted"}, names="safe")
    a.no("ratcheted", "DELETE", "/protection-groups/volumes", group_names="safe", member_names="by-default")
    a.no("support", "PATCH", "/protection-groups", {"retention_lock": "unlocked"}, names="safe")
    a.ok("PATCH", "/volumes", {"destroyed": True}, names="by-default")
    a.no("SafeMode", "DELETE", "/volumes", names="by-default")
    a.ok("GET", "/arrays")


def test_unknown_paths_and_versions(described):
    a, _, _ = described
    assert a.call("GET", "/nonsense").status == 404
    assert a.raw("GET", "/api/2.12/arrays").status == 404
    assert a.raw("GET", "/api/2.18/arrays").status == 404
    versions = a.raw("GET", "/api/api_version").json
    assert set(versions) == {"version"}
    numbers = [tuple(map(int, v.split("."))) for v in versions["version"]]
    assert numbers == sorted(numbers) and (1, 0) in numbers
    assert (2, 12) not in numbers and (2, 18) not in numbers


def test_request_ids_are_echoed_or_made(described):
    a, _, _ = described
    given = a.raw("GET", "/api/api_version", {"X-Request-ID": "mine"})
    assert given.headers["X-Request-ID"] == "mine"
    assert a.raw("GET", "/api/api_version").headers["X-Request-ID"]
