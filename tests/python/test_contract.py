"""One suite of client calls, success and error, those that our adapters make: simulators and real services answer alike.

What real services answered is kept in `contract_recorded.json` (made against the laboratory). Without settings the calls
run against our simulators and are compared with it; with PROTECTOR_CONTRACT_CLOUDS they run against a real cloud and are
compared with the same record. Status, fields with their types, the form of errors, and end states. A difference is a bug
of the simulator, or stands with its reason in `docs/contributor/simulator-fidelity.md`, which is read here.

PROTECTOR_CONTRACT_CLOUDS   a clouds.yaml of a real cloud
PROTECTOR_CONTRACT_CLOUD    its entry of an administrator (default: site-a-admin)
PROTECTOR_CONTRACT_RECORD   text that names the services' versions: write the record anew instead of comparing
Run: target/pyvenv/bin/python -m pytest tests/python/test_contract.py
"""

import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from conftest import read_env
from contract_calls import Cloud
from demo_world import BIN, ROOT

RECORDED = pathlib.Path(__file__).with_name("contract_recorded.json")
FIDELITY = ROOT / "docs" / "contributor" / "simulator-fidelity.md"
# | `call` | real | simulator | reason |
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def known_differences(text):
    """call -> (real, simulator), as the page's table has them."""
    rows = {}
    for call, real, simulator, reason in ROW.findall(text):
        assert reason.strip(), f"{call} is listed without a reason"
        rows[call] = (real.strip(), simulator.strip())
    return rows


def words(outcome):
    """An outcome as the page says it."""
    parts = [str(outcome[key]) for key in ("status", "error", "end") if key in outcome]
    parts += [f"{path}: {kind}" for path, kind in outcome.get("fields", {}).items()]
    return ", ".join(parts)


def differences(real, other):
    """call -> (real, other), each with what differs alone. A field that is null in one of both says nothing."""
    found = {}
    for call in sorted(set(real) | set(other)):
        one, two = dict(real.get(call, {})), dict(other.get(call, {}))
        if "fields" in one and "fields" in two:
            paths = set(one["fields"]) | set(two["fields"])
            pairs = {path: (one["fields"].get(path), two["fields"].get(path)) for path in sorted(paths)}
            unlike = [path for path, pair in pairs.items() if pair[0] != pair[1] and ("null" not in pair or "absent" in pair)]
            for outcome, side in ((one, 0), (two, 1)):
                outcome["fields"] = {path: pairs[path][side] for path in unlike}
        if one != two:
            found[call] = (words(one), words(two))
    return found


def against_simulators(folder):
    assert BIN.exists(), f"{BIN} is not there; build it, or name another with PROTECTOR_BIN"
    env_file = folder / "world.env"
    process = subprocess.Popen([str(BIN), "sim", "world", "--env-file", str(env_file)], stdout=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 30
        while not env_file.exists():
            assert process.poll() is None and time.monotonic() < give_up, "the simulated world did not come up"
            time.sleep(0.05)
        env = read_env(env_file)
        return Cloud(env["SIM_A_AUTH_URL"], env["SIM_A_ADMIN_PASSWORD"]).run()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def against_real(clouds):
    import openstack

    name = os.environ.get("PROTECTOR_CONTRACT_CLOUD", "site-a-admin")
    config = openstack.config.OpenStackConfig(config_files=[clouds], load_envvars=False).get_one(cloud=name).config
    return Cloud(config["auth"]["auth_url"], config["auth"]["password"], ca=config.get("cacert")).run()


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text())


def test_simulators_and_services_answer_alike(tmp_path):
    clouds = os.environ.get("PROTECTOR_CONTRACT_CLOUDS")
    outcomes = against_real(clouds) if clouds else against_simulators(tmp_path)
    versions = os.environ.get("PROTECTOR_CONTRACT_RECORD")
    if clouds and versions:
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        record = {"services": versions, "date": today, "outcomes": outcomes}
        RECORDED.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    real = json.loads(RECORDED.read_text())["outcomes"]
    found = differences(real, outcomes)
    if clouds:
        assert found == {}, "the services no longer answer as recorded"
        return
    known = known_differences(FIDELITY.read_text())
    unlisted = {call: pair for call, pair in found.items() if known.get(call) != pair}
    assert unlisted == {}, f"(real, simulator); mend the simulator, or list them with a reason in {FIDELITY.name}"
    assert set(known) == set(found), "listed, but no difference any more"


def test_each_adapter_s_service_is_called_and_refuses(recorded):
    outcomes = recorded["outcomes"]
    for service in ("keystone", "glance", "neutron", "nova", "cinder"):
        mine = {call: outcome for call, outcome in outcomes.items() if call.startswith(service)}
        assert any(outcome.get("status", 999) < 300 for outcome in mine.values()), service
        assert any(outcome.get("status", 0) >= 400 for outcome in mine.values()), service
    assert {"gone", "ACTIVE", "SHUTOFF", "available"} <= {outcome.get("end") for outcome in outcomes.values()}


def test_a_difference_is_seen():
    real = {"a": {"status": 200, "fields": {"x": "text", "y": "null"}}, "b": {"status": 404, "error": "itemNotFound.message"}}
    assert differences(real, real) == {}
    null = {**real, "a": {"status": 200, "fields": {"x": "text", "y": "number"}}}
    assert differences(real, null) == {}
    for other, pair in [
        ({"a": {"status": 202, "fields": {"x": "text", "y": "null"}}}, ("200", "202")),
        ({"a": {"status": 200, "fields": {"x": "number", "y": "null"}}}, ("200, x: text", "200, x: number")),
        ({"a": {"status": 200, "fields": {"x": "text", "y": "absent"}}}, ("200, y: null", "200, y: absent")),
        ({"a": {"status": 500, "error": "computeFault.message"}}, ("200, x: text, y: null", "500, computeFault.message")),
    ]:
        assert differences(real, {**real, **other}) == {"a": pair}
    assert differences(real, {"a": real["a"]}) == {"b": ("404, itemNotFound.message", "")}


def test_the_page_s_table_is_read():
    page = "| Call | Real | Simulator | Why |\n|---|---|---|---|\n| `a.b` | 401, none | 401, error.message | Nobody reads it. |\n"
    assert known_differences(page) == {"a.b": ("401, none", "401, error.message")}
    with pytest.raises(AssertionError, match="without a reason"):
        known_differences("| `a.b` | 1 | 2 |   |\n")
