"""The samples of docs/tenant, as they stand, against a running demo."""

import os
import re
import subprocess
import sys

import pytest
from demo_world import ROOT, running_demo

PAGES = ROOT / "docs" / "tenant"


def blocks(page, language):
    """The code of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def nothing_is_left(demo):
    group = demo.protector().get_protection_group(demo["PG_ID"])
    assert (group.status, group.active_test_operation_id) == ("active", None)
    assert list(demo.connection("site-b").compute.servers()) == []
    assert list(demo.connection("site-b").block_storage.volumes()) == []
    assert {server.status for server in demo.connection("site-a").compute.servers()} == {"ACTIVE"}


def drills(demo):
    """The drills so far, and how they ended."""
    operations = demo.protector().operations(operation_type="test_failover")
    return [operation.status for operation in operations]


def test_the_front_page(demo):
    [sample] = blocks("README.md", "sh")
    assert "prod-web-app" in demo.bash(sample.replace("pip install python-protectorclient ", "true "))


def test_the_first_drill(demo):
    before = len(drills(demo))
    steps = blocks("first-drill.md", "sh")
    assert len(steps) == 6
    printed = demo.bash("\n".join(steps))
    assert "test_failover" in printed
    assert drills(demo)[0] == "completed"
    assert len(drills(demo)) == before + 1
    nothing_is_left(demo)


def test_the_nightly_drill_from_cron(demo, tmp_path):
    [script], [line] = blocks("nightly-drill.md", "bash"), blocks("nightly-drill.md", "cron")
    (tmp_path / "nightly-drill").write_text(script)
    (tmp_path / "nightly-drill").chmod(0o755)
    (tmp_path / "clouds.yaml").symlink_to(demo["OS_CLIENT_CONFIG_FILE"])
    (tmp_path / "venv").symlink_to(demo.bin.parent)
    before = len(drills(demo))
    # As cron would: its environment, its shell, what stands behind the five fields.
    done = subprocess.run(
        ["/bin/sh", "-c", line.split(maxsplit=5)[5]],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LOGNAME": "tenant", "SHELL": "/bin/sh"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the drill worked, and nothing is left of it" in done.stdout
    assert len(drills(demo)) == before + 1
    nothing_is_left(demo)


def test_the_nightly_drill_says_when_it_cannot_work(demo, tmp_path):
    [script] = blocks("nightly-drill.md", "bash")
    (tmp_path / "nightly-drill").write_text(script.replace("sleep ", "true "))
    done = demo.run(f"bash {tmp_path}/nightly-drill site-a no-such-group")
    assert done.returncode == 1
    assert "No protection group of this project has the id or name 'no-such-group'" in done.stderr
    assert "THE DRILL FAILED" in done.stderr


def test_the_play(demo, tmp_path):
    [play], [command] = blocks("ansible.md", "yaml"), blocks("ansible.md", "sh")
    (tmp_path / "drill.yaml").write_text(play)
    before = len(drills(demo))
    done = demo.run(
        f"cd {tmp_path} && {command}",
        HOME=str(tmp_path),
        ANSIBLE_LOCALHOST_WARNING="False",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="False",
        ANSIBLE_PYTHON_INTERPRETER=sys.executable,
        LC_ALL=os.environ.get("LC_ALL", "C.UTF-8"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ok=6 +changed=2 .*failed=0", done.stdout), done.stdout
    assert len(drills(demo)) == before + 1
    nothing_is_left(demo)


def test_the_samples_of_the_sdk(demo):
    page = ROOT / "python" / "python-protectorclient" / "docs" / "sdk.md"
    first, second = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    before = len(drills(demo))
    script = (
        f"{first}\n"
        "assert protector.get_operation(drill.id).status == 'completed'\n"
        "protector.wait_for_operation(protector.test_cleanup(group.id).id)\n"
        "import openstack\n"
        "connection = openstack.connect(cloud='site-a')\n"
        f"{second.replace('connection.disaster_recovery', 'groups = connection.disaster_recovery')}\n"
        "print([group.name for group in groups])\n"
    )
    (demo.env_file.parent / "sample.py").write_text(script)
    assert demo.bash(f"python {demo.env_file.parent}/sample.py") == "['prod-web-app']\n"
    assert len(drills(demo)) == before + 1
    nothing_is_left(demo)
