"""The plugin in the OpenStackClient of Debian 12 (6.0.0), beside the newest that the other tests use.

The founding document's commands run with both in test_cli_transcript.py, completion in test_cli_completion.py.
"""

import json

import pytest
from cli_looks import LOOKS, judge, look
from demo_world import DEBIAN12, MAPPINGS, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    assert (DEBIAN12 / "bin" / "openstack").exists(), f"{DEBIAN12} is not there; scripts/install makes it"
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        demo.bin = DEBIAN12 / "bin"
        demo.sync()
        yield demo


@pytest.fixture(scope="module")
def looks(demo):
    return look(demo)


def test_it_is_the_old_one(demo):
    assert demo.bash("openstack --version").split() == ["openstack", "6.0.0"]


@pytest.mark.parametrize(("command", "names"), [row[1:] for row in LOOKS], ids=[row[1] for row in LOOKS])
def test_what_looks_is_a_table_for_people_and_json_for_programs(looks, command, names):
    judge(looks[command], names)


def test_what_is_not_known_is_empty_in_a_shell(demo):
    line = "protector protection-group show prod-web-app -c quarantine -f"
    value, shell = demo.batch([f"{line} value", f"{line} shell"])
    assert (value["out"], shell["out"]) == ("\n", 'quarantine=""\n')


def test_errors_in_words(demo):
    done = demo.run("openstack protector protection-group show no-such-group")
    assert done.returncode == 1
    assert "there are: prod-web-app" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_no_secrets(demo):
    done = demo.run(
        "openstack --debug protector policy set prod-web-app --rpo-minutes 20 --secondary-fa-api-token s3cret-too",
        PROTECTOR_PRIMARY_FA_API_TOKEN="s3cret-one",
    )
    assert done.returncode == 1, "the arrays do not know these tokens"
    assert '"primary_fa_api_token": "***"' in done.stderr
    for secret in ("s3cret-one", "s3cret-too", "app-password"):
        assert secret not in done.stderr


def test_a_failover_that_is_waited_for(demo):
    done = demo.run(f"openstack protector protection-group failover prod-web-app {MAPPINGS} --wait -f json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["status"], record["result_data"]["current_primary_site"]) == ("completed", "site-b")
    assert "web-1: " in done.stderr
